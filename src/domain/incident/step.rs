//! The state of a step, and its transition table.

#![deny(clippy::wildcard_enum_match_arm)]

use std::sync::Arc;

use serde_json::Value;

use super::event::{Conclusion, Event, Gate, Reconciliation, SkipReason, StepEvent};
use super::outcome::{Outcome, Verdict};
use super::plan::RenderedAction;
use crate::domain::core::id::{RunId, StepKey};
use crate::domain::core::time::{Span, Timestamp};

/// The status of a step.
#[derive(Debug, Clone, PartialEq)]
pub enum StepStatus {
    /// Nothing has begun.
    Pending,
    /// The members of a group or the items of a `for_each` are being run.
    Expanded,
    /// A closed gate: the step waits for a person or a timer.
    Waiting(Gate),
    /// The next attempt may begin, not before `at`.
    Ready { at: Timestamp },
    /// An attempt is in progress.
    Running,
    /// The attempt succeeded; the verification or the conclusion follows.
    AttemptSucceeded,
    /// The attempt failed; a retry, a question or the conclusion follows.
    AttemptFailed,
    /// The attempt was interrupted, and nothing shows whether it happened.
    Unclear,
    /// The step is over, unless a person retries it.
    Concluded(Conclusion),
}

/// The state of a step of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct StepState {
    pub status: StepStatus,
    /// How many attempts have begun.
    pub attempts: u32,
    /// The latest attempt.
    pub attempt: Option<AttemptState>,
    /// The deadline of an interrupted attempt that did not happen. The next attempt gets the rest of that time.
    pub interrupted_deadline: Option<Timestamp>,
    /// The outcome of the latest finished attempt.
    pub outcome: Option<Arc<Outcome>>,
    /// The answer of a person.
    pub answer: Option<Value>,
    pub approved: Option<Approval>,
    /// How many approvals were requested. Each request has another digest.
    pub approval_requests: u32,
    /// How many gates have closed: approvals, questions, timers and decisions.
    pub questions: u32,
    /// The items of a `for_each`.
    pub items: Option<Vec<Value>>,
    /// Why the step was skipped, denied or concluded.
    pub reason: Option<String>,
    /// Whether a person denied the change.
    pub denied: bool,
    /// When the step was reached.
    pub begun_at: Timestamp,
    pub concluded_at: Option<Timestamp>,
}

/// The approval of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// The digest of the approved change.
    pub digest: String,
    /// When the approval expires. The change must begin before.
    pub until: Timestamp,
    /// Whether an attempt was made with it.
    pub used: bool,
}

impl Approval {
    /// Whether it permits the change with this digest to begin at `now`.
    pub fn covers(&self, digest: &str, now: Timestamp) -> bool {
        self.digest == digest && now < self.until
    }
}

/// How long an approval is valid if its gate has no expiry. A running worker uses the approval at once.
pub const APPROVAL_LIFE: Span = Span::seconds(3_600);

/// An attempt that has begun.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptState {
    /// The number of its `StepStarted`.
    pub seq: u64,
    /// The epoch of the lease under which it began.
    pub epoch: u64,
    pub action: Arc<RenderedAction>,
    /// See [`approval_digest`](super::due::approval_digest).
    pub digest: String,
    /// The state that was observed before the action, for reconciliation.
    pub before: Arc<Value>,
    pub started_at: Timestamp,
    /// When it times out.
    pub deadline: Option<Timestamp>,
}

impl StepState {
    /// The state of a step that is reached at `now`.
    pub fn new(now: Timestamp) -> Self {
        Self {
            status: StepStatus::Pending,
            attempts: 0,
            attempt: None,
            interrupted_deadline: None,
            outcome: None,
            answer: None,
            approved: None,
            approval_requests: 0,
            questions: 0,
            items: None,
            reason: None,
            denied: false,
            begun_at: now,
            concluded_at: None,
        }
    }

    /// The conclusion of a step that is over.
    pub fn conclusion(&self) -> Option<Conclusion> {
        if let StepStatus::Concluded(conclusion) = self.status { Some(conclusion) } else { None }
    }

