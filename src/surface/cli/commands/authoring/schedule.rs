//! `runbook schedule`.

use serde::Serialize;

use crate::domain::core::id::IncidentId;
use crate::domain::core::time::Timestamp;
use crate::domain::runbook::schedule::{SHOWN, calendar};
use crate::engine::schedule_state::{ScheduleState, ScheduleStatus, entries};
use crate::surface::cli::context::project::Project;
use crate::surface::cli::context::session::{OpenEngine, Session};
use crate::surface::cli::follow::until_done::run_status_name;
use crate::surface::cli::output::error::Result;
use crate::surface::cli::output::table::Table;
use crate::surface::exit::Exit;

/// Lists what is scheduled: what is next, what ran last, what was missed
///
/// `runbook serve` starts each runbook whose `on` has a schedule, once, and
/// opens a record of maintenance for it. An instant is shown on the clocks of
/// its schedule's zone, and then on yours. What was missed is counted since
/// the schedule was taken up by `serve`.
///
/// Examples:
///   runbook schedule
///   runbook schedule -o json
///   runbook schedule --ics > maintenance.ics
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Schedule {
    /// Prints a calendar (RFC 5545), as `serve` has it at /calendar.ics
    #[arg(long)]
    ics: bool,
}

/// One schedule, for programs.
#[derive(Serialize)]
struct ScheduleRow {
    runbook: String,
    environment: String,
    schedule: String,
    timezone: String,
    /// Whether this host acts in the environment.
    here: bool,
    next: Option<Timestamp>,
    last: Option<Last>,
    missed: Vec<Timestamp>,
    /// Why the past runs are unknown, if the log is corrupt.
    #[serde(skip_serializing_if = "Option::is_none")]
    damaged: Option<String>,
    #[serde(skip)]
    cells: [String; 3],
}

/// The last handled occurrence.
#[derive(Serialize)]
struct Last {
    due: Timestamp,
    incident: IncidentId,
    /// The status of its run, or that it was skipped because another run was in progress.
    became: String,
}

impl Schedule {
    /// Lists schedules, or prints them as a calendar.
    pub fn run(self, session: &Session) -> Result {
        let shop = Project::open(&session.settings)?;
        let name = shop.estate(&session.output)?.estate.clone();
        let open_engine = session.open(shop)?;
        let force = ScheduleState::read(Some(&session.schedules()?));
        let standings = open_engine.wait(open_engine.engine.schedule_statuses(&force))?;
        if self.ics {
            let now = session.clock().now();
            session.output.text(&calendar(&name, &entries(&standings, now), now))?;
            return Ok(Exit::DONE);
        }
        let rows: Vec<ScheduleRow> = standings.into_iter().map(|standing| row(&open_engine, standing)).collect();
        print_rows(session, &rows)?;
        let damaged: Vec<&ScheduleRow> = rows.iter().filter(|row| row.damaged.is_some()).collect();
        for row in &damaged {
            let reason = row.damaged.as_deref().unwrap_or_default();
            session
                .output
                .warn(&format!("what ran of `{}` in `{}` is not known: {reason}", row.runbook, row.environment));
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
            _ if row.damaged.is_some() => "not known".to_owned(),
            [] => String::new(),
            [only] => shown(*only, &row.timezone),
            [.., newest] => format!("{}, last {}", row.missed.len(), shown(*newest, &row.timezone)),
        };
        table.row([row.runbook.clone(), row.environment.clone(), next, yours, last, missed]);
    }
    session.output.text(&table.render(session.settings.width()))?;
    let again = format!("start {} --env {}", first.runbook, first.environment);
    session.output.next(&[session.command("incidents --maintenance"), session.command(&again)]);
    Ok(())
}

fn row(open_engine: &OpenEngine<'_>, standing: ScheduleStatus) -> ScheduleRow {
    let ScheduleStatus { plan, here, next, handled, missed, damaged } = standing;
    let zone = plan.schedule.timezone.clone();
    let last = handled.first().map(|handled| Last {
        due: handled.due,
        incident: handled.incident.clone(),
        became: became(open_engine, &handled.incident, handled.due),
    });
    let cells = [
        next.map(|at| shown(at, &zone)).unwrap_or_default(),
        next.map(yours).unwrap_or_default(),
        last.as_ref().map(|last| format!("{} {}", last.incident, last.became)).unwrap_or_default(),
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

/// The same instant in the reader's time zone.
fn yours(at: Timestamp) -> String {
    at.with_timezone(&chrono::Local).format(&format!("{SHOWN} %:z")).to_string()
}

fn became(open_engine: &OpenEngine<'_>, id: &IncidentId, due: Timestamp) -> String {
    let Ok(incident) = open_engine.incident(id) else { return "cannot be read".to_owned() };
    let run = incident.runs.iter().find(|run| run.schedule.as_ref().is_some_and(|schedule| schedule.due == due));
    run.map_or_else(|| "went on, so it was skipped".to_owned(), |run| run_status_name(run).to_owned())
}
