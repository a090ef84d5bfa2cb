//! The terminal interface: the interactive [`stepper`](mod@self::stepper), plain lines without a terminal
//! ([`plain_output`](mod@self::stepper::plain_output)), and the [`status`] board. They share [`widgets`].
//!
//! **Invariant:** foreign text reaches the terminal only as a [`widgets::styled_text::StyledSpan`], which holds no
//! control character.
//!
//! Not here: decisions about the incident, which the engine makes; settings such as colours, which the command line passes
//! in.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

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

/// The settings of the stepper and of plain output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepperOptions {
    /// The person who acts.
    pub actor: Actor,
    /// Events up to this number are not printed.
    pub after: u64,
    /// When plain output returns; the stepper always runs until the incident is over.
    pub return_when: ReturnWhen,
    pub colour: Colour,
    pub charset: CharacterSet,
    pub work: WorkMode,
}

/// Whether this process drives the incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkMode {
    /// It drives the incident, unless another process holds the lease.
    Drive,
    /// It only shows the incident; the person may still answer.
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
    /// Another process holds the lease and asks the questions.
    Taken,
}

/// The signals that end an interactive screen: SIGINT, SIGTERM and SIGHUP.
fn end_signals() -> io::Result<[Signal; 3]> {
    Ok([signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?])
}
