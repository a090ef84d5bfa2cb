//! `runbook schedule`: lists scheduled runbooks.

use serde::Serialize;

use crate::domain::core::id::IncidentId;
use crate::domain::core::time::Timestamp;
use crate::domain::runbook::schedule::{LOCAL_FORMAT, calendar};
use crate::engine::schedule_state::{ScheduleState, ScheduleStatus, entries};
use crate::surface::cli::context::project::Project;
use crate::surface::cli::context::session::{OpenEngine, Session};
use crate::surface::cli::follow::until_done::run_status_name;
use crate::surface::cli::output::error::Result;
use crate::surface::cli::output::table::Table;
use crate::surface::exit::Exit;

/// List scheduled runbooks: the next run, the last run, missed runs
///
/// `runbook serve` starts each runbook whose `on` has a schedule, once per
/// occurrence, and opens a maintenance incident for it. Times are shown in the
/// schedule's time zone and in yours. Missed runs are counted from the time at
/// which `serve` first loaded the schedule.
///
/// Examples:
///   runbook schedule
///   runbook schedule -o json
///   runbook schedule --ics > maintenance.ics
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Schedule {
    /// Print a calendar (RFC 5545), as `serve` serves it at /calendar.ics
    #[arg(long)]
    ics: bool,
}

/// One schedule, as JSON.
#[derive(Serialize)]
struct ScheduleRow {
    runbook: String,
    environment: String,
    schedule: String,
    timezone: String,
    /// Whether this host belongs to the environment.
    here: bool,
    next: Option<Timestamp>,
    last: Option<Last>,
    missed: Vec<Timestamp>,
    /// Why past runs are unknown, if a log is corrupt.
    #[serde(skip_serializing_if = "Option::is_none")]
    damaged: Option<String>,
    #[serde(skip)]
    /// The texts for the table: next run, the same for the reader, last run.
    cells: [String; 3],
}

/// The last occurrence that was handled.
#[derive(Serialize)]
struct Last {
    due: Timestamp,
    incident: IncidentId,
    /// The status of its run, or that it was skipped because another run was in progress.
    #[serde(rename = "became")]
    result: String,
}

impl Schedule {
    /// Lists schedules, or prints them as a calendar.
    pub fn run(self, session: &Session) -> Result {
        let project = Project::open(&session.settings)?;
        let name = project.estate(&session.output)?.estate.clone();
        let open_engine = session.open(project)?;
        let state = ScheduleState::read(Some(&session.schedules()?));
        let statuses = open_engine.wait(open_engine.engine.schedule_statuses(&state))?;
        if self.ics {
            let now = session.clock().now();
            session.output.text(&calendar(&name, &entries(&statuses, now), now))?;
            return Ok(Exit::DONE);
        }
        let rows: Vec<ScheduleRow> = statuses.into_iter().map(|status| row(&open_engine, status)).collect();
        print_rows(session, &rows)?;
        let damaged: Vec<&ScheduleRow> = rows.iter().filter(|row| row.damaged.is_some()).collect();
        for row in &damaged {
            let reason = row.damaged.as_deref().unwrap_or_default();
            session
                .output
                .warn(&format!("past runs of `{}` in `{}` are unknown: {reason}", row.runbook, row.environment));
        }
        if damaged.is_empty() {
            return Ok(Exit::DONE);
        }
        session.output.next(&[session.command("verify")]);
        Ok(Exit::ERROR)
    }
}

fn print_rows(session: &Session, rows: &[ScheduleRow]) -> Result<()> {
    if !session.output.is_table() {
        return session.output.list(rows);
    }
    let Some(first) = rows.first() else {
        session.output.print_message("no runbook has a schedule");
        session.output.next(&[session.command("list")]);
        return Ok(());
    };
    let mut table = Table::new(["RUNBOOK", "ENVIRONMENT", "NEXT", "FOR YOU", "LAST", "MISSED"]);
    for row in rows {
        let [next, yours, last] = row.cells.clone();
        let missed = match &*row.missed {
            _ if !row.here => "runs on another host".to_owned(),
            _ if row.damaged.is_some() => "unknown".to_owned(),
            [] => String::new(),
            [only] => shown(*only, &row.timezone),
            [.., newest] => format!("{}, last {}", row.missed.len(), shown(*newest, &row.timezone)),
        };
        table.row([row.runbook.clone(), row.environment.clone(), next, yours, last, missed]);
    }
    session.output.text(&table.render(session.settings.width()))?;
    let start = format!("start {} --env {}", first.runbook, first.environment);
    session.output.next(&[session.command("incidents --maintenance"), session.command(&start)]);
    Ok(())
}

fn row(open_engine: &OpenEngine<'_>, status: ScheduleStatus) -> ScheduleRow {
    let ScheduleStatus { plan, here, next, handled, missed, damaged } = status;
    let zone = plan.schedule.timezone.clone();
    let last = handled.first().map(|handled| Last {
        due: handled.due,
        incident: handled.incident.clone(),
        result: result(open_engine, &handled.incident, handled.due),
    });
    let cells = [
        next.map(|at| shown(at, &zone)).unwrap_or_default(),
        next.map(yours).unwrap_or_default(),
        last.as_ref().map(|last| format!("{} {}", last.incident, last.result)).unwrap_or_default(),
    ];
    ScheduleRow {
        runbook: plan.runbook,
        environment: plan.environment,
        schedule: plan.schedule.schedule,
        timezone: zone,
        here,
        next,
        last,
        missed,
        damaged,
        cells,
    }
}

fn shown(at: Timestamp, zone: &str) -> String {
    crate::domain::runbook::schedule::local(at, zone)
}

/// An instant in the reader's time zone.
fn yours(at: Timestamp) -> String {
    at.with_timezone(&chrono::Local).format(&format!("{LOCAL_FORMAT} %:z")).to_string()
}

/// The status of the run that an occurrence started, or that the occurrence was skipped.
fn result(open_engine: &OpenEngine<'_>, id: &IncidentId, due: Timestamp) -> String {
    let Ok(incident) = open_engine.incident(id) else { return "cannot be read".to_owned() };
    let run = incident.runs.iter().find(|run| run.schedule.as_ref().is_some_and(|schedule| schedule.due == due));
    run.map_or_else(|| "was in progress, so it was skipped".to_owned(), |run| run_status_name(run).to_owned())
}
