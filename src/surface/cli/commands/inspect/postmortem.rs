//! `runbook postmortem`: writes, prints or completes a post-mortem.

use std::path::PathBuf;

use crate::domain::core::id::IncidentId;
use crate::domain::core::text::printable;
use crate::domain::core::time::stamp;
use crate::domain::incident::command::Request;
use crate::domain::incident::deadline::DeadlineStatus;
use crate::domain::incident::{Incident, IncidentStatus};
use crate::engine::report_files;
use crate::surface::cli::context::args::ReadTarget;
use crate::surface::cli::context::session::{OpenEngine, Session};
use crate::surface::cli::output::error::{Failure, Result};
use crate::surface::exit::Exit;

/// Maximum number of bytes that are printed of a post-mortem.
const PRINT_LIMIT: u64 = 4 * 1024 * 1024;

/// Write, print or complete a post-mortem
///
/// Updates the draft; text that a person has written into it is kept. For a
/// maintenance incident it writes the report: `runbook report` is the same
/// command.
///
/// Examples:
///   runbook postmortem
///   runbook postmortem lusab-fidok --print
///   runbook postmortem lusab-fidok --done
///   runbook report last --print
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Postmortem {
    #[command(flatten)]
    target: ReadTarget,
    /// Mark the post-mortem as complete
    #[arg(long, conflicts_with = "print")]
    done: bool,
    /// Print the text instead of its path
    #[arg(long)]
    print: bool,
}

impl Postmortem {
    /// Writes, prints or completes the post-mortem.
    pub fn run(self, session: &Session) -> Result {
        let mut open_engine = session.open_read_only()?;
        let id = open_engine.find(self.target.incident.as_deref())?;
        open_engine.prepare(&id)?;
        if self.done {
            open_engine.submit(&id, Request::CompletePostmortem)?;
            let (path, incident) = write_draft(&open_engine, &id)?;
            match open_questions(&contents(&path)?) {
                0 => {}
                1 => session.output.warn("1 question in it is still `TODO`"),
                many => session.output.warn(&format!("{many} questions in it are still `TODO`")),
            }
            session.output.print_message(&format!("{id}: the post-mortem is complete{}", lateness(&incident)));
            session.output.next(&next(session, &incident));
            return Ok(Exit::DONE);
        }
        let (path, incident) = write_draft(&open_engine, &id)?;
        self.print(session, &path, &incident)?;
        session.output.next(&next(session, &incident));
        Ok(Exit::DONE)
    }

    fn print(&self, session: &Session, path: &PathBuf, incident: &Incident) -> Result<()> {
        let shown = session.settings.shown(path);
        if self.print {
            return session.output.text(&printable(&contents(path)?));
        }
        if session.output.is_table() {
            return session.output.text(&format!("{}\n", printable(&shown.to_string_lossy())));
        }
        session.output.document(&serde_json::json!({"incident": incident.id, "path": shown}))
    }
}

/// Writes or updates the draft; returns its path and the incident.
fn write_draft(open_engine: &OpenEngine<'_>, id: &IncidentId) -> Result<(PathBuf, Incident)> {
    let incident = open_engine.incident(id)?;
    let directory = &open_engine.engine.parts().directory;
    let written =
        report_files::write(directory, &incident, &open_engine.log(id)?).map_err(crate::engine::EngineError::from)?;
    Ok((directory.join(written.path), incident))
}

fn contents(path: &PathBuf) -> Result<String> {
    use std::io::Read as _;
    let unreadable = |error| Failure::error(format!("`{}` cannot be read: {error}", path.display()));
    let mut text = String::new();
    std::fs::File::open(path).and_then(|file| file.take(PRINT_LIMIT).read_to_string(&mut text)).map_err(unreadable)?;
    Ok(text)
}

/// The number of unanswered questions in the draft.
fn open_questions(text: &str) -> usize {
    text.matches("TODO: ").count()
}

fn next(session: &Session, incident: &Incident) -> Vec<String> {
    let command = |arguments: String| session.command(&arguments);
    match (incident.status, &incident.completed) {
        (IncidentStatus::Resolved, _) if incident.is_maintenance() => vec![command("schedule".to_owned())],
        _ if incident.is_maintenance() => vec![command(format!("watch {}", incident.id))],
        (IncidentStatus::Resolved, Some(_)) => vec![command("incidents".to_owned())],
        (IncidentStatus::Resolved, None) => vec![command(format!("postmortem {} --done", incident.id))],
        _ => vec![command(format!("resolve {} 'what it was'", incident.id))],
    }
}

/// The deadline that was met too late, as the end of a message.
fn lateness(incident: &Incident) -> String {
    let late = incident.deadlines.iter().find(|deadline| matches!(deadline.status, DeadlineStatus::MetLate { .. }));
    late.map(|deadline| format!("; `{}` was due {}", deadline.name, stamp(deadline.due))).unwrap_or_default()
}
