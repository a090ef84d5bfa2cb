//! `runbook reference`: a hidden command that prints `docs/language.md`.

use crate::actions;
use crate::domain::runbook::reference;
use crate::surface::cli::context::session::Session;
use crate::surface::cli::output::error::Result;
use crate::surface::exit::Exit;

/// Print the reference of the language as Markdown
#[derive(Debug, clap::Args)]
pub struct Reference {}

impl Reference {
    /// Prints the language reference.
    pub fn run(self, session: &Session) -> Result {
        session.output.text(&reference::language_reference(&actions::forms()))?;
        Ok(Exit::DONE)
    }
}
