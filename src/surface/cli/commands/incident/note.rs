//! `runbook note`.

use crate::domain::incident::command::Request;
use crate::surface::cli::context::args::IncidentArg;
use crate::surface::cli::context::session::Session;
use crate::surface::cli::follow::submit;
use crate::surface::cli::output::error::Result;

/// Writes something down in the timeline of an incident
///
/// Examples:
///   runbook note lusab-fidok the payment provider confirms an outage
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Note {
    #[command(flatten)]
    target: IncidentArg,
    /// The words; quotes are not needed, `--` goes before words that begin with `-`
    #[arg(value_name = "WORDS", required = true, num_args = 1.., allow_negative_numbers = true)]
    words: Vec<String>,
}

impl Note {
    /// Adds the note.
    pub fn run(self, session: &Session) -> Result {
        submit::only(session, &self.target, "written down", Request::Note(self.words.join(" ")))
    }
}
