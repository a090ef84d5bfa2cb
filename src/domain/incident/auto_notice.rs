//! Notices: messages to stakeholders that no step sends, and escalations to responders when a deadline is near or missed.
//!
//! **Invariant:** a generated text contains only facts from the log. The runbook's text is used only if every step that it refers
//! to is concluded.

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
use crate::domain::template::values::gather;

/// The longest title or question that a notice contains, in characters.
const PHRASE_LIMIT: usize = 200;

/// The notice that meets a deadline when nobody has notified the stakeholders; none if no channel is known.
pub fn fallback(incident: &Incident, deadline: &Deadline) -> Option<Event> {
    let notifying = notifying_step(incident, &deadline.name);
    let rendered = notifying.and_then(|(run, step, action)| render_message(incident, run, step, action));
    let (text, to, built_in) = match rendered {
        Some((text, to)) => (text, to, false),
        None => {
            let declared = notifying.and_then(|(_, _, action)| literal_channels(action));
            (built_in_text(incident, deadline), declared.unwrap_or_else(|| stakeholders(incident)), true)
        }
    };
    let cause = NoticeCause::Fallback { deadline: deadline.name.clone(), built_in };
    notice(incident, cause, to, text)
}

/// The notice to the channels of a deadline's `escalate`; none if the rule names no channel.
pub fn escalation(incident: &Incident, deadline: &Deadline, missed: bool) -> Option<Event> {
    let (name, due) = (deadline.name.clone(), stamp(deadline.due));
    let what = match deadline.role() {
        Some(role) => format!("nobody has taken the role {role}"),
        None if deadline.repeats() => "stakeholders wait for the next update".to_owned(),
        None => format!("`{name}` is not done"),
    };
    let (cause, when) = match missed {
        true => (NoticeCause::Missed { deadline: name.clone() }, format!("missed at {due}")),
        false => (NoticeCause::Warning { deadline: name.clone() }, format!("is due {due}")),
    };
    let text = format!("{}\nDeadline {name} {when}: {what}.\n{}", headline(incident), waits(incident));
    notice(incident, cause, deadline.escalate().to_vec(), text)
}

/// The stakeholders' channels: those of a repeating deadline, else those of the first message that meets a deadline, else the
/// estate's `alerts.notify`.
pub fn stakeholders(incident: &Incident) -> Vec<String> {
    let rules = incident.deadlines.iter().filter_map(|deadline| deadline.rule.as_ref());
    let declared = rules.filter(|rule| rule.repeats && !rule.to.is_empty()).map(|rule| rule.to.clone()).next();
    let of_step = || {
        let mut steps = incident.runs.iter().flat_map(|run| run.runbook.all_steps());
        literal_channels(steps.find_map(|step| message(step).filter(|_| step.meets.is_some()))?)
    };
    declared
        .or_else(of_step)
        .unwrap_or_else(|| incident.runs.last().map(|run| run.estate.alerts.notify.clone()).unwrap_or_default())
}

/// A person's update to stakeholders; none if no channel is known.
pub fn update(incident: &Incident, text: &str) -> Option<Event> {
    notice(incident, NoticeCause::Update, stakeholders(incident), format!("{}\n{text}", headline(incident)))
}

fn notice(incident: &Incident, cause: NoticeCause, to: Vec<String>, text: String) -> Option<Event> {
    (!to.is_empty())
        .then(|| Event::Message(MessageEvent::NoticeOwed { notice: incident.next_notice(), cause, to, text }))
}

/// The first step that sends a message and meets the deadline.
fn notifying_step<'a>(incident: &'a Incident, deadline: &str) -> Option<(&'a Run, &'a Step, &'a Action)> {
    incident.runs.iter().find_map(|run| {
        let steps = run.runbook.all_steps();
        let step = steps.into_iter().find(|step| step.meets.as_deref() == Some(deadline) && message(step).is_some())?;
        Some((run, step, message(step)?))
    })
}

/// Whether the engine can notify stakeholders to meet the deadline. Either a step's message meets it and has channels, or its rule
/// has a `fallback_at` and the stakeholders' channels are known.
pub fn can_notify(incident: &Incident, deadline: &Deadline) -> bool {
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

/// The channels of a message, if none of them is a template.
fn literal_channels(action: &Action) -> Option<Vec<String>> {
    let channels = of_spec(&action.spec).1;
    (!channels.iter().any(|channel| expression::is_template(channel))).then_some(channels)
}

/// The text and channels of a step's message; none unless every step that its templates refer to is concluded.
fn render_message(incident: &Incident, run: &Run, step: &Step, action: &Action) -> Option<(String, Vec<String>)> {
    let mut sources = Vec::new();
    gather(&action.spec, &mut sources);
    let is_complete = sources.iter().all(|source| {
        let references = expression::references(source).unwrap_or_default();
        references.iter().all(|reference| match reference.path.strip_prefix("steps.") {
            Some(rest) => {
                let id = rest.split('.').next().unwrap_or_default();
                matches!(run.step_status(&StepKey::main(id)), StepStatus::Concluded(_))
            }
            None => reference.path != "item",
        })
    });
    let key = StepKey::main(step.id.clone());
    let rendered = template_scope::action(incident, run, &key, action).ok().filter(|_| is_complete)?;
    let (text, to) = of_spec(&rendered.spec);
    (!text.trim().is_empty() && !to.is_empty()).then_some((text, to))
}

fn built_in_text(incident: &Incident, deadline: &Deadline) -> String {
    format!(
        "{}\nNo update has been sent yet, so runbook sends this one. It is due by {}.\n{}\n{}",
        headline(incident),
        stamp(deadline.due),
        progress(incident),
        waits(incident),
    )
}

fn headline(incident: &Incident) -> String {
    let (severity, place) = (incident.severity, &incident.environment);
    let title = one_line(&incident.title, PHRASE_LIMIT);
    format!("{severity} in {place}: {title} ({}), opened {}.", incident.id, stamp(incident.opened.at))
}

/// How many steps of all runs are concluded.
fn progress(incident: &Incident) -> String {
    let (mut all, mut done) = (0, 0);
    for run in &incident.runs {
        all += run.runbook.all_steps().len();
        let is_main = |key: &&StepKey| **key == StepKey::main(key.id.clone());
        let is_concluded = |key: &&StepKey| matches!(run.step_status(key), StepStatus::Concluded(_));
        done += run.order.iter().filter(is_main).filter(is_concluded).count();
    }
    format!("{done} of {all} steps are done.")
}

/// The first gate that waits for a person.
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
