//! The state of the stepper: what is true of the incident, and where the person is.
//!
//! Deliberately absent: the terminal, the engine and the clock. News, keys and `now` come in; lines and intents go out.

use std::collections::{BTreeMap, VecDeque};

use chrono::TimeDelta;
use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::prompt::{Pressed, Prompt, Purpose, Typing};
use super::scrollback::Scrollback;
use crate::domain::core::id::{RunId, StepKey};
use crate::domain::core::time::Timestamp;
use crate::domain::incident::command::Request;
use crate::domain::incident::{Illegal, Incident, IncidentStatus};
use crate::engine::IncidentUpdate;
use crate::surface::terminal::widgets::styled_text::{Signs, StyledLine, Tone};

/// How many printed lines of a running step are kept for the eye.
const LINES_KEPT: usize = 200;

/// A key pressed sooner after a question came on the screen was meant for something else: the second half of a
/// double press must never agree to a change that nobody has read.
const TOO_SOON: TimeDelta = TimeDelta::milliseconds(300);

/// What the person wants.
#[derive(Debug, Clone, PartialEq)]
pub enum Intent {
    /// Nothing that anybody else must know.
    None,
    /// To be submitted.
    Submit(Request),
    /// To leave without stopping anything.
    Detach,
    /// To have the screen drawn anew.
    Redraw,
}

/// Which part of the region is open beside the question.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pane {
    /// None.
    #[default]
    Closed,
    /// What the running step prints.
    Output,
    /// Every key.
    Help,
}

/// The state of the stepper.
#[derive(Debug)]
pub struct Model {
    /// The signs to draw with.
    pub signs: &'static Signs,
    /// The person's name.
    pub who: String,
    record: Scrollback,
    /// The question before the person.
    pub prompt: Option<Prompt>,
    /// The line that is being typed.
    pub typing: Option<Typing>,
    /// What is open beside the question.
    pub pane: Pane,
    /// What was said to the person last.
    pub said: Option<(Tone, String)>,
    /// Who else works on the incident, if somebody does.
    pub holder: Option<String>,
    /// Whether the person is leaving, and the step at work is being ended.
    pub leaving: bool,
    printed: BTreeMap<(RunId, StepKey), VecDeque<String>>,
    /// Events up to this one are known already.
    after: u64,
    /// Whether a request is on its way: until it arrives, no second one is made by the same keys.
    pub sent: bool,
}

impl Model {
    /// A stepper that has heard nothing yet.
    pub fn new(signs: &'static Signs, who: String, after: u64) -> Self {
        Self {
            signs,
            who,
            record: Scrollback::new(signs),
            prompt: None,
            typing: None,
            pane: Pane::default(),
            said: None,
            holder: None,
            leaving: false,
            printed: BTreeMap::new(),
            after,
            sent: false,
        }
    }

    /// The incident, once its first event has been heard.
    pub fn incident(&self) -> Option<&Incident> {
        self.record.incident()
    }

    /// The number of the last event heard.
    pub fn seq(&self) -> u64 {
        self.incident().map_or(0, |incident| incident.seq)
    }

    /// Whether every run that was started is over.
    pub fn is_over(&self) -> bool {
        self.incident().is_some_and(|incident| !incident.runs.is_empty() && incident.live_runs().next().is_none())
    }

    /// Takes in news; the lines of what has ended.
    pub fn hear(&mut self, news: &IncidentUpdate, now: Timestamp) -> Result<Vec<StyledLine>, Illegal> {
        let mut lines = Vec::new();
        match news {
            IncidentUpdate::Events(events) => {
                for recorded in events {
                    let told = self.record.apply(recorded)?;
                    if recorded.seq > self.after {
                        lines.extend(told);
                    }
                }
                self.forget_ended();
                self.attend(now);
            }
            IncidentUpdate::Line { run, step, text } => {
                let kept = self.printed.entry((*run, step.clone())).or_default();
                kept.push_back(text.clone());
                if kept.len() > LINES_KEPT {
                    kept.pop_front();
                }
            }
        }
        Ok(lines)
    }

    /// The last lines that a step has printed.
    pub fn printed(&self, run: RunId, key: &StepKey) -> impl DoubleEndedIterator<Item = &str> {
        self.printed.get(&(run, key.clone())).into_iter().flatten().map(String::as_str)
    }

    fn forget_ended(&mut self) {
        let Some(incident) = self.record.incident() else { return };
        self.printed.retain(|(run, key), _| {
            incident.run(*run).and_then(|run| run.state(key)).is_some_and(|state| state.conclusion().is_none())
        });
    }

    /// The gates that a person must open.
    pub fn gates(&self) -> Vec<(RunId, StepKey)> {
        let gates = self.incident().map(Incident::waiting_for_person).unwrap_or_default();
        gates.into_iter().map(|(run, key, _)| (run, key.clone())).collect()
    }

