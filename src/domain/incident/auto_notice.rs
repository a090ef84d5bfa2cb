//! Notices that the engine sends: to stakeholders when nobody else has, and to responders when a deadline is at risk.
//!
//! **Invariant:** a notice states only what is in the log, and says that the engine wrote it. The runbook's own text is used only
//! when every step that it refers to is done.

use super::Incident;
use super::deadline::Deadline;
use super::event::{Event, Gate, MessageEvent};
use super::message::{NoticeCause, of_spec};
use super::run::Run;
use super::step::StepStatus;
use super::template_scope;
use crate::domain::core::id::StepKey;
use crate::domain::core::text::one_line;
use crate::domain::core::time::stamp;
use crate::domain::runbook::{Action, Step, StepBody};
use crate::domain::template::expression;

/// The longest phrase of another that is taken into a notice, in characters.
const PHRASE_LIMIT: usize = 200;

/// The notice that keeps a deadline when nobody has told stakeholders; none where nobody is to be told.
pub fn fallback(incident: &Incident, deadline: &Deadline) -> Option<Event> {
    let owing = notifying_step(incident, &deadline.name);
    let own = owing.and_then(|(run, step, action)| runbook_text(incident, run, step, action));
    let declared = || owing.map(|(_, _, action)| of_spec(&action.spec).1).filter(|to| !to.iter().any(|to| is_open(to)));
    let (text, to, built_in) = match own {
        Some((text, to)) => (text, to, false),
        None => (default_text(incident, deadline), declared().unwrap_or_else(|| stakeholders(incident)), true),
    };
    let cause = NoticeCause::Fallback { deadline: deadline.name.clone(), built_in };
    notice(incident, cause, to, text)
}

/// The notice to those who hear when a deadline comes near, or is missed.
pub fn escalation(incident: &Incident, deadline: &Deadline, missed: bool) -> Option<Event> {
    let (name, due) = (deadline.name.clone(), stamp(deadline.due));
    let what = match deadline.role() {
        Some(role) => format!("nobody has taken the role {role}"),
        None if deadline.repeats() => "stakeholders wait for the next word".to_owned(),
        None => format!("`{name}` is not done"),
    };
    let (cause, when) = match missed {
        true => (NoticeCause::Missed { deadline: name.clone() }, format!("missed at {due}")),
        false => (NoticeCause::Warning { deadline: name.clone() }, format!("is due {due}")),
    };
    let text = format!("{}\nDeadline {name} {when}: {what}.\n{}", headline(incident), waits(incident));
    notice(incident, cause, deadline.escalate().to_vec(), text)
}

/// Where stakeholders are told: where the runbook tells them, else where the estate has alerts told.
pub fn stakeholders(incident: &Incident) -> Vec<String> {
    let rules = incident.deadlines.iter().filter_map(|deadline| deadline.rule.as_ref());
    let declared = rules.filter(|rule| rule.repeats && !rule.to.is_empty()).map(|rule| rule.to.clone()).next();
    let told = || {
        let mut steps = incident.runs.iter().flat_map(|run| run.runbook.all_steps());
        let to =
            steps.find_map(|step| message(step).filter(|_| step.meets.is_some())).map(|action| of_spec(&action.spec).1);
        to.filter(|to| !to.iter().any(|to| is_open(to)))
    };
    declared
        .or_else(told)
        .unwrap_or_else(|| incident.runs.last().map(|run| run.estate.alerts.notify.clone()).unwrap_or_default())
}

/// A person's word to stakeholders.
pub fn update(incident: &Incident, words: &str) -> Option<Event> {
    let text = format!("{}\n{words}", headline(incident));
    notice(incident, NoticeCause::Update, stakeholders(incident), text)
}

fn notice(incident: &Incident, cause: NoticeCause, to: Vec<String>, text: String) -> Option<Event> {
    (!to.is_empty())
        .then(|| Event::Message(MessageEvent::NoticeOwed { notice: incident.next_notice(), cause, to, text }))
}

