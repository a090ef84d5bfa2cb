//! The terminal interface: the interactive [`stepper`](mod@self::stepper), plain lines where there is no terminal
//! ([`plain_output`](mod@self::stepper::plain_output)), and the [`status`] board. All are drawn with [`widgets`].
//!
//! **Invariant:** foreign text reaches the terminal only as a [`widgets::styled_text::StyledSpan`], which holds no
//! control character.
//!
//! Not here: decisions about the incident, which the engine makes, and the terminal's settings, which the command line
//! passes in.

use crate::domain::incident::event::Actor;
use crate::engine::ReturnWhen;

pub mod status;
pub mod stepper;
#[cfg(test)]
mod tests;
pub mod widgets;

pub use self::stepper::plain_output::plain;
pub use self::stepper::step;
pub use self::widgets::palette::{CharacterSet, Colour};

/// The settings of an interactive or plain session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepperOptions {
    /// The person who acts.
    pub actor: Actor,
    /// Events up to this number are known already and are not printed again.
    pub after: u64,
    /// When plain output returns; the stepper always runs until the incident is over.
    pub patience: ReturnWhen,
    pub colour: Colour,
    pub letters: CharacterSet,
    pub work: WorkMode,
}

/// Whether this process works on the incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkMode {
    /// It does, unless another process holds the lease.
    Drive,
    /// It only watches; the person may still answer.
    Watch,
}

/// Why the interface returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Every run has ended.
    Over,
    /// The person left, or the terminal is gone.
    Detached,
    /// The runs wait for a person.
    NeedsPerson,
    /// Another process holds the lease, and the questions are asked there.
    Taken,
}
