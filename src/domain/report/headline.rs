//! The headline of an incident: its state and what a person should do next. Every interface begins with it.
//!
//! **Invariant:** each text is one line, whatever the log contains.

use super::timeline;
use crate::domain::core::id::{RunId, StepKey};
use crate::domain::core::text::one_line;
use crate::domain::incident::event::Gate;
use crate::domain::incident::step::StepStatus;
use crate::domain::incident::{Incident, IncidentStatus};

/// The longest line, in characters.
const LINE_LIMIT: usize = 150;
/// The longest step name or description of a change, in characters.
const NAME_LIMIT: usize = 56;
/// The most running steps that are named.
const RUNNING_LIMIT: usize = 5;

/// The state of the incident, for people.
pub fn state(incident: &Incident) -> &'static str {
    match incident.status {
        IncidentStatus::Resolved => "resolved",
        _ if !incident.waiting_for_person().is_empty() => "needs you",
        IncidentStatus::Open => "open",
        IncidentStatus::Acknowledged => "in hand",
    }
}

/// What a person should do next.
pub fn next(incident: &Incident) -> String {
    if incident.status == IncidentStatus::Resolved {
        return match (&incident.completed, &incident.draft) {
            (Some(_), _) => "nothing, the post-mortem is complete".to_owned(),
            (None, Some(draft)) => format!("complete the post-mortem, {}", draft.path),
            (None, None) => "the post-mortem".to_owned(),
        };
    }
    if let Some((run, step, gate)) = incident.waiting_for_person().into_iter().next() {
        return to_do(incident, run, step, gate);
    }
    let running: Vec<String> = running_steps(incident).take(RUNNING_LIMIT).collect();
    if !running.is_empty() {
        return format!("nothing for you, this is being done: {}", running.join(", "));
    }
    match incident.proposals.first() {
        Some(proposal) => format!("start {}, since {}", proposal.runbook, one_line(&proposal.reason, LINE_LIMIT)),
        None if incident.live_runs().next().is_some() => "nothing for you, it goes on by itself".to_owned(),
        None => "resolve it when the problem is solved".to_owned(),
    }
}

/// What a person has to do at a closed gate.
pub fn to_do(incident: &Incident, run: RunId, step: &StepKey, gate: &Gate) -> String {
    let name = || name(incident, run, step);
    let text = match gate {
        Gate::Ask { prompt, .. } => format!("answer: {prompt}"),
        Gate::Manual { instruction } => format!("by hand: {instruction}"),
        Gate::Approve { change, .. } => format!("agree to: {}", on(incident, &change.what)),
        Gate::Failure { error } => format!("decide, since {} failed: {error}", name()),
        Gate::Unclear { .. } => format!("say whether {} happened", name()),
        Gate::Timer { .. } => "wait".to_owned(),
    };
    one_line(&text, LINE_LIMIT)
}

/// A change with its environment, such as "restart shop-gateway on production". It has no `.service` and no back-ticks, because a
/// button has little space and shows no code.
pub fn on(incident: &Incident, what: &str) -> String {
    let what = one_line(what, NAME_LIMIT).replace(".service", "").replace('`', "");
    let place = &incident.environment;
    if what.contains(place.as_str()) { what } else { format!("{what} on {place}") }
}

/// The name of a step for people; without one, its key.
pub fn name(incident: &Incident, run: RunId, key: &StepKey) -> String {
    let name = incident.run(run).and_then(|run| timeline::name(incident, run, key));
    name.map_or_else(|| key.to_string(), |name| one_line(&name, NAME_LIMIT))
}

fn running_steps(incident: &Incident) -> impl Iterator<Item = String> {
    let steps = incident.live_runs().flat_map(|run| run.steps.iter().map(move |(key, state)| (run.id, key, state)));
    let running = steps.filter(|(_, _, state)| state.status == StepStatus::Running);
    running.map(|(run, key, _)| name(incident, run, key))
}
