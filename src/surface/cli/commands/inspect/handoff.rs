//! `runbook handoff`: writes the hand-over.

use crate::domain::report::handover::Handover;
use crate::surface::cli::context::args::ReadTarget;
use crate::surface::cli::context::session::Session;
use crate::surface::cli::output::error::Result;
use crate::surface::cli::output::pending;
use crate::surface::exit::Exit;

/// Writes what somebody who comes on duty has to know
///
/// What waits, who has which role, what is known, what was done and who was
/// told, as Markdown on standard output, from the log alone.
///
/// Examples:
///   runbook handoff
///   runbook handoff lusab-fidok > handover.md
///   runbook handoff lusab-fidok -o json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Handoff {
    #[command(flatten)]
    target: ReadTarget,
}

impl Handoff {
    /// Writes the hand-over.
    pub fn run(self, station: &Session) -> Result {
        let desk = station.look()?;
        let id = desk.find(self.target.incident.as_deref())?;
        let incident = desk.incident(&id)?;
        let handover = Handover::of(&incident, &desk.log(&id)?, desk.engine.parts().clock.now());
        if station.output.is_table() {
            station.output.text(&handover.markdown())?;
        } else {
            station.output.document(&handover)?;
        }
        let first = pending::of(&incident, &station.settings.command())
            .into_iter()
            .find_map(|one| one.commands.into_iter().next());
        station.output.next(&[first.unwrap_or_else(|| station.command(&format!("timeline {id}")))]);
        Ok(Exit::DONE)
    }
}
