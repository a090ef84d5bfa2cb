//! The text of each event.
//!
//! **Invariant:** [`of`] names every event. A new event does not compile until it has a text.

#![deny(clippy::wildcard_enum_match_arm)]

use serde_json::Value;

use super::TimelineReader;
use super::line::{Phrase, Sign, because};
use crate::domain::core::id::{RunId, StepKey};
use crate::domain::core::time::{Span, Timestamp, stamp};
use crate::domain::incident::Incident;
use crate::domain::incident::event::{
    Actor, Conclusion, Event, Gate, IncidentEvent, Mode, Parent, Reconciliation, Recorded, RunEvent, RunOutcome,
    SkipReason, StepEvent, StopCause,
};
use crate::domain::incident::outcome::{Outcome, Verdict};

/// The text of an event; `reader` is at the state before it.
pub(super) fn of(reader: &mut TimelineReader, recorded: &Recorded) -> Phrase {
    match &recorded.event {
        Event::Incident(event) => incident(reader.incident(), event, recorded.at),
        Event::Alert(event) => super::alert::of(reader, event),
        Event::Deadline(event) => super::deadline::of(reader, event, recorded.at),
        Event::Role(event) => super::people::role(reader.incident(), event, recorded.by.name()),
        Event::Message(event) => super::people::message(reader.incident(), event),
        Event::Run(event) => run(reader, event, recorded.at),
        Event::Step(event) => step(reader, event, &recorded.by),
    }
}

/// The text of an event of the incident itself; `before` is the incident before the event.
fn incident(before: Option<&Incident>, event: &IncidentEvent, at: Timestamp) -> Phrase {
    match event {
        IncidentEvent::Opened { title, severity, environment, detected_at, .. } => {
            let noticed = |then| format!("first noticed {}, {} before", stamp(then), Span::between(then, at));
            Phrase::notable(Sign::Incident, format!("opened {severity} in {environment}: {title}"))
                .detail(detected_at.map(noticed))
        }
        IncidentEvent::Acknowledged => Phrase::notable(Sign::Incident, "acknowledged"),
        IncidentEvent::NoteAdded { text } => Phrase::notable(Sign::Statement, format!("note: {text}")),
        IncidentEvent::SeverityChanged(to) => super::people::severity_changed(before, *to),
        IncidentEvent::RunProposed(proposal) => super::alert::proposed(proposal),
        IncidentEvent::OccurrenceSkipped(skipped) => super::schedule::skipped(skipped),
        IncidentEvent::Resolved { summary: Some(summary) } => {
            Phrase::notable(Sign::Incident, format!("resolved: {summary}"))
        }
        IncidentEvent::Resolved { summary: None } => Phrase::notable(Sign::Incident, "resolved"),
        IncidentEvent::PostmortemWritten { path, .. } => {
            Phrase::quiet(Sign::Internal, format!("post-mortem draft: {path}"))
        }
        IncidentEvent::ReportWritten { path, .. } => Phrase::quiet(Sign::Internal, format!("report: {path}")),
        IncidentEvent::PostmortemCompleted => Phrase::notable(Sign::Incident, "post-mortem completed"),
    }
}

fn run(reader: &mut TimelineReader, event: &RunEvent, at: Timestamp) -> Phrase {
    match event {
        RunEvent::Started { run, runbook, params, mode, parent, schedule, .. } => {
            let title = format!("{} ({})", runbook.id, runbook.title);
            let phrase = started(*run, &title, params, *mode, parent.as_ref());
            schedule.iter().fold(phrase, |phrase, occurrence| super::schedule::due(phrase, occurrence, at))
        }
        RunEvent::Stopping { run, cause } => stopping(reader, *run, cause),
        RunEvent::Ended { run, outcome } => ended(reader, *run, *outcome),
    }
}

