//! How a step stands, and which events it accepts in which standing.

use std::sync::Arc;

use serde_json::Value;

use super::event::{Conclusion, Event, Gate, Reconciliation, SkipReason};
use super::outcome::{Outcome, Verdict};
use super::plan::RenderedAction;
use crate::domain::core::id::StepKey;
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
        match self.standing {
            StepStatus::Concluded(conclusion) => Some(conclusion),
            _ => None,
        }
    }

    /// The gate that is closed, if one is.
    pub fn gate(&self) -> Option<&Gate> {
        match &self.standing {
            StepStatus::Waiting(gate) => Some(gate),
            _ => None,
        }
    }

    /// Applies one event of this step.
    ///
    /// **Invariant:** the standing after an event depends on the standing before it and the event alone:
    /// [`next`] is the table.
    pub fn apply(&mut self, event: &Event, seq: u64, at: Timestamp) -> Result<(), Box<Misfit>> {
        let next = next(&self.standing, event, at);
        let next = next.ok_or_else(|| Box::new(Misfit { standing: self.standing.clone() }))?;
        let before = std::mem::replace(&mut self.standing, next);
        self.remember(event, seq, at);
        if let (
            Event::Approved { digest, .. },
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

    fn remember(&mut self, event: &Event, seq: u64, at: Timestamp) {
        match event {
            Event::StepExpanded { items, .. } => self.items.clone_from(items),
            Event::Answered { answer, .. } => self.answer = Some(answer.clone()),
            Event::Denied { reason, .. } => {
                self.reason = Some(reason.clone());
                self.denied = true;
            }
            Event::StepSkipped { reason, .. } => self.reason = Some(skip_text(reason)),
            Event::StepStarted { attempt, epoch, action, digest, before, deadline, .. } => {
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
            Event::StepEnded { outcome, .. } | Event::Reconciled { finding: Reconciliation::Happened(outcome), .. } => {
                self.outcome = Some(Arc::clone(outcome));
                self.use_up();
            }
            Event::Reconciled { finding: Reconciliation::CannotTell { .. }, .. } => self.use_up(),
            Event::Asked { gate, .. } => {
                self.asked += 1;
                self.asks += u32::from(matches!(gate, Gate::Approve { .. }));
            }
            Event::Reconciled { finding: Reconciliation::DidNotHappen { .. }, .. } => {
                self.cut_off = self.attempt.as_ref().and_then(|attempt| attempt.deadline);
            }
            Event::StepConcluded { reason: Some(reason), .. } => self.reason = Some(reason.clone()),
            Event::RetryScheduled { .. } => {
                self.concluded_at = None;
                self.cut_off = None;
            }
            _ => {}
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
fn next(standing: &StepStatus, event: &Event, at: Timestamp) -> Option<StepStatus> {
    use StepStatus::{Acted, Concluded, Expanded, Faltered, Pending, Ready, Running, Unclear, Waiting};
    Some(match (standing, event) {
        (Pending | Ready { .. },                Event::StepSkipped { .. })     => Concluded(Conclusion::Skipped),
        (Waiting(_) | Faltered | Unclear,       Event::StepSkipped { .. })     => Concluded(Conclusion::Skipped),
        (Pending | Ready { .. },                Event::StepExpanded { .. })    => Expanded,
        (Pending | Ready { .. } | Acted | Faltered | Unclear, Event::Asked { gate, .. }) => Waiting(gate.clone()),
        (Waiting(Gate::Approve { .. }),         Event::Asked { gate: gate @ (Gate::Approve { .. } | Gate::Failure { .. }), .. }) => Waiting(gate.clone()),
        (Waiting(Gate::Ask { .. } | Gate::Manual { .. } | Gate::Timer { .. }), Event::Answered { .. }) => Concluded(Conclusion::Succeeded),
        (Waiting(Gate::Unclear { .. }),         Event::Answered { .. })        => Acted,
        (Pending,                               Event::Answered { .. })        => Concluded(Conclusion::Succeeded),
        (Waiting(gate @ Gate::Approve { .. }),  Event::Approved { .. }) if gate.wanted() <= 1 => Ready { at },
        (Waiting(gate @ Gate::Approve { .. }),  Event::Approved { person, .. }) => Waiting(gate.with(person.as_ref())),
        (Waiting(Gate::Approve { .. }),         Event::Denied { .. })          => Concluded(Conclusion::Skipped),
        (Pending | Ready { .. },                Event::StepStarted { .. })     => Running,
        (Running,                               Event::StepEnded { outcome, .. }) => ended(outcome),
        (Running, Event::Reconciled { finding: Reconciliation::Happened(outcome), .. })  => ended(outcome),
        (Running, Event::Reconciled { finding: Reconciliation::DidNotHappen { .. }, .. }) => Ready { at },
        (Running, Event::Reconciled { finding: Reconciliation::CannotTell { .. }, .. })  => Unclear,
        (Acted | Faltered | Unclear | Waiting(Gate::Failure { .. } | Gate::Unclear { .. }), Event::RetryScheduled { at, .. }) => Ready { at: *at },
        (Concluded(_), Event::RetryScheduled { at, .. }) => Ready { at: *at },
        (Pending | Expanded | Acted | Faltered | Unclear | Waiting(_) | Ready { .. }, Event::StepConcluded { conclusion, .. }) => Concluded(*conclusion),
        (_, Event::Notified { .. } | Event::NotifyFailed { .. } | Event::UndoRequested { .. }) => standing.clone(),
        (_, Event::IncidentOpened { .. } | Event::Acknowledged | Event::NoteAdded { .. } | Event::Resolved { .. }
            | Event::DeadlineSet { .. } | Event::DeadlineWarned { .. } | Event::DeadlineMet { .. } | Event::DeadlineMissed { .. }
            | Event::PostmortemWritten { .. } | Event::ReportWritten { .. } | Event::OccurrenceSkipped(_) | Event::PostmortemCompleted
            | Event::DeadlineLifted { .. } | Event::RoleTaken { .. } | Event::RoleReleased { .. } | Event::ApprovalRefused { .. } | Event::NoticeOwed { .. } | Event::Posted(_) | Event::SeverityChanged(_)
            | Event::AlertFired { .. } | Event::AlertRepeated { .. } | Event::AlertResolved { .. } | Event::RunProposed { .. }
            | Event::RunStarted { .. } | Event::RunStopping { .. } | Event::RunEnded { .. }
            | Event::StepSkipped { .. } | Event::StepExpanded { .. } | Event::Asked { .. } | Event::Answered { .. }
            | Event::Approved { .. } | Event::Denied { .. } | Event::StepStarted { .. } | Event::StepEnded { .. }
            | Event::Reconciled { .. } | Event::RetryScheduled { .. } | Event::StepConcluded { .. }) => return None,
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
pub fn place(event: &Event) -> Option<(crate::domain::core::id::RunId, &StepKey)> {
    match event {
        Event::StepSkipped { run, step, .. }
        | Event::StepExpanded { run, step, .. }
        | Event::Asked { run, step, .. }
        | Event::Answered { run, step, .. }
        | Event::Approved { run, step, .. }
        | Event::Denied { run, step, .. }
        | Event::StepStarted { run, step, .. }
        | Event::StepEnded { run, step, .. }
        | Event::Reconciled { run, step, .. }
        | Event::RetryScheduled { run, step, .. }
        | Event::StepConcluded { run, step, .. }
        | Event::UndoRequested { run, step, .. } => Some((*run, step)),
        Event::Notified { run, step, .. } | Event::NotifyFailed { run, step, .. } => Some(((*run)?, step.as_ref()?)),
        _ => None,
    }
}
