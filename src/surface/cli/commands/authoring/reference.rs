//! `runbook reference`: the hidden printer of `docs/language.md`.

use crate::actions;
use crate::domain::runbook::reference;
use crate::surface::cli::context::session::Session;
use crate::surface::cli::output::error::Result;
use crate::surface::exit::Exit;

/// Prints the reference of the language as Markdown
#[derive(Debug, clap::Args)]
pub struct Reference {}

impl Reference {
    /// Prints the timeline.
    pub fn run(self, session: &Session) -> Result {
        session.output.text(&reference::language_reference(&actions::forms()))?;
        Ok(Exit::DONE)
    }
}
