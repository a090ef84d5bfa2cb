//! `runbook page`: prints the link to an incident's page.

use crate::engine::page_link;
use crate::surface::cli::context::args::ReadTarget;
use crate::surface::cli::context::session::Session;
use crate::surface::cli::output::error::{Failure, Result};
use crate::surface::exit::Exit;

/// Print the link to an incident's page
///
/// `runbook serve` serves the page at the address of `page` in estate.yaml.
/// Anybody who has the link can read the incident, so share it with care. The
/// link gives no other access.
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
    pub fn run(self, session: &Session) -> Result {
        let mut open_engine = session.open_read_only()?;
        let id = open_engine.find(self.target.incident.as_deref())?;
        open_engine.prepare(&id)?;
        let parts = open_engine.engine.parts();
        let Some(link) = open_engine.engine.page_link(&id) else {
            let page = parts.catalog.estate().content.as_ref().ok().and_then(|estate| estate.page.as_ref());
            return Err(match page.and_then(|page| page_link::secret_problem(page, &parts.secrets)) {
                Some(why) => Failure::usage(format!("there is no link to a page: {why}")),
                None => Failure::usage("the estate names no page")
                    .hint("Add `page: { url: …, secret: … }` to estate.yaml; see docs/serve.md."),
            });
        };
        if session.output.is_table() {
            session.output.text(&format!("{link}\n"))?;
        } else {
            session.output.document(&serde_json::json!({"incident": id, "page": link}))?;
        }
        session.output.next(&[session.command(&format!("timeline {id}"))]);
        Ok(Exit::DONE)
    }
}
