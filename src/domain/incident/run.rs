//! The state of one execution of a runbook.

#![deny(clippy::wildcard_enum_match_arm)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::event::{Actor, Conclusion, Gate, Mode, Parent, RunEvent, RunOutcome, StepEvent, StopCause};
use super::step::{StepState, StepStatus};
use crate::domain::alert::AlertKey;
use crate::domain::config::estate::{Environment, Estate};
use crate::domain::core::id::{RunId, StepKey, StepPart};
use crate::domain::core::time::Timestamp;
use crate::domain::runbook::Runbook;
use crate::domain::runbook::schedule::Occurrence;

/// The status of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum RunStatus {
    Running,
    /// No further step begins: what has begun is ended, then the steps of `finally` run.
    Stopping(StopCause),
    Ended(RunOutcome),
}

/// One execution of a runbook.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The run's number within the incident.
    pub id: RunId,
    /// The runbook as it was when the run started.
    pub runbook: Arc<Runbook>,
    /// SHA-256 of the runbook's file, in hex.
    pub digest: String,
    /// The estate as it was when the run started.
    pub estate: Arc<Estate>,
    /// Every parameter with its value.
    pub params: Map<String, Value>,
    pub mode: Mode,
    /// The run and step that started it, if a `start` step did.
    pub parent: Option<Parent>,
    /// The alert that started it, if one did.
    pub alert: Option<AlertKey>,
    /// The occurrence of a schedule that started it, if one did.
    pub schedule: Option<Occurrence>,
    pub status: RunStatus,
    /// Who started it.
    pub by: Actor,
    pub started_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    /// The steps that have been reached.
    pub steps: BTreeMap<StepKey, StepState>,
    /// The steps that have been reached, in the order in which they were.
    pub order: Vec<StepKey>,
    /// How many of the runbook's first steps are done. The search for the next step begins after them.
    pub passed: usize,
    /// The ids of all steps of the runbook.
    pub ids: BTreeSet<String>,
}

impl Run {
    /// Whether the run has ended.
    pub fn is_over(&self) -> bool {
        matches!(self.status, RunStatus::Ended(_))
    }

    /// The state of a step; none for a step that has not been reached.
    pub fn state(&self, key: &StepKey) -> Option<&StepState> {
        self.steps.get(key)
    }

    /// Whether an attempt of a step has begun.
    pub fn has_attempted(&self, key: &StepKey) -> bool {
        self.state(key).is_some_and(|state| state.attempts > 0)
    }

    /// The status of a step.
    pub fn step_status(&self, key: &StepKey) -> &StepStatus {
        self.steps.get(key).map_or(&StepStatus::Pending, |state| &state.status)
    }

