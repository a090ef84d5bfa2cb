//! The stepper: the face at a terminal, and plain lines where there is none.
//!
//! | file | job |
//! |---|---|
//! | [`stepper`](mod@self::stepper) | the interactive loop: keys, news, the work and the clock |
//! | [`plain`](mod@self::stepper::plain_output) | the same news as plain lines |
//! | [`engine_task`](stepper::engine_task) | the engine at work beside the face |
//! | [`model`](stepper::model) | what is true, and where the person is |
//! | [`prompt`](stepper::prompt), [`line_editor`](widgets::line_editor) | which keys answer a question, and the line that is typed |
//! | [`scrollback`](stepper::scrollback), [`summary`](stepper::summary) | what has happened, as lines that stay |
//! | [`view`](stepper::view), `question`, [`countdown`](widgets::countdown) | the live region |
//! | [`styled_text`](widgets::styled_text), [`wrap`](widgets::wrap), [`palette`](widgets::palette) | lines, rows, colours |
//! | [`inline_screen`](widgets::inline_screen), [`alternate_screen`](widgets::alternate_screen), `pen`, `guard` | the terminal below its record or whole, the thread that writes to it, giving it back |
//! | [`status`] | the status board |
//!
//! Deliberately absent: decisions about the incident. A face submits commands and shows what the log says; the settings
//! of the terminal (colour, letters) are read by the command line and passed in.
//!
//! **Invariant:** text of others reaches the terminal only as an [`widgets::styled_text::StyledSpan`], which holds no control character.

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
