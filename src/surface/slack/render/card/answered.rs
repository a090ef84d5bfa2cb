//! Questions that are over: who has answered, what and when.

#![deny(clippy::wildcard_enum_match_arm)]

use super::super::block_kit::{Blocks, Text, text};
use super::super::question::PendingQuestion;
use super::Card;
use crate::domain::core::id::{RunId, StepKey};
use crate::domain::incident::Incident;
use crate::domain::incident::event::{Actor, Event, Gate, Recorded, StepEvent};
use crate::domain::report::headline;

/// A person's reaction to a question: answered, approved, denied, skipped or retried.
pub(super) struct Reply<'a> {
    pub recorded: &'a Recorded,
    pub words: String,
}

/// The message for a settled question: who answered, what and when. It has no buttons.
pub(super) fn settled(incident: &Incident, log: &[Recorded], run: RunId, step: &StepKey, round: u32) -> Card {
    let mut sheet = Blocks::default();
    let (gate, replies) = answers(log, run, step, round);
    let mut lines = Vec::new();
    if let Some(gate) = gate {
        let question = PendingQuestion { incident, run, step, gate };
        lines.push(vec![text(question.title())]);
    }
    for Reply { recorded, words } in &replies {
        let words = format!("{} {words} ", recorded.by.name());
        lines.push(vec![Text::Strong(words), Text::Time(recorded.at)]);
    }
    if replies.is_empty() {
        lines.push(vec![text("It is not asked any more.")]);
    }
    let first = replies.first().map(|Reply { recorded, words }| format!("{} {words}", recorded.by.name()));
    let summary = format!("{}: {}", incident.id, first.unwrap_or_else(|| "it is not asked any more".to_owned()));
    sheet.lines(lines);
    Card { summary, sheet }
}

/// A question of a step, and the replies that settled it.
fn answers<'a>(log: &'a [Recorded], run: RunId, step: &StepKey, round: u32) -> (Option<&'a Gate>, Vec<Reply<'a>>) {
    let (mut asked, mut now, mut replies) = (None, 0, Vec::new());
    for recorded in log {
        let Event::Step(event) = &recorded.event else { continue };
        if event.place() != (run, step) {
            continue;
        }
        if let StepEvent::Asked { gate, .. } = event {
            now += 1;
            if now == round {
                asked = Some(gate);
            }
        }
        if now != round {
            continue;
        }
        // Later events belong to the next attempt.
        if matches!(event, StepEvent::Started { .. }) {
            break;
        }
        replies.extend(reply(event).map(|words| Reply { recorded, words }));
    }
    (asked, replies)
}

/// The latest reply of a person, and the name of its step.
pub(super) fn answered<'a>(incident: &Incident, log: &'a [Recorded]) -> Option<(Reply<'a>, String)> {
    let by_person = |recorded: &&Recorded| matches!(recorded.by, Actor::Person { .. });
    log.iter().rev().filter(by_person).find_map(|recorded| {
        let Event::Step(event) = &recorded.event else { return None };
        let (run, step) = event.place();
        Some((Reply { recorded, words: reply(event)? }, headline::name(incident, run, step)))
    })
}

/// A reply in words; none for an event that is not a reply.
fn reply(event: &StepEvent) -> Option<String> {
    Some(match event {
        StepEvent::Answered { answer: serde_json::Value::String(answer), .. } => format!("answered: {answer}"),
        StepEvent::Answered { .. } => "said that it is done".to_owned(),
        StepEvent::Approved { .. } => "agreed".to_owned(),
        StepEvent::Denied { reason, .. } => format!("refused: {reason}"),
        StepEvent::Skipped { .. } => "skipped it".to_owned(),
        StepEvent::RetryScheduled { .. } => "tried it again".to_owned(),
        StepEvent::Expanded { .. }
        | StepEvent::Asked { .. }
        | StepEvent::Started { .. }
        | StepEvent::Ended { .. }
        | StepEvent::Reconciled { .. }
        | StepEvent::Concluded { .. }
        | StepEvent::UndoRequested { .. } => return None,
    })
}
