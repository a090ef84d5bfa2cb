//! The walk over the steps of a run, which finds the pending ones.
//!
//! **Invariant:** at the top level, the walk ends at the first step that is not done; steps after it have no effects.

use std::num::NonZeroU32;

use serde_json::Value;

use super::Effect;
use crate::domain::core::id::{StepKey, StepPart};
use crate::domain::core::time::Timestamp;
use crate::domain::incident::Incident;
use crate::domain::incident::event::{
    Conclusion, Event, Gate, Mode, RunEvent, RunOutcome, SkipReason, StepEvent, StopCause,
};
use crate::domain::incident::run::{Run, RunStatus};
use crate::domain::incident::step::{StepState, StepStatus};
use crate::domain::incident::template_scope;
use crate::domain::runbook::{ITEM_LIMIT, OnFailure, Step, StepBody};
use crate::domain::template::expression;
use crate::domain::template::expression::ExpressionError;

/// The progress of a sequence of steps.
enum SequenceProgress {
    /// A step is in progress or waits.
    Blocked,
    /// Every step is done.
    Passed,
    /// This step failed, and the run stops.
    Stopped(StepKey),
}

/// A walk over the steps of one run, and the effects that it has found.
pub(super) struct Walk<'a> {
    pub(super) incident: &'a Incident,
    pub(super) run: &'a Run,
    pub(super) now: Timestamp,
    pub(super) effects: Vec<Effect>,
    /// Whether the walk is in `finally`.
    in_finally: bool,
}

impl<'a> Walk<'a> {
    /// The pending effects of a run.
    pub(super) fn of(incident: &'a Incident, run: &'a Run, now: Timestamp) -> Vec<Effect> {
        let mut walk = Self { incident, run, now, effects: Vec::new(), in_finally: false };
        walk.walk_undos();
        walk.run();
        walk.effects
    }
}

