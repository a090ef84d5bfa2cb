//! `runbook watch`.

use super::drive;
use super::failure::Result;
use super::station::Station;
use super::target::Looked;
use crate::surface::exit::Exit;

/// Shows an incident as it goes on, and goes on with it when nobody does
///
/// On a terminal with the stepper, in a pipe line by line until a person
/// is needed. Ends as `runbook start` does.
///
/// Examples:
///   runbook watch
///   runbook watch lusab-fidok
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Watch {
    #[command(flatten)]
    target: Looked,
}

impl Watch {
    /// Watches.
    pub fn run(self, station: &Station) -> Result<Exit> {
        let mut desk = station.look()?;
        let id = desk.find(self.target.incident.as_deref())?;
        desk.prepare(&id)?;
        if station.settings.streams.interactive() && station.output.is_table() {
            return drive::step(&desk, &id);
        }
        drive::plain(&desk, &id, 0)
    }
}
