//! `runbook undo`: runs a step's undo.

use crate::domain::incident::command::Request;
use crate::domain::incident::decide::step_verb::StepVerb;
use crate::surface::cli::context::args::{DetachArg, IncidentArg, StepArg};
use crate::surface::cli::context::session::Session;
use crate::surface::cli::follow::submit;
use crate::surface::cli::output::error::Result;

/// Run a step's undo
///
/// Examples:
///   runbook undo lusab-fidok mock_mode
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Undo {
    #[command(flatten)]
    target: IncidentArg,
    #[command(flatten)]
    step: StepArg,
    #[command(flatten)]
    detach: DetachArg,
}

impl Undo {
    /// Runs the undo and continues.
    pub fn run(self, session: &Session) -> Result {
        let confirmation = format!("`{}` is being undone", self.step.step);
        let step = (StepVerb::Undo, Some(&self.step.step));
        submit::step_and_continue(session, &self.target, &self.detach, step, &confirmation, |target| Request::Undo {
            target,
        })
    }
}
