//! `runbook ack`: acknowledges an incident.

use crate::domain::incident::command::Request;
use crate::surface::cli::context::args::IncidentArg;
use crate::surface::cli::context::session::Session;
use crate::surface::cli::follow::submit;
use crate::surface::cli::output::error::Result;

/// Acknowledge an incident: others see that you handle it
///
/// Examples:
///   runbook ack lusab-fidok
///   runbook ack last
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Ack {
    #[command(flatten)]
    target: IncidentArg,
}

impl Ack {
    /// Acknowledges the incident.
    pub fn run(self, session: &Session) -> Result {
        submit::only(session, &self.target, "acknowledged", Request::Acknowledge)
    }
}
