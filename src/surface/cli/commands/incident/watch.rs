//! `runbook watch`: follows an incident.

use crate::surface::cli::context::args::ReadTarget;
use crate::surface::cli::context::session::Session;
use crate::surface::cli::follow::until_done;
use crate::surface::cli::output::error::Result;

/// Follow an incident; take over if no process is running it
///
/// On a terminal with the stepper, in a pipe line by line until a person
/// is needed. The exit codes are those of `runbook start`.
///
/// Examples:
///   runbook watch
///   runbook watch lusab-fidok
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Watch {
    #[command(flatten)]
    target: ReadTarget,
}

impl Watch {
    /// Follows the incident, and takes over if no process is running it.
    pub fn run(self, session: &Session) -> Result {
        let mut open_engine = session.open_read_only()?;
        let id = open_engine.find(self.target.incident.as_deref())?;
        open_engine.prepare(&id)?;
        if session.settings.streams.interactive() && session.output.is_table() {
            return until_done::step(&open_engine, &id);
        }
        until_done::plain(&open_engine, &id, 0)
    }
}
