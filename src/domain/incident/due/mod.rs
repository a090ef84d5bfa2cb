//! Pending effects, from state alone; so resuming after a crash is the normal path.
//!
//! **Invariant:** nothing here remembers earlier requests. An effect stays pending until the event that completes it is in the log.

use serde_json::{Map, Value};

use self::position::Walk;
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
mod position;
mod step;

pub use self::step::occasion;

/// Something that the world is owed.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// A fact that follows from the state; extinguished by being recorded.
    Record(Event),
    /// A person has to agree to a change; extinguished by `Asked`.
    Ask(Box<Confirmation>),
    /// An attempt; extinguished by `StepStarted`, then `StepEnded`.
    Perform {
        /// The run.
        run: RunId,
        /// The attempt.
        attempt: Box<Attempt>,
    },
    /// An attempt has begun and not ended: whoever makes it goes on; else the world is asked what became of it.
    Settle {
        /// The run.
        run: RunId,
        /// The step.
        step: StepKey,
        /// Whether the run goes no further, so that whoever makes it should stop.
        halt: bool,
    },
    /// One try to deliver a message; extinguished by `Notified`, and put off by `NotifyFailed`.
    Deliver(Box<PendingDelivery>),
    /// A further run of the same incident; extinguished by its `RunStarted`.
    StartRun {
        /// The run that starts it.
        run: RunId,
        /// The step that starts it.
        step: StepKey,
        /// The runbook's id.
        runbook: String,
        /// Its parameters.
        params: Map<String, Value>,
    },
    /// The post-mortem draft or the report; extinguished by `PostmortemWritten` or `ReportWritten`.
    WritePostmortem,
}

/// One try to deliver a message by one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingDelivery {
    /// The message.
    pub id: MessageId,
    /// The channel that it is for.
    pub target: String,
    /// The channel that it goes to: the same, or a fallback of it.
    pub channel: String,
    /// What it says.
    pub text: String,
    /// Since when it is owed.
    pub owed_at: Timestamp,
}

/// A change that a person has to agree to.
#[derive(Debug, Clone, PartialEq)]
pub struct Confirmation {
    pub run: RunId,
    /// The step.
    pub step: StepKey,
    /// Any of these roles; empty means anybody.
    pub by: Vec<String>,
    /// Exactly what would run.
    pub action: RenderedAction,
    /// Its digest.
    pub digest: String,
    /// Why, from the runbook.
    pub why: Option<String>,
    /// How it would be taken back, when the runbook says so.
    pub undo: Option<RenderedAction>,
    /// How many people have to agree.
    pub count: u32,
    /// Whether who started the run does not count.
    pub not_requester: bool,
    /// How long the question stands.
    pub expires: Option<Span>,
}

/// What the world is owed.
pub fn due(incident: &Incident, now: Timestamp) -> Vec<Effect> {
    let mut effects: Vec<Effect> = deadline::pending(incident, now).into_iter().map(Effect::Record).collect();
    if needs_resolution(incident, now) {
        let summary = Some(resolution_of(incident).to_owned());
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

/// When to ask again; none when only an event can change what is due.
pub fn wake_at(incident: &Incident) -> Option<Timestamp> {
    instants(incident).min()
}

/// When to ask again after `now`, what is owed already being under way.
pub fn wake_after(incident: &Incident, now: Timestamp) -> Option<Timestamp> {
    instants(incident).filter(|at| *at > now).min()
}

/// Every instant at which something may be owed without a further event.
fn instants(incident: &Incident) -> impl Iterator<Item = Timestamp> {
    let deadlines = deadline::instants(incident);
    let states = incident.runs.iter().flat_map(|run| {
        let reached = position::reached(run);
        let is_reached = move |key: &StepKey| reached.as_ref().is_none_or(|ids| ids.contains(&key.id.as_str()));
        run.steps.iter().filter(move |(key, _)| key.part == StepPart::Undo || is_reached(key)).map(|(_, state)| state)
    });
    let steps = states.filter_map(|state| match &state.standing {
        StepStatus::Ready { at } | StepStatus::Waiting(Gate::Timer { until: at }) => Some(*at),
        StepStatus::Waiting(Gate::Approve { expires_at, .. }) => *expires_at,
        StepStatus::Running => state.attempt.as_ref().filter(|attempt| attempt.action.is_message())?.deadline,
        _ => None,
    });
    let quiet = incident.alerts.quiet_until().filter(|_| follows_alerts(incident) && is_quiet(incident));
    deadlines.chain(steps).chain(quiet).chain(message::instants(incident))
}

/// Whether something may be owed without a further event.
pub fn is_live(incident: &Incident) -> bool {
    incident.status != IncidentStatus::Resolved
        || !is_quiet(incident)
        || wake_at(incident).is_some()
        || needs_postmortem(incident)
}

/// Whether an alert opened it, and nobody has said that it is over.
fn follows_alerts(incident: &Incident) -> bool {
    matches!(incident.opened.by, Actor::Sender { .. }) && incident.status != IncidentStatus::Resolved
}

/// Whether nothing is being done.
fn is_quiet(incident: &Incident) -> bool {
    incident.live_runs().next().is_none() && !incident.runs.iter().any(Run::is_undoing)
}

/// An incident that alerts opened is over when none of them has fired for a while and nothing is being done; planned work
/// when its runs are.
fn needs_resolution(incident: &Incident, now: Timestamp) -> bool {
    if incident.is_maintenance() {
        return incident.status != IncidentStatus::Resolved && is_quiet(incident) && !incident.runs.is_empty();
    }
    follows_alerts(incident) && is_quiet(incident) && incident.alerts.quiet_until().is_some_and(|until| until <= now)
}

fn resolution_of(incident: &Incident) -> &'static str {
    let all_well = incident.runs.iter().all(|run| run.status == RunStatus::Ended(RunOutcome::Succeeded));
    match (incident.is_maintenance(), all_well) {
        (false, _) => "every alert is resolved",
        (true, true) => "the work is done",
        (true, false) => "the work has ended, and not all of it is done",
    }
}

/// A draft is owed when the work is over and something has happened since the last one.
fn needs_postmortem(incident: &Incident) -> bool {
    let over = match incident.status {
        IncidentStatus::Resolved => !incident.live_runs().any(Run::is_at_work),
        // A storm would have it written again and again.
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
