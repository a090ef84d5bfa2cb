//! `runbook list`: lists the runbooks.

use serde::Serialize;

use crate::domain::core::diagnostic;
use crate::domain::core::severity::Severity;
use crate::domain::runbook::schedule::Schedule;
use crate::domain::runbook::trigger::Trigger;
use crate::domain::runbook::{Param, Runbook};
use crate::engine::catalog::CheckedFile;
use crate::surface::cli::context::project::Project;
use crate::surface::cli::context::session::Session;
use crate::surface::cli::output::error::Result;
use crate::surface::cli::output::table::Table;
use crate::surface::exit::Exit;

/// List the runbooks of the project
///
/// Examples:
///   runbook list
///   runbook list -o json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct List {}

/// One runbook, as JSON.
#[derive(Serialize)]
struct RunbookRow<'a> {
    id: &'a str,
    title: Option<&'a str>,
    severity: Option<Severity>,
    environments: &'a [String],
    /// The names and patterns of the alerts in its triggers.
    alerts: Vec<&'a str>,
    on: &'a [Trigger],
    schedules: &'a [Schedule],
    params: &'a [Param],
    steps: usize,
    problems: usize,
}

impl List {
    /// Lists the runbooks.
    pub fn run(self, session: &Session) -> Result {
        let project = Project::open(&session.settings)?;
        let rows: Vec<RunbookRow<'_>> = project.catalog.files().map(|(id, file)| row(id, file)).collect();
        if session.output.is_table() {
            session.output.text(&table(&rows).render(session.settings.width()))?;
        } else {
            session.output.list(&rows)?;
        }
        let mut next = vec![session.command("show <runbook>")];
        if let Some(first) = project.catalog.files().find_map(|(_, file)| file.content.as_ref().ok()) {
            next =
                vec![session.command(&format!("show {}", first.id)), session.command(&project.start_arguments(first))];
        }
        let estate_has_problems = project.catalog.estate().content.is_err();
        if estate_has_problems || rows.iter().any(|row| row.problems > 0) {
            next = vec![session.command("lint")];
        }
        session.output.next(&next);
        // A runbook with problems does not prevent the others from being started; an estate with problems does.
        Ok(if estate_has_problems { Exit::PROBLEMS } else { Exit::DONE })
    }
}

fn row<'a>(id: &'a str, file: &'a CheckedFile<Runbook>) -> RunbookRow<'a> {
    let runbook = file.content.as_ref().ok();
    RunbookRow {
        id,
        title: runbook.map(|runbook| runbook.title.as_str()),
        severity: runbook.map(|runbook| runbook.severity),
        environments: runbook.map_or(&[], |runbook| &runbook.environments),
        alerts: runbook.map(|runbook| alerts(runbook)).unwrap_or_default(),
        on: runbook.map_or(&[], |runbook| &runbook.on),
        schedules: runbook.map_or(&[], |runbook| &runbook.schedules),
        params: runbook.map_or(&[], |runbook| &runbook.params),
        steps: runbook.map_or(0, |runbook| runbook.all_steps().len()),
        problems: file.problems().len(),
    }
}

fn alerts(runbook: &Runbook) -> Vec<&str> {
    runbook.on.iter().flat_map(|trigger| &trigger.alert).map(String::as_str).collect()
}

fn table(rows: &[RunbookRow<'_>]) -> Table {
    let mut table = Table::new(["RUNBOOK", "SEVERITY", "TITLE", "ENVIRONMENTS", "STEPS"]);
    for row in rows {
        let title = row.title.map_or_else(|| diagnostic::count(row.problems), str::to_owned);
        let environments = if row.environments.is_empty() { "all".to_owned() } else { row.environments.join(", ") };
        let severity = row.severity.map(|severity| severity.to_string()).unwrap_or_default();
        table.row([row.id.to_owned(), severity, title, environments, row.steps.to_string()]);
    }
    table
}
