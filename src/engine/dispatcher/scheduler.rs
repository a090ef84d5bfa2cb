//! The scheduler: opens one maintenance incident per due occurrence, even when several processes run.
//!
//! **Invariant:** an occurrence is handled when the store has registered its unique name, or when its run cannot start, which
//! is not registered. The write that registers the name opens the incident or records that the occurrence was
//! skipped. The state in memory is a cache.

use std::sync::Arc;

use super::DispatcherTask;
use crate::domain::core::id::IncidentId;
use crate::domain::core::time::{Span, Timestamp};
use crate::domain::incident::Incident;
use crate::domain::incident::command::{Command, Request, StartRequest};
use crate::domain::incident::decide::decide;
use crate::domain::incident::event::{Actor, Mode};
use crate::domain::runbook::schedule::{Occurrence, Overlap, ScheduledRunbook, Skipped, name};
use crate::engine::EngineError;
use crate::engine::catalog::Catalog;
use crate::engine::commit::{Decision, Proposal};
use crate::engine::schedule_state::ScheduleState;
use crate::engine::subscription::POLL;
use crate::store::StoreError;

/// Back-off after an error of the log.
const ERROR_BACKOFF: Span = Span::seconds(10);

#[derive(Debug, Default)]
pub(super) struct Scheduler {
    state: ScheduleState,
    schedules: Vec<ActiveSchedule>,
    /// The files that the schedules come from.
    catalog: Option<Arc<Catalog>>,
    /// When to check again, and when that instant was computed. If the clock is before the second, it was set back: schedules are
    /// checked at once.
    next: Option<(Timestamp, Timestamp)>,
}

#[derive(Debug)]
struct ActiveSchedule {
    plan: ScheduledRunbook,
    /// The last occurrence that was handled, or since when the schedule is active.
    since: Timestamp,
}

enum OccurrenceResult {
    /// Handled by this or another process.
    Handled,
    /// To be checked again soon: the previous run is not over, or its incident has just changed.
    CheckAgain,
}

impl Scheduler {
    pub(super) fn new(file: Option<&std::path::Path>) -> Self {
        Self { state: ScheduleState::read(file), ..Self::default() }
    }

    /// When a schedule may be due.
    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        self.next.map(|(next, _)| next)
    }
}

