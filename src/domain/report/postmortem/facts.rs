//! Facts from the log: results of checks, changes, messages, and services concerned.

#![deny(clippy::wildcard_enum_match_arm)]

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use super::attempt::StepAttempt;
use super::{DeadlineState, Length, Moment, Postmortem, who};
use crate::domain::core::id::{RunId, StepKey, StepPart};
use crate::domain::core::text::{one_line, printable};
use crate::domain::incident::Incident;
use crate::domain::incident::event::{Delivery, Event, Gate, MessageEvent, Recorded};
use crate::domain::incident::outcome::{Outcome, Verdict};
use crate::domain::incident::template_scope;
use crate::domain::report::timeline;
use crate::domain::runbook::{ParamKind, Step, StepBody};

/// The longest name, in characters.
pub(super) const NAME_LIMIT: usize = 100;
/// The longest line of text from outside, in characters.
pub(super) const TEXT_LIMIT: usize = 500;
/// The longest text of a person, in characters.
pub(super) const SUMMARY_LIMIT: usize = 4_000;
/// How many lines of a transcript are shown from its beginning.
const HEAD_LINES: usize = 8;
/// How many lines of a transcript are shown from its end.
const TAIL_LINES: usize = 6;
/// The longest line of a transcript, in characters.
const LINE_LIMIT: usize = 200;

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckedFact {
    /// The step's name.
    pub name: String,
    /// When the attempt ended.
    pub at: Moment,
    /// Whether the check succeeded.
    pub ok: bool,
    /// The outcome on one line.
    pub summary: String,
    /// The beginning and end of the printed output, with a line in place of what was left out.
    pub transcript: Option<String>,
}

/// A change.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChangeFact {
    /// The step's name.
    pub name: String,
    /// The description that people approved; without one, kind and fields.
    pub what: String,
    /// The place in that description.
    #[serde(rename = "where")]
    pub place: Option<String>,
    /// The step's `why`.
    pub why: Option<String>,
    /// The action that ran: its kind, and its fields as JSON.
    pub action: String,
    /// The people who approved.
    pub approved_by: Option<String>,
    /// When the last of them approved.
    pub approved: Option<Moment>,
    pub begun: Moment,
    /// When it ended; none if that is unknown.
    pub ended: Option<Moment>,
    pub took: Option<Length>,
    /// The number of the last attempt, which this is.
    pub attempt: u32,
    /// Whether the action succeeded, before any verification.
    pub ok: bool,
    /// The outcome on one line.
    pub summary: String,
    /// The state that was observed before, as JSON.
    pub before: Option<String>,
    /// The output, as JSON.
    pub after: Option<String>,
    pub check: Option<Verification>,
    pub undone: Option<Verification>,
}

/// The last attempt of a change's verification or undo.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verification {
    /// Whether it succeeded.
    pub ok: bool,
    /// When it ended; none if that is unknown.
    pub at: Option<Moment>,
    /// The outcome on one line.
    pub summary: String,
}

/// An attempt to deliver a message.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MessageFact {
    pub at: Moment,
    pub channel: String,
    /// Why it failed; none if the message was delivered.
    pub error: Option<String>,
}

