//! Pending effects: what the engine has to record or do, computed from the incident's state.
//!
//! **Invariant:** an effect is pending until the event that completes it is in the log. Nothing here remembers earlier calls, so
//! resuming after a crash is the normal path.

use serde_json::{Map, Value};

use self::walk::Walk;
use super::decide::resolution;
use super::event::{Actor, Event, Gate, RunOutcome};
use super::message::MessageId;
use super::plan::{Attempt, RenderedAction};
use super::run::{Run, RunStatus};
use super::step::StepStatus;
use super::{Incident, IncidentStatus};
use crate::domain::core::id::{RunId, StepKey, StepPart};
use crate::domain::core::time::{Span, Timestamp};

mod deadline;
mod message;
mod pending_posts;
mod step;
mod walk;

pub use self::step::approval_digest;

/// A pending effect.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Append an event that follows from the state.
    Record(Event),
    /// Ask a person to approve a change; completed by `Asked`.
    Ask(Box<Confirmation>),
    /// Begin an attempt; completed by `StepStarted`.
    Perform { run: RunId, attempt: Box<Attempt> },
    /// Await the result of a running attempt, or reconcile it if its process is gone. Completed by `StepEnded` or `Reconciled`.
    Settle {
        run: RunId,
        step: StepKey,
        /// Whether the attempt should be stopped, because its run is stopping.
        halt: bool,
    },
    /// Attempt to deliver a message; completed by `Notified`, and postponed by `NotifyFailed`.
    Deliver(Box<PendingDelivery>),
    /// Start a further run of the incident; completed by its `RunStarted`.
    StartRun {
        /// The run of the `start` step.
        run: RunId,
        /// The `start` step.
        step: StepKey,
        /// The id of the runbook to start.
        runbook: String,
        params: Map<String, Value>,
    },
    /// Write the post-mortem draft or the report; completed by `PostmortemWritten` or `ReportWritten`.
    WritePostmortem,
}

/// A pending attempt to deliver a message by one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingDelivery {
    pub id: MessageId,
    /// The channel that the message is for.
    pub target: String,
    /// The channel that is used: the same, or a fallback of it.
    pub channel: String,
    pub text: String,
    pub requested_at: Timestamp,
}

/// A request for the approval of a change.
#[derive(Debug, Clone, PartialEq)]
pub struct Confirmation {
    pub run: RunId,
    pub step: StepKey,
    /// The roles or people who may approve; empty means any known user.
    pub by: Vec<String>,
    pub action: RenderedAction,
    /// See [`approval_digest`].
    pub digest: String,
    /// The step's `why`.
    pub why: Option<String>,
    /// The step's undo.
    pub undo: Option<RenderedAction>,
    /// How many people have to approve.
    pub count: u32,
    /// Whether the person who started the run may not approve.
    pub not_requester: bool,
    /// How long the request is valid.
    pub expires: Option<Span>,
}

/// The effects that are pending at `now`.
pub fn due(incident: &Incident, now: Timestamp) -> Vec<Effect> {
    let mut effects: Vec<Effect> = deadline::pending(incident, now).into_iter().map(Effect::Record).collect();
    if needs_resolution(incident, now) {
        let summary = Some(resolution_summary(incident).to_owned());
        effects.extend(resolution(incident, summary, now).into_iter().map(Effect::Record));
    }
    for run in &incident.runs {
        effects.append(&mut Walk::of(incident, run, now));
    }
    effects.extend(message::pending(incident, now));
    if needs_postmortem(incident) {
        effects.push(Effect::WritePostmortem);
    }
    effects
}

/// The earliest time at which an effect becomes due by itself; none if only an event can cause one.
pub fn wake_at(incident: &Incident) -> Option<Timestamp> {
    instants(incident).min()
}

/// As [`wake_at`], but after `now`: for a caller that already performs the effects of `now`.
pub fn wake_after(incident: &Incident, now: Timestamp) -> Option<Timestamp> {
    instants(incident).filter(|at| *at > now).min()
}

/// Every instant at which an effect may become due without a further event.
fn instants(incident: &Incident) -> impl Iterator<Item = Timestamp> {
    let deadlines = deadline::instants(incident);
    let states = incident.runs.iter().flat_map(|run| {
        let reached = walk::reached(run);
        let is_reached = move |key: &StepKey| reached.as_ref().is_none_or(|ids| ids.contains(&key.id.as_str()));
        run.steps.iter().filter(move |(key, _)| key.part == StepPart::Undo || is_reached(key)).map(|(_, state)| state)
    });
    let steps = states.filter_map(|state| match &state.status {
        StepStatus::Ready { at } | StepStatus::Waiting(Gate::Timer { until: at }) => Some(*at),
        StepStatus::Waiting(Gate::Approve { expires_at, .. }) => *expires_at,
        StepStatus::Running => state.attempt.as_ref().filter(|attempt| attempt.action.is_message())?.deadline,
        _ => None,
    });
    let quiet = incident.alerts.quiet_until().filter(|_| follows_alerts(incident) && is_quiet(incident));
    deadlines.chain(steps).chain(quiet).chain(message::instants(incident))
}

/// Whether the incident needs a worker: it is unresolved, or an effect is or may become due.
pub fn is_live(incident: &Incident) -> bool {
    incident.status != IncidentStatus::Resolved
        || !is_quiet(incident)
        || wake_at(incident).is_some()
        || needs_postmortem(incident)
}

/// Whether an alert opened the incident and it is unresolved.
fn follows_alerts(incident: &Incident) -> bool {
    matches!(incident.opened.by, Actor::Sender { .. }) && incident.status != IncidentStatus::Resolved
}

/// Whether no run and no undo is in progress.
fn is_quiet(incident: &Incident) -> bool {
    incident.live_runs().next().is_none() && !incident.runs.iter().any(Run::is_undoing)
}

/// Whether the engine resolves the incident. An incident that an alert opened ends when its alerts have been quiet for long
/// enough and no run is in progress; maintenance ends with its runs.
fn needs_resolution(incident: &Incident, now: Timestamp) -> bool {
    if incident.is_maintenance() {
        return incident.status != IncidentStatus::Resolved && is_quiet(incident) && !incident.runs.is_empty();
    }
    follows_alerts(incident) && is_quiet(incident) && incident.alerts.quiet_until().is_some_and(|until| until <= now)
}

fn resolution_summary(incident: &Incident) -> &'static str {
    let all_well = incident.runs.iter().all(|run| run.status == RunStatus::Ended(RunOutcome::Succeeded));
    match (incident.is_maintenance(), all_well) {
        (false, _) => "every alert is resolved",
        (true, true) => "the work is done",
        (true, false) => "the work has ended, and not all of it is done",
    }
}

/// Whether a draft is to be written: the runs are over, and the log has facts that the last draft lacks.
fn needs_postmortem(incident: &Incident) -> bool {
    let over = match incident.status {
        IncidentStatus::Resolved => !incident.live_runs().any(Run::is_at_work),
        // These incidents get a draft when they are resolved. Before that, each alert would cause another draft.
        IncidentStatus::Open | IncidentStatus::Acknowledged
            if follows_alerts(incident) || incident.is_maintenance() =>
        {
            false
        }
        IncidentStatus::Open | IncidentStatus::Acknowledged => incident.live_runs().next().is_none(),
    };
    let over = over && !incident.runs.iter().any(Run::is_undoing);
    let stale = incident.draft.as_ref().is_none_or(|draft| draft.seq < incident.material);
    over && stale && !incident.runs.is_empty()
}
