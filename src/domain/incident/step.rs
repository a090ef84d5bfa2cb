//! The state of a step, and the table of events that it accepts in each state.

#![deny(clippy::wildcard_enum_match_arm)]

use std::sync::Arc;

use serde_json::Value;

use super::event::{Conclusion, Event, Gate, Reconciliation, SkipReason, StepEvent};
use super::outcome::{Outcome, Verdict};
use super::plan::RenderedAction;
use crate::domain::core::id::{RunId, StepKey};
use crate::domain::core::time::{Span, Timestamp};

/// How a step stands.
#[derive(Debug, Clone, PartialEq)]
pub enum StepStatus {
    /// Not reached.
    Pending,
    /// A group or `for_each` whose members follow.
    Expanded,
    /// A gate is closed.
    Waiting(Gate),
    /// The next attempt may begin, not before the instant.
    Ready {
        /// Not before.
        at: Timestamp,
    },
    /// An attempt is being made.
    Running,
    /// The attempt succeeded; what else the step asks for is owed.
    Acted,
    /// The attempt did not succeed; what that means is owed.
    Faltered,
    /// The attempt was cut off and the world cannot say whether it happened.
    Unclear,
    /// Nothing more will be done.
    Concluded(Conclusion),
}

/// A step of a run, as far as it has come.
#[derive(Debug, Clone, PartialEq)]
pub struct StepState {
    /// How it stands.
    pub standing: StepStatus,
    /// How many attempts have begun.
    pub attempts: u32,
    /// The attempt that is being made, or the last one.
    pub attempt: Option<AttemptState>,
    /// When the last attempt was cut off: the end of its time, within which it may be made again.
    pub cut_off: Option<Timestamp>,
    /// How the last attempt ended.
    pub outcome: Option<Arc<Outcome>>,
    /// The answer of a person.
    pub answer: Option<Value>,
    /// What was agreed to.
    pub approved: Option<Approval>,
    /// How often agreement was asked for: each question is another one.
    pub asks: u32,
    /// How often anything was asked.
    pub asked: u32,
    /// The items of a `for_each`.
    pub items: Option<Vec<Value>>,
    /// Why it was skipped or concluded as it was.
    pub reason: Option<String>,
    /// When a person refused the change.
    pub denied: bool,
    /// When it was first reached.
    pub begun_at: Timestamp,
    /// When it was concluded.
    pub concluded_at: Option<Timestamp>,
}

/// What people have agreed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// The digest of exactly what.
    pub digest: String,
    /// When the agreement lapses unless the change has begun.
    pub until: Timestamp,
    /// Whether an attempt was made under it.
    pub used: bool,
}

impl Approval {
    /// Whether it covers what has this digest at `now`.
    pub fn covers(&self, digest: &str, now: Timestamp) -> bool {
        self.digest == digest && now < self.until
    }
}

/// How long an agreement is good when its gate sets no end: it is acted on at once unless nobody is at work.
pub const APPROVAL_LIFE: Span = Span::seconds(3_600);

/// An attempt that has begun.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptState {
    /// The event that began it.
    pub seq: u64,
    /// The claim under which it was begun.
    pub epoch: u64,
    /// What is done.
    pub action: Arc<RenderedAction>,
    /// The digest of what is done and where.
    pub digest: String,
    /// What the world looked like.
    pub before: Arc<Value>,
    /// When it began.
    pub started_at: Timestamp,
    /// When its time is over.
    pub deadline: Option<Timestamp>,
}

/// An event that a step in its standing refuses.
#[derive(Debug, Clone, PartialEq)]
pub struct Misfit {
    /// How the step stood.
    pub standing: StepStatus,
}

impl StepState {
    /// A step that is reached at `now`.
    pub fn new(now: Timestamp) -> Self {
        Self {
            standing: StepStatus::Pending,
            attempts: 0,
            attempt: None,
            cut_off: None,
            outcome: None,
            answer: None,
            approved: None,
            asks: 0,
            asked: 0,
            items: None,
            reason: None,
            denied: false,
            begun_at: now,
            concluded_at: None,
        }
    }

    /// How it was concluded, if it was.
    pub fn conclusion(&self) -> Option<Conclusion> {
        if let StepStatus::Concluded(conclusion) = self.standing { Some(conclusion) } else { None }
    }

    /// The gate that is closed, if one is.
    pub fn gate(&self) -> Option<&Gate> {
        if let StepStatus::Waiting(gate) = &self.standing { Some(gate) } else { None }
    }

