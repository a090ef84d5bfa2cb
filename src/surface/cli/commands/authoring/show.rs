//! `runbook show`.

use crate::surface::cli::context::project::Project;
use crate::surface::cli::context::session::Session;
use crate::surface::cli::output::error::Result;
use crate::surface::cli::output::runbook_outline;
use crate::surface::exit::Exit;

/// Shows a runbook: what it takes, its deadlines, and its steps
///
/// Examples:
///   runbook show p1
///   runbook show p1 -o json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Show {
    /// The runbook's id
    #[arg(value_name = "RUNBOOK")]
    id: String,
}

impl Show {
    /// Plays the demo.
    pub fn run(self, session: &Session) -> Result {
        let shop = Project::open(&session.settings)?;
        let (runbook, digest) = shop.runbook(&self.id, &session.output)?;
        if session.output.is_table() {
            session.output.text(&runbook_outline::runbook(runbook).render(session.settings.width()))?;
        } else {
            let mut value = serde_json::to_value(runbook).expect("a runbook has text keys only");
            value["digest"] = digest.into();
            session.output.document(&value)?;
        }
        let start = session.command(&shop.start(runbook));
        session.output.next(&[format!("{start} --plan"), start]);
        Ok(Exit::DONE)
    }
}
