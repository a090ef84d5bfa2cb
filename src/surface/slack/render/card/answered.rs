//! Settled questions: the person, the answer and the time.

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

/// The message for a settled question: the replies with their persons and times. It has no buttons.
pub(super) fn settled(incident: &Incident, log: &[Recorded], run: RunId, step: &StepKey, round: u32) -> Card {
    let mut blocks = Blocks::default();
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
        lines.push(vec![text("It needs no answer any more.")]);
    }
    let first = replies.first().map(|Reply { recorded, words }| format!("{} {words}", recorded.by.name()));
    let summary = format!("{}: {}", incident.id, first.unwrap_or_else(|| "it needs no answer any more".to_owned()));
    blocks.lines(lines);
    Card { summary, blocks }
}

/// A question of a step, and the replies that settled it.
fn answers<'a>(log: &'a [Recorded], run: RunId, step: &StepKey, round: u32) -> (Option<&'a Gate>, Vec<Reply<'a>>) {
    let (mut asked, mut current, mut replies) = (None, 0, Vec::new());
    for recorded in log {
        let Event::Step(event) = &recorded.event else { continue };
        if event.place() != (run, step) {
            continue;
        }
        if let StepEvent::Asked { gate, .. } = event {
            current += 1;
            if current == round {
                asked = Some(gate);
            }
        }
        if current != round {
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

/// The latest reply of a person, with the name of its step.
pub(super) fn answered<'a>(incident: &Incident, log: &'a [Recorded]) -> Option<(Reply<'a>, String)> {
    let by_person = |recorded: &&Recorded| matches!(recorded.by, Actor::Person { .. });
    log.iter().rev().filter(by_person).find_map(|recorded| {
        let Event::Step(event) = &recorded.event else { return None };
        let (run, step) = event.place();
        Some((Reply { recorded, words: reply(event)? }, headline::name(incident, run, step)))
    })
}

/// The text of a reply; none for an event that is not a reply.
fn reply(event: &StepEvent) -> Option<String> {
    Some(match event {
        StepEvent::Answered { answer: serde_json::Value::String(answer), .. } => format!("answered: {answer}"),
        StepEvent::Answered { .. } => "marked it as done".to_owned(),
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