/// The first message of a runbook that meets a deadline.
fn notifying_step<'a>(incident: &'a Incident, deadline: &str) -> Option<(&'a Run, &'a Step, &'a Action)> {
    incident.runs.iter().find_map(|run| {
        let steps = run.runbook.all_steps();
        let step = steps.into_iter().find(|step| step.meets.as_deref() == Some(deadline) && message(step).is_some())?;
        Some((run, step, message(step)?))
    })
}

/// Whether a deadline is met by a message and somebody is to be told, so that the engine can keep it.
pub fn is_notified(incident: &Incident, deadline: &Deadline) -> bool {
    let declared = deadline.rule.as_ref().is_some_and(|rule| rule.fallback_at.is_some());
    match notifying_step(incident, &deadline.name) {
        Some((_, _, action)) => !of_spec(&action.spec).1.is_empty(),
        None => declared && !stakeholders(incident).is_empty(),
    }
}

fn message(step: &Step) -> Option<&Action> {
    match &step.body {
        StepBody::Action(action) if action.is_message() => Some(action),
        _ => None,
    }
}

/// The runbook's own words, where everything that they speak of is known.
fn runbook_text(incident: &Incident, run: &Run, step: &Step, action: &Action) -> Option<(String, Vec<String>)> {
    let mut sources = Vec::new();
    crate::domain::template::values::gather(&action.spec, &mut sources);
    let known = sources.iter().all(|source| {
        let named = expression::references(source).unwrap_or_default();
        named.iter().all(|reference| match reference.path.strip_prefix("steps.") {
            Some(rest) => {
                let id = rest.split('.').next().unwrap_or_default();
                matches!(run.standing(&StepKey::main(id)), StepStatus::Concluded(_))
            }
            None => reference.path != "item",
        })
    });
    let key = StepKey::main(step.id.clone());
    let rendered = template_scope::action(incident, run, &key, action).ok().filter(|_| known)?;
    let (text, to) = of_spec(&rendered.spec);
    (!text.trim().is_empty() && !to.is_empty()).then_some((text, to))
}

/// Our own words: what is known, and nothing more.
fn default_text(incident: &Incident, deadline: &Deadline) -> String {
    format!(
        "{}\nNobody has told stakeholders yet, so runbook does it: the time to do so ends {}.\n{}\n{}",
        headline(incident),
        stamp(deadline.due),
        done(incident),
        waits(incident),
    )
}

fn headline(incident: &Incident) -> String {
    let (severity, place) = (incident.severity, &incident.environment);
    let title = one_line(&incident.title, PHRASE_LIMIT);
    format!("{severity} in {place}: {title} ({}), opened {}.", incident.id, stamp(incident.opened.at))
}

fn done(incident: &Incident) -> String {
    let (mut all, mut done) = (0, 0);
    for run in &incident.runs {
        all += run.runbook.all_steps().len();
        let is_main = |key: &&StepKey| **key == StepKey::main(key.id.clone());
        let over = |key: &&StepKey| matches!(run.standing(key), StepStatus::Concluded(_));
        done += run.order.iter().filter(is_main).filter(over).count();
    }
    format!("{done} of {all} steps are done.")
}

/// What is waited for.
fn waits(incident: &Incident) -> String {
    let waiting = incident.waiting_for_person();
    let Some((_, key, gate)) = waiting.first() else {
        return "Nothing waits for a person.".to_owned();
    };
    let what = match gate {
        Gate::Ask { prompt, .. } => prompt.as_str(),
        Gate::Manual { instruction } => instruction.lines().next().unwrap_or_default(),
        Gate::Approve { change, .. } => change.what.as_str(),
        Gate::Failure { error } => error.as_str(),
        Gate::Unclear { detail } => detail.as_str(),
        Gate::Timer { .. } => "",
    };
    format!("It waits for a person at {key}: {}", one_line(what, PHRASE_LIMIT))
}

fn is_open(name: &str) -> bool {
    expression::is_template(name)
}
