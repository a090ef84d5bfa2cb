//! The messages about an incident, as pure functions of its state and its log.
//!
//! **Invariant:** the first three lines of the incident message have the state, the next step, and the link and command that
//! show the whole incident.

use super::block_kit::{Blocks, Button, ButtonStyle, Text, text};
use super::question::{PendingQuestion, all};
use crate::domain::core::id::RunId;
use crate::domain::core::text::one_line;
use crate::domain::incident::deadline::DeadlineStatus;
use crate::domain::incident::event::Recorded;
use crate::domain::incident::run::RunStatus;
use crate::domain::incident::slack_post::PostSubject;
use crate::domain::incident::{Incident, IncidentStatus};
use crate::domain::report::headline;
use crate::surface::slack::parse::button_value::{ButtonAction, ButtonValue};

mod answered;

use self::answered::{Reply, answered, settled};

/// The most questions in the incident message. The others are in its thread.
const QUESTIONS: usize = 5;
/// The longest title, in characters.
const TITLE: usize = 150;

/// A message: its blocks, and a summary for notifications.
#[derive(Debug, Clone, PartialEq)]
pub struct Card {
    /// The text for notifications and screen readers.
    pub summary: String,
    pub blocks: Blocks,
}

impl Card {
    /// Whether it contains a next command or a button.
    pub fn has_next_command(&self) -> bool {
        let blocks = self.blocks.json().to_string();
        blocks.contains("/runbook") || blocks.contains("\"button\"")
    }

    /// Adds a next command unless there is one.
    pub fn with_next_command(mut self) -> Self {
        if !self.has_next_command() {
            self.blocks.line(vec![Text::Code("/runbook".to_owned()), text(" shows what waits for you")]);
        }
        self
    }

    /// Adds the next step of an incident.
    pub fn with_next_step(mut self, incident: &Incident) -> Self {
        let next = text(format!("Next: {} · ", headline::next(incident)));
        self.blocks.line(vec![next, Text::Code(format!("/runbook status {}", incident.id))]);
        self
    }
}

/// The message about a subject. For the incident message, the last events of the log are enough. `link` is the address of the
/// incident's page, if it has one.
pub fn of(incident: &Incident, log: &[Recorded], subject: &PostSubject, link: Option<&str>) -> Card {
    match subject {
        PostSubject::Live | PostSubject::Channel => live(incident, log, link),
        PostSubject::Waits { run, step, round } => match incident.waits(*run, step, *round) {
            Some(gate) => asked(&PendingQuestion { incident, run: *run, step, gate }),
            None => settled(incident, log, *run, step, *round),
        },
        PostSubject::Failed { run } => failed(incident, *run),
        PostSubject::AtRisk { deadline, missed, .. } => at_risk(incident, deadline, *missed),
        PostSubject::Resolved => resolved(incident),
    }
}

/// The incident message. If `log` has the last events, it also shows the latest answer.
pub fn live(incident: &Incident, log: &[Recorded], link: Option<&str>) -> Card {
    let mut blocks = Blocks::default();
    let waiting = all(incident);
    blocks.lines(head(incident, &waiting, link));
    for one in waiting.iter().take(QUESTIONS) {
        one.draw(&mut blocks);
    }
    if waiting.len() > QUESTIONS {
        blocks.note(&format!("{} questions more are in the thread", waiting.len() - QUESTIONS));
    }
    if let Some((Reply { recorded, words }, name)) = answered(incident, log) {
        let words = format!("{} {words}", recorded.by.name());
        blocks.line(vec![Text::Strong(words), text(format!(" ({name}) ")), Text::Time(recorded.at)]);
    }
    blocks.buttons(controls(incident));
    for deadline in &incident.deadlines {
        let words = match &deadline.status {
            DeadlineStatus::Running => "due ",
            DeadlineStatus::Missed => "missed at ",
            _ => continue,
        };
        blocks.line(vec![text(format!("{}: {words}", deadline.name)), Text::Time(deadline.due)]);
    }
    if !incident.roles.is_empty() {
        let roles: Vec<String> =
            incident.roles.iter().map(|(role, holder)| format!("{role}: {}", holder.person)).collect();
        blocks.note(&roles.join(" · "));
    }
    Card { summary: summary(incident), blocks }
}