fn step(reader: &mut TimelineReader, event: &StepEvent, by: &Actor) -> Phrase {
    match event {
        StepEvent::Asked { run, step, gate } => asked(&reader.name(*run, step), gate),
        StepEvent::Answered { run, step, answer } => answered(reader, by, *run, step, answer),
        StepEvent::Approved { run, step, .. } => {
            let what = change(reader, *run, step);
            Phrase::notable(Sign::Statement, format!("approved: {what}{}", missing_approvals(reader, *run, step)))
        }
        StepEvent::Denied { run, step, reason } => {
            let what = change(reader, *run, step);
            Phrase::notable(Sign::Statement, format!("denied: {what}{}", because(reason)))
        }
        StepEvent::UndoRequested { run, step } => {
            Phrase::notable(Sign::Statement, format!("wants to take back: {}", reader.name(*run, step)))
        }
        StepEvent::Expanded { run, step, items } => expanded(&reader.name(*run, step), items.as_ref()),
        StepEvent::Skipped { run, step, reason } => skipped(&reader.name(*run, step), reason),
        StepEvent::Started { run, step, attempt, action, .. } => {
            let name = reader.name(*run, step);
            let detail = format!("{} {}", action.kind, action.spec);
            Phrase::quiet(Sign::Begun, of_step(&name, &format!("begun{}", attempt_suffix(*attempt)))).detail(detail)
        }
        StepEvent::Ended { run, step, attempt, outcome } => {
            // The entries of the deliveries already show the result.
            let is_repeated =
                matches!(outcome.verdict, Verdict::Succeeded | Verdict::Failed) && reader.has_delivery(*run, step);
            let phrase = outcome_of(&reader.name(*run, step), *attempt, outcome);
            Phrase { notable: !is_repeated, ..phrase }
        }
        StepEvent::Reconciled { run, step, finding, .. } => reconciled(&reader.name(*run, step), finding),
        StepEvent::RetryScheduled { run, step, at } => {
            let text = format!("{}: tried again at {}", reader.name(*run, step), clock_time(*at));
            let by_person = matches!(by, Actor::Person { .. });
            Phrase { notable: by_person, ..Phrase::quiet(Sign::Begun, text) }
        }
        StepEvent::Concluded { run, step, conclusion, reason } => {
            concluded(reader, *run, step, *conclusion, reason.as_deref())
        }
    }
}

fn started(
    run: RunId,
    title: &str,
    params: &serde_json::Map<String, Value>,
    mode: Mode,
    parent: Option<&Parent>,
) -> Phrase {
    let mode = match mode {
        Mode::Step => "asking before every step",
        Mode::Guided => "asking before every change",
        Mode::Auto => "asking only what nobody else can decide",
        Mode::Unattended => "asking before every change that may not happen by itself",
    };
    let with: Vec<String> = params.iter().map(|(name, value)| format!("{name}={}", plain(value))).collect();
    let with = if with.is_empty() { String::new() } else { format!(" with {}", with.join(" ")) };
    let from = parent.map(|parent| format!(", from step {} of run {}", parent.step, parent.run)).unwrap_or_default();
    Phrase::notable(Sign::Begun, format!("run {run}: {title} began{with}{from}")).detail(mode.to_owned())
}

fn stopping(reader: &mut TimelineReader, run: RunId, cause: &StopCause) -> Phrase {
    let why = match cause {
        StopCause::Cancelled { reason } => format!("cancelled{}", because(reason)),
        StopCause::StepFailed { step } => format!("{} failed", reader.name(run, step)),
    };
    Phrase::notable(Sign::Skipped, format!("run {run} goes no further: {why}"))
}

fn ended(reader: &TimelineReader, run: RunId, outcome: RunOutcome) -> Phrase {
    let name = reader.run(run).map_or_else(String::new, |run| format!(" ({})", run.runbook.id));
    let (sign, how) = match outcome {
        RunOutcome::Succeeded => (Sign::Done, "every step done"),
        RunOutcome::Failed => (Sign::Failed, "a step failed"),
        RunOutcome::Cancelled => (Sign::Skipped, "stopped by a person"),
    };
    Phrase::notable(sign, format!("run {run}{name} ended: {how}"))
}

