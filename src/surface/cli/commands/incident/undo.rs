//! `runbook undo`: runs a step's undo.

use crate::domain::incident::command::Request;
use crate::domain::incident::decide::step_verb::StepVerb;
use crate::surface::cli::context::args::{Going, IncidentArg, StepArg};
use crate::surface::cli::context::session::Session;
use crate::surface::cli::follow::submit;
use crate::surface::cli::output::error::Result;

/// Takes a change back, the way its step says
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
    going: Going,
}

impl Undo {
    /// Runs the undo and continues.
    pub fn run(self, session: &Session) -> Result {
        let said = format!("`{}` is taken back", self.step.step);
        let step = (StepVerb::Undo, Some(&self.step.step));
        submit::step_then_go_on(session, &self.target, &self.going, step, &said, |target| Request::Undo { target })
    }
}
