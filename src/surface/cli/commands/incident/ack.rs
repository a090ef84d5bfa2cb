//! `runbook ack`.

use super::asking;
use super::failure::Result;
use super::station::Station;
use super::target::Incident;
use crate::domain::command::Request;

/// Takes notice of an incident, so that others know that somebody has
///
/// Examples:
///   runbook ack lusab-fidok
///   runbook ack last
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Ack {
    #[command(flatten)]
    target: Incident,
}

impl Ack {
    /// Takes notice.
    pub fn run(self, station: &Station) -> Result {
        asking::only(station, &self.target, "acknowledged", Request::Acknowledge)
    }
}
