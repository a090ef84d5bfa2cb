//! The prompt: the question of a gate, and the keys that answer it.
//!
//! A key gives a [`Request`] or opens a line for text. Not here: submitting the request.

use std::collections::BTreeSet;

use crossterm::event::{KeyCode, KeyEvent};
use serde_json::Value;

use crate::domain::core::time::Timestamp;
use crate::domain::incident::command::Request;
use crate::domain::incident::command::target::StepTarget;
use crate::domain::incident::decide::HAPPENED;
use crate::domain::incident::event::Gate;
use crate::surface::terminal::widgets::line_editor::Editor;

/// The reason that is recorded if a person gives none.
const NO_REASON: &str = "no reason given";

/// The question on the screen.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt {
    /// The step, the attempt and the question that are on the screen.
    pub target: StepTarget,
    pub gate: Gate,
    /// The index of the choice that enter takes.
    pub chosen: usize,
    /// The indexes of the ticked choices, if several may be taken.
    pub ticked: BTreeSet<usize>,
    /// Since when the question is on the screen.
    pub since: Timestamp,
}

/// The line that the person is typing.
#[derive(Debug, Clone, PartialEq)]
pub struct Typing {
    pub purpose: Purpose,
    pub editor: Editor,
}

/// What a typed line is used for.
#[derive(Debug, Clone, PartialEq)]
pub enum Purpose {
    /// The answer to a question without choices; with the suggested answer, if any.
    Answer(StepTarget, Option<String>),
    /// The reason for denying a change.
    Deny(StepTarget),
    /// The reason for skipping a step.
    Skip(StepTarget),
    /// The reason for stopping the run.
    Stop,
    Note,
}

impl Purpose {
    /// The label before the line.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Answer(..) => "answer: ",
            Self::Deny(_) => "why not? ",
            Self::Skip(_) => "why skip? ",
            Self::Stop => "why stop the run? ",
            Self::Note => "note: ",
        }
    }

    /// The text that enter submits for an empty line.
    pub fn fallback(&self) -> Option<&str> {
        match self {
            Self::Answer(_, suggest) => suggest.as_deref(),
            Self::Deny(_) | Self::Skip(_) | Self::Stop => Some(NO_REASON),
            Self::Note => None,
        }
    }

    /// The request for the typed text; none if the text is missing and has no default.
    pub fn request(&self, text: String) -> Option<Request> {
        let text = if text.is_empty() { self.fallback()?.to_owned() } else { text };
        Some(match self {
            Self::Answer(target, _) => Request::Answer { target: target.clone(), value: Value::String(text) },
            Self::Deny(target) => Request::Deny { target: target.clone(), reason: text },
            Self::Skip(target) => Request::Skip { target: target.clone(), reason: text },
            Self::Stop => Request::Cancel { reason: text },
            Self::Note => Request::Note(text),
        })
    }
}

/// The effect of a key.
#[derive(Debug, Clone, PartialEq)]
pub enum Pressed {
    Request(Request),
    /// Open a line with this purpose.
    Type(Purpose),
    /// Only the prompt has changed.
    Moved,
    /// The key has no meaning for this gate.
    Unknown,
}

impl Prompt {
    /// The prompt of a gate. `since` is when it appears on the screen.
    pub fn new(target: StepTarget, gate: Gate, since: Timestamp) -> Self {
        let chosen = match &gate {
            Gate::Ask { choices, suggest: Some(suggest), .. } => choices.iter().position(|choice| choice == suggest),
            _ => None,
        };
        Self { target, gate, chosen: chosen.unwrap_or(0), ticked: BTreeSet::new(), since }
    }

    /// The purpose of the line that opens with the prompt, for a question without choices.
    pub fn opens(&self) -> Option<Purpose> {
        match &self.gate {
            Gate::Ask { choices, suggest, .. } if choices.is_empty() => {
                Some(Purpose::Answer(self.target.clone(), suggest.clone()))
            }
            _ => None,
        }
    }