impl DispatcherTask {
    /// Handles every schedule that is due.
    pub(super) async fn run_schedules(&mut self) {
        let now = self.now();
        let catalog = Arc::clone(&self.engine.parts().catalog);
        let loaded = self.scheduler.catalog.as_ref().is_some_and(|loaded| Arc::ptr_eq(loaded, &catalog));
        let idle = self.scheduler.next.is_some_and(|(next, computed)| computed <= now && now < next);
        if loaded && (idle || self.scheduler.schedules.is_empty()) {
            return;
        }
        let handled = async {
            if !loaded {
                self.load_schedules(now).await?;
                self.scheduler.catalog = Some(catalog);
            }
            self.handle_due(now).await
        };
        let next = handled.await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the schedules cannot be checked; retrying in {ERROR_BACKOFF}");
            Some(ERROR_BACKOFF.after(now))
        });
        self.scheduler.next = Some((next.unwrap_or(Timestamp::MAX_UTC), now));
    }

    /// Loads the schedules of the current files, with the last handled occurrence of each.
    async fn load_schedules(&mut self, now: Timestamp) -> Result<(), EngineError> {
        let plans: Vec<ScheduledRunbook> =
            self.engine.plans().into_iter().filter(|plan| self.engine.is_host_of(&plan.environment)).collect();
        if let Err(error) = self.scheduler.state.activate(&plans, now) {
            tracing::warn!(%error, "the file with the state of the schedules cannot be written");
        }
        self.scheduler.schedules.clear();
        for plan in plans {
            // A name in the future was registered while the clock was wrong.
            let last = self
                .engine
                .handled_occurrences(&plan)
                .await?
                .into_iter()
                .map(|handled| handled.due)
                .find(|due| *due <= now);
            let since = self.scheduler.state.since(&plan).max(last).unwrap_or(now);
            self.scheduler.schedules.push(ActiveSchedule { plan, since });
        }
        Ok(())
    }

    /// Handles every due occurrence. Returns when to check again.
    async fn handle_due(&mut self, now: Timestamp) -> Result<Option<Timestamp>, EngineError> {
        let mut next: Option<Timestamp> = None;
        for at in 0..self.scheduler.schedules.len() {
            let ActiveSchedule { plan, since } = &self.scheduler.schedules[at];
            let (plan, since) = (plan.clone(), *since);
            let mut wake = plan.timetable.next(now);
            if let Some(occurrence) = plan.timetable.due(plan.schedule.catch_up, since, now) {
                let due = occurrence.due;
                match self.handle_occurrence(&plan, occurrence, now).await? {
                    OccurrenceResult::Handled => self.scheduler.schedules[at].since = due,
                    OccurrenceResult::CheckAgain => wake = Some(Span(POLL).after(now)),
                }
            }
            next = [next, wake].into_iter().flatten().min();
        }
        Ok(next)
    }

    async fn handle_occurrence(
        &mut self,
        plan: &ScheduledRunbook,
        occurrence: Occurrence,
        now: Timestamp,
    ) -> Result<OccurrenceResult, EngineError> {
        let running = self.incidents.running_incident(&plan.runbook, &plan.environment).cloned();
        let written = match (running, plan.schedule.overlap) {
            (Some(_), Overlap::Queue) => return Ok(OccurrenceResult::CheckAgain),
            (Some(incident), Overlap::Skip) => self.skip_occurrence(plan, &incident, occurrence, now).await,
            (Some(_), Overlap::Allow) | (None, _) => self.open_maintenance(plan, occurrence, now).await,
        };
        match written {
            Ok(()) => Ok(OccurrenceResult::Handled),
            // Another process was first.
            Err(EngineError::Store(StoreError::Taken { .. })) => Ok(OccurrenceResult::Handled),
            // The incident has changed and may be over.
            Err(EngineError::Store(StoreError::Conflict { .. })) => Ok(OccurrenceResult::CheckAgain),
            Err(EngineError::Refused(why)) => {
                tracing::error!(runbook = plan.runbook, environment = plan.environment, %why, "a scheduled run cannot start");
                Ok(OccurrenceResult::Handled)
            }
            Err(error) => Err(error),
        }
    }

    /// Opens the maintenance incident of an occurrence. Does nothing if the runbook or the estate has problems.
    async fn open_maintenance(
        &mut self,
        plan: &ScheduledRunbook,
        occurrence: Occurrence,
        now: Timestamp,
    ) -> Result<(), EngineError> {
        let id = IncidentId::from_bits((self.config.random_bits)());
        let Some(start) = self.start_of(plan, &id) else { return Ok(()) };
        let due = occurrence.due;
        let request = Request::StartOccurrence { start: Box::new(start), occurrence };
        self.write_occurrence(plan, due, (&id, None), request, now).await
    }

    /// Records in the incident of the running occurrence that another was skipped because of it.
    async fn skip_occurrence(
        &mut self,
        plan: &ScheduledRunbook,
        incident: &Incident,
        occurrence: Occurrence,
        now: Timestamp,
    ) -> Result<(), EngineError> {
        let Occurrence { due, timezone, missed } = occurrence;
        let request = Request::SkipOccurrence(Skipped { runbook: plan.runbook.clone(), due, timezone, missed });
        self.write_occurrence(plan, due, (&incident.id, Some(incident)), request, now).await
    }

    /// Writes the events of an occurrence together with its unique name.
    async fn write_occurrence(
        &mut self,
        plan: &ScheduledRunbook,
        due: Timestamp,
        (id, incident): (&IncidentId, Option<&Incident>),
        request: Request,
        now: Timestamp,
    ) -> Result<(), EngineError> {
        let by = Actor::Engine;
        let events = decide(incident, &Command { by: by.clone(), request }, now)?;
        let (mut proposal, mut state) = (Proposal::on(id, incident), incident.cloned());
        proposal.add(&self.engine.parts().redactor, Decision { by, at: now, events }, &mut state)?;
        if incident.is_none() {
            (self.config.before_open)(id);
        }
        proposal.register_name(name(&plan.runbook, &plan.environment, due));
        let committed = self.engine.commit(proposal.prepare(state.as_ref())).await?;
        if incident.is_none() {
            self.incidents.put(committed.events());
        }
        Ok(())
    }

    /// The request to start the schedule's runbook; `None` if the runbook or the estate has problems.
    fn start_of(&self, plan: &ScheduledRunbook, id: &IncidentId) -> Option<StartRequest> {
        let catalog = &self.engine.parts().catalog;
        let file = catalog.file(&plan.runbook)?;
        Some(StartRequest {
            incident: id.clone(),
            runbook: file.content.as_ref().ok()?.clone(),
            digest: file.digest.clone(),
            estate: catalog.estate().content.as_ref().ok()?.clone(),
            environment: plan.environment.clone(),
            params: plan.schedule.params.clone(),
            mode: Mode::Unattended,
            detected_at: None,
            title: None,
            parent: None,
            alert: None,
        })
    }
}
