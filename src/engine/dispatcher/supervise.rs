//! Supervision of live incidents: starts a worker when something is due, and reads the events of other processes.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;

use super::incident_index::Slot;
use super::{DispatcherTask, P1_WORKER_RESERVE, WORKER_LIMIT};
use crate::domain::core::id::IncidentId;
use crate::domain::core::time::Span;
use crate::engine::worker::Worker;
use crate::engine::{EngineError, ReturnWhen, Stop};

/// Back-off before retrying an incident whose worker failed, for example because the disk is full.
const ERROR_BACKOFF: Span = Span::seconds(10);

/// The end of a worker: its incident, and how it stopped.
pub(super) type WorkerEnd = (IncidentId, WorkerResult);

/// How a worker stopped. `None` if it panicked.
type WorkerResult = Option<Result<Stop, EngineError>>;

impl DispatcherTask {
    /// Starts workers for incidents with something due, up to the limits.
    pub(super) async fn start_workers(&mut self) {
        let now = self.now();
        let capacity = WORKER_LIMIT.saturating_sub(self.workers.len());
        let p1_capacity = (WORKER_LIMIT + P1_WORKER_RESERVE).saturating_sub(self.workers.len());
        for slot in self.incidents.needing_worker(now, capacity, p1_capacity) {
            let Some(live) = self.incidents.get(slot) else { continue };
            let (id, engine, stop) = (live.incident.id.clone(), self.engine.clone(), self.stop.clone());
            self.incidents.mark_busy(slot);
            self.workers.spawn(async move {
                let result = catch_panic(engine.drive(&id, ReturnWhen::UntilQuiet, &stop)).await;
                (id, result)
            });
        }
        self.update_metrics();
    }

    /// Runs a worker whose first write is durable.
    pub(super) fn supervise(&mut self, slot: Slot, id: IncidentId, worker: Worker) {
        self.incidents.mark_busy(slot);
        let stop = self.stop.clone();
        self.workers.spawn(async move { (id, catch_panic(worker.drive(ReturnWhen::UntilQuiet, &stop)).await) });
    }

    /// Handles the end of a worker.
    pub(super) fn worker_ended(&mut self, (id, result): WorkerEnd) {
        // The worker's last events may still be in the channel.
        self.follow_remaining_hints();
        let now = self.now();
        let live = self.incidents.slot(&id).and_then(|slot| self.incidents.get(slot));
        let not_before = match result {
            Some(Ok(Stop::Over | Stop::NeedsPerson | Stop::Quiet | Stop::Detached)) => None,
            Some(Ok(Stop::Taken(lease))) => Some(lease.expires_at.max(now)),
            Some(Err(error)) => {
                tracing::warn!(incident = %id, %error, "the worker of an incident failed; retrying in {ERROR_BACKOFF}");
                live.map(|live| live.paused(ERROR_BACKOFF, now))
            }
            None => {
                tracing::error!(incident = %id, "the worker of an incident crashed: a bug of runbook; retrying in {ERROR_BACKOFF}");
                live.map(|live| live.paused(ERROR_BACKOFF, now))
            }
        };
        if let Some(slot) = self.incidents.slot(&id) {
            self.incidents.mark_idle(slot, not_before, now);
        }
    }

    /// Reads the incidents that other processes changed since the last call. The first call reads every live incident.
    pub(super) async fn read_live_incidents(&mut self) -> Result<(), EngineError> {
        let store = std::sync::Arc::clone(&self.engine.parts().store);
        let version = store.version().await?;
        if self.read_version == Some(version) {
            return Ok(());
        }
        let live = store.live().await?;
        for summary in &live {
            let slot = self.incidents.slot(&summary.id);
            let indexed = slot.and_then(|slot| self.incidents.get(slot));
            let behind = indexed.is_none_or(|live| live.stale || live.incident.seq < summary.seq);
            if behind && (indexed.is_some() || (self.config.is_ours)(&summary.id)) {
                self.read(&summary.id).await;
            }
        }
        // Incidents that another process finished are no longer listed as live.
        for id in self.incidents.ids() {
            let finished = live.binary_search_by(|summary| summary.id.cmp(&id)).is_err();
            let slot = self.incidents.slot(&id).filter(|_| finished);
            if slot.and_then(|slot| self.incidents.get(slot)).is_some_and(|live| !live.has_worker) {
                self.read(&id).await;
            }
        }
        self.read_version = Some(version);
        Ok(())
    }

