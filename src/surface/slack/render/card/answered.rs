//! Questions that are over: who has answered, what and when.

use super::super::block_kit::{Blocks, Text, text};
use super::super::question::Waiting;
use super::Card;
use crate::domain::core::id::{RunId, StepKey};
use crate::domain::incident::Incident;
use crate::domain::incident::event::{Actor, Event, Gate, Recorded};
use crate::domain::incident::step::place;
use crate::domain::report::headline;

/// Who has answered, what and when; nobody can answer there any more.
pub(super) fn settled(incident: &Incident, log: &[Recorded], run: RunId, step: &StepKey, round: u32) -> Card {
    let mut sheet = Blocks::default();
    let (gate, deeds) = answers(log, run, step, round);
    let mut lines = Vec::new();
    if let Some(gate) = gate {
        let question = Waiting { incident, run, step, gate };
        lines.push(vec![text(question.title())]);
    }
    for recorded in &deeds {
        let words = format!("{} {} ", recorded.by.name(), deed(&recorded.event));
        lines.push(vec![Text::Strong(words), Text::Time(recorded.at)]);
    }
    if deeds.is_empty() {
        lines.push(vec![text("It is not asked any more.")]);
    }
    let first = deeds.first().map(|one| format!("{} {}", one.by.name(), deed(&one.event)));
    let summary = format!("{}: {}", incident.id, first.unwrap_or_else(|| "it is not asked any more".to_owned()));
    sheet.lines(lines);
    Card { summary, sheet }
}

/// A question of a step, and what ended it.
fn answers<'a>(log: &'a [Recorded], run: RunId, step: &StepKey, round: u32) -> (Option<&'a Gate>, Vec<&'a Recorded>) {
    let (mut asked, mut now, mut deeds) = (None, 0, Vec::new());
    for recorded in log.iter().filter(|recorded| place(&recorded.event).is_some_and(|(of, at)| (of, at) == (run, step)))
    {
        match &recorded.event {
            Event::Asked { gate, .. } => {
                now += 1;
                if now == round {
                    asked = Some(gate);
                }
            }
            // What follows belongs to the attempt.
            Event::StepStarted { .. } if now == round => break,
            event if now == round && is_deed(event) => deeds.push(recorded),
            _ => {}
        }
    }
    (asked, deeds)
}

/// What a person has answered last, and to which step's question.
pub(super) fn answered<'a>(incident: &Incident, log: &'a [Recorded]) -> Option<(&'a Recorded, String)> {
    let by_person = |recorded: &&Recorded| matches!(recorded.by, Actor::Person { .. });
    let last = log.iter().rev().filter(by_person).find(|recorded| is_deed(&recorded.event))?;
    let (run, step) = place(&last.event)?;
    Some((last, headline::name(incident, run, step)))
}

/// Whether it is what somebody does to a question.
fn is_deed(event: &Event) -> bool {
    matches!(
        event,
        Event::Answered { .. }
            | Event::Approved { .. }
            | Event::Denied { .. }
            | Event::StepSkipped { .. }
            | Event::RetryScheduled { .. }
    )
}

/// What somebody did, in words.
pub(super) fn deed(event: &Event) -> String {
    match event {
        Event::Answered { answer: serde_json::Value::String(answer), .. } => format!("answered: {answer}"),
        Event::Answered { .. } => "said that it is done".to_owned(),
        Event::Approved { .. } => "agreed".to_owned(),
        Event::Denied { reason, .. } => format!("refused: {reason}"),
        Event::StepSkipped { .. } => "skipped it".to_owned(),
        _ => "tried it again".to_owned(),
    }
}
