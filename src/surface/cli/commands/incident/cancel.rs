//! `runbook cancel`.

use crate::domain::incident::command::Request;
use crate::surface::cli::context::args::{Going, IncidentArg};
use crate::surface::cli::context::session::Session;
use crate::surface::cli::follow::submit;
use crate::surface::cli::output::error::Result;
use crate::surface::exit::Exit;

/// Stops every run of an incident
///
/// What is being done is stopped, and what stands under `finally` is still
/// done. The incident stays open; `runbook start --incident` goes on in it.
///
/// Examples:
///   runbook cancel lusab-fidok 'false alarm'
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Cancel {
    #[command(flatten)]
    target: IncidentArg,
    /// Why, in a few words
    #[arg(value_name = "REASON")]
    reason: String,
    #[command(flatten)]
    going: Going,
}

impl Cancel {
    /// Cancels the runs. A run that ends as cancelled is no failure of this command.
    pub fn run(self, session: &Session) -> Result {
        let request = Request::Cancel { reason: self.reason };
        let exit = submit::then_go_on(session, &self.target, &self.going, "cancelled", request)?;
        Ok(if exit == Exit::CANCELLED { Exit::DONE } else { exit })
    }
}