/// The results of the checks: the last attempt of each, in the order in which they began.
pub(super) fn findings(incident: &Incident, attempts: &[StepAttempt<'_>]) -> Vec<CheckedFact> {
    let checks = last_of_each(attempts).filter(|tried| !tried.action.effect.changes());
    checks
        .filter(|tried| tried.step.part == StepPart::Main)
        .filter_map(|tried| {
            let (at, outcome) = tried.ended?;
            Some(CheckedFact {
                name: name(incident, tried.run, tried.step),
                at,
                ok: outcome.is_success(),
                summary: summary(Some(outcome)),
                transcript: outcome.transcript.as_deref().map(transcript).filter(|text| !text.is_empty()),
            })
        })
        .collect()
}

/// The changes: the last attempt of each. A message is no change.
pub(super) fn changes(incident: &Incident, log: &[Recorded], attempts: &[StepAttempt<'_>]) -> Vec<ChangeFact> {
    let messages: BTreeSet<(RunId, &StepKey)> =
        log.iter().filter_map(|recorded| message_place(&recorded.event)).collect();
    last_of_each(attempts)
        .filter(|tried| tried.action.effect.changes() && tried.step.part == StepPart::Main)
        .filter(|tried| {
            !messages.contains(&(tried.run, tried.step)) && !is_message(step(incident, tried.run, tried.step))
        })
        .map(|tried| change(incident, attempts, tried))
        .collect()
}

fn change(incident: &Incident, attempts: &[StepAttempt<'_>], tried: &StepAttempt<'_>) -> ChangeFact {
    let (ended, outcome) = tried.ended.unzip();
    let action = format!("{}: {}", tried.action.kind, tried.action.spec);
    let description = tried.change.filter(|change| !change.what.is_empty());
    let last = |part: StepPart| {
        let key = tried.step.part(part);
        let other = attempts.iter().rev().find(|other| other.run == tried.run && *other.step == key);
        other.map(verification)
    };
    ChangeFact {
        name: name(incident, tried.run, tried.step),
        what: one_line(description.map_or(action.as_str(), |change| change.what.as_str()), TEXT_LIMIT),
        place: description.map(|change| one_line(&change.place, TEXT_LIMIT)).filter(|place| !place.is_empty()),
        why: why(incident, tried),
        action: one_line(&action, TEXT_LIMIT),
        approved_by: (!tried.approvals.is_empty())
            .then(|| tried.approvals.iter().map(|(_, by)| who(by)).collect::<Vec<_>>().join(" and ")),
        approved: tried.approvals.last().map(|(at, _)| *at),
        begun: tried.begun,
        ended,
        took: ended.map(|ended| Length::between(tried.begun.at, ended.at)),
        attempt: tried.number,
        ok: tried.succeeded(),
        summary: summary(outcome),
        before: json(tried.before),
        after: outcome.and_then(|outcome| json(state_after(&outcome.output))),
        check: last(StepPart::Verify),
        undone: last(StepPart::Undo),
    }
}

fn verification(tried: &StepAttempt<'_>) -> Verification {
    let (at, outcome) = tried.ended.unzip();
    Verification { ok: tried.succeeded(), at, summary: summary(outcome) }
}

fn why(incident: &Incident, tried: &StepAttempt<'_>) -> Option<String> {
    let run = incident.run(tried.run)?;
    let why = run.runbook.step(&tried.step.id)?.why.as_deref()?;
    template_scope::text(incident, run, tried.step, why).ok().map(|why| one_line(&why, TEXT_LIMIT))
}

/// The results of deliveries.
pub(super) fn messages(log: &[Recorded]) -> Vec<MessageFact> {
    log.iter()
        .filter_map(|recorded| {
            let Event::Message(event) = &recorded.event else { return None };
            let (delivery, error) = match event {
                MessageEvent::Notified { delivery, .. } => (delivery, None),
                MessageEvent::NotifyFailed { delivery, error, .. } => (delivery, Some(one_line(error, TEXT_LIMIT))),
                MessageEvent::NoticeOwed { .. } | MessageEvent::Posted(_) => return None,
            };
            let at = Moment::of(recorded.seq, recorded.at);
            Some(MessageFact { at, channel: one_line(&channel_name(delivery), NAME_LIMIT), error })
        })
        .collect()
}

fn channel_name(delivery: &Delivery) -> String {
    let Delivery { channel, instead_of, .. } = delivery;
    instead_of.as_ref().map_or_else(|| channel.clone(), |target| format!("{channel} in place of {target}"))
}

/// The services of the estate that parameters and changes name, by their name or their unit.
pub(super) fn services(incident: &Incident, attempts: &[StepAttempt<'_>]) -> Vec<String> {
    let mut named = BTreeSet::new();
    for run in &incident.runs {
        let kinds =
            run.runbook.params.iter().filter(|param| matches!(param.kind, ParamKind::Service | ParamKind::Unit));
        for value in kinds.filter_map(|param| run.params.get(&param.name)) {
            gather_texts(value, &mut named);
        }
    }
    for tried in attempts.iter().filter(|tried| tried.action.effect.changes() && tried.step.part == StepPart::Main) {
        gather_texts(&tried.action.spec, &mut named);
    }
    let services = incident.runs.iter().flat_map(|run| run.estate.services.iter());
    let concerned = services.filter(|(name, service)| {
        let unit = service.unit.as_str();
        let stem = unit.strip_suffix(".service").unwrap_or(unit);
        [name.as_str(), unit, stem].iter().any(|text| named.contains(text))
    });
    concerned.map(|(name, _)| name.clone()).collect::<BTreeSet<_>>().into_iter().collect()
}

fn gather_texts<'a>(value: &'a Value, into: &mut BTreeSet<&'a str>) {
    match value {
        Value::String(text) => {
            into.insert(text);
        }
        Value::Array(items) => items.iter().for_each(|item| gather_texts(item, into)),
        Value::Object(fields) => fields.values().for_each(|field| gather_texts(field, into)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Facts to consider under "what went well" and "what went badly".
pub(super) fn well_and_badly(facts: &Postmortem) -> (Vec<String>, Vec<String>) {
    let (mut well, mut badly) = (Vec::new(), Vec::new());
    for deadline in &facts.deadlines {
        let margin = deadline.margin.map(|margin| margin.to_string()).unwrap_or_default();
        match deadline.state {
            DeadlineState::Met => well.push(format!("The deadline {} was met with {margin} to spare.", deadline.name)),
            DeadlineState::MetLate => badly.push(format!("The deadline {} was met {margin} late.", deadline.name)),
            DeadlineState::Missed => badly.push(format!("The deadline {} was missed.", deadline.name)),
            DeadlineState::Running | DeadlineState::Lifted => {}
        }
    }
    let checked = |change: &ChangeFact| change.check.as_ref().is_some_and(|check| check.ok);
    if !facts.changes.is_empty() && facts.changes.iter().all(checked) {
        well.push("Every change was checked, and every check came true.".to_owned());
    }
    for change in facts.changes.iter().filter(|change| change.ok && change.check.is_none()) {
        badly.push(format!("Nothing checked that this change worked: {}.", change.what));
    }
    match facts.failures.len() {
        0 => {}
        1 => badly.push("One thing failed; it is listed above.".to_owned()),
        many => badly.push(format!("{many} things failed; they are listed above.")),
    }
    if facts.milestones.iter().any(|milestone| milestone.name == "Acknowledged" && milestone.at.is_none()) {
        badly.push("Nobody acknowledged the incident.".to_owned());
    }
    (well, badly)
}

/// The step's name; without one, its key.
fn name(incident: &Incident, run: RunId, key: &StepKey) -> String {
    let name = incident.run(run).and_then(|run| timeline::name(incident, run, key));
    name.unwrap_or_else(|| key.to_string())
}

pub(super) fn step<'a>(incident: &'a Incident, run: RunId, key: &StepKey) -> Option<&'a Step> {
    incident.run(run)?.runbook.step(&key.id)
}

fn is_message(step: Option<&Step>) -> bool {
    step.is_some_and(|step| matches!(&step.body, StepBody::Action(action) if action.is_message()))
}

/// The run and step of a delivery's message.
fn message_place(event: &Event) -> Option<(RunId, &StepKey)> {
    if let Event::Message(event) = event { event.delivery()?.step() } else { None }
}

/// Whether the gate waits for work by hand.
pub(super) fn is_by_hand(gate: &Gate) -> bool {
    matches!(gate, Gate::Manual { .. })
}

/// The last attempt of each step.
fn last_of_each<'a, 'b>(attempts: &'b [StepAttempt<'a>]) -> impl Iterator<Item = &'b StepAttempt<'a>> {
    let last: BTreeMap<(RunId, &StepKey), usize> =
        attempts.iter().enumerate().map(|(at, tried)| ((tried.run, tried.step), at)).collect();
    attempts
        .iter()
        .enumerate()
        .filter(move |(at, tried)| last.get(&(tried.run, tried.step)) == Some(at))
        .map(|(_, tried)| tried)
}

/// The outcome on one line, after how it ended unless it succeeded.
fn summary(outcome: Option<&Outcome>) -> String {
    let Some(outcome) = outcome else { return "nobody knows how it ended".to_owned() };
    let how = match outcome.verdict {
        Verdict::Succeeded => "",
        Verdict::Failed => "failed: ",
        Verdict::TimedOut => "timed out: ",
        Verdict::Cancelled => "stopped: ",
        Verdict::Unknown => "unclear: ",
    };
    one_line(&format!("{how}{}", outcome.summary), TEXT_LIMIT)
}

/// The part of an output that describes the state after the change. A kind that returns `before` and `after` has recorded the
/// state before already.
pub(super) fn state_after(output: &Value) -> &Value {
    output.get("after").filter(|_| output.get("before").is_some()).unwrap_or(output)
}

fn json(value: &Value) -> Option<String> {
    let empty = match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => false,
    };
    (!empty).then(|| one_line(&value.to_string(), TEXT_LIMIT))
}

/// The beginning and end of printed output.
fn transcript(text: &str) -> String {
    let text = printable(text);
    let lines: Vec<&str> = text.trim_matches('\n').lines().collect();
    let shorten = |line: &&str| match line.char_indices().nth(LINE_LIMIT) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => (*line).to_owned(),
    };
    if lines.len() <= HEAD_LINES + TAIL_LINES + 1 {
        return lines.iter().map(shorten).collect::<Vec<_>>().join("\n");
    }
    let left_out = lines.len() - HEAD_LINES - TAIL_LINES;
    let head = lines.iter().take(HEAD_LINES).map(shorten);
    let tail = lines.iter().skip(lines.len() - TAIL_LINES).map(shorten);
    let cut = std::iter::once(format!("… {left_out} lines left out here …"));
    head.chain(cut).chain(tail).collect::<Vec<_>>().join("\n")
}
