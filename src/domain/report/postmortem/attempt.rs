//! The attempts in a log, with their outcomes and approvals.

#![deny(clippy::wildcard_enum_match_arm)]

use std::collections::BTreeMap;

use super::Moment;
use crate::domain::core::id::{RunId, StepKey};
use crate::domain::incident::event::{Actor, Event, Gate, Reconciliation, Recorded, StepEvent};
use crate::domain::incident::outcome::Outcome;
use crate::domain::incident::plan::{PlannedChange, RenderedAction};

/// One attempt in the log.
#[derive(Debug, Clone)]
pub(super) struct StepAttempt<'a> {
    pub run: RunId,
    pub step: &'a StepKey,
    pub number: u32,
    pub begun: Moment,
    pub action: &'a RenderedAction,
    pub before: &'a serde_json::Value,
    /// Its end and outcome; none if it was interrupted or is in progress.
    pub ended: Option<(Moment, &'a Outcome)>,
    /// The description that people were asked to approve.
    pub change: Option<&'a PlannedChange>,
    pub approvals: Vec<(Moment, &'a Actor)>,
}

impl StepAttempt<'_> {
    /// Whether it ended with success.
    pub fn succeeded(&self) -> bool {
        self.ended.is_some_and(|(_, outcome)| outcome.is_success())
    }
}

/// The latest request for the approval of a step, and its approvals.
#[derive(Debug, Default)]
struct Approvals<'a> {
    change: Option<&'a PlannedChange>,
    given: Vec<(Moment, &'a Actor)>,
}

/// The attempts in a log, in the order in which they began.
pub(super) fn gather(log: &[Recorded]) -> Vec<StepAttempt<'_>> {
    let mut attempts: Vec<StepAttempt<'_>> = Vec::new();
    let mut approvals: BTreeMap<(RunId, &StepKey), Approvals<'_>> = BTreeMap::new();
    for recorded in log {
        let Event::Step(event) = &recorded.event else { continue };
        let moment = Moment::of(recorded.seq, recorded.at);
        match event {
            StepEvent::Asked { run, step, gate: Gate::Approve { change, .. } } => {
                // A new request replaces the approvals of the one before.
                approvals.insert((*run, step), Approvals { change: Some(change), given: Vec::new() });
            }
            StepEvent::Approved { run, step, .. } => {
                approvals.entry((*run, step)).or_default().given.push((moment, &recorded.by));
            }
            StepEvent::Started { run, step, attempt, action, before, .. } => {
                let approved = approvals.get(&(*run, step));
                attempts.push(StepAttempt {
                    run: *run,
                    step,
                    number: *attempt,
                    begun: moment,
                    action,
                    before,
                    ended: None,
                    change: approved.and_then(|approved| approved.change),
                    approvals: approved.map(|approved| approved.given.clone()).unwrap_or_default(),
                });
            }
            StepEvent::Ended { run, step, attempt, outcome }
            | StepEvent::Reconciled { run, step, attempt, finding: Reconciliation::Happened(outcome) } => {
                let is_this =
                    |one: &&mut StepAttempt<'_>| one.run == *run && one.step == step && one.number == *attempt;
                if let Some(attempt) = attempts.iter_mut().rev().find(is_this) {
                    attempt.ended = Some((moment, outcome));
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
