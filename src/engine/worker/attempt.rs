//! Starts attempts: observes the state before a change that must not happen twice, records the intent, then acts. A
//! read-only attempt starts while its intent is being written.

use std::sync::Arc;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::budget::over_budget;
use super::{OBSERVE_LIMIT, PendingStart, RunStep, RunningTask, TaskResult, Worker};
use crate::domain::core::effect::EffectClass;
use crate::domain::core::id::RunId;
use crate::domain::core::time::Timestamp;
use crate::domain::incident::event::{Event, StepEvent};
use crate::domain::incident::plan::Attempt;
use crate::engine::EngineError;
use crate::engine::worker::execute;

impl Worker {
    /// Prepares a due attempt. Observes first if the action must not happen twice, then drafts the intent.
    pub(super) async fn begin(&mut self, run: RunId, attempt: Box<Attempt>, now: Timestamp) -> Result<(), EngineError> {
        let place = (run, attempt.step.clone());
        if self.running_tasks.contains_key(&place) {
            return Ok(());
        }
        let before = match self.observed.remove(&place) {
            Some((digest, before)) if digest == attempt.digest => before,
            _ if attempt.action.effect != EffectClass::Once => Value::Null,
            _ => match self.observe_before(&place, &attempt, now).await {
                Some(before) => before,
                None => return Ok(()),
            },
        };
        if self.is_automatic(run, &attempt) {
            match self.budget_name(&attempt, run).await? {
                Ok(name) => self.proposal.register_name(name),
                Err(why) => return self.confirm(over_budget(&self.incident, run, *attempt, why), now),
            }
        }
        let deadline = attempt.timeout.after(now);
        let started = Event::Step(StepEvent::Started {
            run,
            step: attempt.step.clone(),
            attempt: attempt.number,
            epoch: self.lease.epoch(),
            action: Arc::clone(&attempt.action),
            digest: attempt.digest.clone(),
            before: before.into(),
            deadline: Some(deadline),
        });
        self.draft(started, now)?;
        // A message is pending from now on. The delivery service sends it, not an attempt.
        if !attempt.action.is_message() {
            self.pending_starts.push(PendingStart { place, attempt, deadline });
        }
        Ok(())
    }

    /// The state before a change, if the kind has it at once. Otherwise `None`: if the kind has to wait, a task observes the
    /// state. If every kind ran in a task, a change and its check would take about a tenth longer.
    async fn observe_before(&mut self, place: &RunStep, attempt: &Attempt, now: Timestamp) -> Option<Value> {
        let (cancel, effect) = (CancellationToken::new(), EffectClass::Read);
        let context = self.context(place, &attempt.action, OBSERVE_LIMIT.after(now), cancel.clone())?;
        let mut observing = Box::pin(execute::observe(Arc::clone(&attempt.action), context));
        if let std::task::Poll::Ready(before) = futures_util::poll!(&mut observing) {
            return Some(before);
        }
        self.running_tasks.insert(place.clone(), RunningTask { cancel, effect, acting: false });
        let (place, digest) = (place.clone(), attempt.digest.clone());
        self.tasks.spawn(async move { TaskResult::Observed { place, digest, before: observing.await } });
        None
    }

    /// Starts the read-only attempts whose intents are being written. Returns their steps.
    pub(super) fn start_read_only(&mut self) -> Vec<RunStep> {
        let pending_starts = std::mem::take(&mut self.pending_starts);
        let is_read_only = |start: &PendingStart| start.attempt.action.effect == EffectClass::Read;
        let (read_only, changes): (Vec<_>, Vec<_>) = pending_starts.into_iter().partition(is_read_only);
        self.pending_starts = changes;
        let places = read_only.iter().map(|start| start.place.clone()).collect();
        self.start_all(read_only);
        places
    }

    /// Cancels read-only attempts whose intents were not written: their results could not be recorded.
    pub(super) fn cancel_tasks(&mut self, places: &[RunStep]) {
        for task in places.iter().filter_map(|place| self.running_tasks.get(place)) {
            task.cancel.cancel();
        }
    }

    /// Starts the attempts whose intents are durable now, and sends pending messages.
    pub(super) fn start_pending(&mut self) {
        self.send_messages();
        let pending_starts = std::mem::take(&mut self.pending_starts);
        self.start_all(pending_starts);
    }

    fn start_all(&mut self, pending_starts: Vec<PendingStart>) {
        for PendingStart { place, attempt, deadline } in pending_starts {
            let cancel = CancellationToken::new();
            let Some(context) = self.context(&place, &attempt.action, deadline, cancel.clone()) else {
                continue;
            };
            let effect = attempt.action.effect;
            tracing::debug!(incident = %self.id, step = %place.1, attempt = attempt.number, %effect, "attempt starts");
            self.running_tasks.insert(place.clone(), RunningTask { cancel, effect, acting: true });
            self.tasks.spawn(async move {
                let Attempt { number, action, poll, .. } = *attempt;
                let outcome = execute::attempt(&action, poll, context).await.into();
                TaskResult::Ended { place, attempt: number, outcome }
            });
        }
    }
}