    /// Reloads an incident. `None` if there is none, or if it cannot be read, which is logged.
    pub(super) async fn read(&mut self, id: &IncidentId) -> Option<Slot> {
        let log = match self.engine.log(id).await {
            Ok(log) => log,
            Err(EngineError::NotFound(_)) => return None,
            Err(error) => {
                tracing::warn!(incident = %id, %error, "an incident cannot be read");
                return None;
            }
        };
        let slot = self.incidents.put(&log);
        if slot.is_none() {
            tracing::warn!(incident = %id, "an incident cannot be read: its log is damaged");
        }
        slot
    }
}

/// The result of a worker; `None` if it panicked.
async fn catch_panic(worker: impl Future<Output = Result<Stop, EngineError>>) -> WorkerResult {
    AssertUnwindSafe(worker).catch_unwind().await.ok()
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Arc;

    use chrono::DateTime;
    use tokio::task::JoinSet;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::actions::Secrets;
    use crate::clock::SimClock;
    use crate::domain::core::severity::Severity;
    use crate::domain::core::time::Timestamp;
    use crate::domain::incident::event::{Actor, Event, IncidentEvent, Recorded};
    use crate::domain::redact::Redactor;
    use crate::engine::catalog::Catalog;
    use crate::engine::dispatcher::incident_index::IncidentIndex;
    use crate::engine::dispatcher::scheduler::Scheduler;
    use crate::engine::dispatcher::{DispatcherConfig, DispatcherMetrics};
    use crate::engine::{Engine, Parts};
    use crate::store::memory::Memory;

    fn dispatcher(now: Timestamp) -> DispatcherTask {
        let engine = Engine::new(Parts {
            store: Arc::new(Memory::new()),
            clock: Arc::new(SimClock::new(now)),
            secrets: Arc::new(Secrets::default()),
            redactor: Arc::new(Redactor::default()),
            base_environment: Arc::default(),
            directory: std::path::PathBuf::new(),
            catalog: Arc::new(Catalog::default()),
            holder: "test".to_owned(),
            hostname: "test".to_owned(),
        });
        DispatcherTask {
            hints: engine.publisher.listen(),
            engine,
            config: DispatcherConfig {
                random_bits: || 1,
                before_open: Box::new(|_| {}),
                is_ours: Box::new(|_| true),
                schedules: None,
            },
            incidents: IncidentIndex::default(),
            scheduler: Scheduler::new(None),
            in_flight: VecDeque::new(),
            workers: JoinSet::new(),
            read_version: None,
            metrics: Arc::new(DispatcherMetrics::default()),
            stop: CancellationToken::new(),
        }
    }

    fn opened(id: &IncidentId, at: Timestamp) -> Recorded {
        let event = Event::Incident(IncidentEvent::Opened {
            id: id.clone(),
            title: "The gateway is slow".to_owned(),
            severity: Severity::P2,
            environment: "production".to_owned(),
            detected_at: None,
            group: None,
        });
        Recorded { seq: 1, at, by: Actor::Engine, event }
    }

    #[tokio::test]
    async fn an_incident_whose_worker_panicked_gets_another_worker_after_a_pause() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let (mut task, id) = (dispatcher(now), IncidentId::from_bits(1));
        let slot = task.incidents.put(&[opened(&id, now)]).unwrap();
        task.incidents.mark_busy(slot);
        let result = catch_panic(async { panic!("a bug of the worker") }).await;
        assert!(result.is_none());
        task.worker_ended((id, result));
        assert!(!task.incidents.get(slot).unwrap().has_worker);
        assert!(task.incidents.needing_worker(now, 1, 1).is_empty());
        assert_eq!(task.incidents.wake_at(), Some(ERROR_BACKOFF.after(now)));
    }
}
