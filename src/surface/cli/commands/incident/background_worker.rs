//! `runbook work`: the hidden background worker that `--detach` starts.

use crate::surface::cli::context::args::IncidentArg;
use crate::surface::cli::context::session::Session;
use crate::surface::cli::follow::until_done;
use crate::surface::cli::output::error::Result;

/// Continue an incident without a terminal until its runs are over
#[derive(Debug, clap::Args)]
pub struct BackgroundWorker {
    #[command(flatten)]
    target: IncidentArg,
}

impl BackgroundWorker {
    /// Drives the incident until its runs are over.
    pub fn run(self, session: &Session) -> Result {
        // In a session of its own, the worker outlives the terminal. The call fails if the process already leads a session.
        let _ = rustix::process::setsid();
        let mut open_engine = session.open_read_only()?;
        let id = open_engine.find(Some(&self.target.incident))?;
        let before = open_engine.prepare(&id)?.seq;
        until_done::until_over(&open_engine, &id, before)
    }
}
