//! Schedule state: since when each schedule is active on this host, and which occurrences ran or were missed.
//!
//! The store has the name of every handled occurrence. A file beside the log has the time since when each schedule is active.
//! Without that time, a process that starts could not distinguish a missed occurrence from a new schedule.
//!
//! **Invariant:** no occurrence runs twice when the file is lost or damaged. At worst, earlier missed occurrences are unknown.
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

/// The largest file that is read, in bytes: a thousand schedules need a tenth of it.
const FILE_BYTES_LIMIT: u64 = 1024 * 1024;

/// Since when each schedule is active, by its [`ScheduledRunbook::identity`].
#[derive(Debug, Default)]
pub struct ScheduleState {
    file: Option<PathBuf>,
    since: BTreeMap<String, Timestamp>,
}

impl ScheduleState {
    /// Reads the file. A missing, large or damaged file counts as empty.
    pub fn read(file: Option<&Path>) -> Self {
        let text = file.and_then(|file| {
            let small = std::fs::metadata(file).is_ok_and(|metadata| metadata.len() <= FILE_BYTES_LIMIT);
            small.then(|| std::fs::read(file).ok()).flatten()
        });
        let since = text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        Self { file: file.map(Path::to_owned), since }
    }

    /// Since when a schedule is active; none when it is unknown.
    pub fn since(&self, plan: &ScheduledRunbook) -> Option<Timestamp> {
        self.since.get(&plan.identity()).copied()
    }

    /// Activates new schedules as of `now`, removes those that no longer exist, and writes the file.
    ///
    /// # Errors
    /// When the file cannot be written. The new state still applies to this process.
    pub fn activate(&mut self, plans: &[ScheduledRunbook], now: Timestamp) -> io::Result<()> {
        let active = |plan: &ScheduledRunbook| self.since(plan).filter(|since| *since <= now).unwrap_or(now);
        let since: BTreeMap<String, Timestamp> = plans.iter().map(|plan| (plan.identity(), active(plan))).collect();
        if since == self.since {
            return Ok(());
        }
        self.since = since;
        let Some(file) = &self.file else { return Ok(()) };
        let temporary = file.with_extension("new");
        std::fs::write(&temporary, serde_json::to_vec_pretty(&self.since)?)?;
        std::fs::rename(&temporary, file)
    }
}

/// An occurrence that was started or skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandledOccurrence {
    pub due: Timestamp,
    /// The incident that it opened, or because of which it was skipped.
    pub incident: IncidentId,
}

/// The state of one schedule.
#[derive(Debug, Clone)]
pub struct ScheduleStatus {
    pub plan: ScheduledRunbook,
    /// Whether this host may act in its environment.
    pub here: bool,
    /// The next occurrence.
    pub next: Option<Timestamp>,
    /// The handled occurrences, most recent first, at most [`LIMIT`].
    pub handled: Vec<HandledOccurrence>,
    /// The occurrences that were not handled since the schedule is active here, oldest first.
    pub missed: Vec<Timestamp>,
    /// The error message when the part of the log with the past occurrences is damaged.
    pub damaged: Option<String>,
}

impl Engine {
    /// The schedules of every runbook.
    pub fn plans(&self) -> Vec<ScheduledRunbook> {
        let catalog = &self.parts.catalog;
        let default = catalog.estate().content.as_ref().ok().and_then(|estate| estate.default_environment.as_deref());
        ScheduledRunbook::all(catalog.valid_runbooks(), default)
    }

    /// Whether this host may act in an environment.
    pub fn is_host_of(&self, environment: &str) -> bool {
        let estate = self.parts.catalog.estate().content.as_ref().ok();
        let environment = estate.and_then(|estate| estate.environments.get(environment));
        environment.is_none_or(|environment| environment.refuses(&self.parts.hostname).is_none())
    }

    /// The handled occurrences of a schedule, most recent first, at most [`LIMIT`].
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn handled_occurrences(&self, plan: &ScheduledRunbook) -> Result<Vec<HandledOccurrence>, EngineError> {
        let keys = self.parts.store.keys(&plan.prefix(), LIMIT as u32).await?;
        Ok(keys
            .into_iter()
            .filter_map(|key| Some(HandledOccurrence { due: due_of(&key.key)?, incident: key.incident }))
            .collect())
    }

    /// The state of every schedule, ordered by its next occurrence.
    ///
    /// # Errors
    /// When the log cannot be read. A damaged part of the log affects only its schedule.
    pub async fn schedule_statuses(&self, state: &ScheduleState) -> Result<Vec<ScheduleStatus>, EngineError> {
        let now = self.parts.clock.now();
        let mut statuses = Vec::new();
        for plan in self.plans() {
            let (handled, damaged) = match self.handled_occurrences(&plan).await {
                Ok(handled) => (handled, None),
                Err(EngineError::Store(StoreError::Damaged(reason))) => (Vec::new(), Some(reason)),
                Err(error) => return Err(error),
            };
            let is_handled = |due: &Timestamp| handled.iter().any(|handled| handled.due == *due);
            // Only LIMIT names are read. Whether an older occurrence was handled is unknown, so none of them counts as missed.
            let oldest = handled.last().filter(|_| handled.len() == LIMIT).map(|handled| handled.due);
            let since = state.since(&plan).max(oldest);
            let mut missed = since.map(|since| plan.timetable.between(since, now)).unwrap_or_default();
            missed.retain(|due| damaged.is_none() && !is_handled(due));
            let (here, next) = (self.is_host_of(&plan.environment), plan.timetable.next(now));
            statuses.push(ScheduleStatus { here, next, handled, missed, damaged, plan });
        }
        statuses.sort_by(|one, other| (one.next, &one.plan.runbook).cmp(&(other.next, &other.plan.runbook)));
        Ok(statuses)
    }
}

/// The most entries of a calendar. Subscribed programs may read it every hour.
const ENTRY_LIMIT: usize = 500;

/// How many days ahead a calendar goes: a year, so that a quarterly schedule has four entries.
const DAYS_AHEAD: i64 = 370;

/// The entries of a calendar: handled and future occurrences of every schedule.
pub fn entries(statuses: &[ScheduleStatus], now: Timestamp) -> Vec<CalendarEntry> {
    let until = now.checked_add_signed(chrono::TimeDelta::days(DAYS_AHEAD)).unwrap_or(Timestamp::MAX_UTC);
    let mut entries = Vec::new();
    for ScheduleStatus { plan, handled, .. } in statuses {
        let zone = &plan.schedule.timezone;
        let details = |due| format!("{}, due {}", plan.runbook, local(due, zone));
        let entry = |due, details| CalendarEntry {
            name: name(&plan.runbook, &plan.environment, due),
            due,
            title: plan.title.clone(),
            environment: plan.environment.clone(),
            details,
        };
        let past = handled.iter().map(|handled| {
            entry(handled.due, format!("{}\nMaintenance incident: {}", details(handled.due), handled.incident))
        });
        entries.extend(past);
        let mut next = plan.timetable.next(now);
        while let Some(due) = next.filter(|due| *due < until && entries.len() < ENTRY_LIMIT) {
            entries.push(entry(due, details(due)));
            next = plan.timetable.next(due);
        }
    }
    entries.sort_by(|one, other| (one.due, &one.name).cmp(&(other.due, &other.name)));
    entries.truncate(ENTRY_LIMIT);
    entries
}
