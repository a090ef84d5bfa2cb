//! `runbook work`: the hidden background worker that `--detach` starts.

use crate::surface::cli::context::args::Incident;
use crate::surface::cli::context::session::Session;
use crate::surface::cli::follow::until_done;
use crate::surface::cli::output::error::Result;

/// Goes on with an incident until its runs are over, away from any terminal
#[derive(Debug, clap::Args)]
pub struct BackgroundWorker {
    #[command(flatten)]
    target: Incident,
}

impl BackgroundWorker {
    /// Drives the incident until its runs are over.
    pub fn run(self, station: &Session) -> Result {
        // Without its own session it would end with the terminal. The call fails if it already leads one.
        let _ = rustix::process::setsid();
        let mut desk = station.look()?;
        let id = desk.find(Some(&self.target.incident))?;
        let seen = desk.prepare(&id)?.seq;
        until_done::to_the_end(&desk, &id, seen)
    }
}