impl Walk<'_> {
    fn run(&mut self) {
        let run = self.run;
        match &run.status {
            RunStatus::Running => match self.sequence(&run.runbook.steps[run.passed..]) {
                SequenceProgress::Blocked => {}
                SequenceProgress::Passed => self.finish(RunOutcome::Succeeded),
                SequenceProgress::Stopped(step) => {
                    self.record(Event::Run(RunEvent::Stopping { run: run.id, cause: StopCause::StepFailed { step } }));
                }
            },
            RunStatus::Stopping(cause) => {
                if !self.wind_down() {
                    let cancelled = matches!(cause, StopCause::Cancelled { .. });
                    self.finish(if cancelled { RunOutcome::Cancelled } else { RunOutcome::Failed });
                }
            }
            RunStatus::Ended(_) => {}
        }
    }

    /// Runs the steps of `finally`, then ends the run.
    fn finish(&mut self, outcome: RunOutcome) {
        let run = self.run;
        self.in_finally = true;
        let outcome = match self.sequence(&run.runbook.finally) {
            SequenceProgress::Blocked => return,
            SequenceProgress::Passed => outcome,
            SequenceProgress::Stopped(_) if outcome == RunOutcome::Succeeded => RunOutcome::Failed,
            SequenceProgress::Stopped(_) => outcome,
        };
        self.record(Event::Run(RunEvent::Ended { run: run.id, outcome }));
    }

    /// Ends the steps that the stopped run has begun. Returns whether one of them has not ended yet.
    fn wind_down(&mut self) -> bool {
        let run = self.run;
        let finally = ids(&run.runbook.finally);
        let mut busy = false;
        for key in &run.order {
            if key.part == StepPart::Undo || finally.contains(&key.id.as_str()) {
                continue;
            }
            match run.step_status(key) {
                StepStatus::Concluded(_) => continue,
                StepStatus::Running => self.settle(key, true),
                _ => self.conclude(key, Conclusion::Cancelled, Some("the run was stopped".to_owned())),
            }
            busy = true;
        }
        busy
    }

    /// Undos that a person has requested. They are possible at any time, also after the run has ended.
    fn walk_undos(&mut self) {
        let run = self.run;
        for key in run.order.iter().filter(|key| key.part == StepPart::Undo) {
            let Some(action) = run.runbook.step(&key.id).and_then(|step| step.undo.as_ref()) else {
                continue;
            };
            match run.step_status(key) {
                StepStatus::Pending => self.attempt(key, action, None, None),
                StepStatus::Ready { at } if self.now >= *at => self.attempt(key, action, None, None),
                StepStatus::Running => self.settle(key, false),
                StepStatus::AttemptSucceeded => self.conclude(key, Conclusion::Succeeded, None),
                StepStatus::AttemptFailed => {
                    let error = last_summary(run.state(key));
                    self.ask(key, Gate::Failure { error });
                }
                StepStatus::Unclear => self.unclear(key),
                StepStatus::Ready { .. } | StepStatus::Expanded | StepStatus::Waiting(_) | StepStatus::Concluded(_) => {
                }
            }
        }
    }

    fn sequence(&mut self, steps: &[Step]) -> SequenceProgress {
        for step in steps {
            match self.step(step, &StepKey::main(step.id.clone())) {
                SequenceProgress::Passed => {}
                other => return other,
            }
        }
        SequenceProgress::Passed
    }

    fn step(&mut self, step: &Step, key: &StepKey) -> SequenceProgress {
        let run = self.run;
        if self.is_obsolete(step, key) {
            self.record(Event::Step(StepEvent::Skipped {
                run: run.id,
                step: key.clone(),
                reason: SkipReason::AlertResolved,
            }));
            return SequenceProgress::Blocked;
        }
        match run.step_status(key) {
            StepStatus::Concluded(Conclusion::Succeeded | Conclusion::Skipped | Conclusion::Tolerated) => {
                return SequenceProgress::Passed;
            }
            StepStatus::Concluded(Conclusion::Failed | Conclusion::Cancelled) => {
                return SequenceProgress::Stopped(key.clone());
            }
            StepStatus::Pending => self.enter(step, key),
            StepStatus::Expanded => self.walk_group(step, key),
            StepStatus::Ready { at } => {
                if self.now >= *at {
                    // Only a group that failed before its expansion can be retried.
                    if step.is_group(key) { self.enter(step, key) } else { self.body(step, key) }
                }
            }
            StepStatus::Running => self.settle(key, false),
            StepStatus::AttemptSucceeded => self.after_action(step, key),
            StepStatus::AttemptFailed => self.fail(step, key, last_summary(run.state(key))),
            StepStatus::Unclear => self.unclear(key),
            StepStatus::Waiting(Gate::Timer { until }) => {
                if self.now >= *until {
                    self.answer(key, Value::Null);
                }
            }
            StepStatus::Waiting(gate @ Gate::Approve { expires_at: Some(at), .. }) if self.now >= *at => {
                self.expire(step, key, gate);
            }
            StepStatus::Waiting(_) => {}
        }
        SequenceProgress::Blocked
    }

    /// Whether the step is skipped because every alert of an unattended run is resolved. Changes, questions, work by hand, waits
    /// and starts of runbooks are skipped. Checks and messages still run, because they are evidence. Attempts in progress are
    /// finished.
    fn is_obsolete(&self, step: &Step, key: &StepKey) -> bool {
        if self.run.mode != Mode::Unattended || self.in_finally || !self.incident.alerts.are_resolved() {
            return false;
        }
        match self.run.step_status(key) {
            StepStatus::Waiting(_) => true,
            StepStatus::Pending | StepStatus::Ready { .. } => match &step.body {
                StepBody::Action(action) => action.is_change(),
                StepBody::Ask(_) | StepBody::Manual(_) | StepBody::Wait(_) | StepBody::Start(_) => true,
                StepBody::Parallel(_) => false,
            },
            StepStatus::Expanded
            | StepStatus::Running
            | StepStatus::AttemptSucceeded
            | StepStatus::AttemptFailed
            | StepStatus::Unclear
            | StepStatus::Concluded(_) => false,
        }
    }

    /// Enters a step: evaluates `when` and `for_each`, then expands the step or begins its body.
    fn enter(&mut self, step: &Step, key: &StepKey) {
        if key.index.is_some() {
            return self.body(step, key);
        }
        if let Some(when) = &step.when {
            match self.truthy(key, when) {
                Ok(true) => {}
                Ok(false) => {
                    let reason = SkipReason::Condition { when: when.clone() };
                    return self.record(Event::Step(StepEvent::Skipped {
                        run: self.run.id,
                        step: key.clone(),
                        reason,
                    }));
                }
                Err(error) => return self.fail(step, key, format!("`when`: {error}")),
            }
        }
        match (&step.for_each, &step.body) {
            (Some(list), _) => match self.items(key, list) {
                Ok(items) => self.expand(key, Some(items)),
                Err(error) => self.fail(step, key, format!("`for_each`: {error}")),
            },
            (None, StepBody::Parallel(_)) => self.expand(key, None),
            (None, _) => self.body(step, key),
        }
    }

    fn items(&self, key: &StepKey, list: &str) -> Result<Vec<Value>, String> {
        let scope = template_scope::of(self.incident, self.run, key, &[list]);
        match expression::evaluate(list, &scope).map_err(|error| error.to_string())? {
            Value::Array(items) if items.len() <= ITEM_LIMIT => Ok(items),
            Value::Array(items) => Err(format!("{} items are more than {ITEM_LIMIT}", items.len())),
            other => Err(format!("`{list}` is not a list but {other}")),
        }
    }

    /// Walks over the members of a group, or the items of a `for_each`.
    fn walk_group(&mut self, step: &Step, key: &StepKey) {
        let progress = match (&step.body, self.run.state(key).and_then(|state| state.items.as_ref())) {
            (_, Some(items)) => self.walk_items(step, key, items.len()),
            (StepBody::Parallel(children), None) => self.walk_parallel(children),
            _ => SequenceProgress::Passed,
        };
        match progress {
            SequenceProgress::Blocked => {}
            SequenceProgress::Passed => self.conclude(key, Conclusion::Succeeded, None),
            SequenceProgress::Stopped(member) => {
                let tolerated = step.on_failure == OnFailure::Continue;
                let conclusion = if tolerated { Conclusion::Tolerated } else { Conclusion::Failed };
                self.conclude(key, conclusion, Some(format!("`{member}` failed")));
            }
        }
    }

    /// Walks over the items of a `for_each`. They begin in their order, at most `max_parallel` at a time, and none after a
    /// failure that stops the run.
    fn walk_items(&mut self, step: &Step, key: &StepKey, count: usize) -> SequenceProgress {
        let (run, limit) = (self.run, step.max_parallel.map_or(1, NonZeroU32::get) as usize);
        let keys: Vec<StepKey> = (0..u32::try_from(count).unwrap_or(u32::MAX)).map(|index| key.at(index)).collect();
        let is_begun = |key: &StepKey| !matches!(run.step_status(key), StepStatus::Pending);
        let is_over = |key: &StepKey| matches!(run.step_status(key), StepStatus::Concluded(_));
        let mut free = limit.saturating_sub(keys.iter().filter(|key| is_begun(key) && !is_over(key)).count());
        let (mut blocked, mut stopped) = (false, None);
        for key in &keys {
            if !is_begun(key) {
                if free == 0 || stopped.is_some() {
                    continue;
                }
                free -= 1;
            }
            match self.step(step, key) {
                SequenceProgress::Blocked => blocked = true,
                SequenceProgress::Passed => {}
                SequenceProgress::Stopped(member) => stopped = stopped.or(Some(member)),
            }
        }
        combined_progress(blocked, stopped)
    }

    fn walk_parallel(&mut self, children: &[Step]) -> SequenceProgress {
        let (mut blocked, mut stopped) = (false, None);
        for child in children {
            match self.step(child, &StepKey::main(child.id.clone())) {
                SequenceProgress::Blocked => blocked = true,
                SequenceProgress::Passed => {}
                SequenceProgress::Stopped(member) => stopped = stopped.or(Some(member)),
            }
        }
        combined_progress(blocked, stopped)
    }

    fn unclear(&mut self, key: &StepKey) {
        let detail = self
            .run
            .state(key)
            .and_then(|state| state.reason.clone())
            .unwrap_or_else(|| "it was interrupted, and nothing shows whether it happened".to_owned());
        self.ask(key, Gate::Unclear { detail });
    }

    pub(super) fn settle(&mut self, key: &StepKey, halt: bool) {
        if self.is_message(key) {
            return self.settle_message(key, halt);
        }
        self.effects.push(Effect::Settle { run: self.run.id, step: key.clone(), halt });
    }

    pub(super) fn expand(&mut self, key: &StepKey, items: Option<Vec<Value>>) {
        self.record(Event::Step(StepEvent::Expanded { run: self.run.id, step: key.clone(), items }));
    }

    pub(super) fn ask(&mut self, key: &StepKey, gate: Gate) {
        self.record(Event::Step(StepEvent::Asked { run: self.run.id, step: key.clone(), gate }));
    }

    pub(super) fn answer(&mut self, key: &StepKey, answer: Value) {
        self.record(Event::Step(StepEvent::Answered { run: self.run.id, step: key.clone(), answer }));
    }

    pub(super) fn conclude(&mut self, key: &StepKey, conclusion: Conclusion, reason: Option<String>) {
        self.record(Event::Step(StepEvent::Concluded { run: self.run.id, step: key.clone(), conclusion, reason }));
    }

    pub(super) fn record(&mut self, event: Event) {
        self.effects.push(Effect::Record(event));
    }

    pub(super) fn text(&self, key: &StepKey, source: &str) -> Result<String, ExpressionError> {
        template_scope::text(self.incident, self.run, key, source)
    }

    fn truthy(&self, key: &StepKey, condition: &str) -> Result<bool, ExpressionError> {
        expression::truthy(condition, &template_scope::of(self.incident, self.run, key, &[condition]))
    }
}

