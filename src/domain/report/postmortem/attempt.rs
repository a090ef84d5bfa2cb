//! The attempts of a log: what was begun, what came of it, and who had agreed.

#![deny(clippy::wildcard_enum_match_arm)]

use std::collections::BTreeMap;

use super::Moment;
use crate::domain::core::id::{RunId, StepKey};
use crate::domain::incident::event::{Event, Gate, Reconciliation, Recorded, StepEvent};
use crate::domain::incident::outcome::Outcome;
use crate::domain::incident::plan::{PlannedChange, RenderedAction};

/// One attempt, as the log has it.
#[derive(Debug, Clone)]
pub(super) struct StepAttempt<'a> {
    pub run: RunId,
    pub step: &'a StepKey,
    pub number: u32,
    pub begun: Moment,
    pub action: &'a RenderedAction,
    pub before: &'a serde_json::Value,
    /// How it ended; none when it was cut off, or goes on.
    pub ended: Option<(Moment, &'a Outcome)>,
    /// What a person was shown, and who agreed.
    pub change: Option<&'a PlannedChange>,
    pub approved: Vec<(Moment, &'a crate::domain::incident::event::Actor)>,
}

impl StepAttempt<'_> {
    /// Whether it is known to have worked.
    pub fn worked(&self) -> bool {
        self.ended.is_some_and(|(_, outcome)| outcome.is_success())
    }
}

#[derive(Debug, Default)]
struct Agreement<'a> {
    change: Option<&'a PlannedChange>,
    approved: Vec<(Moment, &'a crate::domain::incident::event::Actor)>,
}

/// Every attempt of a log, in the order in which they began.
pub(super) fn gather(log: &[Recorded]) -> Vec<StepAttempt<'_>> {
    let mut attempts: Vec<StepAttempt<'_>> = Vec::new();
    let mut agreements: BTreeMap<(RunId, &StepKey), Agreement<'_>> = BTreeMap::new();
    for recorded in log {
        let Event::Step(event) = &recorded.event else { continue };
        let moment = Moment::of(recorded.seq, recorded.at);
        match event {
            StepEvent::Asked { run, step, gate: Gate::Approve { change, .. } } => {
                // Each question is another one: who agreed to the one before has not agreed to this.
                agreements.insert((*run, step), Agreement { change: Some(change), approved: Vec::new() });
            }
            StepEvent::Approved { run, step, .. } => {
                agreements.entry((*run, step)).or_default().approved.push((moment, &recorded.by));
            }
            StepEvent::Started { run, step, attempt, action, before, .. } => {
                let agreement = agreements.get(&(*run, step));
                attempts.push(StepAttempt {
                    run: *run,
                    step,
                    number: *attempt,
                    begun: moment,
                    action,
                    before,
                    ended: None,
                    change: agreement.and_then(|agreement| agreement.change),
                    approved: agreement.map(|agreement| agreement.approved.clone()).unwrap_or_default(),
                });
            }
            StepEvent::Ended { run, step, attempt, outcome }
            | StepEvent::Reconciled { run, step, attempt, finding: Reconciliation::Happened(outcome) } => {
                let of =
                    |tried: &&mut StepAttempt<'_>| tried.run == *run && tried.step == step && tried.number == *attempt;
                if let Some(tried) = attempts.iter_mut().rev().find(of) {
                    tried.ended = Some((moment, outcome));
                }
            }
            StepEvent::Asked { .. }
            | StepEvent::Reconciled { .. }
            | StepEvent::Skipped { .. }
            | StepEvent::Expanded { .. }
            | StepEvent::Answered { .. }
            | StepEvent::Denied { .. }
            | StepEvent::RetryScheduled { .. }
            | StepEvent::Concluded { .. }
            | StepEvent::UndoRequested { .. } => {}
        }
    }
    attempts
}
