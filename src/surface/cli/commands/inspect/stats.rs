//! `runbook stats`: shows response times and deadlines met.
//!
//! [`crate::domain::report::stats`] defines the measures. They are rendered as [`tables`] or as an [`svg_chart`].

use std::path::PathBuf;

use serde::Serialize;

use crate::domain::core::id::IncidentId;
use crate::domain::core::time::{Span, Timestamp, stamp};
use crate::domain::report::stats::summary::{By, StatsSummary};
use crate::engine::inspect::incident_stats::Measures;
use crate::surface::cli::context::session::Session;
use crate::surface::cli::output::error::{Failure, Result};
use crate::surface::cli::output::format::Format;
use crate::surface::cli::output::writer;
use crate::surface::exit::Exit;

mod svg_chart;
mod tables;

/// Show response times and deadlines met
///
/// Median and 90th percentile of the time to detect (from the beginning of the
/// problem to the opening) and, from the opening, of the times to acknowledge,
/// notify, mitigate and resolve. A time that the log does not contain counts
/// as unknown. An incident of two services counts for both.
///
/// Examples:
///   runbook stats
///   runbook stats --since 365d --by month
///   runbook stats --by service -o json
///   runbook stats --by month -o svg --out stats.svg
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Stats {
    /// Incidents opened since this time: how long ago such as `90d`, a date or an instant
    #[arg(long, value_name = "TIME", default_value = "90d")]
    since: String,
    /// How incidents are grouped
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = StatsGrouping::Severity)]
    by: StatsGrouping,
    /// The file to write into instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum StatsGrouping {
    /// The last severity
    Severity,
    /// The services that alerts, parameters and changes name
    Service,
    /// The runbooks that ran
    Runbook,
    /// The month of the opening, in UTC
    Month,
    /// The environment
    Environment,
}

impl From<StatsGrouping> for By {
    fn from(grouping: StatsGrouping) -> Self {
        match grouping {
            StatsGrouping::Severity => Self::Severity,
            StatsGrouping::Service => Self::Service,
            StatsGrouping::Runbook => Self::Runbook,
            StatsGrouping::Month => Self::Month,
            StatsGrouping::Environment => Self::Environment,
        }
    }
}

/// The JSON output, described in `docs/stats.md`.
#[derive(Debug, Serialize)]
struct StatsReport {
    since: Timestamp,
    until: Timestamp,
    #[serde(flatten)]
    summary: StatsSummary,
    rehearsals_left_out: u64,
    damaged: Vec<IncidentId>,
}

impl Stats {
    /// Shows the statistics. A corrupt incident is left out with a warning, and the exit code reports it.
    pub fn run(self, session: &Session) -> Result {
        let until = session.clock().now();
        let since = since(&self.since, until)?;
        let measures = if session.has_log()? { measure(session, since)? } else { Measures::default() };
        let report = StatsReport {
            since,
            until,
            summary: StatsSummary::of(&measures.measures, self.by.into()),
            rehearsals_left_out: measures.rehearsals,
            damaged: measures.damaged,
        };
        let empty = report.summary.all.incidents == 0;
        let text = match session.output.format() {
            Format::Table if empty => String::new(),
            Format::Table => tables::text(&report.summary, session.settings.width()),
            Format::Svg => svg_chart::svg(&report.summary, since, until),
            format => writer::json(&report, format == Format::Json),
        };
        self.write(session, &text)?;
        print_notices(session, &report);
        if report.damaged.is_empty() {
            self.next(session, empty);
            return Ok(Exit::DONE);
        }
        session.output.next(&[session.command("verify")]);
        Ok(Exit::ERROR)
    }

    fn write(&self, session: &Session, text: &str) -> Result<()> {
        let Some(file) = &self.out else { return session.output.text(text) };
        std::fs::write(file, text)
            .map_err(|error| Failure::error(format!("`{}` cannot be written: {error}", file.display())))?;
        session.output.print_message(&format!("written to `{}`", session.settings.shown(file).display()));
        Ok(())
    }

    fn next(&self, session: &Session, empty: bool) {
        let commands = match empty {
            true => ["stats --since 3650d", "start <runbook>"],
            false => ["stats --by month", "stats -o svg --out stats.svg"],
        };
        session.output.next(&commands.map(|command| session.command(command)));
    }
}

fn measure(session: &Session, since: Timestamp) -> Result<Measures> {
    let open_engine = session.open_read_only()?;
    Ok(open_engine.wait(open_engine.engine.measures(since))?)
}

/// Prints the facts that are not in the table.
fn print_notices(session: &Session, report: &StatsReport) {
    let output = &session.output;
    if report.summary.all.incidents == 0 {
        output.print_message(&format!("no incident was opened since {}", stamp(report.since)));
    }
    if report.rehearsals_left_out > 0 {
        output.print_message(&format!("{} incidents of the demo are left out", report.rehearsals_left_out));
    }
    for id in &report.damaged {
        output.warn(&format!("the log of `{id}` is damaged; the incident is left out"));
    }
}

/// Parses a time: a duration ago, the beginning of a day in UTC, or an instant.
fn since(typed: &str, now: Timestamp) -> Result<Timestamp> {
    let ago = || {
        let span: Span = typed.parse().ok()?;
        now.checked_sub_signed(chrono::TimeDelta::from_std(span.0).ok()?)
    };
    let day = || typed.parse::<chrono::NaiveDate>().ok()?.and_hms_opt(0, 0, 0).map(|midnight| midnight.and_utc());
    let instant = ago().or_else(day).or_else(|| typed.parse().ok()).ok_or_else(|| {
        Failure::usage(format!("`{}` is not a time", typed.escape_debug()))
            .hint("Type how long ago such as `90d`, a date such as `2026-01-31`, or an instant such as `2026-01-31T03:04:05Z`.")
    })?;
    match instant > now {
        true => Err(Failure::usage(format!("`{}` is in the future", typed.escape_debug()))
            .hint("`runbook stats --since 90d` shows the last ninety days.")),
        false => Ok(instant),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_duration_a_date_or_an_instant() {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
        let of = |typed: &str| since(typed, now).map(stamp);
        assert_eq!(of("1d").unwrap(), "2026-11-23T12:00:00Z");
        assert_eq!(of("2026-01-31").unwrap(), "2026-01-31T00:00:00Z");
        assert_eq!(of("2026-01-31T03:04:05+02:00").unwrap(), "2026-01-31T01:04:05Z");
        for typed in ["", "yesterday", "2026-13-01", "-1d", "99999999999999999y"] {
            assert_eq!(of(typed).unwrap_err().exit, Exit::USAGE, "{typed}");
        }
        assert!(of("2027-01-01").unwrap_err().message.contains("is in the future"));
    }
}
