//! Facts gathered from the log: what was found, what was changed, who was told.

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
/// The longest single line of foreign text, in characters.
pub(super) const TEXT_LIMIT: usize = 500;
/// The longest text that a person wrote, in characters.
pub(super) const WORDS_LIMIT: usize = 4_000;
/// How many lines of a transcript are shown from its beginning and from its end.
const HEAD_LINES: usize = 8;
const TAIL_LINES: usize = 6;
/// The longest line of a transcript, in characters.
const LINE_LIMIT: usize = 200;

/// What a reading found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckedFact {
    /// What the step is called.
    pub name: String,
    /// When it ended.
    pub at: Moment,
    /// Whether it got an answer.
    pub ok: bool,
    /// The answer on one line, or why there is none.
    pub summary: String,
    /// Head and tail of what was printed; a cut is a line of its own.
    pub transcript: Option<String>,
}

/// What was changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChangeFact {
    /// What the step is called.
    pub name: String,
    /// What was done, as the person was told, else kind and fields.
    pub what: String,
    /// Where, as the person was told.
    #[serde(rename = "where")]
    pub place: Option<String>,
    /// Why, from the runbook.
    pub why: Option<String>,
    /// Exactly what ran: the kind and its fields as JSON.
    pub action: String,
    /// Who agreed.
    pub approved_by: Option<String>,
    /// When they did.
    pub approved: Option<Moment>,
    /// When it began.
    pub begun: Moment,
    /// When it ended; none when nobody knows.
    pub ended: Option<Moment>,
    /// How long it took.
    pub took: Option<Length>,
    /// Which attempt this was.
    pub attempt: u32,
    /// Whether it worked, as far as the action itself can tell.
    pub ok: bool,
    /// What it answered.
    pub summary: String,
    /// The state that was recorded before, as JSON.
    pub before: Option<String>,
    /// What it left for later steps, as JSON.
    pub after: Option<String>,
    /// Its check.
    pub check: Option<Verification>,
    /// What became of taking it back.
    pub undone: Option<Verification>,
}

/// The last try of a check, or of taking a change back.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verification {
    /// Whether it came true.
    pub ok: bool,
    /// When it ended; none when nobody knows.
    pub at: Option<Moment>,
    /// What it answered.
    pub summary: String,
}

/// A message that arrived, or did not.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MessageFact {
    /// When.
    pub at: Moment,
    /// The channel.
    pub channel: String,
    /// Why it did not arrive; none when it did.
    pub error: Option<String>,
}

