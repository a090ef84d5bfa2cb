//! Schedules of runbooks, and the occurrences that are due between two instants.
//!
//! **Invariant:** an occurrence is an instant in UTC with a runbook and an environment, and [`name`] is its unique name. The
//! store registers a name once, so an occurrence starts once, even if several processes look for due occurrences.
//!
//! **Invariant:** the same schedule and the same two instants give the same occurrences, also if the time between them is
//! searched in pieces. So a clock that jumps and a process that was down need no special case.
//!
//! A local time that a clock change skips becomes the first instant after the gap; one that occurs twice becomes the first of
//! the two. Repeating fields (`*` or `*/n` in minutes or hours) follow the clock through both. This is the rule of Vixie cron
//! (cron(8)) and of the crate croner, which searches on times of the crate jiff.
//!
//! Not here: which occurrences were started; see `engine::schedule_state`.

use chrono::TimeDelta;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Zoned};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Runbook;
use crate::domain::core::time::{Span, Timestamp, stamp};
use crate::domain::core::timezone;

mod ics;

pub use self::ics::{CalendarEntry, calendar};

/// The prefix of every name of an occurrence.
const NAMES: &str = "schedule/";

/// The format of a local time.
pub const LOCAL_FORMAT: &str = "%a %Y-%m-%d %H:%M";

/// The most occurrences of one search, and the most that are recorded as missed: nobody reads more.
pub const LIMIT: usize = 100;

/// How late an occurrence with `catch_up: none` may start: longer than a restart of the machine takes.
pub const START_TOLERANCE: Span = Span::seconds(15 * 60);

/// 2026-01-01 and 2066-01-01, in seconds. Within 40 years every date falls on every day of the week, so an expression
/// without an occurrence in this time never has one.
const BEGIN: i64 = 1_767_225_600;
const END: i64 = 3_029_529_600;

/// The most attempts of a search that fails. Each begins an hour further on: a zone may skip a whole day.
const ATTEMPTS: usize = 30;

/// A runbook's schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// A cron expression of five fields.
    pub schedule: String,
    /// The IANA name of its time zone.
    pub timezone: String,
    /// What happens to an occurrence while the previous run goes on.
    #[serde(default)]
    pub overlap: Overlap,
    /// What happens to missed occurrences.
    #[serde(default)]
    pub catch_up: CatchUp,
    /// Where it runs; the estate's default environment when none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environments: Vec<String>,
    /// The runbook's parameters.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub params: Map<String, Value>,
}

/// What happens to an occurrence while the previous run goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// The occurrence is skipped. The incident of the previous run records that.
    #[default]
    Skip,
    /// The newest occurrence waits until that run is over; earlier ones count as missed.
    Queue,
    /// Both run.
    Allow,
}

/// What happens to occurrences that were missed while no dispatcher ran.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// The newest missed occurrence runs.
    #[default]
    Once,
    /// No missed occurrence runs.
    None,
}

/// An occurrence that a run was started for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occurrence {
    /// When it was due.
    pub due: Timestamp,
    /// The time zone of the schedule.
    pub timezone: String,
    /// The earlier occurrences that were missed, the oldest first, at most [`LIMIT`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missed: Vec<Timestamp>,
}

/// An occurrence that was skipped because the previous run still went on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// The runbook.
    pub runbook: String,
    /// When it was due.
    pub due: Timestamp,
    /// The time zone of the schedule.
    pub timezone: String,
    /// The earlier occurrences that were missed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missed: Vec<Timestamp>,
}

/// Why a schedule is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// The expression cannot be parsed.
    #[error("it is no cron expression of five fields")]
    Expression,
    /// The time zone is unknown.
    #[error("it is no time zone of the IANA's list")]
    Zone,
    /// It has no occurrence.
    #[error("it has no occurrence")]
    Never,
}

/// A parsed schedule, which finds occurrences.
#[derive(Debug, Clone)]
pub struct Timetable {
    cron: Cron,
    zone: TimeZone,
}

impl Timetable {
    /// Parses an expression and a time zone.
    ///
    /// # Errors
    /// One of the two is invalid, or the expression has no occurrence.
    pub fn read(expression: &str, zone: &str) -> Result<Self, ScheduleError> {
        let zone = timezone::named(zone).ok_or(ScheduleError::Zone)?;
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let timetable = Self { cron: parser.parse(expression).map_err(|_| ScheduleError::Expression)?, zone };
        let begin = chrono::DateTime::from_timestamp(BEGIN, 0).unwrap_or_default();
        match timetable.next(begin) {
            Some(at) if at.timestamp() < END => Ok(timetable),
            _ => Err(ScheduleError::Never),
        }
    }

