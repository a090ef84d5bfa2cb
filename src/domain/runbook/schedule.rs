//! When a runbook starts by the clock: its schedule, and what is due between two instants.
//!
//! **Invariant:** an occurrence is an instant in UTC with the runbook and the environment, and [`name`] is its one name: the
//! store gives it once, so that nothing starts twice, whoever looks and how often.
//!
//! **Invariant:** the same schedule and the same two instants give the same occurrences, in whatever pieces the time between
//! them is looked at. So a clock that jumps, and a process that was down, need no case of their own.
//!
//! A time that the clocks of the zone leave out is the first instant after the gap, and one that they show twice is the first
//! of the two; what repeats (`*` or `*/n` in minutes or hours) is left out and repeated as the clocks do. That is what
//! Vixie cron does (cron(8)), and the crate that reads expressions keeps to it.
//!
//! Deliberately absent: what runs already, and what the log holds.

use chrono::TimeDelta;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Runbook;
use crate::domain::core::time::{Span, Timestamp, stamp};
use crate::domain::core::timezone::Zone;

mod ics;

pub use self::ics::{CalendarEntry, calendar};

/// What the names of occurrences begin with.
const NAMES: &str = "schedule/";

/// How an instant is shown on the clocks of a zone.
pub const SHOWN: &str = "%a %Y-%m-%d %H:%M";

/// The most occurrences that are looked at, or named as missed: nobody reads more, and a log does not keep more.
pub const LIMIT: usize = 100;

/// How late an occurrence may start that is not caught up with: longer than a restart of the machine takes.
pub const ON_TIME: Span = Span::seconds(15 * 60);

/// 2026-01-01 and 2066-01-01, in seconds: within 40 years every date has every day of the week, so what does not come by
/// then never does.
const BEGIN: i64 = 1_767_225_600;
const END: i64 = 3_029_529_600;

/// How often it is tried to get past an instant at which the search ends, an hour each: a zone may leave out a whole day.
const STRETCHES: usize = 30;

/// A runbook's schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// A cron expression of five fields.
    pub schedule: String,
    /// The IANA name of the zone whose clocks it follows.
    pub timezone: String,
    /// What happens while the run before is still going on.
    #[serde(default)]
    pub overlap: Overlap,
    /// What happens after a time in which nobody was on duty.
    #[serde(default)]
    pub catch_up: CatchUp,
    /// Where it runs; the estate's default environment when none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environments: Vec<String>,
    /// The runbook's parameters.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub params: Map<String, Value>,
}

/// What happens while the run before is still going on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// The occurrence is skipped, and the record that goes on says so.
    #[default]
    Skip,
    /// The newest occurrence waits until it is over; those before it count as missed.
    Queue,
    /// Both go on.
    Allow,
}

/// What happens after a time in which nobody was on duty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// The newest missed occurrence runs.
    #[default]
    Once,
    /// None does.
    None,
}

/// An occurrence that a run was started for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occurrence {
    /// When it was due.
    pub due: Timestamp,
    /// The zone that it was due in.
    pub timezone: String,
    /// The occurrences before it that nobody ran, the oldest first, at most [`LIMIT`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missed: Vec<Timestamp>,
}

/// An occurrence that was skipped since the run before it still went on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// The runbook.
    pub runbook: String,
    /// When it was due.
    pub due: Timestamp,
    /// The zone that it was due in.
    pub timezone: String,
    /// The occurrences before it that nobody ran.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missed: Vec<Timestamp>,
}

/// Why a schedule cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// The expression.
    #[error("it is no cron expression of five fields")]
    Expression,
    /// The zone.
    #[error("it is no time zone of the IANA's list")]
    Zone,
    /// It never comes.
    #[error("it never comes")]
    Never,
}

/// A schedule that can be asked for its instants.
#[derive(Debug, Clone)]
pub struct Timetable {
    cron: Cron,
    zone: Zone,
}

impl Timetable {
    /// Reads an expression and a zone.
    ///
    /// # Errors
    /// Which of the two cannot be read, or that nothing fits the expression.
    pub fn read(expression: &str, zone: &str) -> Result<Self, Wrong> {
        let zone = Zone::named(zone).ok_or(Wrong::Zone)?;
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let timetable = Self { cron: parser.parse(expression).map_err(|_| Wrong::Expression)?, zone };
        let begin = chrono::DateTime::from_timestamp(BEGIN, 0).unwrap_or_default();
        match timetable.next(begin) {
            Some(at) if at.timestamp() < END => Ok(timetable),
            _ => Err(Wrong::Never),
        }
    }

