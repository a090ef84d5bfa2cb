//! `runbook approve`: approves a change.

use crate::domain::incident::command::Request;
use crate::domain::incident::command::target::StepReference;
use crate::domain::incident::decide::target_lookup;
use crate::surface::cli::context::args::{DetachArg, IncidentArg, reference};
use crate::surface::cli::context::session::Session;
use crate::surface::cli::follow::submit;
use crate::surface::cli::output::error::Result;

/// Approve a change that a run waits to make
///
/// With `--digest` you approve exactly the change that was shown. If the
/// change is a different one by then, the command is refused.
///
/// Examples:
///   runbook approve lusab-fidok
///   runbook approve lusab-fidok rollback --digest 3f1c0a9e8b7d
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Approve {
    #[command(flatten)]
    target: IncidentArg,
    /// The step; not needed if only one change waits. `2:rollback` is the step of run 2
    #[arg(value_name = "STEP", value_parser = reference)]
    step: Option<StepReference>,
    /// The digest of the change that was shown, or at least its first 8 characters
    #[arg(long, value_name = "DIGEST")]
    digest: Option<String>,
    #[command(flatten)]
    detach: DetachArg,
}

impl Approve {
    /// Approves the change and continues.
    pub fn run(self, session: &Session) -> Result {
        submit::resolved_and_continue(session, &self.target, &self.detach, "approved", |incident| {
            let (target, digest) = target_lookup::change(incident, self.step.as_ref(), self.digest.as_deref())?;
            Ok(Request::Approve { target, digest })
        })
    }
}