    /// The closed gate of a step that waits.
    pub fn gate(&self) -> Option<&Gate> {
        if let StepStatus::Waiting(gate) = &self.status { Some(gate) } else { None }
    }

    /// Applies one event of this step; false, without a change, if the event is illegal in the present status.
    ///
    /// **Invariant:** the status after an event depends only on the status before it and the event: see [`next`].
    pub(super) fn apply(&mut self, event: &StepEvent, seq: u64, at: Timestamp) -> bool {
        let Some(next) = next(&self.status, event, at) else { return false };
        let before = std::mem::replace(&mut self.status, next);
        self.remember(event, seq, at);
        if let (
            StepEvent::Approved { digest, .. },
            StepStatus::Waiting(Gate::Approve { expires_at, .. }),
            StepStatus::Ready { .. },
        ) = (event, before, &self.status)
        {
            let until = expires_at.unwrap_or_else(|| APPROVAL_LIFE.after(at));
            self.approved = Some(Approval { digest: digest.clone(), until, used: false });
        }
        if matches!(self.status, StepStatus::Concluded(_)) {
            self.concluded_at = Some(at);
        }
        true
    }

    fn remember(&mut self, event: &StepEvent, seq: u64, at: Timestamp) {
        match event {
            StepEvent::Expanded { items, .. } => self.items.clone_from(items),
            StepEvent::Answered { answer, .. } => self.answer = Some(answer.clone()),
            StepEvent::Denied { reason, .. } => {
                self.reason = Some(reason.clone());
                self.denied = true;
            }
            StepEvent::Skipped { reason, .. } => self.reason = Some(skip_text(reason)),
            StepEvent::Started { attempt, epoch, action, digest, before, deadline, .. } => {
                self.attempts = *attempt;
                self.interrupted_deadline = None;
                self.attempt = Some(AttemptState {
                    seq,
                    epoch: *epoch,
                    action: Arc::clone(action),
                    digest: digest.clone(),
                    before: Arc::clone(before),
                    started_at: at,
                    deadline: *deadline,
                });
            }
            StepEvent::Ended { outcome, .. }
            | StepEvent::Reconciled { finding: Reconciliation::Happened(outcome), .. } => {
                self.outcome = Some(Arc::clone(outcome));
                self.mark_approval_used();
            }
            StepEvent::Reconciled { finding: Reconciliation::CannotTell { .. }, .. } => self.mark_approval_used(),
            StepEvent::Asked { gate, .. } => {
                self.questions += 1;
                self.approval_requests += u32::from(matches!(gate, Gate::Approve { .. }));
            }
            StepEvent::Reconciled { finding: Reconciliation::DidNotHappen { .. }, .. } => {
                self.interrupted_deadline = self.attempt.as_ref().and_then(|attempt| attempt.deadline);
            }
            StepEvent::Concluded { reason: Some(reason), .. } => self.reason = Some(reason.clone()),
            StepEvent::RetryScheduled { .. } => {
                self.concluded_at = None;
                self.interrupted_deadline = None;
            }
            // `apply` stores an approval, because its expiry is in the gate.
            StepEvent::Approved { .. }
            | StepEvent::Concluded { reason: None, .. }
            | StepEvent::UndoRequested { .. } => {}
        }
    }

    fn mark_approval_used(&mut self) {
        if let Some(approved) = &mut self.approved {
            approved.used = true;
        }
    }
}

fn skip_text(reason: &SkipReason) -> String {
    match reason {
        SkipReason::Condition { when } => format!("`{when}` is false"),
        SkipReason::Person { reason } => reason.clone(),
        SkipReason::AlertResolved => "every alert is resolved".to_owned(),
    }
}