    /// The first occurrence after an instant.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        self.search(after, SignedDuration::from_hours(1), |from| self.cron.find_next_occurrence(from, false))
    }

    /// The last occurrence up to an instant, which is included.
    pub fn last(&self, until: Timestamp) -> Option<Timestamp> {
        self.search(until, SignedDuration::from_hours(-1), |from| self.cron.find_previous_occurrence(from, true))
    }

    /// Searches from an instant. Where the search fails, as in a day that the zone skips, it goes on a `stretch` later.
    fn search(
        &self,
        from: Timestamp,
        stretch: SignedDuration,
        find: impl Fn(&Zoned) -> Result<Zoned, croner::errors::CronError>,
    ) -> Option<Timestamp> {
        let mut from = timezone::zoned(from, &self.zone)?;
        for _ in 0..ATTEMPTS {
            if let Ok(found) = find(&from) {
                return timezone::instant(&found);
            }
            from = from.checked_add(stretch).ok()?;
        }
        None
    }

    /// The occurrences after `since` up to `until`, which is included. The oldest is first; of more than [`LIMIT`], the newest
    /// are returned.
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

    /// The occurrence that is due at `now`, if all up to `since` were handled.
    pub fn due(&self, catch_up: CatchUp, since: Timestamp, now: Timestamp) -> Option<Occurrence> {
        let mut missed = self.between(since, now);
        let due = missed.pop()?;
        let is_too_late = catch_up == CatchUp::None && START_TOLERANCE.after(due) < now;
        (!is_too_late).then(|| Occurrence {
            due,
            timezone: self.zone.iana_name().unwrap_or_default().to_owned(),
            missed,
        })
    }
}

/// A runbook that a schedule starts in an environment.
#[derive(Debug, Clone)]
pub struct ScheduledRunbook {
    /// The runbook's id.
    pub runbook: String,
    pub title: String,
    /// The environment.
    pub environment: String,
    /// The schedule of the file.
    pub schedule: Schedule,
    /// The schedule, parsed.
    pub timetable: Timetable,
}

impl ScheduledRunbook {
    /// The schedules of these runbooks, one for each environment. A schedule without environments belongs to the default one;
    /// without a default it is left out.
    pub fn all<'a>(runbooks: impl IntoIterator<Item = &'a Runbook>, default: Option<&str>) -> Vec<Self> {
        let mut scheduled = Vec::new();
        for runbook in runbooks {
            for schedule in &runbook.schedules {
                let Ok(timetable) = Timetable::read(&schedule.schedule, &schedule.timezone) else { continue };
                let named = schedule.environments.iter().map(String::as_str);
                let default = default.filter(|_| schedule.environments.is_empty());
                scheduled.extend(named.chain(default).map(|environment| Self {
                    runbook: runbook.id.clone(),
                    title: runbook.title.clone(),
                    environment: environment.to_owned(),
                    schedule: schedule.clone(),
                    timetable: timetable.clone(),
                }));
            }
        }
        scheduled
    }

    /// The prefix of the names of its occurrences.
    pub fn prefix(&self) -> String {
        prefix(&self.runbook, &self.environment)
    }

    /// A text that differs from that of every other schedule, and from that of this schedule before an edit.
    pub fn identity(&self) -> String {
        let Schedule { schedule, timezone, .. } = &self.schedule;
        format!("{}{schedule} {timezone}", self.prefix())
    }
}

/// An instant as local time of a zone: `Mon 2026-11-23 09:00 Africa/Lusaka`.
pub fn local(at: Timestamp, zone: &str) -> String {
    match timezone::named(zone).and_then(|zone| timezone::zoned(at, &zone)) {
        Some(time) => format!("{} {zone}", time.strftime(LOCAL_FORMAT)),
        None => stamp(at),
    }
}

/// The prefix of the names of a runbook's occurrences in an environment.
pub fn prefix(runbook: &str, environment: &str) -> String {
    format!("{NAMES}{runbook}/{environment}/")
}

/// The unique name of an occurrence.
pub fn name(runbook: &str, environment: &str, due: Timestamp) -> String {
    format!("{}{}", prefix(runbook, environment), stamp(due))
}

/// The instant at which the occurrence with this name was due.
pub fn due_of(name: &str) -> Option<Timestamp> {
    name.strip_prefix(NAMES)?.rsplit('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests;
