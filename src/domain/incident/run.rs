//! The state of one execution of a runbook.

#![deny(clippy::wildcard_enum_match_arm)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::event::{Actor, Conclusion, Mode, Parent, RunEvent, RunOutcome, StepEvent, StopCause};
use super::step::{StepState, StepStatus};
use crate::domain::alert::AlertKey;
use crate::domain::config::estate::{Environment, Estate};
use crate::domain::core::id::{RunId, StepKey, StepPart};
use crate::domain::core::time::Timestamp;
use crate::domain::runbook::Runbook;

/// How a run stands.
#[derive(Debug, Clone, PartialEq)]
pub enum RunStatus {
    /// Its steps are being done.
    Running,
    /// It goes no further; `finally` is being done.
    Stopping(StopCause),
    /// It is over.
    Ended(RunOutcome),
}

/// One execution of a runbook.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Its number within the incident.
    pub id: RunId,
    /// The copy of the runbook that it keeps.
    pub runbook: Arc<Runbook>,
    /// SHA-256 of the file's text.
    pub digest: String,
    /// The copy of the estate that it keeps.
    pub estate: Arc<Estate>,
    /// Every parameter with its value.
    pub params: Map<String, Value>,
    /// How much it asks.
    pub mode: Mode,
    /// The run and step that started it.
    pub parent: Option<Parent>,
    /// The firing that started it.
    pub alert: Option<AlertKey>,
    /// The occurrence of its schedule that started it.
    pub schedule: Option<crate::domain::runbook::schedule::Occurrence>,
    /// How it stands.
    pub status: RunStatus,
    /// Who started it.
    pub by: Actor,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// The steps that have been reached.
    pub steps: BTreeMap<StepKey, StepState>,
    /// The order in which steps were reached.
    pub order: Vec<StepKey>,
    /// How many of the runbook's steps, from the first, are done: a walk begins behind them.
    pub passed: usize,
    /// The ids of every step of the runbook.
    pub ids: BTreeSet<String>,
}

impl Run {
    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        matches!(self.status, RunStatus::Ended(_))
    }

    /// The state of a step; none when it was not reached.
    pub fn state(&self, key: &StepKey) -> Option<&StepState> {
        self.steps.get(key)
    }

    /// Whether an attempt of a step has begun.
    pub fn has_attempted(&self, key: &StepKey) -> bool {
        self.state(key).is_some_and(|state| state.attempts > 0)
    }

    /// How a step stands.
    pub fn standing(&self, key: &StepKey) -> &StepStatus {
        self.steps.get(key).map_or(&StepStatus::Pending, |state| &state.standing)
    }

    /// The environment by this name in the run's copy of the estate.
    pub fn environment<'a>(&'a self, name: &str) -> Option<&'a Environment> {
        self.estate.environments.get(name)
    }

    /// The gates that are closed, in the order in which their steps were reached.
    pub fn gates(&self) -> impl Iterator<Item = (&StepKey, &super::event::Gate)> {
        let mut closed: Vec<_> = self.steps.iter().filter_map(|(key, state)| Some((key, state.gate()?))).collect();
        // Few are closed at a time, and this is asked often.
        if closed.len() > 1 {
            closed.sort_by_key(|(key, _)| self.order.iter().position(|reached| reached == *key));
        }
        closed.into_iter()
    }

    /// Brings `passed` up to date after an event of a step.
    pub(crate) fn advance(&mut self, event: &StepEvent) {
        match event {
            StepEvent::RetryScheduled { .. } => self.passed = 0,
            StepEvent::Concluded { .. }
            | StepEvent::Skipped { .. }
            | StepEvent::Answered { .. }
            | StepEvent::Denied { .. } => {}
            // These do not leave a step done.
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

    /// Whether the group or `for_each` that a step is a member of is done, so that the run does not come back to it.
    pub fn has_left(&self, key: &StepKey) -> bool {
        let group = self.runbook.group_of(&key.id).map(|group| StepKey::main(group.id.clone()));
        let each = key.index.map(|_| StepKey::main(key.id.clone()));
        [group, each].into_iter().flatten().any(|above| matches!(self.standing(&above), StepStatus::Concluded(_)))
    }

    /// Whether a step is under way, rather than waiting for somebody.
    pub fn is_at_work(&self) -> bool {
        let under_way = |standing: &StepStatus| {
            matches!(
                standing,
                StepStatus::Running | StepStatus::Ready { .. } | StepStatus::Acted | StepStatus::Faltered
            )
        };
        self.steps.values().any(|state| under_way(&state.standing))
    }

    /// Whether a change is being taken back, which may go on after the run.
    pub fn is_undoing(&self) -> bool {
        let undoings = self.order.iter().filter(|key| key.part == StepPart::Undo);
        undoings
            .map(|key| self.standing(key))
            .any(|standing| !matches!(standing, StepStatus::Concluded(_) | StepStatus::Waiting(_)))
    }

    /// The steps that failed, tolerated or not.
    pub fn failures(&self) -> impl Iterator<Item = (&StepKey, &StepState)> {
        self.order
            .iter()
            .filter_map(|key| Some((key, self.steps.get(key)?)))
            .filter(|(_, state)| matches!(state.conclusion(), Some(Conclusion::Failed | Conclusion::Tolerated)))
    }
}

/// The table: what a run in `status` becomes by `event`; none when it refuses it.
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

/// Whether a run in `status` accepts an event of one of its steps. One that is over expands no group: what still happens
/// is the rest of `finally`, and changes that are taken back.
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