/// What every reading found: the last attempt of each, in the order in which they began.
pub(super) fn findings(incident: &Incident, attempts: &[StepAttempt<'_>]) -> Vec<CheckedFact> {
    let readings = last_of_each(attempts).filter(|tried| !tried.action.effect.changes());
    readings
        .filter(|tried| tried.step.part == StepPart::Main)
        .filter_map(|tried| {
            let (at, outcome) = tried.ended?;
            Some(CheckedFact {
                name: name(incident, tried.run, tried.step),
                at,
                ok: outcome.is_success(),
                summary: verdict(outcome),
                transcript: outcome.transcript.as_deref().map(transcript).filter(|text| !text.is_empty()),
            })
        })
        .collect()
}

/// What was changed: every change that was begun, with its last attempt. A message is no change.
pub(super) fn changes(incident: &Incident, log: &[Recorded], attempts: &[StepAttempt<'_>]) -> Vec<ChangeFact> {
    let told: BTreeSet<(RunId, &StepKey)> = log.iter().filter_map(|recorded| message_place(&recorded.event)).collect();
    last_of_each(attempts)
        .filter(|tried| tried.action.effect.changes() && tried.step.part == StepPart::Main)
        .filter(|tried| !told.contains(&(tried.run, tried.step)) && !is_message(step(incident, tried.run, tried.step)))
        .map(|tried| change(incident, attempts, tried))
        .collect()
}

fn change(incident: &Incident, attempts: &[StepAttempt<'_>], tried: &StepAttempt<'_>) -> ChangeFact {
    let (ended, outcome) = tried.ended.unzip();
    let action = format!("{}: {}", tried.action.kind, tried.action.spec);
    let told = tried.change.filter(|change| !change.what.is_empty());
    let last = |part: StepPart| {
        let key = tried.step.part(part);
        let other = attempts.iter().rev().find(|other| other.run == tried.run && *other.step == key);
        other.map(verification)
    };
    ChangeFact {
        name: name(incident, tried.run, tried.step),
        what: one_line(told.map_or(action.as_str(), |change| change.what.as_str()), TEXT_LIMIT),
        place: told.map(|change| one_line(&change.place, TEXT_LIMIT)).filter(|place| !place.is_empty()),
        why: why(incident, tried),
        action: one_line(&action, TEXT_LIMIT),
        approved_by: (!tried.approved.is_empty())
            .then(|| tried.approved.iter().map(|(_, by)| who(by)).collect::<Vec<_>>().join(" and ")),
        approved: tried.approved.last().map(|(at, _)| *at),
        begun: tried.begun,
        ended,
        took: ended.map(|ended| Length::between(tried.begun.at, ended.at)),
        attempt: tried.number,
        ok: tried.worked(),
        summary: outcome.map_or_else(|| "nobody knows how it ended".to_owned(), verdict),
        before: json(tried.before),
        after: outcome.and_then(|outcome| json(afterwards(&outcome.output))),
        check: last(StepPart::Verify),
        undone: last(StepPart::Undo),
    }
}

fn verification(tried: &StepAttempt<'_>) -> Verification {
    let (at, outcome) = tried.ended.unzip();
    Verification {
        ok: tried.worked(),
        at,
        summary: outcome.map_or_else(|| "nobody knows how it ended".to_owned(), verdict),
    }
}

fn why(incident: &Incident, tried: &StepAttempt<'_>) -> Option<String> {
    let run = incident.run(tried.run)?;
    let why = run.runbook.step(&tried.step.id)?.why.as_deref()?;
    template_scope::text(incident, run, tried.step, why).ok().map(|why| one_line(&why, TEXT_LIMIT))
}

/// Who was told, and who was not.
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
            Some(MessageFact { at, channel: one_line(&named(delivery), NAME_LIMIT), error })
        })
        .collect()
}

fn named(delivery: &Delivery) -> String {
    let Delivery { channel, instead_of, .. } = delivery;
    instead_of.as_ref().map_or_else(|| channel.clone(), |target| format!("{channel} in place of {target}"))
}

/// The services of the estate that parameters and changes name.
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
    let estates = incident.runs.iter().flat_map(|run| run.estate.services.iter());
    let concerned = estates.filter(|(name, service)| {
        let unit = service.unit.as_str();
        let stem = unit.strip_suffix(".service").unwrap_or(unit);
        [name.as_str(), unit, stem].iter().any(|word| named.contains(word))
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

/// Facts that a person may want to think about: under "well" and under "badly".
pub(super) fn prompts(facts: &Postmortem) -> (Vec<String>, Vec<String>) {
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

/// What the step is called, else its key.
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

/// The step whose message was delivered, or was not.
fn message_place(event: &Event) -> Option<(RunId, &StepKey)> {
    if let Event::Message(event) = event { event.delivery()?.step() } else { None }
}

/// Whether the gate is one that a person opens by doing something by hand.
pub(super) fn is_by_hand(gate: &Gate) -> bool {
    matches!(gate, Gate::Manual { .. })
}

fn last_of_each<'a, 'b>(attempts: &'b [StepAttempt<'a>]) -> impl Iterator<Item = &'b StepAttempt<'a>> {
    let last: BTreeMap<(RunId, &StepKey), usize> =
        attempts.iter().enumerate().map(|(at, tried)| ((tried.run, tried.step), at)).collect();
    attempts
        .iter()
        .enumerate()
        .filter(move |(at, tried)| last.get(&(tried.run, tried.step)) == Some(at))
        .map(|(_, tried)| tried)
}

/// The outcome on one line, with the word for how it ended unless it succeeded.
fn verdict(outcome: &Outcome) -> String {
    let how = match outcome.verdict {
        Verdict::Succeeded => "",
        Verdict::Failed => "failed: ",
        Verdict::TimedOut => "timed out: ",
        Verdict::Cancelled => "stopped: ",
        Verdict::Unknown => "unclear: ",
    };
    one_line(&format!("{how}{}", outcome.summary), TEXT_LIMIT)
}

/// What an outcome says of the time after: a kind that tells both has told the time before already.
pub(super) fn afterwards(output: &Value) -> &Value {
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

/// Head and tail of what was printed.
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
