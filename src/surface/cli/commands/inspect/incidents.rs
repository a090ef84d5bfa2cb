//! `runbook incidents`: lists incidents.

use serde::Serialize;

use crate::domain::core::id::IncidentId;
use crate::domain::core::severity::Severity;
use crate::domain::core::time::{Span, Timestamp, stamp};
use crate::domain::incident::{Incident, IncidentStatus};
use crate::store::StreamSummary;
use crate::surface::cli::context::session::{OpenEngine, Session};
use crate::surface::cli::follow::until_done::{run_status_name, status_name};
use crate::surface::cli::output::error::Result;
use crate::surface::cli::output::pending;
use crate::surface::cli::output::table::Table;
use crate::surface::exit::Exit;

/// List incidents, most recent first
///
/// Examples:
///   runbook incidents
///   runbook incidents --open
///   runbook incidents --maintenance
///   runbook incidents --limit 100 -o jsonl
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Incidents {
    /// Only incidents that are not resolved
    #[arg(long)]
    open: bool,
    /// Maintenance incidents only
    #[arg(long)]
    maintenance: bool,
    /// The maximum number of incidents
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// How many of the most recent incidents are left out
    #[arg(long, value_name = "N", default_value_t = 0)]
    offset: u32,
}

/// The status of an incident whose log cannot be read.
const DAMAGED: &str = "damaged";

/// One incident, as JSON.
#[derive(Serialize)]
struct IncidentRow {
    id: IncidentId,
    severity: Option<Severity>,
    title: String,
    environment: String,
    status: &'static str,
    opened_at: Timestamp,
    changed_at: Timestamp,
    runs: Vec<String>,
    waiting: Vec<String>,
    /// The last column: the first question, the proposed runbook, or a status.
    #[serde(skip)]
    standing: String,
}

impl Incidents {
    /// Lists the incidents. A corrupt one has its own line, and the exit code reports it.
    pub fn run(self, session: &Session) -> Result {
        let rows = if session.has_log()? { self.rows(&session.open_read_only()?)? } else { Vec::new() };
        if session.output.is_table() {
            let now = session.clock().now();
            if !rows.is_empty() {
                session.output.text(&table(&rows, now).render(session.settings.width()))?;
            }
        } else {
            session.output.list(&rows)?;
        }
        let damaged = rows.iter().any(|row| row.status == DAMAGED);
        match rows.first() {
            None => self.print_none(session),
            Some(_) if damaged => session.output.next(&[session.command("verify")]),
            Some(row) => session.output.next(&[session.command(&format!("watch {}", row.id))]),
        }
        Ok(if damaged { Exit::ERROR } else { Exit::DONE })
    }

    fn rows(&self, open_engine: &OpenEngine<'_>) -> Result<Vec<IncidentRow>> {
        let (limit, mut offset, mut rows) = (self.limit as usize, self.offset, Vec::new());
        // Pages are read until enough incidents match: an open one may be older than many resolved ones.
        loop {
            let summaries = open_engine.wait(open_engine.store().incidents(self.limit, offset))?;
            let is_last = summaries.len() < limit;
            let page = summaries.iter().map(|summary| read(open_engine, summary));
            rows.extend(page.filter(|row| self.wants(row)));
            if is_last || rows.len() >= limit {
                rows.truncate(limit);
                return Ok(rows);
            }
            offset = offset.saturating_add(self.limit);
        }
    }

    /// Whether the options select this row. A corrupt incident may be a maintenance incident or not, so it is always shown.
    fn wants(&self, row: &IncidentRow) -> bool {
        let is_maintenance = row.severity.map(|severity| severity == Severity::Maintenance);
        is_maintenance.is_none_or(|is_maintenance| is_maintenance == self.maintenance)
            && (!self.open || row.status != "resolved")
    }

    fn print_none(&self, session: &Session) {
        if self.maintenance {
            session.output.print_message("there are no maintenance incidents");
            return session.output.next(&[session.command("schedule")]);
        }
        if self.open {
            session.output.print_message("no incident is open");
            return session.output.next(&[session.command("incidents")]);
        }
        session.output.print_message("there are no incidents");
        session.output.next(&[session.command("start <runbook>")]);
    }
}

fn read(open_engine: &OpenEngine<'_>, summary: &StreamSummary) -> IncidentRow {
    match open_engine.incident(&summary.id) {
        Ok(incident) => row(&incident, summary),
        Err(failure) => damaged(summary, &failure.message),
    }
}

fn row(incident: &Incident, summary: &StreamSummary) -> IncidentRow {
    let waits = incident.waiting_for_person();
    let standing = match (waits.first(), incident.status) {
        (_, IncidentStatus::Resolved) => "resolved".to_owned(),
        (Some((run, key, gate)), _) => {
            format!("waits: {}, {}", incident.reference(*run, key), pending::question(gate))
        }
        (None, _) if !incident.proposals.is_empty() => format!("proposed: {}", incident.proposals[0].runbook),
        (None, _) => {
            incident.runs.last().map_or_else(|| status_name(incident).to_owned(), |run| run_status_name(run).to_owned())
        }
    };
    IncidentRow {
        id: incident.id.clone(),
        severity: Some(incident.severity),
        title: incident.title.clone(),
        environment: incident.environment.clone(),
        status: status_name(incident),
        opened_at: incident.opened.at,
        changed_at: summary.changed_at,
        runs: incident.runs.iter().map(|run| format!("{}: {}", run.runbook.id, run_status_name(run))).collect(),
        waiting: waits.iter().map(|(run, key, _)| incident.reference(*run, key).to_string()).collect(),
        standing,
    }
}

fn damaged(summary: &StreamSummary, message: &str) -> IncidentRow {
    IncidentRow {
        id: summary.id.clone(),
        severity: None,
        title: message.to_owned(),
        environment: String::new(),
        status: DAMAGED,
        opened_at: summary.opened_at,
        changed_at: summary.changed_at,
        runs: Vec::new(),
        waiting: Vec::new(),
        standing: DAMAGED.to_owned(),
    }
}

fn table(rows: &[IncidentRow], now: Timestamp) -> Table {
    let mut table = Table::new(["INCIDENT", "SEVERITY", "OPENED", "ENVIRONMENT", "TITLE", "STANDS"]);
    for row in rows {
        let severity = row.severity.map(|severity| severity.to_string()).unwrap_or_default();
        let opened = age(row.opened_at, now);
        table.row([
            row.id.to_string(),
            severity,
            opened,
            row.environment.clone(),
            row.title.clone(),
            row.standing.clone(),
        ]);
    }
    table
}

/// How long ago an instant was, or its date if that is more than a day.
fn age(at: Timestamp, now: Timestamp) -> String {
    const DAY: u64 = 24 * 60 * 60;
    let seconds = Span::between(at, now).0.as_secs();
    match seconds {
        0..60 => format!("{seconds}s ago"),
        60..3600 => format!("{}m ago", seconds / 60),
        3600..DAY => format!("{}h ago", seconds / 3600),
        _ => stamp(at).split('T').next().unwrap_or_default().to_owned(),
    }
}
