//! `runbook page`: prints the link to an incident's page.

use crate::engine::page_link;
use crate::surface::cli::context::args::ReadTarget;
use crate::surface::cli::context::session::Session;
use crate::surface::cli::output::error::{Failure, Result};
use crate::surface::exit::Exit;

/// Prints the link to an incident's page
///
/// `runbook serve` serves the page where `page` in estate.yaml says. Who has
/// the link can read the incident, and nothing else: pass it on with care.
///
/// Examples:
///   runbook page
///   runbook page lusab-fidok
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Page {
    #[command(flatten)]
    target: ReadTarget,
}

impl Page {
    /// Prints the link.
    pub fn run(self, station: &Session) -> Result {
        let mut desk = station.look()?;
        let id = desk.find(self.target.incident.as_deref())?;
        desk.prepare(&id)?;
        let parts = desk.engine.parts();
        let Some(link) = desk.engine.page_link(&id) else {
            let page = parts.catalog.estate().content.as_ref().ok().and_then(|estate| estate.page.as_ref());
            return Err(match page.and_then(|page| page_link::secret_problem(page, &parts.secrets)) {
                Some(why) => Failure::usage(format!("there is no link to a page: {why}")),
                None => Failure::usage("the estate names no page")
                    .hint("Add `page: { url: …, secret: … }` to estate.yaml; docs/serve.md says how."),
            });
        };
        if station.output.is_table() {
            station.output.text(&format!("{link}\n"))?;
        } else {
            station.output.document(&serde_json::json!({"incident": id, "page": link}))?;
        }
        station.output.next(&[station.command(&format!("timeline {id}"))]);
        Ok(Exit::DONE)
    }
}
