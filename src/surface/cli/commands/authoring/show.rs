//! `runbook show`: shows a runbook.

use crate::surface::cli::context::project::Project;
use crate::surface::cli::context::session::Session;
use crate::surface::cli::output::error::Result;
use crate::surface::cli::output::runbook_outline;
use crate::surface::exit::Exit;

/// Show a runbook: its parameters, deadlines and steps
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
    /// Shows the runbook.
    pub fn run(self, session: &Session) -> Result {
        let project = Project::open(&session.settings)?;
        let (runbook, digest) = project.runbook(&self.id, &session.output)?;
        if session.output.is_table() {
            session.output.text(&runbook_outline::runbook(runbook).render(session.settings.width()))?;
        } else {
            let mut value = serde_json::to_value(runbook).expect("a runbook has text keys only");
            value["digest"] = digest.into();
            session.output.document(&value)?;
        }
        let start = session.command(&project.start_arguments(runbook));
        session.output.next(&[format!("{start} --plan"), start]);
        Ok(Exit::DONE)
    }
}
