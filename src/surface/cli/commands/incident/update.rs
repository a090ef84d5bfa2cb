//! `runbook update`: sends stakeholders an update.

use crate::domain::incident::command::Request;
use crate::surface::cli::context::args::{DetachArg, IncidentArg};
use crate::surface::cli::context::session::Session;
use crate::surface::cli::follow::submit;
use crate::surface::cli::output::error::Result;

/// Send stakeholders an update
///
/// The update goes to the channels that the runbook notifies, and is retried
/// until it is delivered. The time until the next update starts again.
///
/// Examples:
///   runbook update lusab-fidok customers can pay again, we are watching it
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Update {
    #[command(flatten)]
    target: IncidentArg,
    /// The text; quotes are optional. Type `--` before a text that begins with `-`
    #[arg(value_name = "TEXT", required = true, num_args = 1.., allow_negative_numbers = true)]
    text: Vec<String>,
}

impl Update {
    /// Submits the update and continues.
    pub fn run(self, session: &Session) -> Result {
        let request = Request::Update(self.text.join(" "));
        submit::and_continue(
            session,
            &self.target,
            &DetachArg { detach: false },
            "update recorded for the stakeholders",
            request,
        )
    }
}
