//! The state of the stepper: the incident, the question, and what the person is typing.
//!
//! Updates, keys and the time come in; lines and intents go out. There is no terminal, engine or clock here.

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

/// How many printed lines are kept of a running step.
const LINES_KEPT: usize = 200;

/// A key pressed sooner after a question appears is ignored. The second half of a double press must not approve a
/// change that nobody has read.
const TOO_SOON: TimeDelta = TimeDelta::milliseconds(300);

/// What is shown when a key comes too soon after a question, until the question takes keys.
const TOO_EARLY: &str = "that key came too soon after the question: read it first";
/// What is shown then, until the next key or the next question: a message that passes by is not read.
const PRESS_AGAIN: &str = "press that key again: it came too soon after the question";

/// What a key asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Intent {
    /// Nothing outside the model.
    None,
    Submit(Request),
    /// Leave without stopping anything.
    Detach,
    Redraw,
}

/// The pane that is open beside the question.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pane {
    #[default]
    Closed,
    /// The output of the running step.
    Output,
    Help,
}

/// The state of the stepper.
#[derive(Debug)]
pub struct Model {
    pub signs: &'static Signs,
    pub who: String,
    record: Scrollback,
    /// The question on the screen.
    pub prompt: Option<Prompt>,
    /// The line that is being typed.
    pub typing: Option<Typing>,
    pub pane: Pane,
    /// The last message to the person.
    pub said: Option<(Tone, String)>,
    /// When the question takes keys, after one that came too soon.
    takes_keys_at: Option<Timestamp>,
    /// The other process that holds the lease, in words.
    pub holder: Option<String>,
    /// Whether the person is leaving while a running step is being ended.
    pub leaving: bool,
    printed: BTreeMap<(RunId, StepKey), VecDeque<String>>,
    /// Events up to this number are known and not printed again.
    after: u64,
    /// Whether a request is in progress; until it is answered, keys submit no second one.
    pub sent: bool,
}

impl Model {
    /// A stepper before the first event.
    pub fn new(signs: &'static Signs, who: String, after: u64) -> Self {
        Self {
            signs,
            who,
            record: Scrollback::new(signs),
            prompt: None,
            typing: None,
            pane: Pane::default(),
            said: None,
            takes_keys_at: None,
            holder: None,
            leaving: false,
            printed: BTreeMap::new(),
            after,
            sent: false,
        }
    }

    /// The incident, once its first event has arrived.
    pub fn incident(&self) -> Option<&Incident> {
        self.record.incident()
    }

    /// The number of the last event.
    pub fn seq(&self) -> u64 {
        self.incident().map_or(0, |incident| incident.seq)
    }

    /// Whether every started run has ended.
    pub fn is_over(&self) -> bool {
        self.incident().is_some_and(|incident| !incident.runs.is_empty() && incident.live_runs().next().is_none())
    }

    /// Applies an update; returns the finished lines.
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

    /// The last lines that a step printed.
    pub fn printed(&self, run: RunId, key: &StepKey) -> impl DoubleEndedIterator<Item = &str> {
        self.printed.get(&(run, key.clone())).into_iter().flatten().map(String::as_str)
    }

    fn forget_ended(&mut self) {
        let Some(incident) = self.record.incident() else { return };
        self.printed.retain(|(run, key), _| {
            incident.run(*run).and_then(|run| run.state(key)).is_some_and(|state| state.conclusion().is_none())
        });
    }

    /// The gates that wait for a person.
    pub fn gates(&self) -> Vec<(RunId, StepKey)> {
        let gates = self.incident().map(Incident::waiting_for_person).unwrap_or_default();
        gates.into_iter().map(|(run, key, _)| (run, key.clone())).collect()
    }

    /// Keeps the question on the screen while it is open, otherwise shows the first open one.
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
        // A line typed for a closed gate must not become the answer to the next one.
        if self.typing.as_ref().is_some_and(|typing| !matches!(typing.purpose, Purpose::Note | Purpose::Stop)) {
            self.typing = None;
        }
        self.show_prompt(open.into_iter().next());
    }

    fn show_prompt(&mut self, prompt: Option<Prompt>) {
        self.prompt = prompt;
        // The key was meant for the question before.
        if self.said.as_ref().is_some_and(|(_, text)| text == TOO_EARLY || text == PRESS_AGAIN) {
            (self.said, self.takes_keys_at) = (None, None);
        }
        if self.typing.is_none()
            && let Some(purpose) = self.prompt.as_ref().and_then(Prompt::opens)
        {
            self.typing = Some(Typing { purpose, editor: Default::default() });
        }
    }

    /// Moves on by `step` questions.
    fn next_question(&mut self, step: usize, now: Timestamp) {
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
        self.show_prompt(Some(next));
    }

    /// Handles a key.
    pub fn key(&mut self, key: KeyEvent, now: Timestamp) -> Intent {
        if key.kind == KeyEventKind::Release {
            return Intent::None;
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if control => return Intent::Detach,
            KeyCode::Char('l') if control => return Intent::Redraw,
            _ => (self.said, self.takes_keys_at) = (None, None),
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
                let request = typing.purpose.request(typing.editor.text());
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
        let takes_keys_at = prompt.since + TOO_SOON;
        match prompt.press(key) {
            Pressed::Unknown => None,
            Pressed::Moved => Some(Intent::None),
            // A typed line is submitted only by a further key.
            Pressed::Type(purpose) => Some(self.begin(purpose)),
            Pressed::Request(_) if now < takes_keys_at => {
                self.said = Some((Tone::Warn, TOO_EARLY.to_owned()));
                self.takes_keys_at = Some(takes_keys_at);
                Some(Intent::None)
            }
            Pressed::Request(_) if self.sent => Some(Intent::None),
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
            KeyCode::Tab => self.next_question(1, now),
            KeyCode::BackTab => self.next_question(self.gates().len().max(1) - 1, now),
            _ => {}
        }
        Intent::None
    }

    /// Whether the incident is not acknowledged yet.
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

    /// Inserts pasted text into the line that is being typed; it is never taken as keys.
    pub fn paste(&mut self, text: &str) {
        if let Some(typing) = &mut self.typing {
            typing.editor.insert(text);
        }
    }

    /// When the screen changes without news and keys.
    pub fn wake_at(&self) -> Option<Timestamp> {
        self.takes_keys_at
    }

    /// Says that the question takes keys, when a key came before that.
    pub fn tick(&mut self, now: Timestamp) {
        if self.takes_keys_at.is_some_and(|at| at <= now) {
            (self.said, self.takes_keys_at) = (Some((Tone::Warn, PRESS_AGAIN.to_owned())), None);
        }
    }

    /// The response to a request: none, or a refusal.
    pub fn answered(&mut self, refusal: Option<String>) {
        self.sent = false;
        if let Some(text) = refusal {
            (self.said, self.takes_keys_at) = (Some((Tone::Warn, text)), None);
        }
    }
}
