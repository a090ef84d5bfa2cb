//! `runbook severity`: changes an incident's severity.

use crate::domain::core::severity::Severity;
use crate::domain::incident::command::Request;
use crate::surface::cli::context::args::IncidentArg;
use crate::surface::cli::context::session::Session;
use crate::surface::cli::follow::submit;
use crate::surface::cli::output::error::Result;

/// Change an incident's severity
///
/// Messages and work of the most severe incident go first.
///
/// Examples:
///   runbook severity lusab-fidok p2
///   runbook severity last p1
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct SetSeverity {
    #[command(flatten)]
    target: IncidentArg,
    /// The severity, from p1 (most severe) to p4
    #[arg(value_name = "SEVERITY", value_parser = severity)]
    severity: Severity,
}

impl SetSeverity {
    /// Changes the severity.
    pub fn run(self, session: &Session) -> Result {
        submit::only(
            session,
            &self.target,
            &format!("severity {}", self.severity),
            Request::ChangeSeverity(self.severity),
        )
    }
}

fn severity(typed: &str) -> std::result::Result<Severity, String> {
    typed.parse()
}
