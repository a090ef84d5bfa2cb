//! What the world is owed, from state alone: so carrying on after a crash is the ordinary path.
//!
//! **Invariant:** nothing here remembers what was asked for before. Each effect is owed until the fact that
//! extinguishes it is in the log.

use serde_json::{Map, Value};

use self::walk::Walk;
use super::deadline::DeadlineStatus;
use super::decide::resolution;
use super::event::{Actor, Conclusion, Event, Gate};
use super::id::{RunId, StepKey};
use super::incident::{Incident, IncidentStatus};
use super::plan::{Attempt, RenderedAction};
use super::run::Run;
use super::runbook::DeadlineFrom;
use super::step::Standing;
use super::time::{Span, Timestamp};

mod body;
mod walk;

/// How long a reading may take unless the step says otherwise.
pub const READ_TIMEOUT: Span = Span::seconds(60);
/// How long a change may take unless the step says otherwise: a slow stop takes systemd 90 s.
pub const CHANGE_TIMEOUT: Span = Span::seconds(300);
/// The longest pause between two attempts: doubling stops here.
pub const BACKOFF_LIMIT: Span = Span::seconds(600);

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
    /// The post-mortem draft; extinguished by `PostmortemWritten`.
    WritePostmortem,
}

/// A change that a person has to agree to.
#[derive(Debug, Clone, PartialEq)]
pub struct Confirmation {
    /// The run.
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
}

/// What the world is owed.
pub fn due(incident: &Incident, now: Timestamp) -> Vec<Effect> {
    let mut effects: Vec<Effect> = deadlines(incident, now).into_iter().map(Effect::Record).collect();
    if owes_resolution(incident, now) {
        let summary = Some("every alert is resolved".to_owned());
        effects.extend(resolution(incident, summary, now).into_iter().map(Effect::Record));
    }
    for run in &incident.runs {
        effects.append(&mut Walk::of(incident, run, now));
    }
    if owes_postmortem(incident) {
        effects.push(Effect::WritePostmortem);
    }
    effects
}

/// When to ask again; none when only an event can change what is due.
pub fn wake_at(incident: &Incident) -> Option<Timestamp> {
    let deadlines = incident.deadlines.iter().filter_map(super::deadline::Deadline::wake_at);
    let steps = incident.runs.iter().flat_map(|run| run.steps.values()).filter_map(|state| match &state.standing {
        Standing::Ready { at } | Standing::Waiting(Gate::Timer { until: at }) => Some(*at),
        _ => None,
    });
    let quiet = incident.alerts.quiet_until().filter(|_| follows_alerts(incident) && is_quiet(incident));
    deadlines.chain(steps).chain(quiet).min()
}

/// Whether something may be owed without a further event.
pub fn is_live(incident: &Incident) -> bool {
    incident.status != IncidentStatus::Resolved
        || !is_quiet(incident)
        || wake_at(incident).is_some()
        || owes_postmortem(incident)
}

/// Whether an alert opened it, and nobody has said that it is over.
fn follows_alerts(incident: &Incident) -> bool {
    matches!(incident.opened.by, Actor::Sender { .. }) && incident.status != IncidentStatus::Resolved
}

/// Whether nothing is being done.
fn is_quiet(incident: &Incident) -> bool {
    incident.live_runs().next().is_none() && !incident.runs.iter().any(Run::is_undoing)
}

/// An incident that alerts opened is over when none of them has fired for a while and nothing is being done.
fn owes_resolution(incident: &Incident, now: Timestamp) -> bool {
    follows_alerts(incident) && is_quiet(incident) && incident.alerts.quiet_until().is_some_and(|until| until <= now)
}

/// A draft is owed when the work is over and something has happened since the last one.
fn owes_postmortem(incident: &Incident) -> bool {
    let over = match incident.status {
        IncidentStatus::Resolved => !incident.live_runs().any(Run::is_at_work),
        // A storm would have it written again and again.
        IncidentStatus::Open | IncidentStatus::Acknowledged if follows_alerts(incident) => false,
        IncidentStatus::Open | IncidentStatus::Acknowledged => incident.live_runs().next().is_none(),
    };
    let over = over && !incident.runs.iter().any(Run::is_undoing);
    let stale = incident.draft.as_ref().is_none_or(|draft| draft.seq < incident.material);
    over && stale && !incident.runs.is_empty()
}

/// What deadlines owe the log. A deadline that was kept is met, however late it is noticed.
fn deadlines(incident: &Incident, now: Timestamp) -> Vec<Event> {
    let mut events = Vec::new();
    for deadline in incident.deadlines.iter().filter(|deadline| deadline.is_open()) {
        let met = met_at(incident, &deadline.name, deadline.from);
        match met {
            Some((at, step)) if at <= deadline.due || deadline.status == DeadlineStatus::Missed => {
                events.push(Event::DeadlineMet { name: deadline.name.clone(), met_at: at, step });
            }
            _ => events.extend(deadline.owed(now)),
        }
    }
    events
}

fn met_at(incident: &Incident, name: &str, from: DeadlineFrom) -> Option<(Timestamp, Option<StepKey>)> {
    if from == DeadlineFrom::Resolved {
        return incident.completed.as_ref().map(|mark| (mark.at, None));
    }
    let meeting = incident.runs.iter().flat_map(|run| {
        run.runbook.all_steps().into_iter().filter(|step| step.meets.as_deref() == Some(name)).filter_map(|step| {
            let key = StepKey::main(step.id.clone());
            let state = run.state(&key)?;
            let at = state.concluded_at.filter(|_| state.conclusion() == Some(Conclusion::Succeeded))?;
            Some((at, Some(key)))
        })
    });
    meeting.min_by_key(|(at, _)| *at)
}
