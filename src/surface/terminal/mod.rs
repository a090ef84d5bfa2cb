//! The terminal interface: the interactive stepper, plain lines where there is no terminal, and the status board.
//!
//! | module | job |
//! |---|---|
//! | [`stepper`](mod@self::stepper) | the interactive loop: keys, events, the worker and the clock |
//! | [`plain_output`](mod@self::stepper::plain_output) | the same events as plain lines |
//! | [`engine_task`](stepper::engine_task) | the engine's work on the incident, beside the interface |
//! | [`model`](stepper::model) | the state of the incident and of the interface |
//! | [`prompt`](stepper::prompt), [`line_editor`](widgets::line_editor) | the keys that answer a question, and the
//! typed line |
//! | [`scrollback`](stepper::scrollback), [`summary`](stepper::summary) | past events, as lines that stay |
//! | [`view`](stepper::view), `question`, [`countdown`](widgets::countdown) | the live region |
//! | [`styled_text`](widgets::styled_text), [`wrap`](widgets::wrap), [`palette`](widgets::palette) | lines, rows,
//! colours |
//! | [`inline_screen`](widgets::inline_screen), [`alternate_screen`](widgets::alternate_screen) | a live region below
//! the output, or the whole terminal |
//! | `writer_thread`, `raw_mode` | the thread that writes, and restoring the terminal |
//! | [`status`] | the status board |
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
pub use self::widgets::palette::{Colour, Letters};

/// The settings of an interactive or plain session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The person who acts.
    pub actor: Actor,
    /// Events up to this number are known already and are not printed again.
    pub after: u64,
    /// When plain output returns; the stepper always runs until the incident is over.
    pub patience: ReturnWhen,
    pub colour: Colour,
    pub letters: Letters,
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
