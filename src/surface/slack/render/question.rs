//! Pending questions as lines and buttons. The label of a button names its action and its object.
//!
//! Not here: permissions, which are checked when a button is pressed.

use super::block_kit::{Blocks, Button, ButtonStyle, Text, text};
use crate::domain::core::id::{RunId, StepKey};
use crate::domain::incident::Incident;
use crate::domain::incident::decide::HAPPENED;
use crate::domain::incident::event::Gate;
use crate::domain::report::headline;
use crate::surface::slack::parse::button_value::{ButtonAction, ButtonValue, StepQuestion};

/// The most choices that are shown as buttons. More choices are shown in a form.
pub const CHOICES: usize = 8;

/// One question of an incident.
#[derive(Debug, Clone, Copy)]
pub struct PendingQuestion<'a> {
    pub incident: &'a Incident,
    pub run: RunId,
    pub step: &'a StepKey,
    pub gate: &'a Gate,
}

/// All pending questions of an incident, in order.
pub fn all(incident: &Incident) -> Vec<PendingQuestion<'_>> {
    let waiting = incident.waiting_for_person().into_iter();
    waiting.map(|(run, step, gate)| PendingQuestion { incident, run, step, gate }).collect()
}

impl PendingQuestion<'_> {
    /// The next step, on one line.
    pub fn next(&self) -> String {
        headline::to_do(self.incident, self.run, self.step, self.gate)
    }

    /// The question in one sentence.
    pub fn title(&self) -> String {
        match self.gate {
            Gate::Ask { prompt, .. } => prompt.clone(),
            Gate::Manual { instruction } => instruction.clone(),
            Gate::Approve { change, .. } => capital(&self.on(&change.what)),
            Gate::Failure { .. } => format!("{} failed", self.name()),
            Gate::Unclear { .. } => format!("Did {} happen?", self.name()),
            Gate::Timer { .. } => self.name(),
        }
    }

    /// Adds the question and its buttons.
    pub fn draw(&self, blocks: &mut Blocks) {
        blocks.lines(self.lines()).buttons(self.buttons());
    }

    /// The question with the details that a person needs to answer it.
    pub fn lines(&self) -> Vec<Vec<Text>> {
        let mut lines = self.question();
        lines.extend(self.of_run().map(|run| vec![text(run)]));
        lines
    }

    /// The run that asks, if another run has the same step.
    fn of_run(&self) -> Option<String> {
        let run = self.incident.reference(self.run, self.step).run.and_then(|run| self.incident.run(run))?;
        Some(format!("Run {}, runbook {}", run.id, run.runbook.id))
    }

    fn question(&self) -> Vec<Vec<Text>> {
        let strong = |words: String| vec![Text::Strong(words)];
        match self.gate {
            Gate::Ask { prompt, suggest, .. } => {
                let mut lines = vec![strong(prompt.clone())];
                lines.extend(suggest.as_ref().map(|suggest| vec![text(format!("Suggested answer: {suggest}"))]));
                lines
            }
            Gate::Manual { instruction } => {
                vec![strong("To be done by hand".to_owned()), vec![text(instruction.clone())]]
            }
            Gate::Approve { .. } => self.change(),
            Gate::Failure { error } => vec![strong(format!("{} failed", self.name())), vec![text(error.clone())]],
            Gate::Unclear { detail } => {
                vec![strong(format!("It is unknown whether {} happened", self.name())), vec![text(detail.clone())]]
            }
            Gate::Timer { until } => vec![vec![text("until "), Text::Time(*until)]],
        }
    }

    fn change(&self) -> Vec<Vec<Text>> {
        let Gate::Approve { by, change, digest, expires_at, given, .. } = self.gate else { return Vec::new() };
        let mut lines =
            vec![vec![Text::Strong(capital(&self.on(&change.what)))], vec![text(format!("Where: {}", change.place))]];
        lines.extend(change.why.as_ref().map(|why| vec![text(format!("Why: {why}"))]));
        lines.extend(change.undo.as_ref().map(|undo| vec![text(format!("Undo: {undo}"))]));
        let mut who = vec![text("Agreement: ")];
        who.push(text(if by.is_empty() { "anybody of the estate".to_owned() } else { by.join(" or ") }));
        if self.gate.wanted() > 1 || !given.is_empty() {
            who.push(text(format!(", {} more wanted", self.gate.wanted())));
        }
        if !given.is_empty() {
            who.push(text(format!(", given by {}", given.join(", "))));
        }
        if let Some(at) = expires_at {
            who.extend([text(", until "), Text::Time(*at)]);
        }
        lines.push(who);
        lines.push(vec![text("Plan "), Text::Code(digest.chars().take(12).collect())]);
        lines
    }

    fn buttons(&self) -> Vec<Button> {
        let name = self.name();
        let again = |style| {
            [
                self.button(format!("Try {name} again"), style, ButtonAction::Retry),
                self.button(format!("Skip {name}"), ButtonStyle::Plain, ButtonAction::Skip),
            ]
        };
        match self.gate {
            Gate::Ask { choices, many: false, .. } if (1..=CHOICES).contains(&choices.len()) => {
                let one = |choice: &String| {
                    self.button(choice.clone(), ButtonStyle::Plain, |question| {
                        ButtonAction::Answer(question, choice.clone())
                    })
                };
                choices.iter().map(one).collect()
            }
            Gate::Ask { .. } => vec![self.button(format!("Answer {name}…"), ButtonStyle::Primary, ButtonAction::Ask)],
            Gate::Manual { .. } => {
                vec![self.button(format!("{name} is done"), ButtonStyle::Primary, |question| {
                    ButtonAction::Answer(question, String::new())
                })]
            }
            Gate::Approve { change, digest, .. } => {
                let what = self.on(&change.what);
                let sure =
                    format!("{} ({}), plan {}", capital(&what), change.place, digest.get(..12).unwrap_or(digest));
                let agree = self.button(capital(&what), ButtonStyle::Danger, |question| {
                    ButtonAction::Approve(question, digest.clone())
                });
                vec![
                    Button { confirm: Some(sure), ..agree },
                    self.button(format!("Refuse to {what}…"), ButtonStyle::Plain, ButtonAction::Deny),
                ]
            }
            Gate::Failure { .. } => again(ButtonStyle::Primary).into(),
            Gate::Unclear { .. } => {
                let happened = self.button(format!("{name} happened"), ButtonStyle::Plain, |question| {
                    ButtonAction::Answer(question, HAPPENED.to_owned())
                });
                std::iter::once(happened).chain(again(ButtonStyle::Plain)).collect()
            }
            Gate::Timer { .. } => Vec::new(),
        }
    }

    fn button(&self, label: String, style: ButtonStyle, action: impl FnOnce(StepQuestion) -> ButtonAction) -> Button {
        let question = StepQuestion::of(&self.incident.target(self.run, self.step));
        let value = ButtonValue { incident: self.incident.id.clone(), action: action(question) }.encoded();
        Button { label, value, style, confirm: None }
    }

    fn on(&self, what: &str) -> String {
        headline::on(self.incident, what)
    }

    /// The display name of the step.
    fn name(&self) -> String {
        headline::name(self.incident, self.run, self.step)
    }
}

/// The text with a capital first letter.
pub fn capital(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