/// The progress of several steps that run at the same time.
fn combined_progress(blocked: bool, stopped: Option<StepKey>) -> SequenceProgress {
    match (blocked, stopped) {
        (true, _) => SequenceProgress::Blocked,
        (false, Some(member)) => SequenceProgress::Stopped(member),
        (false, None) => SequenceProgress::Passed,
    }
}

/// The ids of the steps that the walk can reach now; none if it can reach any step. After a retry of an earlier step, later steps
/// that wait have no effects until the walk reaches them again.
pub(super) fn reached(run: &Run) -> Option<Vec<&str>> {
    match (&run.status, run.runbook.steps.get(run.passed)) {
        (RunStatus::Running, Some(step)) => Some(ids(std::slice::from_ref(step))),
        (RunStatus::Running, None) => Some(ids(&run.runbook.finally)),
        (RunStatus::Stopping(_) | RunStatus::Ended(_), _) => None,
    }
}

/// The ids of steps, and of the members of groups among them.
fn ids(steps: &[Step]) -> Vec<&str> {
    let mut ids = Vec::new();
    let mut open: Vec<&Step> = steps.iter().collect();
    while let Some(step) = open.pop() {
        ids.push(step.id.as_str());
        if let StepBody::Parallel(children) = &step.body {
            open.extend(children);
        }
    }
    ids
}

pub(super) fn last_summary(state: Option<&StepState>) -> String {
    state
        .and_then(|state| state.outcome.as_ref())
        .map_or_else(|| "it failed".to_owned(), |outcome| outcome.summary.clone())
}