    /// The environment with this name in the run's copy of the estate.
    pub fn environment<'a>(&'a self, name: &str) -> Option<&'a Environment> {
        self.estate.environments.get(name)
    }

    /// The closed gates, in the order in which their steps were reached.
    pub fn gates(&self) -> impl Iterator<Item = (&StepKey, &Gate)> {
        let mut closed: Vec<_> = self.steps.iter().filter_map(|(key, state)| Some((key, state.gate()?))).collect();
        // Sorting is rarely necessary: few gates are closed at a time.
        if closed.len() > 1 {
            closed.sort_by_key(|(key, _)| self.order.iter().position(|reached| reached == *key));
        }
        closed.into_iter()
    }

    /// Updates `passed` after an event of a step.
    pub(crate) fn advance(&mut self, event: &StepEvent) {
        match event {
            StepEvent::RetryScheduled { .. } => self.passed = 0,
            StepEvent::Concluded { .. }
            | StepEvent::Skipped { .. }
            | StepEvent::Answered { .. }
            | StepEvent::Denied { .. } => {}
            // These events do not end a step.
            StepEvent::Expanded { .. }
            | StepEvent::Asked { .. }
            | StepEvent::Approved { .. }
            | StepEvent::Started { .. }
            | StepEvent::Ended { .. }
            | StepEvent::Reconciled { .. }
            | StepEvent::UndoRequested { .. } => return,
        }
        while let Some(step) = self.runbook.steps.get(self.passed) {
            let done = [Conclusion::Succeeded, Conclusion::Skipped, Conclusion::Tolerated];
            let state = self.steps.get(&StepKey::main(step.id.as_str()));
            if !state.and_then(StepState::conclusion).is_some_and(|conclusion| done.contains(&conclusion)) {
                break;
            }
            self.passed += 1;
        }
    }

    /// Whether the group or `for_each` that contains a step is concluded, so that the run does not return to the step.
    pub fn has_left(&self, key: &StepKey) -> bool {
        let group = self.runbook.group_of(&key.id).map(|group| StepKey::main(group.id.clone()));
        let each = key.index.map(|_| StepKey::main(key.id.clone()));
        [group, each].into_iter().flatten().any(|above| matches!(self.step_status(&above), StepStatus::Concluded(_)))
    }

    /// Whether a step is in progress, rather than waiting for a person or a timer.
    pub fn is_at_work(&self) -> bool {
        let under_way = |status: &StepStatus| {
            matches!(
                status,
                StepStatus::Running
                    | StepStatus::Ready { .. }
                    | StepStatus::AttemptSucceeded
                    | StepStatus::AttemptFailed
            )
        };
        self.steps.values().any(|state| under_way(&state.status))
    }

    /// Whether an undo is in progress. An undo may run after the run has ended.
    pub fn is_undoing(&self) -> bool {
        let undos = self.order.iter().filter(|key| key.part == StepPart::Undo);
        undos
            .map(|key| self.step_status(key))
            .any(|status| !matches!(status, StepStatus::Concluded(_) | StepStatus::Waiting(_)))
    }

    /// The steps that failed, including those whose failure is tolerated.
    pub fn failures(&self) -> impl Iterator<Item = (&StepKey, &StepState)> {
        self.order
            .iter()
            .filter_map(|key| Some((key, self.steps.get(key)?)))
            .filter(|(_, state)| matches!(state.conclusion(), Some(Conclusion::Failed | Conclusion::Tolerated)))
    }
}

/// The status of a run after `event`; none if the event is illegal in `status`.
#[rustfmt::skip]
pub(crate) fn next(status: &RunStatus, event: &RunEvent) -> Option<RunStatus> {
    use RunStatus::{Ended, Running, Stopping};
    Some(match (status, event) {
        (Running,               RunEvent::Stopping { cause, .. }) => Stopping(cause.clone()),
        (Stopping(_),           RunEvent::Stopping { cause: cause @ StopCause::Cancelled { .. }, .. }) => Stopping(cause.clone()),
        (Running | Stopping(_), RunEvent::Ended { outcome, .. })  => Ended(*outcome),
        (Ended(_),              RunEvent::Stopping { .. } | RunEvent::Ended { .. })
        | (Stopping(_),         RunEvent::Stopping { .. })
        | (_,                   RunEvent::Started { .. }) => return None,
    })
}

/// Whether an event of a step is legal in a run with this status. An ended run expands no group; the events of undos
/// are still legal.
pub(crate) const fn accepts(status: &RunStatus, event: &StepEvent) -> bool {
    match (status, event) {
        (RunStatus::Ended(_), StepEvent::Expanded { .. }) => false,
        (RunStatus::Running | RunStatus::Stopping(_), StepEvent::Expanded { .. })
        | (
            _,
            StepEvent::Skipped { .. }
            | StepEvent::Asked { .. }
            | StepEvent::Answered { .. }
            | StepEvent::Approved { .. }
            | StepEvent::Denied { .. }
            | StepEvent::Started { .. }
            | StepEvent::Ended { .. }
            | StepEvent::Reconciled { .. }
            | StepEvent::RetryScheduled { .. }
            | StepEvent::Concluded { .. }
            | StepEvent::UndoRequested { .. },
        ) => true,
    }
}