/// The text of a closed gate. It is quiet, because the answer repeats it; an unclear attempt is notable.
fn asked(name: &str, gate: &Gate) -> Phrase {
    match gate {
        Gate::Ask { prompt, choices, suggest, .. } => {
            let choices = if choices.is_empty() { String::new() } else { format!(" ({})", choices.join(", ")) };
            let suggest = suggest.as_ref().map(|suggest| format!("the evidence suggests: {suggest}"));
            Phrase::quiet(Sign::Question, format!("asked: {prompt}{choices}")).detail(suggest)
        }
        Gate::Manual { instruction } => Phrase::quiet(Sign::Question, format!("to be done by hand: {instruction}")),
        Gate::Approve { by, change, count, .. } => {
            let by = if by.is_empty() { String::new() } else { format!(" by {}", by.join(" or ")) };
            let by = if *count > 1 { format!(" of {count} people{by}") } else { by };
            let at = if change.place.is_empty() { String::new() } else { format!(" ({})", change.place) };
            Phrase::quiet(Sign::Question, format!("approval{by} wanted: {}{at}", change.what))
        }
        Gate::Timer { until } => {
            Phrase::quiet(Sign::Internal, of_step(name, &format!("waits until {}", clock_time(*until))))
        }
        Gate::Failure { error } => {
            Phrase::quiet(Sign::Question, of_step(name, &format!("again, skip or cancel? {error}")))
        }
        Gate::Unclear { detail } => {
            Phrase::notable(Sign::Question, of_step(name, &format!("nobody can say whether it happened: {detail}")))
        }
    }
}

fn answered(reader: &mut TimelineReader, by: &Actor, run: RunId, step: &StepKey, answer: &Value) -> Phrase {
    let name = reader.name(run, step);
    let gate = reader.run(run).and_then(|run| run.state(step)).and_then(|state| state.gate());
    match gate {
        Some(Gate::Timer { .. }) => Phrase::quiet(Sign::Internal, of_step(&name, "the time is over")),
        Some(Gate::Manual { .. }) => {
            let result = if answer.is_null() { String::new() } else { format!(": {}", plain(answer)) };
            Phrase::notable(Sign::Statement, format!("did by hand: {name}{result}"))
        }
        Some(Gate::Unclear { .. }) => {
            Phrase::notable(Sign::Statement, format!("says whether it happened: {name} → {}", plain(answer)))
        }
        Some(Gate::Ask { suggest, .. }) => {
            let automatic = matches!(by, Actor::Engine).then(|| "taken from the evidence, nobody was asked".to_owned());
            let rejected = suggest.as_ref().filter(|suggest| **suggest != plain(answer));
            let rejected = rejected.map(|suggest| format!("the evidence suggested: {suggest}"));
            Phrase::notable(Sign::Statement, format!("{name} → {}", plain(answer))).detail(automatic.or(rejected))
        }
        Some(Gate::Approve { .. } | Gate::Failure { .. }) | None => {
            Phrase::notable(Sign::Statement, format!("{name} → {}", plain(answer)))
        }
    }
}

/// The change that is approved or denied, as the person saw it; without a description, the step's name.
fn change(reader: &mut TimelineReader, run: RunId, step: &StepKey) -> String {
    let gate = reader.run(run).and_then(|run| run.state(step)).and_then(|state| state.gate());
    if let Some(Gate::Approve { change, .. }) = gate
        && !change.what.is_empty()
    {
        return change.what.clone();
    }
    reader.name(run, step)
}

/// How many approvals are missing after this one.
fn missing_approvals(reader: &TimelineReader, run: RunId, step: &StepKey) -> String {
    let gate = reader.run(run).and_then(|run| run.state(step)).and_then(|state| state.gate());
    match gate.map_or(0, |gate| gate.wanted().saturating_sub(1)) {
        0 => String::new(),
        more => format!(" ({more} more wanted)"),
    }
}

fn expanded(name: &str, items: Option<&Vec<Value>>) -> Phrase {
    match items {
        Some(items) => {
            let list: Vec<String> = items.iter().map(plain).collect();
            let many = if list.len() == 1 { "item" } else { "items" };
            Phrase::quiet(Sign::Internal, of_step(name, &format!("for {} {many}", list.len()))).detail(list.join(", "))
        }
        None => Phrase::quiet(Sign::Internal, of_step(name, "begun")),
    }
}

