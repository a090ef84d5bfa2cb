//! Schedule state: which schedules this process owns, since when, and which occurrences ran or were missed.
//!
//! The store holds the name of every handled occurrence. The time since when a schedule is active is in a file beside the log:
//! without it, a process that starts after a down-time could not tell a missed schedule from a new one.
//!
//! **Invariant:** a lost or damaged file makes nothing run twice; at worst, earlier misses are unknown.
//!
//! Not here: starting runs; see [`super::dispatcher`].

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::{Engine, EngineError};
use crate::domain::core::id::IncidentId;
use crate::domain::core::time::Timestamp;
use crate::domain::runbook::schedule::{CalendarEntry, LIMIT, ScheduledRunbook, due_of, local, name};
use crate::store::StoreError;

/// The largest file that is read: a thousand schedules have a tenth of it.
const FILE_LIMIT: u64 = 1024 * 1024;

/// Since when each schedule is in force, by its [`ScheduledRunbook::identity`].
#[derive(Debug, Default)]
pub struct ScheduleState {
    file: Option<PathBuf>,
    since: BTreeMap<String, Timestamp>,
}

impl ScheduleState {
    /// What the file says; one that is not there says nothing.
    pub fn read(file: Option<&Path>) -> Self {
        let text = file.and_then(|file| {
            let small = std::fs::metadata(file).is_ok_and(|about| about.len() <= FILE_LIMIT);
            small.then(|| std::fs::read(file).ok()).flatten()
        });
        let since = text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        Self { file: file.map(Path::to_owned), since }
    }

    /// Since when a schedule is in force.
    pub fn since(&self, plan: &ScheduledRunbook) -> Option<Timestamp> {
        self.since.get(&plan.identity()).copied()
    }

    /// Takes up schedules that are new, and lets go of those that are gone.
    ///
    /// # Errors
    /// The system's word, when that cannot be written down. It holds for this process all the same.
    pub fn take_up(&mut self, plans: &[ScheduledRunbook], now: Timestamp) -> io::Result<()> {
        let known = |plan: &ScheduledRunbook| self.since(plan).filter(|since| *since <= now).unwrap_or(now);
        let since: BTreeMap<String, Timestamp> = plans.iter().map(|plan| (plan.identity(), known(plan))).collect();
        if since == self.since {
            return Ok(());
        }
        self.since = since;
        let Some(file) = &self.file else { return Ok(()) };
        let fresh = file.with_extension("new");
        std::fs::write(&fresh, serde_json::to_vec_pretty(&self.since)?)?;
        std::fs::rename(&fresh, file)
    }
}

/// An occurrence that was seen to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandledOccurrence {
    /// When it was due.
    pub due: Timestamp,
    /// The incident that it opened, or that it was skipped for.
    pub incident: IncidentId,
}

/// How one schedule stands.
#[derive(Debug, Clone)]
pub struct ScheduleStatus {
    /// It.
    pub plan: ScheduledRunbook,
    /// Whether this host may act in its environment.
    pub here: bool,
    /// When it is due next.
    pub next: Option<Timestamp>,
    /// The newest occurrences that were seen to, the newest first.
    pub seen: Vec<HandledOccurrence>,
    /// Those that never ran, since it is in force here, the oldest first.
    pub missed: Vec<Timestamp>,
    /// Why past occurrences are unknown, if they are: their part of the log is damaged.
    pub damaged: Option<String>,
}

impl Engine {
    /// Every plan of the shop's schedules.
    pub fn plans(&self) -> Vec<ScheduledRunbook> {
        let catalog = &self.parts.catalog;
        let default = catalog.estate().content.as_ref().ok().and_then(|estate| estate.default_environment.as_deref());
        ScheduledRunbook::all(catalog.sheets().filter_map(|(_, sheet)| sheet.content.as_ref().ok()), default)
    }

    /// Whether this host may act in an environment.
    pub fn is_host_of(&self, environment: &str) -> bool {
        let estate = self.parts.catalog.estate().content.as_ref().ok();
        let environment = estate.and_then(|estate| estate.environments.get(environment));
        environment.is_none_or(|environment| environment.refuses(&self.parts.hostname).is_none())
    }

    /// The newest occurrences of a plan that were seen to, the newest first.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn seen(&self, plan: &ScheduledRunbook) -> Result<Vec<HandledOccurrence>, EngineError> {
        let keys = self.parts.store.keys(&plan.prefix(), LIMIT as u32).await?;
        Ok(keys
            .into_iter()
            .filter_map(|key| Some(HandledOccurrence { due: due_of(&key.key)?, incident: key.incident }))
            .collect())
    }

    /// How every schedule stands, what is due next first.
    ///
    /// # Errors
    /// When the log cannot be read at all. What is damaged of it hides no other schedule.
    pub async fn agenda(&self, force: &ScheduleState) -> Result<Vec<ScheduleStatus>, EngineError> {
        let now = self.parts.clock.now();
        let mut standings = Vec::new();
        for plan in self.plans() {
            let (seen, damaged) = match self.seen(&plan).await {
                Ok(seen) => (seen, None),
                Err(EngineError::Store(StoreError::Damaged(reason))) => (Vec::new(), Some(reason)),
                Err(error) => return Err(error),
            };
            let ran = |due: &Timestamp| seen.iter().any(|seen| seen.due == *due);
            // What is older than the names that were read is not looked at.
            let oldest = seen.last().filter(|_| seen.len() == LIMIT).map(|seen| seen.due);
            let since = force.since(&plan).max(oldest);
            let mut missed = since.map(|since| plan.timetable.between(since, now)).unwrap_or_default();
            missed.retain(|due| damaged.is_none() && !ran(due));
            let (here, next) = (self.is_host_of(&plan.environment), plan.timetable.next(now));
            standings.push(ScheduleStatus { here, next, seen, missed, damaged, plan });
        }
        standings.sort_by(|one, other| (one.next, &one.plan.runbook).cmp(&(other.next, &other.plan.runbook)));
        Ok(standings)
    }
}

/// The most entries of a calendar: a program that subscribes reads it again every hour.
const ENTRIES: usize = 500;

/// How far ahead a calendar goes, in days: a quarter comes four times.
const DAYS_AHEAD: i64 = 370;

/// What a calendar shows of schedules: what is to come, and what ran last.
pub fn entries(standings: &[ScheduleStatus], now: Timestamp) -> Vec<CalendarEntry> {
    let until = now.checked_add_signed(chrono::TimeDelta::days(DAYS_AHEAD)).unwrap_or(Timestamp::MAX_UTC);
    let mut entries = Vec::new();
    for ScheduleStatus { plan, seen, .. } in standings {
        let zone = &plan.schedule.timezone;
        let words = |due| format!("{}, due {}", plan.runbook, local(due, zone));
        let entry = |due, details| CalendarEntry {
            name: name(&plan.runbook, &plan.environment, due),
            due,
            title: plan.title.clone(),
            environment: plan.environment.clone(),
            details,
        };
        let ran = seen.iter().map(|seen| entry(seen.due, format!("{}\nRecord: {}", words(seen.due), seen.incident)));
        entries.extend(ran);
        let mut next = plan.timetable.next(now);
        while let Some(due) = next.filter(|due| *due < until && entries.len() < ENTRIES) {
            entries.push(entry(due, words(due)));
            next = plan.timetable.next(due);
        }
    }
    entries.sort_by(|one, other| (one.due, &one.name).cmp(&(other.due, &other.name)));
    entries.truncate(ENTRIES);
    entries
}
