//! `runbook skip`: skips a step.

use crate::domain::incident::command::Request;
use crate::domain::incident::decide::step_verb::StepVerb;
use crate::surface::cli::context::args::{Going, IncidentArg, StepArg};
use crate::surface::cli::context::session::Session;
use crate::surface::cli::follow::submit;
use crate::surface::cli::output::error::Result;

/// Goes on without a step
///
/// Examples:
///   runbook skip lusab-fidok host 'the console is down, looked by hand'
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Skip {
    #[command(flatten)]
    target: IncidentArg,
    #[command(flatten)]
    step: StepArg,
    /// Why, in a few words
    #[arg(value_name = "REASON")]
    reason: String,
    #[command(flatten)]
    going: Going,
}

impl Skip {
    /// Skips the step and continues.
    pub fn run(self, session: &Session) -> Result {
        let said = format!("`{}` is skipped", self.step.step);
        let step = (StepVerb::Skip, Some(&self.step.step));
        submit::step_then_go_on(session, &self.target, &self.going, step, &said, |target| Request::Skip {
            target,
            reason: self.reason,
        })
    }
}
