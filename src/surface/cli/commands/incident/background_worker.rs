//! `runbook work`: the hidden worker in the background that `--detach` starts.

use super::drive;
use super::failure::Result;
use super::station::Station;
use super::target::Incident;

/// Goes on with an incident until its runs are over, away from any terminal
#[derive(Debug, clap::Args)]
pub struct Work {
    #[command(flatten)]
    target: Incident,
}

impl Work {
    /// Works.
    pub fn run(self, station: &Station) -> Result {
        // Without a session of its own it would end with the terminal. It has one already when it is a leader.
        let _ = rustix::process::setsid();
        let mut desk = station.look()?;
        let id = desk.find(Some(&self.target.incident))?;
        let seen = desk.prepare(&id)?.seq;
        drive::to_the_end(&desk, &id, seen)
    }
}
