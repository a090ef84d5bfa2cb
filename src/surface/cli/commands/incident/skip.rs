//! `runbook skip`.

use super::asking;
use super::failure::Result;
use super::station::Station;
use super::target::{Going, Incident, Step};
use crate::domain::command::Request;

/// Goes on without a step
///
/// Examples:
///   runbook skip lusab-fidok host 'the console is down, looked by hand'
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Skip {
    #[command(flatten)]
    target: Incident,
    #[command(flatten)]
    step: Step,
    /// Why, in a few words
    #[arg(value_name = "REASON")]
    reason: String,
    #[command(flatten)]
    going: Going,
}

impl Skip {
    /// Goes on without it.
    pub fn run(self, station: &Station) -> Result {
        let said = format!("`{}` is skipped", self.step.step);
        let request = Request::Skip { step: self.step.step, reason: self.reason };
        asking::then_go_on(station, &self.target, &self.going, &said, request)
    }
}
