//! `runbook handoff`.

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
    pub fn run(self, session: &Session) -> Result {
        let open_engine = session.open_read_only()?;
        let id = open_engine.find(self.target.incident.as_deref())?;
        let incident = open_engine.incident(&id)?;
        let handover = Handover::of(&incident, &open_engine.log(&id)?, open_engine.engine.parts().clock.now());
        if session.output.is_table() {
            session.output.text(&handover.markdown())?;
        } else {
            session.output.document(&handover)?;
        }
        let first = pending::of(&incident, &session.settings.command())
            .into_iter()
            .find_map(|one| one.commands.into_iter().next());
        session.output.next(&[first.unwrap_or_else(|| session.command(&format!("timeline {id}")))]);
        Ok(Exit::DONE)
    }
}