    /// Keeps the question before the person while it is open, else turns to the first that is.
    fn attend(&mut self, now: Timestamp) {
        let open: Vec<Prompt> = self
            .incident()
            .map(Incident::waiting_for_person)
            .unwrap_or_default()
            .into_iter()
            .filter_map(|(run, key, gate)| Some(Prompt::new(self.incident()?.target(run, key), gate.clone(), now)))
            .collect();
        let same = |prompt: &Prompt, other: &Prompt| (&prompt.target, &prompt.gate) == (&other.target, &other.gate);
        if let Some(prompt) = &self.prompt
            && open.iter().any(|other| same(prompt, other))
        {
            return;
        }
        // A line typed for a gate that is gone must not become an answer to the next one.
        if self.typing.as_ref().is_some_and(|typing| !matches!(typing.purpose, Purpose::Note | Purpose::Stop)) {
            self.typing = None;
        }
        self.turn_to(open.into_iter().next());
    }

    fn turn_to(&mut self, prompt: Option<Prompt>) {
        self.prompt = prompt;
        if self.typing.is_none()
            && let Some(purpose) = self.prompt.as_ref().and_then(Prompt::opens)
        {
            self.typing = Some(Typing { purpose, editor: Default::default() });
        }
    }

    /// Turns to the next question, forwards or backwards by the step.
    fn turn(&mut self, step: usize, now: Timestamp) {
        let Some(incident) = self.incident() else { return };
        let open = incident.waiting_for_person();
        if open.len() < 2 {
            return;
        }
        let here = self.prompt.as_ref().and_then(|prompt| {
            open.iter().position(|(run, key, _)| (*run, *key) == (prompt.target.run, &prompt.target.step))
        });
        let (run, key, gate) = open[(here.unwrap_or(0) + step) % open.len()];
        let next = Prompt::new(incident.target(run, key), gate.clone(), now);
        self.turn_to(Some(next));
    }

    /// What a key asks for.
    pub fn key(&mut self, key: KeyEvent, now: Timestamp) -> Intent {
        if key.kind == KeyEventKind::Release {
            return Intent::None;
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if control => return Intent::Detach,
            KeyCode::Char('l') if control => return Intent::Redraw,
            _ => self.said = None,
        }
        if self.typing.is_some() {
            return self.key_typing(key);
        }
        if control || key.modifiers.contains(KeyModifiers::ALT) {
            return Intent::None;
        }
        if self.pane == Pane::Help {
            self.pane = Pane::Closed;
            return Intent::None;
        }
        match self.key_prompt(key, now) {
            Some(intent) => intent,
            None => self.key_anywhere(key, now),
        }
    }

    fn key_typing(&mut self, key: KeyEvent) -> Intent {
        let Some(typing) = &mut self.typing else { return Intent::None };
        match key.code {
            KeyCode::Esc => self.typing = None,
            KeyCode::Enter => {
                let request = typing.purpose.request(typing.editor.words());
                let needed = request.is_none() && matches!(typing.purpose, Purpose::Answer(..));
                if needed {
                    self.said = Some((Tone::Warn, "an answer is needed; esc and then s skips the step".to_owned()));
                    return Intent::None;
                }
                self.typing = None;
                return request.map_or(Intent::None, |request| self.send(request));
            }
            _ => {
                typing.editor.key(key);
            }
        }
        Intent::None
    }

    fn key_prompt(&mut self, key: KeyEvent, now: Timestamp) -> Option<Intent> {
        let prompt = self.prompt.as_mut()?;
        let too_soon = now < prompt.since + TOO_SOON;
        match prompt.press(key) {
            Pressed::Unknown => None,
            Pressed::Moved => Some(Intent::None),
            // What is typed is only sent by a further key.
            Pressed::Type(purpose) => Some(self.begin(purpose)),
            Pressed::Request(_) if too_soon || self.sent => Some(Intent::None),
            Pressed::Request(request) => Some(self.send(request)),
        }
    }

    fn key_anywhere(&mut self, key: KeyEvent, now: Timestamp) -> Intent {
        match key.code {
            KeyCode::Char('q') => return Intent::Detach,
            KeyCode::Char('?') => self.pane = Pane::Help,
            KeyCode::Char('o') => {
                self.pane = if self.pane == Pane::Output { Pane::Closed } else { Pane::Output };
            }
            KeyCode::Char('w') => return self.begin(Purpose::Note),
            KeyCode::Char('x') if !self.is_over() => return self.begin(Purpose::Stop),
            KeyCode::Char('a') if self.may_acknowledge() => return self.send(Request::Acknowledge),
            KeyCode::Tab => self.turn(1, now),
            KeyCode::BackTab => self.turn(self.gates().len().max(1) - 1, now),
            _ => {}
        }
        Intent::None
    }

    /// Whether nobody has taken notice yet.
    pub fn may_acknowledge(&self) -> bool {
        self.incident().is_some_and(|incident| incident.status == IncidentStatus::Open)
    }

    fn begin(&mut self, purpose: Purpose) -> Intent {
        self.typing = Some(Typing { purpose, editor: Default::default() });
        Intent::None
    }

    fn send(&mut self, request: Request) -> Intent {
        self.sent = true;
        Intent::Submit(request)
    }

    /// A text that was pasted: it goes where text is typed, and is never taken for keys.
    pub fn paste(&mut self, text: &str) {
        if let Some(typing) = &mut self.typing {
            typing.editor.insert(text);
        }
    }

    /// What became of a request.
    pub fn answered(&mut self, refusal: Option<String>) {
        self.sent = false;
        self.said = refusal.map(|text| (Tone::Warn, text));
    }
}