    /// Applies one event of this step.
    ///
    /// **Invariant:** the standing after an event depends on the standing before it and the event alone:
    /// [`next`] is the table.
    pub fn apply(&mut self, event: &StepEvent, seq: u64, at: Timestamp) -> Result<(), Box<Misfit>> {
        let next = next(&self.standing, event, at);
        let next = next.ok_or_else(|| Box::new(Misfit { standing: self.standing.clone() }))?;
        let before = std::mem::replace(&mut self.standing, next);
        self.remember(event, seq, at);
        if let (
            StepEvent::Approved { digest, .. },
            StepStatus::Waiting(Gate::Approve { expires_at, .. }),
            StepStatus::Ready { .. },
        ) = (event, before, &self.standing)
        {
            let until = expires_at.unwrap_or_else(|| APPROVAL_LIFE.after(at));
            self.approved = Some(Approval { digest: digest.clone(), until, used: false });
        }
        if matches!(self.standing, StepStatus::Concluded(_)) {
            self.concluded_at = Some(at);
        }
        Ok(())
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
                self.cut_off = None;
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
                self.use_up();
            }
            StepEvent::Reconciled { finding: Reconciliation::CannotTell { .. }, .. } => self.use_up(),
            StepEvent::Asked { gate, .. } => {
                self.asked += 1;
                self.asks += u32::from(matches!(gate, Gate::Approve { .. }));
            }
            StepEvent::Reconciled { finding: Reconciliation::DidNotHappen { .. }, .. } => {
                self.cut_off = self.attempt.as_ref().and_then(|attempt| attempt.deadline);
            }
            StepEvent::Concluded { reason: Some(reason), .. } => self.reason = Some(reason.clone()),
            StepEvent::RetryScheduled { .. } => {
                self.concluded_at = None;
                self.cut_off = None;
            }
            // An agreement is remembered with the gate that it opens, by `apply`.
            StepEvent::Approved { .. }
            | StepEvent::Concluded { reason: None, .. }
            | StepEvent::UndoRequested { .. } => {}
        }
    }
}

impl StepState {
    /// An attempt was made under the agreement.
    fn use_up(&mut self) {
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

/// The table: what a step in `standing` becomes by `event`; none when it refuses it.
#[rustfmt::skip]
fn next(standing: &StepStatus, event: &StepEvent, at: Timestamp) -> Option<StepStatus> {
    use StepStatus::{Acted, Concluded, Expanded, Faltered, Pending, Ready, Running, Unclear, Waiting};
    Some(match (standing, event) {
        (Pending | Ready { .. },                StepEvent::Skipped { .. })     => Concluded(Conclusion::Skipped),
        (Waiting(_) | Faltered | Unclear,       StepEvent::Skipped { .. })     => Concluded(Conclusion::Skipped),
        (Pending | Ready { .. },                StepEvent::Expanded { .. })    => Expanded,
        (Pending | Ready { .. } | Acted | Faltered | Unclear, StepEvent::Asked { gate, .. }) => Waiting(gate.clone()),
        (Waiting(Gate::Approve { .. }),         StepEvent::Asked { gate: gate @ (Gate::Approve { .. } | Gate::Failure { .. }), .. }) => Waiting(gate.clone()),
        (Waiting(Gate::Ask { .. } | Gate::Manual { .. } | Gate::Timer { .. }), StepEvent::Answered { .. }) => Concluded(Conclusion::Succeeded),
        (Waiting(Gate::Unclear { .. }),         StepEvent::Answered { .. })        => Acted,
        (Pending,                               StepEvent::Answered { .. })        => Concluded(Conclusion::Succeeded),
        (Waiting(gate @ Gate::Approve { .. }),  StepEvent::Approved { .. }) if gate.wanted() <= 1 => Ready { at },
        (Waiting(gate @ Gate::Approve { .. }),  StepEvent::Approved { person, .. }) => Waiting(gate.with(person.as_ref())),
        (Waiting(Gate::Approve { .. }),         StepEvent::Denied { .. })          => Concluded(Conclusion::Skipped),
        (Pending | Ready { .. },                StepEvent::Started { .. })     => Running,
        (Running,                               StepEvent::Ended { outcome, .. }) => ended(outcome),
        (Running, StepEvent::Reconciled { finding: Reconciliation::Happened(outcome), .. })  => ended(outcome),
        (Running, StepEvent::Reconciled { finding: Reconciliation::DidNotHappen { .. }, .. }) => Ready { at },
        (Running, StepEvent::Reconciled { finding: Reconciliation::CannotTell { .. }, .. })  => Unclear,
        (Acted | Faltered | Unclear | Waiting(Gate::Failure { .. } | Gate::Unclear { .. }), StepEvent::RetryScheduled { at, .. }) => Ready { at: *at },
        (Concluded(_), StepEvent::RetryScheduled { at, .. }) => Ready { at: *at },
        (Pending | Expanded | Acted | Faltered | Unclear | Waiting(_) | Ready { .. }, StepEvent::Concluded { conclusion, .. }) => Concluded(*conclusion),
        (_, StepEvent::UndoRequested { .. }) => standing.clone(),
        (_, StepEvent::Skipped { .. } | StepEvent::Expanded { .. } | StepEvent::Asked { .. } | StepEvent::Answered { .. }
            | StepEvent::Approved { .. } | StepEvent::Denied { .. } | StepEvent::Started { .. } | StepEvent::Ended { .. }
            | StepEvent::Reconciled { .. } | StepEvent::RetryScheduled { .. } | StepEvent::Concluded { .. }) => return None,
    })
}

fn ended(outcome: &Outcome) -> StepStatus {
    match outcome.verdict {
        Verdict::Succeeded => StepStatus::Acted,
        Verdict::Failed | Verdict::TimedOut => StepStatus::Faltered,
        Verdict::Cancelled => StepStatus::Concluded(Conclusion::Cancelled),
        Verdict::Unknown => StepStatus::Unclear,
    }
}

/// The step that an event belongs to, if it belongs to one.
pub fn place(event: &Event) -> Option<(RunId, &StepKey)> {
    match event {
        Event::Step(event) => Some(event.place()),
        Event::Message(event) => event.delivery()?.step(),
        Event::Incident(_) | Event::Alert(_) | Event::Deadline(_) | Event::Role(_) | Event::Run(_) => None,
    }
}
