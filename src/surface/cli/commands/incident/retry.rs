//! `runbook retry`: retries a failed step.

use crate::domain::incident::command::Request;
use crate::domain::incident::decide::step_verb::StepVerb;
use crate::surface::cli::context::args::{Going, IncidentArg, StepArg};
use crate::surface::cli::context::session::Session;
use crate::surface::cli::follow::submit;
use crate::surface::cli::output::error::Result;

/// Tries a failed step again
///
/// Examples:
///   runbook retry lusab-fidok restart
///   runbook retry lusab-fidok restart[2]
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
#[expect(rustdoc::broken_intra_doc_links, reason = "the help is plain text, and `[2]` is an item's place")]
pub struct Retry {
    #[command(flatten)]
    target: IncidentArg,
    #[command(flatten)]
    step: StepArg,
    #[command(flatten)]
    going: Going,
}

impl Retry {
    /// Retries the step and continues.
    pub fn run(self, session: &Session) -> Result {
        let said = format!("`{}` is tried again", self.step.step);
        let step = (StepVerb::Retry, Some(&self.step.step));
        submit::step_then_go_on(session, &self.target, &self.going, step, &said, |target| Request::Retry { target })
    }
}
