//! `runbook retry`: retries a failed step.

use crate::domain::incident::command::Request;
use crate::domain::incident::decide::step_verb::StepVerb;
use crate::surface::cli::context::args::{DetachArg, IncidentArg, StepArg};
use crate::surface::cli::context::session::Session;
use crate::surface::cli::follow::submit;
use crate::surface::cli::output::error::Result;

/// Retry a failed step
///
/// Examples:
///   runbook retry lusab-fidok restart
///   runbook retry lusab-fidok restart[2]
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
#[expect(rustdoc::broken_intra_doc_links, reason = "the help is plain text, in which `[2]` is not a link")]
pub struct Retry {
    #[command(flatten)]
    target: IncidentArg,
    #[command(flatten)]
    step: StepArg,
    #[command(flatten)]
    detach: DetachArg,
}

impl Retry {
    /// Retries the step and continues.
    pub fn run(self, session: &Session) -> Result {
        let confirmation = format!("`{}` is retried", self.step.step);
        let step = (StepVerb::Retry, Some(&self.step.step));
        submit::step_and_continue(session, &self.target, &self.detach, step, &confirmation, |target| Request::Retry {
            target,
        })
    }
}
