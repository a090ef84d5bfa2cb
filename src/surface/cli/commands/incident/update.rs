//! `runbook update`.

use crate::domain::incident::command::Request;
use crate::surface::cli::context::args::{Going, IncidentArg};
use crate::surface::cli::context::session::Session;
use crate::surface::cli::follow::submit;
use crate::surface::cli::output::error::Result;

/// Tells stakeholders how an incident stands
///
/// Goes to where the runbook tells stakeholders, and is owed by the log
/// until it has arrived. Begins the time until the next one anew.
///
/// Examples:
///   runbook update lusab-fidok customers can pay again, we are watching it
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Update {
    #[command(flatten)]
    target: IncidentArg,
    /// The words; quotes are not needed, `--` goes before words that begin with `-`
    #[arg(value_name = "WORDS", required = true, num_args = 1.., allow_negative_numbers = true)]
    words: Vec<String>,
}

impl Update {
    /// Submits the update and continues.
    pub fn run(self, session: &Session) -> Result {
        let request = Request::Update(self.words.join(" "));
        submit::then_go_on(session, &self.target, &Going { detach: false }, "is told to stakeholders", request)
    }
}
