//! `runbook undo`.

use super::asking;
use super::failure::Result;
use super::station::Station;
use super::target::{Going, Incident, Step};
use crate::domain::command::Request;

/// Takes a change back, the way its step says
///
/// Examples:
///   runbook undo lusab-fidok mock_mode
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Undo {
    #[command(flatten)]
    target: Incident,
    #[command(flatten)]
    step: Step,
    #[command(flatten)]
    going: Going,
}

impl Undo {
    /// Takes it back.
    pub fn run(self, station: &Station) -> Result {
        let said = format!("`{}` is taken back", self.step.step);
        let request = Request::Undo { step: self.step.step };
        asking::then_go_on(station, &self.target, &self.going, &said, request)
    }
}
