//! `runbook cancel`: cancels the runs of an incident.

use crate::domain::incident::command::Request;
use crate::surface::cli::context::args::{DetachArg, IncidentArg};
use crate::surface::cli::context::session::Session;
use crate::surface::cli::follow::submit;
use crate::surface::cli::output::error::Result;
use crate::surface::exit::Exit;

/// Cancel the runs of an incident
///
/// Running steps are stopped; the steps under `finally` still run. The
/// incident stays open: `runbook start --incident` starts a further run.
///
/// Examples:
///   runbook cancel lusab-fidok 'false alarm'
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Cancel {
    #[command(flatten)]
    target: IncidentArg,
    /// The reason, in a few words
    #[arg(value_name = "REASON")]
    reason: String,
    #[command(flatten)]
    detach: DetachArg,
}

impl Cancel {
    /// Cancels the runs. This command succeeds when they end as cancelled.
    pub fn run(self, session: &Session) -> Result {
        let request = Request::Cancel { reason: self.reason };
        let exit = submit::and_continue(session, &self.target, &self.detach, "cancelled", request)?;
        Ok(if exit == Exit::CANCELLED { Exit::DONE } else { exit })
    }
}
