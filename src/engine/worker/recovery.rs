//! The context of actions, and the reconciliation of attempts that were interrupted.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{OBSERVE_LIMIT, RunStep, RunningTask, TaskResult, Worker};
use crate::actions::{Context, Progress};
use crate::domain::core::effect::EffectClass;
use crate::domain::core::id::{RunId, StepKey};
use crate::domain::core::time::Timestamp;
use crate::domain::incident::Incident;
use crate::domain::incident::event::{Event, Gate, Reconciliation, StepEvent};
use crate::domain::incident::outcome::Outcome;
use crate::domain::incident::plan::RenderedAction;
use crate::engine::EngineError;
use crate::engine::subscription::Hint;
use crate::engine::worker::execute;

/// How often a step whose connection is lost is reconciled. The next loss counts as a failed attempt.
const LOSS_LIMIT: u32 = 3;

/// The number of lost connections of each step, and the last error.
#[derive(Debug, Default)]
pub(super) struct Losses(HashMap<RunStep, (u32, String)>);

impl Losses {
    /// Counts an outcome that reports a lost connection. Returns whether the attempt is to be reconciled: for the first
    /// [`LOSS_LIMIT`] losses of its step.
    pub(super) fn take(&mut self, place: &RunStep, outcome: &Outcome) -> bool {
        let count = self.0.get(place).map_or(0, |(count, _)| *count);
        if !outcome.is_lost() || count >= LOSS_LIMIT {
            return false;
        }
        self.0.insert(place.clone(), (count + 1, outcome.summary.clone()));
        true
    }

    /// Adds the error of the lost connection to a finding.
    pub(super) fn with_cause(&self, place: &RunStep, finding: Reconciliation) -> Reconciliation {
        let Some((_, error)) = self.0.get(place) else { return finding };
        match finding {
            Reconciliation::DidNotHappen { detail } => {
                Reconciliation::DidNotHappen { detail: format!("{error}; {detail}") }
            }
            Reconciliation::CannotTell { detail } => {
                Reconciliation::CannotTell { detail: format!("{error}; {detail}") }
            }
            happened @ Reconciliation::Happened(_) => happened,
        }
    }
}

impl Worker {
    /// Handles a started attempt without a result. An attempt of this worker continues, or is cancelled on `halt`. Any other
    /// is reconciled.
    pub(super) fn settle(&mut self, place: RunStep, halt: bool, now: Timestamp) -> Result<(), EngineError> {
        if let Some(task) = self.running_tasks.get(&place) {
            if halt {
                task.cancel.cancel();
            }
            return Ok(());
        }
        if self.pending_starts.iter().any(|start| start.place == place) {
            return Ok(());
        }
        let Some(state) = self.incident.run(place.0).and_then(|run| run.state(&place.1)) else {
            return Ok(());
        };
        let (Some(started), attempt) = (state.attempt.clone(), state.attempts) else {
            return Ok(());
        };
        let detail = match started.action.effect {
            EffectClass::Read => "it is read-only, so it can run again",
            EffectClass::Repeatable => "it can run again without harm",
            EffectClass::Once => return self.reconcile_attempt(place, attempt, started.action, started.before, now),
        };
        let finding = self.lost.with_cause(&place, Reconciliation::DidNotHappen { detail: detail.to_owned() });
        self.draft(Event::Step(StepEvent::Reconciled { run: place.0, step: place.1, attempt, finding }), now)
    }

    fn reconcile_attempt(
        &mut self,
        place: RunStep,
        attempt: u32,
        action: Arc<RenderedAction>,
        before: Arc<Value>,
        now: Timestamp,
    ) -> Result<(), EngineError> {
        let cancel = CancellationToken::new();
        let Some(context) = self.context(&place, &action, OBSERVE_LIMIT.after(now), cancel.clone()) else {
            return Ok(());
        };
        self.running_tasks.insert(place.clone(), RunningTask { cancel, effect: EffectClass::Read, acting: false });
        self.tasks.spawn(async move {
            let finding = execute::reconcile(&action, &before, context).await;
            TaskResult::Reconciled { place, attempt, finding }
        });
        Ok(())
    }

    /// The context of an action: everything that it gets besides its spec.
    pub(super) fn context(
        &self,
        place: &RunStep,
        action: &RenderedAction,
        deadline: Timestamp,
        cancel: CancellationToken,
    ) -> Option<Context> {
        let (parts, run) = (self.engine.parts(), self.incident.run(place.0)?);
        Some(Context {
            place: place.clone(),
            environment_name: self.incident.environment.clone(),
            environment: Arc::new(run.environment(&self.incident.environment)?.on(action.host.as_deref())),
            estate: Arc::clone(&run.estate),
            clock: Arc::clone(&parts.clock),
            secrets: Arc::clone(&parts.secrets),
            redactor: Arc::clone(&parts.redactor),
            base_environment: Arc::clone(&parts.base_environment),
            directory: parts.directory.clone(),
            progress: self.progress(place),
            cancel,
            deadline: Some(deadline),
        })
    }

    fn progress(&self, place: &RunStep) -> Progress {
        let (engine, id, place) = (self.engine.clone(), self.id.clone(), place.clone());
        Progress::new(move |line| {
            engine.publisher.publish(&id, Hint::Line(place.0, place.1.clone(), line.to_owned()));
        })
    }
}

/// The event for a step whose runbook cannot start, according to the step's `on_failure`.
pub(super) fn failed_start(incident: &Incident, run: RunId, step: StepKey, reason: String) -> Event {
    use crate::domain::incident::event::Conclusion::{Failed, Tolerated};
    use crate::domain::runbook::OnFailure;
    let rule = incident.run(run).and_then(|run| run.runbook.step(&step.id)).map(|step| step.on_failure);
    match rule {
        Some(OnFailure::Ask) => Event::Step(StepEvent::Asked { run, step, gate: Gate::Failure { error: reason } }),
        Some(OnFailure::Continue) => {
            Event::Step(StepEvent::Concluded { run, step, conclusion: Tolerated, reason: Some(reason) })
        }
        Some(OnFailure::Stop) | None => {
            Event::Step(StepEvent::Concluded { run, step, conclusion: Failed, reason: Some(reason) })
        }
    }
}
