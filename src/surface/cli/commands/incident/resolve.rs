//! `runbook resolve`: resolves an incident.

use crate::domain::incident::command::Request;
use crate::surface::cli::context::args::{DetachArg, IncidentArg};
use crate::surface::cli::context::session::Session;
use crate::surface::cli::follow::submit;
use crate::surface::cli::output::error::Result;
use crate::surface::exit::Exit;

/// Resolve an incident
///
/// Writes the draft of the post-mortem; the deadline for it begins now.
///
/// Examples:
///   runbook resolve lusab-fidok 'a bad merge, reverted'
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Resolve {
    #[command(flatten)]
    target: IncidentArg,
    /// The cause and the fix, in a few words
    #[arg(value_name = "SUMMARY")]
    summary: Option<String>,
    #[command(flatten)]
    detach: DetachArg,
}

impl Resolve {
    /// Resolves the incident. This command succeeds even if a run failed or was cancelled: that was reported before.
    pub fn run(self, session: &Session) -> Result {
        let request = Request::Resolve { summary: self.summary };
        let exit = submit::and_continue(session, &self.target, &self.detach, "resolved", request)?;
        Ok(if [Exit::CANCELLED, Exit::FAILED].contains(&exit) { Exit::DONE } else { exit })
    }
}
