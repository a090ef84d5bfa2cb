//! `runbook handoff`: writes the hand-over.

use crate::domain::report::handover::Handover;
use crate::surface::cli::context::args::ReadTarget;
use crate::surface::cli::context::session::Session;
use crate::surface::cli::output::error::Result;
use crate::surface::cli::output::pending;
use crate::surface::exit::Exit;

/// Write the hand-over for the next shift
///
/// Prints as Markdown what waits, who has which role, what is known, what was
/// done and who was notified. Everything comes from the log.
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
        let answer = pending::of(&incident, &session.settings.command())
            .into_iter()
            .find_map(|question| question.commands.into_iter().next());
        session.output.next(&[answer.unwrap_or_else(|| session.command(&format!("timeline {id}")))]);
        Ok(Exit::DONE)
    }
}
