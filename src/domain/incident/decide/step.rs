//! Commands to one step: answer a question, retry, skip and undo.
//!
//! **Invariant:** a command whose target is not the step's present question and attempt is refused.

use serde_json::Value;

use super::step_verb::StepVerb;
use super::{HAPPENED, required_text};
use crate::domain::core::id::{StepKey, StepPart};
use crate::domain::core::time::Timestamp;
use crate::domain::incident::Incident;
use crate::domain::incident::command::Refused;
use crate::domain::incident::command::target::StepTarget;
use crate::domain::incident::event::{Event, Gate, SkipReason, StepEvent};
use crate::domain::incident::run::Run;

pub(super) fn answer(incident: &Incident, target: &StepTarget, value: &Value) -> Result<Vec<Event>, Refused> {
    let run = current(incident, target, StepVerb::Answer)?;
    let key = &target.step;
    let answer = match run.state(key).and_then(|state| state.gate()) {
        Some(Gate::Ask { choices, many, .. }) => chosen(key, choices, *many, value)?,
        Some(Gate::Unclear { .. }) if value.as_str() != Some(HAPPENED) => {
            return Err(Refused::usage(format!("`{key}` was interrupted, and the question is whether it happened"))
                .hint(format!("Answer `{HAPPENED}`, or type `runbook retry` or `runbook skip`.")));
        }
        Some(Gate::Unclear { .. }) => value.clone(),
        // Work by hand: `current` has refused the other gates.
        _ => Value::Null,
    };
    Ok(vec![Event::Step(StepEvent::Answered { run: run.id, step: key.clone(), answer })])
}

pub(super) fn retry(incident: &Incident, target: &StepTarget, now: Timestamp) -> Result<Vec<Event>, Refused> {
    let run = current(incident, target, StepVerb::Retry)?;
    Ok(vec![Event::Step(StepEvent::RetryScheduled { run: run.id, step: target.step.clone(), at: now })])
}

pub(super) fn skip(incident: &Incident, target: &StepTarget, reason: &str) -> Result<Vec<Event>, Refused> {
    let run = current(incident, target, StepVerb::Skip)?;
    let reason = SkipReason::Person { reason: required_text("reason", reason)? };
    Ok(vec![Event::Step(StepEvent::Skipped { run: run.id, step: target.step.clone(), reason })])
}

pub(super) fn undo(incident: &Incident, target: &StepTarget) -> Result<Vec<Event>, Refused> {
    let run = current(incident, target, StepVerb::Undo)?;
    Ok(vec![Event::Step(StepEvent::UndoRequested { run: run.id, step: target.step.part(StepPart::Undo) })])
}

/// The run of a target, if the target is the present one and the step's state allows the command.
fn current<'a>(incident: &'a Incident, target: &StepTarget, verb: StepVerb) -> Result<&'a Run, Refused> {
    let run = run(incident, target)?;
    unchanged(incident, target)?;
    verb.check(incident, run, &target.step)?;
    Ok(run)
}

/// The run of a target, if it is of this incident and has the step.
pub(super) fn run<'a>(incident: &'a Incident, target: &StepTarget) -> Result<&'a Run, Refused> {
    let StepTarget { incident: id, run, step, .. } = target;
    if *id != incident.id {
        return Err(Refused::usage(format!("the command is for `{id}`, and not for `{}`", incident.id)));
    }
    let found = incident.run(*run).ok_or_else(|| Refused::usage(format!("there is no run {run}")))?;
    if !found.has(step) {
        return Err(Refused::usage(format!("run {run} has no step `{step}`")));
    }
    Ok(found)
}

/// Refuses a target whose attempt or question is not the present one.
pub(super) fn unchanged(incident: &Incident, target: &StepTarget) -> Result<(), Refused> {
    let now = incident.target(target.run, &target.step);
    let (what, present, then) = match (now.attempt == target.attempt, now.question == target.question) {
        (true, true) => return Ok(()),
        (false, _) => ("attempt", now.attempt, target.attempt),
        (true, false) => ("question", now.question, target.question),
    };
    let StepTarget { incident: id, run, step, .. } = target;
    let then = if then == 0 { format!("was made before the first {what}") } else { format!("was for {what} {then}") };
    Err(Refused::usage(format!("`{step}` of run {run} is at {what} {present} now; the command {then}"))
        .hint(format!("Look again: `runbook watch {id}`.")))
}

/// The answer to a question, checked against its choices: one text, or a list if `many` are allowed.
fn chosen(key: &StepKey, choices: &[String], many: bool, value: &Value) -> Result<Value, Refused> {
    let texts: Vec<String> = match value {
        Value::String(text) if many => {
            text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
        }
        Value::Array(items) if many => items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect(),
        Value::String(text) => vec![required_text("answer", text)?],
        other => vec![other.to_string()],
    };
    if let Some(unknown) = texts.iter().find(|text| !choices.is_empty() && !choices.contains(text)) {
        let known: Vec<&str> = choices.iter().map(String::as_str).collect();
        let refused = Refused::usage(format!("`{}` is no answer to `{key}`", unknown.escape_debug()));
        return Err(refused.hint(format!("Answer one of: {}.", known.join(", "))));
    }
    Ok(if many { texts.into() } else { texts.into_iter().next().unwrap_or_default().into() })
}