fn skipped(name: &str, reason: &SkipReason) -> Phrase {
    match reason {
        SkipReason::Condition { when } => {
            Phrase::quiet(Sign::Skipped, of_step(name, &format!("skipped, `{when}` is false")))
        }
        SkipReason::AlertResolved => {
            Phrase::notable(Sign::Skipped, of_step(name, "not done, since every alert is resolved"))
        }
        SkipReason::Person { reason } => Phrase::notable(Sign::Skipped, format!("skipped: {name}{}", because(reason))),
    }
}

/// The text of an attempt's end.
fn outcome_of(name: &str, attempt: u32, outcome: &Outcome) -> Phrase {
    let (sign, how) = match outcome.verdict {
        Verdict::Succeeded => (Sign::Done, ""),
        Verdict::Failed => (Sign::Failed, "failed: "),
        Verdict::TimedOut => (Sign::Failed, "timed out: "),
        Verdict::Cancelled => (Sign::Skipped, "stopped: "),
        Verdict::Unknown => (Sign::Failed, "nobody can say how it ended: "),
    };
    Phrase::notable(sign, of_step(name, &format!("{how}{}{}", outcome.summary, attempt_suffix(attempt))))
}

fn reconciled(name: &str, finding: &Reconciliation) -> Phrase {
    const AFTER: &str = "after an interruption";
    match finding {
        Reconciliation::Happened(outcome) => {
            let phrase = outcome_of(name, 1, outcome);
            Phrase { text: format!("{} ({AFTER}: it had happened)", phrase.text), ..phrase }
        }
        Reconciliation::DidNotHappen { detail } => {
            Phrase::notable(Sign::Begun, of_step(name, &format!("{AFTER}: it had not happened{}", because(detail))))
        }
        Reconciliation::CannotTell { detail } => {
            Phrase::notable(Sign::Failed, of_step(name, &format!("{AFTER}: it cannot be told{}", because(detail))))
        }
    }
}

/// The text of a conclusion. It is notable only if it adds a reason to the entry of the attempt.
fn concluded(
    reader: &mut TimelineReader,
    run: RunId,
    step: &StepKey,
    conclusion: Conclusion,
    reason: Option<&str>,
) -> Phrase {
    let name = reader.name(run, step);
    let state = reader.run(run).and_then(|run| run.state(step));
    let summary = state.and_then(|state| state.outcome.as_ref()).map(|outcome| outcome.summary.as_str());
    let has_new_reason = reason.is_some_and(|reason| summary.is_none_or(|summary| !reason.contains(summary)));
    let reason = reason.map(because).unwrap_or_default();
    match conclusion {
        Conclusion::Succeeded => Phrase::quiet(Sign::Done, of_step(&name, &format!("done{reason}"))),
        Conclusion::Skipped => Phrase::quiet(Sign::Skipped, of_step(&name, &format!("skipped{reason}"))),
        Conclusion::Tolerated => {
            let text = of_step(&name, &format!("failed, and the run goes on{reason}"));
            Phrase { notable: has_new_reason, ..Phrase::quiet(Sign::Skipped, text) }
        }
        Conclusion::Failed => {
            let text = of_step(&name, &format!("failed{reason}"));
            Phrase { notable: has_new_reason, ..Phrase::quiet(Sign::Failed, text) }
        }
        Conclusion::Cancelled => Phrase::quiet(Sign::Skipped, of_step(&name, &format!("stopped{reason}"))),
    }
}

/// `name: what`, without the colon if the name ends with a punctuation mark.
fn of_step(name: &str, what: &str) -> String {
    let colon = if name.ends_with(['?', '!', '.', ':']) { "" } else { ":" };
    format!("{name}{colon} {what}")
}

/// ` (attempt 2)`, or nothing for the first attempt.
fn attempt_suffix(attempt: u32) -> String {
    if attempt > 1 { format!(" (attempt {attempt})") } else { String::new() }
}

/// A value for people: text without quotes, lists with commas.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

fn clock_time(at: Timestamp) -> String {
    at.format("%H:%M:%S UTC").to_string()
}
