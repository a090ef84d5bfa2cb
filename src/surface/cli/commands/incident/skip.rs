//! `runbook skip`: skips a step.

use crate::domain::incident::command::Request;
use crate::domain::incident::decide::step_verb::StepVerb;
use crate::surface::cli::context::args::{DetachArg, IncidentArg, StepArg};
use crate::surface::cli::context::session::Session;
use crate::surface::cli::follow::submit;
use crate::surface::cli::output::error::Result;

/// Skip a step; the run continues without it
///
/// Examples:
///   runbook skip lusab-fidok host 'the console is down, checked by hand'
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Skip {
    #[command(flatten)]
    target: IncidentArg,
    #[command(flatten)]
    step: StepArg,
    /// The reason, in a few words
    #[arg(value_name = "REASON")]
    reason: String,
    #[command(flatten)]
    detach: DetachArg,
}

impl Skip {
    /// Skips the step and continues.
    pub fn run(self, session: &Session) -> Result {
        let confirmation = format!("`{}` is skipped", self.step.step);
        let step = (StepVerb::Skip, Some(&self.step.step));
        submit::step_and_continue(session, &self.target, &self.detach, step, &confirmation, |target| Request::Skip {
            target,
            reason: self.reason,
        })
    }
}