/// The first three lines: state, next step, links.
fn head(incident: &Incident, waiting: &[PendingQuestion<'_>], link: Option<&str>) -> Vec<Vec<Text>> {
    let state = vec![
        Text::Emoji(emoji(incident, waiting)),
        Text::Strong(format!(" {} {}: ", incident.severity, headline::state(incident))),
        text(format!("{} on {}", one_line(&incident.title, TITLE), incident.environment)),
    ];
    let next = vec![text("Next: "), text(headline::next(incident))];
    let mut whole = Vec::new();
    if let Some(url) = link {
        whole.extend([Text::Link { url: url.to_owned(), words: "Incident page" }, text(" · ")]);
    }
    if let Some(channel) = incident.own_channel() {
        whole.extend([Text::Channel(channel.to_owned()), text(" · ")]);
    }
    whole.extend([
        Text::Code(format!("/runbook status {}", incident.id)),
        text(" · opened "),
        Text::Time(incident.opened.at),
    ]);
    if let Some(mark) = &incident.acknowledged {
        whole.push(text(format!(" · acknowledged by {} ", mark.by.name())));
        whole.push(Text::Time(mark.at));
    }
    vec![state, next, whole]
}

fn emoji(incident: &Incident, waiting: &[PendingQuestion<'_>]) -> &'static str {
    match incident.status {
        IncidentStatus::Resolved => "white_check_mark",
        _ if !waiting.is_empty() => "raising_hand",
        IncidentStatus::Open => "rotating_light",
        IncidentStatus::Acknowledged => "eyes",
    }
}

/// The buttons that do not depend on the state of a run.
fn controls(incident: &Incident) -> Vec<Button> {
    let button = |label: String, style, action| Button {
        label,
        value: ButtonValue { incident: incident.id.clone(), action }.encoded(),
        style,
        confirm: None,
    };
    let mut buttons = Vec::new();
    if incident.status == IncidentStatus::Resolved {
        return buttons;
    }
    for proposal in &incident.proposals {
        let label = format!("Start {} on {}", proposal.runbook, incident.environment);
        buttons.push(button(label, ButtonStyle::Primary, ButtonAction::Start(proposal.runbook.clone())));
    }
    if incident.status == IncidentStatus::Open {
        buttons.push(button(format!("Acknowledge {}", incident.id), ButtonStyle::Plain, ButtonAction::Acknowledge));
    }
    let resolve = button(format!("Resolve {}", incident.id), ButtonStyle::Plain, ButtonAction::Resolve);
    let question = format!("{} is over: {}", incident.id, one_line(&incident.title, TITLE));
    buttons.push(Button { confirm: Some(question), ..resolve });
    buttons
}

/// The message for an open question.
fn asked(waiting: &PendingQuestion<'_>) -> Card {
    let mut blocks = Blocks::default();
    let incident = waiting.incident;
    name_incident(&mut blocks, incident);
    waiting.draw(&mut blocks);
    let summary = format!("{} {} needs you: {}", incident.severity, incident.id, one_line(&waiting.next(), TITLE));
    Card { summary, blocks }
}

/// Names the incident, because a broadcast thread message appears in the channel without its context.
fn name_incident(blocks: &mut Blocks, incident: &Incident) {
    blocks.note(&format!("{} {} {}", incident.severity, incident.id, one_line(&incident.title, TITLE)));
}

fn failed(incident: &Incident, run: RunId) -> Card {
    let mut blocks = Blocks::default();
    name_incident(&mut blocks, incident);
    let run = incident.run(run);
    let title = run.map(|run| run.runbook.title.clone()).unwrap_or_default();
    blocks.line(vec![Text::Emoji("x"), Text::Strong(format!(" Failed: {title}"))]);
    for (key, state) in run.into_iter().flat_map(|run| &run.steps) {
        let failure = state.outcome.as_ref().filter(|outcome| !outcome.is_success());
        if let Some(outcome) = failure {
            blocks.line(vec![Text::Code(key.to_string()), text(format!(" {}", outcome.summary))]);
            if let Some(transcript) = &outcome.transcript {
                blocks.output(transcript);
            }
        }
    }
    Card { summary: format!("{} {} failed: {title}", incident.severity, incident.id), blocks }
}

fn at_risk(incident: &Incident, name: &str, missed: bool) -> Card {
    let mut blocks = Blocks::default();
    let words = if missed { "missed" } else { "at risk" };
    let mut line = vec![Text::Emoji("hourglass"), Text::Strong(format!(" Deadline {name} {words}"))];
    if let Some(deadline) = incident.deadlines.iter().find(|deadline| deadline.name == name) {
        line.extend([text(": due "), Text::Time(deadline.due)]);
        if let DeadlineStatus::Met { at, .. } | DeadlineStatus::MetLate { at, .. } = &deadline.status {
            line.extend([text(", met "), Text::Time(*at)]);
        }
    }
    name_incident(&mut blocks, incident);
    blocks.line(line);
    Card { summary: format!("{} {}: deadline {name} {words}", incident.severity, incident.id), blocks }
}

fn resolved(incident: &Incident) -> Card {
    let mut blocks = Blocks::default();
    let mut line =
        vec![Text::Emoji("white_check_mark"), Text::Strong(format!(" Resolved: {}", one_line(&incident.title, TITLE)))];
    if let Some(mark) = &incident.resolved {
        line.extend([text(format!(" by {} ", mark.by.name())), Text::Time(mark.at)]);
    }
    let mut lines = vec![line];
    lines.extend(incident.resolution.iter().map(|words| vec![text(words.clone())]));
    let ended = incident.runs.iter().filter(|run| matches!(run.status, RunStatus::Ended(_))).count();
    blocks.lines(lines).note(&format!("{ended} of {} runs ended", incident.runs.len()));
    Card {
        summary: format!("{} {} resolved: {}", incident.severity, incident.id, one_line(&incident.title, TITLE)),
        blocks,
    }
}

fn summary(incident: &Incident) -> String {
    let state = headline::state(incident);
    format!(
        "{} {} {state}: {} on {}",
        incident.severity,
        incident.id,
        one_line(&incident.title, TITLE),
        incident.environment
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::domain::incident::fold;
    use crate::surface::slack::render::block_kit::{BLOCKS, TEXT};

    const LOG: &str = include_str!("../../../../tests/fixtures/postmortem/p1.jsonl");

    /// The fields of events that hold foreign text.
    const FOREIGN: [&str; 9] =
        ["title", "summary", "prompt", "what", "why", "reason", "text", "transcript", "instruction"];

    const LINK: &str = "https://runbook.shop.example/incidents/lusab-fidok?key=k";

    fn log(words: Option<&str>) -> Vec<Recorded> {
        let line = |line: &str| {
            let mut value: Value = serde_json::from_str(line).unwrap();
            words.iter().for_each(|words| replace(&mut value, words));
            serde_json::from_value(value).unwrap()
        };
        LOG.lines().map(line).collect()
    }

    fn replace(value: &mut Value, words: &str) {
        match value {
            Value::Object(fields) => fields.iter_mut().for_each(|(name, field)| match field {
                Value::String(text) if FOREIGN.contains(&name.as_str()) => words.clone_into(text),
                field => replace(field, words),
            }),
            Value::Array(items) => items.iter_mut().for_each(|item| replace(item, words)),
            _ => {}
        }
    }

    /// Every message at every moment of a log.
    fn cards(log: &[Recorded]) -> Vec<Card> {
        let mut cards = Vec::new();
        let mut seen: Vec<PostSubject> = vec![PostSubject::Live, PostSubject::Resolved];
        for length in 1..=log.len() {
            let incident = fold(&log[..length]).unwrap().unwrap();
            for subject in incident.unposted() {
                if !seen.contains(&subject) {
                    seen.push(subject);
                }
            }
            cards.extend(seen.iter().map(|subject| of(&incident, &log[..length], subject, Some(LINK))));
        }
        cards
    }

    fn longest(value: &Value) -> usize {
        match value {
            Value::Object(fields) => {
                let own = fields.get("text").and_then(Value::as_str).map_or(0, |text| text.chars().count());
                own.max(fields.values().map(longest).max().unwrap_or(0))
            }
            Value::Array(items) => items.iter().map(longest).max().unwrap_or(0),
            _ => 0,
        }
    }

    #[test]
    fn the_first_lines_have_the_state_the_next_step_and_the_link_in_this_order() {
        let log = log(None);
        for length in 1..=log.len() {
            let incident = fold(&log[..length]).unwrap().unwrap();
            let first = live(&incident, &log[..length], Some(LINK)).blocks.json()[0].to_string();
            let typed = format!("/runbook status {}", incident.id);
            let places = [&format!("{} ", incident.severity), "Next: ", LINK, &typed];
            let places = places.map(|words| first.find(words).unwrap_or_else(|| panic!("no `{words}` in {first}")));
            assert!(places.is_sorted(), "{first}");
        }
    }

    #[test]
    fn the_message_of_a_resolved_incident_has_no_button() {
        let log = log(None);
        let incident = fold(&log).unwrap().unwrap();
        assert_eq!(incident.status, IncidentStatus::Resolved);
        assert!(!live(&incident, &log, None).blocks.json().to_string().contains("\"button\""));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]
        #[test]
        fn messages_respect_slacks_limits_for_any_text_in_the_log(words in "\\PC{0,5000}|(<!here>|@channel|\\*|\u{202e}|\n){0,900}") {
            for card in cards(&log(Some(&words))) {
                let blocks = card.blocks.json();
                prop_assert!((1..=BLOCKS).contains(&blocks.as_array().unwrap().len()));
                prop_assert!(longest(&blocks) <= TEXT);
                let text = blocks.to_string();
                prop_assert!(!text.contains("@here") && !text.contains("@channel") && !text.contains("mrkdwn"));
                prop_assert!(!text.contains("\"text\":\"\""), "{}", text);
            }
        }
    }
}
