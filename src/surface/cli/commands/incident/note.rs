//! `runbook note`: adds a note to the timeline.

use crate::domain::incident::command::Request;
use crate::surface::cli::context::args::IncidentArg;
use crate::surface::cli::context::session::Session;
use crate::surface::cli::follow::submit;
use crate::surface::cli::output::error::Result;

/// Add a note to the timeline of an incident
///
/// Examples:
///   runbook note lusab-fidok the payment provider confirms an outage
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Note {
    #[command(flatten)]
    target: IncidentArg,
    /// The text; quotes are optional. Type `--` before a text that begins with `-`
    #[arg(value_name = "TEXT", required = true, num_args = 1.., allow_negative_numbers = true)]
    text: Vec<String>,
}

impl Note {
    /// Adds the note.
    pub fn run(self, session: &Session) -> Result {
        submit::only(session, &self.target, "note added", Request::Note(self.text.join(" ")))
    }
}
