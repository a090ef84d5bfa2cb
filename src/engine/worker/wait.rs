//! Waits between iterations, reads events of other processes, and stops the worker on detach.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{TaskResult, Worker};
use crate::clock;
use crate::domain::core::time::{Span, Timestamp};
use crate::domain::incident::due::wake_after;
use crate::domain::incident::event::Gate;
use crate::domain::incident::extend;
use crate::domain::incident::run::Run;
use crate::domain::incident::step::StepStatus;
use crate::engine::commit::Proposal;
use crate::engine::subscription::{Hint, POLL};
use crate::engine::{EngineError, ReturnWhen, Stop};

/// How long a detaching worker waits for running changes: longer than most restarts of a service take.
const DETACH_LIMIT: Span = Span::seconds(10);

impl Worker {
    /// Why the worker returns now, if the state that the caller waits for is reached.
    pub(super) fn stop_reason(&self, until: ReturnWhen) -> Option<Stop> {
        if !self.running_tasks.is_empty() || !self.sending.is_empty() || !self.finished.is_empty() {
            return None;
        }
        let undoing = self.incident.runs.iter().filter(|run| run.is_over()).any(Run::is_undoing);
        if self.incident.live_runs().next().is_none() && !undoing {
            return Some(Stop::Over);
        }
        if until == ReturnWhen::UntilQuiet {
            return Some(Stop::Quiet);
        }
        let person = !self.incident.waiting_for_person().is_empty();
        let timer = self.incident.runs.iter().any(waits_for_timer);
        (until == ReturnWhen::UntilPerson && person && !timer).then_some(Stop::NeedsPerson)
    }

    /// Sleeps until a task ends, another writer appends, something is due, or the caller detaches.
    pub(super) async fn wait(&mut self, detach: &CancellationToken) -> Result<(), EngineError> {
        let clock = Arc::clone(&self.engine.parts().clock);
        let now = clock.now();
        let wake = wake_after(&self.incident, now);
        let until = wake.unwrap_or(Timestamp::MAX_UTC).min(self.lease.renew_at());
        loop {
            tokio::select! {
                Some(finished) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    // Tasks catch their own panics, so each returns a result.
                    self.finished.extend(finished.ok());
                    return Ok(());
                }
                hint = self.hints.recv() => match hint {
                    Ok((id, Hint::Appended(events))) if id == self.id && events.last().is_some_and(|last| last.seq > self.proposal.expected()) => {}
                    Ok(_) => continue,
                    Err(_) => {}
                },
                () = clock.sleep_until(until) => return Ok(()),
                () = clock::sleep(&*clock, POLL) => {}
                () = detach.cancelled() => return Ok(()),
            }
            if self.catch_up().await? {
                return Ok(());
            }
        }
    }

    /// Reads the events of other writers. Returns whether there were any.
    async fn catch_up(&mut self) -> Result<bool, EngineError> {
        let (store, stored) = (&self.engine.parts().store, self.proposal.expected());
        if store.seq(&self.id).await? == stored {
            return Ok(false);
        }
        let events = store.read(&self.id, stored).await?;
        let mut incident = Some(self.incident.clone());
        extend(&mut incident, &events)?;
        if let Some(incident) = incident {
            self.proposal = Proposal::on(&self.id, Some(&incident));
            self.incident = incident;
        }
        Ok(true)
    }

    /// Detaches: cancels read-only attempts, which the next worker repeats, and waits up to [`DETACH_LIMIT`] for changes
    /// and messages.
    pub(super) async fn detach(&mut self) -> Result<Stop, EngineError> {
        for task in self.running_tasks.values().filter(|task| !task.effect.changes() || !task.acting) {
            task.cancel.cancel();
        }
        let clock = Arc::clone(&self.engine.parts().clock);
        let until = DETACH_LIMIT.after(clock.now());
        while self.is_busy() {
            tokio::select! {
                Some(finished) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    if let Ok(finished) = finished {
                        self.record_unless_cancelled(finished)?;
                    }
                }
                () = clock.sleep_until(until) => break,
            }
        }
        while !self.proposal.is_empty() && !self.commit().await? {
            for finished in std::mem::take(&mut self.finished) {
                self.record_result(finished)?;
            }
        }
        Ok(Stop::Detached)
    }

    /// Records the result of a change or a delivery. Drops that of a read-only task, which was cancelled.
    fn record_unless_cancelled(&mut self, finished: TaskResult) -> Result<(), EngineError> {
        let Some(place) = finished.place() else { return self.record_result(finished) };
        if self.running_tasks.get(place).is_some_and(|task| task.acting && task.effect.changes()) {
            return self.record_result(finished);
        }
        self.running_tasks.remove(place);
        Ok(())
    }

    /// Whether a change or a delivery is running.
    fn is_busy(&self) -> bool {
        !self.sending.is_empty() || self.running_tasks.values().any(|task| task.acting && task.effect.changes())
    }
}

fn waits_for_timer(run: &Run) -> bool {
    run.steps
        .values()
        .any(|state| matches!(state.status, StepStatus::Ready { .. } | StepStatus::Waiting(Gate::Timer { .. })))
}