    /// The zone's name.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// The first occurrence after an instant.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        self.search(after, TimeDelta::hours(1), |from| self.cron.find_next_occurrence(from, false))
    }

    /// The last occurrence up to an instant, that instant included.
    pub fn last(&self, until: Timestamp) -> Option<Timestamp> {
        self.search(until, TimeDelta::hours(-1), |from| self.cron.find_previous_occurrence(from, true))
    }

    fn search(
        &self,
        from: Timestamp,
        stretch: TimeDelta,
        find: impl Fn(&chrono::DateTime<Zone>) -> Result<chrono::DateTime<Zone>, croner::errors::CronError>,
    ) -> Option<Timestamp> {
        let mut from = from;
        for _ in 0..STRETCHES {
            if let Ok(found) = find(&from.with_timezone(&self.zone)) {
                return Some(found.to_utc());
            }
            from = from.checked_add_signed(stretch)?;
        }
        None
    }

    /// The occurrences after `since` up to and with `until`, the oldest first; of more than [`LIMIT`] the newest.
    pub fn between(&self, since: Timestamp, until: Timestamp) -> Vec<Timestamp> {
        let mut found = Vec::new();
        let mut at = self.last(until);
        while let Some(due) = at.filter(|due| *due > since && found.len() < LIMIT) {
            found.push(due);
            at = due.checked_sub_signed(TimeDelta::seconds(1)).and_then(|before| self.last(before));
        }
        found.reverse();
        found
    }

    /// What is due at `now` when `since` was the last occurrence that was seen to.
    pub fn due(&self, catch_up: CatchUp, since: Timestamp, now: Timestamp) -> Option<Occurrence> {
        let mut missed = self.between(since, now);
        let due = missed.pop()?;
        let late = catch_up == CatchUp::None && ON_TIME.after(due) < now;
        (!late).then(|| Occurrence { due, timezone: self.zone.name().to_owned(), missed })
    }
}

/// A runbook in an environment by a schedule.
#[derive(Debug, Clone)]
pub struct ScheduledRunbook {
    /// The runbook's id.
    pub runbook: String,
    pub title: String,
    /// The environment.
    pub environment: String,
    /// As the file has it.
    pub schedule: Schedule,
    /// The same, to be asked.
    pub timetable: Timetable,
}

impl ScheduledRunbook {
    /// Every plan of these runbooks. A schedule that names no environment, where the estate has no default, has none.
    pub fn all<'a>(runbooks: impl IntoIterator<Item = &'a Runbook>, default: Option<&str>) -> Vec<Self> {
        let mut plans = Vec::new();
        for runbook in runbooks {
            for schedule in &runbook.schedules {
                let Ok(timetable) = Timetable::read(&schedule.schedule, &schedule.timezone) else { continue };
                let own = schedule.environments.iter().map(String::as_str);
                let usual = default.filter(|_| schedule.environments.is_empty());
                plans.extend(own.chain(usual).map(|environment| Self {
                    runbook: runbook.id.clone(),
                    title: runbook.title.clone(),
                    environment: environment.to_owned(),
                    schedule: schedule.clone(),
                    timetable: timetable.clone(),
                }));
            }
        }
        plans
    }

    /// What the names of its occurrences begin with.
    pub fn prefix(&self) -> String {
        prefix(&self.runbook, &self.environment)
    }

    /// The words that tell it from every other, also from what it was before an edit.
    pub fn identity(&self) -> String {
        let Schedule { schedule, timezone, .. } = &self.schedule;
        format!("{}{schedule} {timezone}", self.prefix())
    }
}

/// An instant as the clocks of a zone show it: `Mon 2026-11-23 09:00 Africa/Lusaka`.
pub fn local(at: Timestamp, zone: &str) -> String {
    let shown = |at: &dyn std::fmt::Display| format!("{at} {zone}");
    match Zone::named(zone) {
        Some(zone) => shown(&at.with_timezone(&zone).format(SHOWN)),
        None => stamp(at),
    }
}

/// What the names of a runbook's occurrences in an environment begin with.
pub fn prefix(runbook: &str, environment: &str) -> String {
    format!("{NAMES}{runbook}/{environment}/")
}

/// The name of an occurrence.
pub fn name(runbook: &str, environment: &str, due: Timestamp) -> String {
    format!("{}{}", prefix(runbook, environment), stamp(due))
}

/// When the occurrence of a name was due.
pub fn due_of(name: &str) -> Option<Timestamp> {
    name.strip_prefix(NAMES)?.rsplit('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests;
