//! `runbook work`: the hidden worker in the background that `--detach` starts.

use crate::surface::cli::context::args::IncidentArg;
use crate::surface::cli::context::session::Session;
use crate::surface::cli::follow::until_done;
use crate::surface::cli::output::error::Result;

/// Goes on with an incident until its runs are over, away from any terminal
#[derive(Debug, clap::Args)]
pub struct BackgroundWorker {
    #[command(flatten)]
    target: IncidentArg,
}

impl BackgroundWorker {
    /// Drives the incident until its runs are over.
    pub fn run(self, session: &Session) -> Result {
        // Without its own session it would end with the terminal. The call fails if it already leads one.
        let _ = rustix::process::setsid();
        let mut open_engine = session.open_read_only()?;
        let id = open_engine.find(Some(&self.target.incident))?;
        let seen = open_engine.prepare(&id)?.seq;
        until_done::to_the_end(&open_engine, &id, seen)
    }
}
