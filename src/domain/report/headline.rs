//! How an incident stands and what is to be done next, in the few words that every face begins with.
//!
//! **Invariant:** each is one line, whatever the log holds.

use super::timeline;
use crate::domain::core::id::{RunId, StepKey};
use crate::domain::core::text::one_line;
use crate::domain::incident::event::Gate;
use crate::domain::incident::step::StepStatus;
use crate::domain::incident::{Incident, IncidentStatus};

/// The most characters of a line.
const LINE: usize = 150;
/// The most characters of a name of a step or of what a change does.
const NAME: usize = 56;
/// The most steps that are named as being done.
const AT_WORK: usize = 5;

/// How it stands.
pub fn state(incident: &Incident) -> &'static str {
    match incident.status {
        IncidentStatus::Resolved => "resolved",
        _ if !incident.waiting_for_person().is_empty() => "needs you",
        IncidentStatus::Open => "open",
        IncidentStatus::Acknowledged => "in hand",
    }
}

/// What somebody who looks at it should do.
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
    let at_work: Vec<String> = at_work(incident).take(AT_WORK).collect();
    if !at_work.is_empty() {
        return format!("nothing for you, this is being done: {}", at_work.join(", "));
    }
    match incident.proposals.first() {
        Some(proposal) => format!("start {}, since {}", proposal.runbook, one_line(&proposal.reason, LINE)),
        None if incident.live_runs().next().is_some() => "nothing for you, it goes on by itself".to_owned(),
        None => "resolve it when the trouble is over".to_owned(),
    }
}

/// What a person is asked to do at a step.
pub fn to_do(incident: &Incident, run: RunId, step: &StepKey, gate: &Gate) -> String {
    let name = || name(incident, run, step);
    let words = match gate {
        Gate::Ask { prompt, .. } => format!("answer: {prompt}"),
        Gate::Manual { instruction } => format!("by hand: {instruction}"),
        Gate::Approve { change, .. } => format!("agree to: {}", on(incident, &change.what)),
        Gate::Failure { error } => format!("decide, since {} failed: {error}", name()),
        Gate::Unclear { .. } => format!("say whether {} happened", name()),
        Gate::Timer { .. } => "wait".to_owned(),
    };
    one_line(&words, LINE)
}

/// "restart shop-gateway on production": the ending that every unit has says nothing, and a button shows no code.
pub fn on(incident: &Incident, what: &str) -> String {
    let what = one_line(what, NAME).replace(".service", "").replace('`', "");
    let place = &incident.environment;
    if what.contains(place.as_str()) { what } else { format!("{what} on {place}") }
}

/// A step as people call it.
pub fn name(incident: &Incident, run: RunId, key: &StepKey) -> String {
    let name = incident.run(run).and_then(|run| timeline::name(incident, run, key));
    name.map_or_else(|| key.to_string(), |name| one_line(&name, NAME))
}

fn at_work(incident: &Incident) -> impl Iterator<Item = String> {
    let steps = incident.live_runs().flat_map(|run| run.steps.iter().map(move |(key, state)| (run.id, key, state)));
    let running = steps.filter(|(_, _, state)| state.standing == StepStatus::Running);
    running.map(|(run, key, _)| name(incident, run, key))
}