    /// Handles a key.
    pub fn press(&mut self, key: KeyEvent) -> Pressed {
        let target = || self.target.clone();
        match (&self.gate, key.code) {
            (Gate::Timer { .. }, _) => Pressed::Unknown,
            (_, KeyCode::Char('s')) => Pressed::Type(Purpose::Skip(target())),
            (Gate::Approve { digest, .. }, KeyCode::Enter | KeyCode::Char('y')) => {
                Pressed::Request(Request::Approve { target: target(), digest: digest.clone() })
            }
            (Gate::Approve { .. }, KeyCode::Char('n')) => Pressed::Type(Purpose::Deny(target())),
            (Gate::Manual { .. }, KeyCode::Enter | KeyCode::Char('y')) => self.answer(Value::Null),
            (Gate::Failure { .. } | Gate::Unclear { .. }, KeyCode::Char('r')) => {
                Pressed::Request(Request::Retry { target: target() })
            }
            (Gate::Unclear { .. }, KeyCode::Char('h')) => self.answer(HAPPENED.into()),
            (Gate::Ask { .. }, code) => self.press_ask(code),
            _ => Pressed::Unknown,
        }
    }

    fn press_ask(&mut self, code: KeyCode) -> Pressed {
        let Gate::Ask { choices, many, .. } = &self.gate else { return Pressed::Unknown };
        let (count, many) = (choices.len(), *many);
        match code {
            KeyCode::Enter if count == 0 => self.opens().map_or(Pressed::Unknown, Pressed::Type),
            _ if count == 0 => Pressed::Unknown,
            KeyCode::Up | KeyCode::Char('k') => self.choose((self.chosen + count - 1) % count),
            KeyCode::Down | KeyCode::Char('j') => self.choose((self.chosen + 1) % count),
            KeyCode::Char(' ') if many => self.tick(self.chosen),
            KeyCode::Char(c @ '1'..='9') => {
                let at = c as usize - '1' as usize;
                match at < count {
                    true if many => self.tick(at),
                    true => self.answer(choices[at].clone().into()),
                    false => Pressed::Unknown,
                }
            }
            KeyCode::Enter if many && !self.ticked.is_empty() => {
                self.answer(self.ticked.iter().map(|at| Value::from(choices[*at].clone())).collect())
            }
            KeyCode::Enter if many => self.answer(Value::Array(vec![choices[self.chosen].clone().into()])),
            KeyCode::Enter => self.answer(choices[self.chosen].clone().into()),
            _ => Pressed::Unknown,
        }
    }

    fn answer(&self, value: Value) -> Pressed {
        Pressed::Request(Request::Answer { target: self.target.clone(), value })
    }

    fn choose(&mut self, at: usize) -> Pressed {
        self.chosen = at;
        Pressed::Moved
    }

    fn tick(&mut self, at: usize) -> Pressed {
        self.chosen = at;
        if !self.ticked.remove(&at) {
            self.ticked.insert(at);
        }
        Pressed::Moved
    }

    /// The keys of this gate and their labels, most important first.
    pub fn keys(&self) -> Vec<(&'static str, String)> {
        let key = |key, does: &str| (key, does.to_owned());
        match &self.gate {
            Gate::Approve { .. } => vec![key("y", "do it"), key("n", "deny"), key("s", "skip")],
            Gate::Manual { .. } => vec![key("enter", "done"), key("s", "skip")],
            Gate::Failure { .. } => vec![key("r", "retry"), key("s", "skip"), key("x", "stop the run")],
            Gate::Unclear { .. } => vec![key("h", "it happened"), key("r", "retry"), key("s", "skip")],
            Gate::Ask { choices, .. } if choices.is_empty() => vec![key("enter", "type an answer"), key("s", "skip")],
            Gate::Ask { many: true, .. } => vec![key("1-9", "tick"), key("enter", "take them"), key("s", "skip")],
            Gate::Ask { choices, .. } => {
                vec![("enter", format!("take {}", self.chosen + 1)), numbers(choices.len()), key("s", "skip")]
            }
            Gate::Timer { .. } => Vec::new(),
        }
    }
}

