//! `runbook resolve`.

use crate::domain::incident::command::Request;
use crate::surface::cli::context::args::{Going, IncidentArg};
use crate::surface::cli::context::session::Session;
use crate::surface::cli::follow::submit;
use crate::surface::cli::output::error::Result;
use crate::surface::exit::Exit;

/// Says that the trouble is over
///
/// The draft of the post-mortem is written, and its deadline begins to run.
///
/// Examples:
///   runbook resolve lusab-fidok 'a bad merge, reverted'
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Resolve {
    #[command(flatten)]
    target: IncidentArg,
    /// What it was, in a few words
    #[arg(value_name = "SUMMARY")]
    summary: Option<String>,
    #[command(flatten)]
    going: Going,
}

impl Resolve {
    /// Resolves the incident. How its runs ended was reported before, and is no failure of this command.
    pub fn run(self, session: &Session) -> Result {
        let request = Request::Resolve { summary: self.summary };
        let exit = submit::then_go_on(session, &self.target, &self.going, "resolved", request)?;
        Ok(if [Exit::CANCELLED, Exit::FAILED].contains(&exit) { Exit::DONE } else { exit })
    }
}