/// The status of a step after `event`; none if the event is illegal in `status`.
#[rustfmt::skip]
fn next(status: &StepStatus, event: &StepEvent, at: Timestamp) -> Option<StepStatus> {
    use StepStatus::{AttemptSucceeded, Concluded, Expanded, AttemptFailed, Pending, Ready, Running, Unclear, Waiting};
    Some(match (status, event) {
        (Pending | Ready { .. },                StepEvent::Skipped { .. })     => Concluded(Conclusion::Skipped),
        (Waiting(_) | AttemptFailed | Unclear,       StepEvent::Skipped { .. })     => Concluded(Conclusion::Skipped),
        (Pending | Ready { .. },                StepEvent::Expanded { .. })    => Expanded,
        (Pending | Ready { .. } | AttemptSucceeded | AttemptFailed | Unclear, StepEvent::Asked { gate, .. }) => Waiting(gate.clone()),
        (Waiting(Gate::Approve { .. }),         StepEvent::Asked { gate: gate @ (Gate::Approve { .. } | Gate::Failure { .. }), .. }) => Waiting(gate.clone()),
        (Waiting(Gate::Ask { .. } | Gate::Manual { .. } | Gate::Timer { .. }), StepEvent::Answered { .. }) => Concluded(Conclusion::Succeeded),
        (Waiting(Gate::Unclear { .. }),         StepEvent::Answered { .. })        => AttemptSucceeded,
        (Pending,                               StepEvent::Answered { .. })        => Concluded(Conclusion::Succeeded),
        (Waiting(gate @ Gate::Approve { .. }),  StepEvent::Approved { .. }) if gate.wanted() <= 1 => Ready { at },
        (Waiting(gate @ Gate::Approve { .. }),  StepEvent::Approved { person, .. }) => Waiting(gate.with(person.as_ref())),
        (Waiting(Gate::Approve { .. }),         StepEvent::Denied { .. })          => Concluded(Conclusion::Skipped),
        (Pending | Ready { .. },                StepEvent::Started { .. })     => Running,
        (Running,                               StepEvent::Ended { outcome, .. }) => ended(outcome),
        (Running, StepEvent::Reconciled { finding: Reconciliation::Happened(outcome), .. })  => ended(outcome),
        (Running, StepEvent::Reconciled { finding: Reconciliation::DidNotHappen { .. }, .. }) => Ready { at },
        (Running, StepEvent::Reconciled { finding: Reconciliation::CannotTell { .. }, .. })  => Unclear,
        (AttemptSucceeded | AttemptFailed | Unclear | Waiting(Gate::Failure { .. } | Gate::Unclear { .. }), StepEvent::RetryScheduled { at, .. }) => Ready { at: *at },
        (Concluded(_), StepEvent::RetryScheduled { at, .. }) => Ready { at: *at },
        (Pending | Expanded | AttemptSucceeded | AttemptFailed | Unclear | Waiting(_) | Ready { .. }, StepEvent::Concluded { conclusion, .. }) => Concluded(*conclusion),
        (_, StepEvent::UndoRequested { .. }) => status.clone(),
        (_, StepEvent::Skipped { .. } | StepEvent::Expanded { .. } | StepEvent::Asked { .. } | StepEvent::Answered { .. }
            | StepEvent::Approved { .. } | StepEvent::Denied { .. } | StepEvent::Started { .. } | StepEvent::Ended { .. }
            | StepEvent::Reconciled { .. } | StepEvent::RetryScheduled { .. } | StepEvent::Concluded { .. }) => return None,
    })
}

fn ended(outcome: &Outcome) -> StepStatus {
    match outcome.verdict {
        Verdict::Succeeded => StepStatus::AttemptSucceeded,
        Verdict::Failed | Verdict::TimedOut => StepStatus::AttemptFailed,
        Verdict::Cancelled => StepStatus::Concluded(Conclusion::Cancelled),
        Verdict::Unknown => StepStatus::Unclear,
    }
}

/// The run and step of an event of a step, or of a delivery of a step's message.
pub fn place(event: &Event) -> Option<(RunId, &StepKey)> {
    match event {
        Event::Step(event) => Some(event.place()),
        Event::Message(event) => event.delivery()?.step(),
        Event::Incident(_) | Event::Alert(_) | Event::Deadline(_) | Event::Role(_) | Event::Run(_) => None,
    }
}