/// The number keys for this many choices.
fn numbers(count: usize) -> (&'static str, String) {
    const KEYS: [&str; 9] = ["1", "1-2", "1-3", "1-4", "1-5", "1-6", "1-7", "1-8", "1-9"];
    (KEYS[count.clamp(1, 9) - 1], "choose".to_owned())
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use crossterm::event::KeyModifiers;

    use super::*;
    use crate::domain::core::id::{IncidentId, RunId, StepKey};

    fn prompt(gate: Gate) -> Prompt {
        let (incident, run, step) = (IncidentId::from_bits(7), RunId(1), StepKey::main("cause"));
        let target = StepTarget { incident, run, step, attempt: 0, question: 1 };
        Prompt::new(target, gate, DateTime::from_timestamp(0, 0).unwrap())
    }

    fn ask(many: bool) -> Prompt {
        prompt(Gate::Ask {
            prompt: "Which?".to_owned(),
            choices: ["infrastructure", "code", "both"].map(str::to_owned).to_vec(),
            suggest: Some("code".to_owned()),
            many,
        })
    }

    fn press(prompt: &mut Prompt, code: KeyCode) -> Pressed {
        prompt.press(KeyEvent::new(code, KeyModifiers::NONE))
    }

    fn answered(pressed: &Pressed) -> Value {
        match pressed {
            Pressed::Request(Request::Answer { value, .. }) => value.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn enter_takes_the_suggested_choice_and_arrows_select_another() {
        assert_eq!(answered(&press(&mut ask(false), KeyCode::Enter)), "code");
        let mut moved = ask(false);
        press(&mut moved, KeyCode::Down);
        press(&mut moved, KeyCode::Down);
        assert_eq!(answered(&press(&mut moved, KeyCode::Enter)), "infrastructure");
        assert_eq!(answered(&press(&mut ask(false), KeyCode::Char('3'))), "both");
        assert_eq!(press(&mut ask(false), KeyCode::Char('4')), Pressed::Unknown);
    }

    #[test]
    fn several_choices_are_ticked_by_number() {
        let mut many = ask(true);
        press(&mut many, KeyCode::Char('3'));
        press(&mut many, KeyCode::Char('1'));
        assert_eq!(answered(&press(&mut many, KeyCode::Enter)), serde_json::json!(["infrastructure", "both"]));
        press(&mut many, KeyCode::Char('3'));
        assert_eq!(answered(&press(&mut many, KeyCode::Enter)), serde_json::json!(["infrastructure"]));
    }

    #[test]
    fn an_approval_has_the_digest_of_the_change_on_the_screen() {
        let mut approve = prompt(Gate::approve(Default::default(), "d1"));
        let Pressed::Request(Request::Approve { digest, .. }) = press(&mut approve, KeyCode::Char('y')) else {
            panic!()
        };
        assert_eq!(digest, "d1");
        assert!(matches!(press(&mut approve, KeyCode::Char('n')), Pressed::Type(Purpose::Deny(_))));
        assert_eq!(press(&mut approve, KeyCode::Char('r')), Pressed::Unknown);
    }

    #[test]
    fn a_question_without_choices_opens_a_line() {
        let free =
            Gate::Ask { prompt: "Why?".to_owned(), choices: vec![], suggest: Some("unknown".to_owned()), many: false };
        let purpose = prompt(free).opens().unwrap();
        assert!(matches!(purpose.request(String::new()), Some(Request::Answer { value, .. }) if value == "unknown"));
        assert_eq!(Purpose::Note.request(String::new()), None);
    }
}
