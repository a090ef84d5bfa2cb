//! `runbook timeline`.

use super::failure::Result;
use super::station::Station;
use super::target::Looked;
use crate::surface::exit::Exit;

/// Prints what happened in an incident, event by event
///
/// Every line has its event's number and its time in UTC. As JSON, the
/// events themselves.
///
/// Examples:
///   runbook timeline
///   runbook timeline lusab-fidok -o jsonl
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Timeline {
    #[command(flatten)]
    target: Looked,
}

impl Timeline {
    /// Prints it.
    pub fn run(self, station: &Station) -> Result {
        let desk = station.look()?;
        let id = desk.find(self.target.incident.as_deref())?;
        let log = desk.log(&id)?;
        if station.output.is_table() {
            station.output.text("")?;
        } else {
            station.output.list(&log)?;
        }
        station.output.next(&[station.command(&format!("postmortem {id} --print"))]);
        Ok(Exit::DONE)
    }
}
