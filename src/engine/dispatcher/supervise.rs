//! Supervision of live incidents: starts a worker for what is due, and reloads what other processes wrote.

use tokio::task::JoinError;

use super::incident_index::Slot;
use super::{DispatcherTask, P1_WORKER_RESERVE, WORKER_LIMIT};
use crate::domain::core::id::IncidentId;
use crate::domain::core::time::Span;
use crate::engine::worker::Worker;
use crate::engine::{EngineError, ReturnWhen, Stop};

/// Back-off before retrying an incident whose worker failed (e.g. disk full).
const AFTER_TROUBLE: Span = Span::seconds(10);

impl DispatcherTask {
    /// Starts workers for incidents with something due, up to the limits.
    pub(super) async fn start_workers(&mut self) {
        let now = self.now();
        let room = WORKER_LIMIT.saturating_sub(self.workers.len());
        let kept = (WORKER_LIMIT + P1_WORKER_RESERVE).saturating_sub(self.workers.len());
        for slot in self.incidents.needing_worker(now, room, kept) {
            let Some(live) = self.incidents.get(slot) else { continue };
            let (id, engine, stop) = (live.incident.id.clone(), self.engine.clone(), self.stop.clone());
            self.incidents.mark_busy(slot);
            self.workers.spawn(async move {
                let stopped = engine.drive(&id, ReturnWhen::UntilQuiet, &stop).await;
                (id, stopped)
            });
        }
        self.count();
    }

    /// Continues with a worker whose first write is durable.
    pub(super) fn supervise(&mut self, slot: Slot, id: IncidentId, worker: Worker) {
        self.incidents.mark_busy(slot);
        let stop = self.stop.clone();
        self.workers.spawn(async move {
            let stopped = worker.drive(ReturnWhen::UntilQuiet, &stop).await;
            (id, stopped)
        });
    }

    /// Handles the end of a worker.
    pub(super) fn worker_ended(&mut self, ended: Result<(IncidentId, Result<Stop, EngineError>), JoinError>) {
        let Ok((id, stopped)) = ended else {
            // It panicked, so its incident is unknown: reload all live incidents.
            tracing::error!("a worker broke off by a fault of this program");
            self.seen = None;
            return;
        };
        // Events that it appended last may still be in the channel.
        self.follow_remaining_hints();
        let now = self.now();
        let live = self.incidents.slot(&id).and_then(|slot| self.incidents.get(slot));
        let not_before = match stopped {
            Ok(Stop::Over | Stop::NeedsPerson | Stop::Quiet | Stop::Detached) => None,
            Ok(Stop::Taken(claim)) => Some(claim.expires_at.max(now)),
            Err(error) => {
                tracing::warn!(incident = %id, %error, "an incident cannot be gone on with");
                live.map(|live| live.paused(AFTER_TROUBLE, now))
            }
        };
        if let Some(slot) = self.incidents.slot(&id) {
            self.incidents.mark_idle(slot, not_before, now);
        }
    }

    /// Reads what other processes wrote since the last call; the first call reads every live incident.
    pub(super) async fn read_live_incidents(&mut self) -> Result<(), EngineError> {
        let store = std::sync::Arc::clone(&self.engine.parts().store);
        let version = store.version().await?;
        if self.seen == Some(version) {
            return Ok(());
        }
        let live = store.live().await?;
        for summary in &live {
            let slot = self.incidents.slot(&summary.id);
            let known = slot.and_then(|slot| self.incidents.get(slot));
            let behind = known.is_none_or(|live| live.stale || live.incident.seq < summary.seq);
            if behind && (known.is_some() || (self.config.is_ours)(&summary.id)) {
                self.read(&summary.id).await?;
            }
        }
        // Incidents that another process finished are no longer listed as live.
        for id in self.incidents.ids() {
            let gone = live.binary_search_by(|summary| summary.id.cmp(&id)).is_err();
            let slot = self.incidents.slot(&id).filter(|_| gone);
            if slot.and_then(|slot| self.incidents.get(slot)).is_some_and(|live| !live.at_work) {
                self.read(&id).await?;
            }
        }
        self.seen = Some(version);
        Ok(())
    }

    /// Reloads an incident. One that cannot be read is logged and skipped.
    pub(super) async fn read(&mut self, id: &IncidentId) -> Result<Option<Slot>, EngineError> {
        let log = match self.engine.log(id).await {
            Ok(log) => log,
            Err(EngineError::NotFound(_)) => return Ok(None),
            Err(error) => {
                tracing::warn!(incident = %id, %error, "an incident cannot be read");
                return Ok(None);
            }
        };
        Ok(self.incidents.put(&log))
    }
}
