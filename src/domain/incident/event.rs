//! What has happened: plain data, only ever appended. What follows from it is found by [`super::fold`].

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::message::NoticeCause;
use super::{outcome::Outcome, plan::RenderedAction};
use crate::domain::alert::{Alert, AlertKey};
use crate::domain::config::estate::Estate;
use crate::domain::core::id::{IncidentId, RunId, StepKey};
use crate::domain::core::severity::Severity;
use crate::domain::core::time::{Span, Timestamp};
use crate::domain::runbook::schedule::{Occurrence, Skipped};
use crate::domain::runbook::{DeadlineFrom, DeadlineRule, Runbook};

pub use super::event_record::{EVENT_LIMIT, Recorded};
pub use super::gate::{Conclusion, Gate, Reconciliation, SkipReason};
pub use super::run_lifecycle::{Mode, Parent, Proposal, RunOutcome, StopCause};
pub use crate::domain::core::actor::{Actor, Identity};

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// The first event of every stream.
    IncidentOpened {
        /// Its id: the stream's own name, so that streams cannot be mixed up.
        id: IncidentId,
        /// A few words.
        title: String,
        /// How bad.
        severity: Severity,
        /// Where.
        environment: String,
        /// When the trouble was first noticed, when that is known and earlier.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detected_at: Option<Timestamp>,
        /// The group of alerts that it gathers, when an alert opened it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<String>,
    },
    /// Something that is watched is not as it should be.
    AlertFired {
        /// The firing's name.
        key: AlertKey,
        /// What its sender says.
        alert: Arc<Alert>,
    },
    /// The same firing was reported again.
    AlertRepeated {
        /// The firing's name.
        key: AlertKey,
        /// How often since it was recorded last.
        times: u32,
    },
    /// What an alert warned of is over.
    AlertResolved {
        /// The firing's name.
        key: AlertKey,
        /// When it ended, as its sender says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ends_at: Option<Timestamp>,
        /// When the incident is over, unless something fires again before.
        quiet_until: Timestamp,
    },
    /// An alert has a runbook that does not start by itself: a person may start it.
    RunProposed(Proposal),
    /// A person has taken notice.
    Acknowledged,
    /// A person wrote something down.
    NoteAdded {
        /// The words.
        text: String,
    },
    /// It is worse, or less bad, than it was taken for.
    SeverityChanged(super::run_lifecycle::Regrade),
    /// The trouble is over.
    Resolved {
        /// In the person's words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        summary: Option<String>,
    },
    /// A deadline began to run.
    DeadlineSet {
        /// Its name.
        name: String,
        /// When its time began.
        from: DeadlineFrom,
        /// When it is missed.
        due: Timestamp,
        /// When to warn.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        warn_at: Option<Timestamp>,
        /// When the engine tells stakeholders itself, and messages that keep it take other ways.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fallback_at: Option<Timestamp>,
        /// The rule that it follows, for what is not an instant.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rule: Option<Box<DeadlineRule>>,
    },
    /// It comes near.
    DeadlineWarned {
        /// Its name.
        name: String,
    },
    /// It was kept.
    DeadlineMet {
        /// Its name.
        name: String,
        /// When what it asks for was done.
        met_at: Timestamp,
        /// By which step, when it was one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<StepKey>,
    },
    /// It passed.
    DeadlineMissed {
        /// Its name.
        name: String,
    },
    /// It is not asked for any more, since the trouble is over.
    DeadlineLifted {
        /// Its name.
        name: String,
    },
    /// A person has a role from now on.
    RoleTaken {
        /// The role.
        role: String,
        /// Who: the key in the estate's `people`, else the bare account or id.
        person: String,
        /// What proves who that is; none where it was given by name and the estate knows no identity.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<Identity>,
    },
    /// Nobody has the role any more.
    RoleReleased {
        /// The role.
        role: String,
    },
    /// Somebody wanted to agree to a change or to refuse it, and may not.
    ApprovalRefused(super::permission::ApprovalRefusal),
    /// A post-mortem draft was written.
    PostmortemWritten {
        /// Where.
        path: String,
        /// SHA-256 of the draft as generated, in hex.
        digest: String,
    },
    /// The report of maintenance was written.
    ReportWritten {
        /// Where.
        path: String,
        /// SHA-256 of the report as generated, in hex.
        digest: String,
    },
    /// An occurrence of a schedule was skipped, since this run of it still goes on.
    OccurrenceSkipped(Skipped),
    /// A person says that the post-mortem is complete.
    PostmortemCompleted,
    /// A message is owed that no step says.
    NoticeOwed {
        /// Its number within the incident.
        notice: u32,
        /// Why.
        cause: NoticeCause,
        /// The channels of the estate.
        to: Vec<String>,
        /// What it says.
        text: String,
    },
    /// A message reached a channel.
    Notified {
        /// The run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<RunId>,
        /// The step that owed it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<StepKey>,
        /// The notice, when no step owed it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        notice: Option<u32>,
        /// The channel's name in the estate.
        channel: String,
        /// The channel that it was for, when this one is a fallback of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        instead_of: Option<String>,
        /// The message's id there, such as Slack's `ts`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
        /// Where it went, as the channel names it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        place: Option<String>,
    },
    /// A message did not reach a channel.
    NotifyFailed {
        /// The run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<RunId>,
        /// The step that owes it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<StepKey>,
        /// The notice, when no step owes it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        notice: Option<u32>,
        /// The channel's name in the estate.
        channel: String,
        /// The channel that it is for, when this one is a fallback of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        instead_of: Option<String>,
        /// Why not.
        error: String,
        /// How long the channel asks to be left alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<Span>,
        /// Whether trying again cannot help.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        permanent: bool,
    },
    /// A message was posted that shows how the incident stands.
    Posted(super::slack_post::SlackPost),
    /// A runbook began.
    RunStarted {
        /// Its number.
        run: RunId,
        /// The copy that this run keeps.
        runbook: Box<Runbook>,
        /// SHA-256 of the file's text, in hex.
        digest: String,
        /// The copy of the estate that this run keeps.
        estate: Box<Estate>,
        /// Every parameter with its value.
        params: Map<String, Value>,
        /// How much it asks.
        mode: Mode,
        /// The run and step that started it, for a runbook started by another.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<Parent>,
        /// The firing that started it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        alert: Option<AlertKey>,
        /// The occurrence of its schedule that started it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        schedule: Option<Box<Occurrence>>,
    },
    /// The run goes no further; what `finally` holds still runs.
    RunStopping {
        /// The run.
        run: RunId,
        /// Why.
        cause: StopCause,
    },
    /// The run is over.
    RunEnded {
        /// The run.
        run: RunId,
        /// How.
        outcome: RunOutcome,
    },
    /// A step was passed over.
    StepSkipped {
        /// The run.
        run: RunId,
        /// The step.
        step: StepKey,
        /// Why.
        reason: SkipReason,
    },
    /// A group began, or a `for_each` has its items.
    StepExpanded {
        /// The run.
        run: RunId,
        /// The step.
        step: StepKey,
        /// The items of a `for_each`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        items: Option<Vec<Value>>,
    },
    /// A gate closed: a person or a timer is waited for.
    Asked {
        /// The run.
        run: RunId,
        /// The step.
        step: StepKey,
        /// What is waited for.
        gate: Gate,
    },
    /// A question was answered, or a timer's time came.
    Answered {
        /// The run.
        run: RunId,
        /// The step.
        step: StepKey,
        /// The answer; null for a timer and for something done by hand.
        #[serde(default)]
        answer: Value,
    },
    /// A change was agreed to.
    Approved {
        /// The run.
        run: RunId,
        /// The step.
        step: StepKey,
        /// The digest of exactly what was agreed to.
        digest: String,
        /// Who agreed, as one person is counted once: a key in the estate's `people`, else an identity.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        person: Option<String>,
    },
    /// A change was refused by a person.
    Denied {
        /// The run.
        run: RunId,
        /// The step.
        step: StepKey,
        /// Why.
        reason: String,
    },
    /// An attempt begins: written before anything is done.
    StepStarted {
        /// The run.
        run: RunId,
        /// The step.
        step: StepKey,
        /// 1 for the first.
        attempt: u32,
        /// The claim under which it is done; a later claim's worker knows that this one is gone.
        epoch: u64,
        /// Exactly what is done.
        action: Arc<RenderedAction>,
        /// SHA-256 of what is done and where, in hex.
        digest: String,
        /// What the world looked like, as far as reconciling needs it.
        #[serde(default, skip_serializing_if = "super::outcome::is_nothing")]
        before: Arc<Value>,
        /// When its time is over.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline: Option<Timestamp>,
    },
    /// An attempt ended.
    StepEnded {
        /// The run.
        run: RunId,
        /// The step.
        step: StepKey,
        /// Which attempt.
        attempt: u32,
        /// How.
        outcome: Arc<Outcome>,
    },
    /// An attempt was cut off, and the world was asked what became of it.
    Reconciled {
        /// The run.
        run: RunId,
        /// The step.
        step: StepKey,
        /// Which attempt.
        attempt: u32,
        /// What the world says.
        finding: Reconciliation,
    },
    /// Another attempt is to be made.
    RetryScheduled {
        /// The run.
        run: RunId,
        /// The step.
        step: StepKey,
        /// Not before.
        at: Timestamp,
    },
    /// Nothing more will be done for this step.
    StepConcluded {
        /// The run.
        run: RunId,
        /// The step.
        step: StepKey,
        /// How it stands.
        conclusion: Conclusion,
        /// One line, for a step that has no attempt of its own or fails.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A person wants a change taken back.
    UndoRequested {
        /// The run.
        run: RunId,
        /// The step whose change it is.
        step: StepKey,
    },
}
