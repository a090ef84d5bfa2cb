//! The stepper: the face at a terminal, and plain lines where there is none.
//!
//! | file | job |
//! |---|---|
//! | [`stepper`](mod@self::stepper) | the interactive loop: keys, news, the work and the clock |
//! | [`plain`](mod@self::plain) | the same news as plain lines |
//! | [`driver`] | the engine at work beside the face |
//! | [`model`] | what is true, and where the person is |
//! | [`prompt`], [`editor`] | which keys answer a question, and the line that is typed |
//! | [`record`], [`closing`] | what has happened, as lines that stay |
//! | [`view`], `question`, [`countdown`] | the live region |
//! | [`ink`], [`layout`], [`paint`] | lines, rows, colours |
//! | [`screen`], [`canvas`], `pen`, `guard` | the terminal below its record or whole, the thread that writes to it, giving it back |
//! | [`status`] | the status board |
//!
//! Deliberately absent: decisions about the incident. A face submits commands and shows what the log says; the settings
//! of the terminal (colour, letters) are read by the command line and passed in.
//!
//! **Invariant:** text of others reaches the terminal only as an [`ink::Span`], which holds no control character.

use crate::domain::event::Actor;
use crate::engine::Patience;

pub mod canvas;
pub mod closing;
pub mod countdown;
pub mod driver;
pub mod editor;
mod guard;
pub mod ink;
pub mod layout;
pub mod model;
mod naming;
pub mod paint;
mod pen;
pub mod plain;
pub mod prompt;
mod question;
pub mod record;
pub mod screen;
pub mod status;
pub mod stepper;
#[cfg(test)]
mod tests;
pub mod view;

pub use self::paint::{Colour, Letters};
pub use self::plain::plain;
pub use self::stepper::step;

/// How a person sits at the terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Who acts.
    pub actor: Actor,
    /// What was recorded up to this event is known already and not told again.
    pub after: u64,
    /// How long plain lines go on; the stepper always goes on until it is over.
    pub patience: Patience,
    /// Whether to use colours.
    pub colour: Colour,
    /// Which letters the terminal shows.
    pub letters: Letters,
    /// Whether to work on the incident or only to watch.
    pub work: Work,
}

/// Whether this process works on the incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// It does, unless another process does.
    Drive,
    /// It only watches; a person may still answer.
    Watch,
}

/// How a face was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Every run is over.
    Over,
    /// The person left, or the terminal is gone.
    Detached,
    /// Only a person can go on.
    NeedsPerson,
    /// Another process works on it, and the person there is asked.
    Taken,
}
