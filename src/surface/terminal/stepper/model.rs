//! The state of the stepper: the incident, the question, and the line that the person is typing.
//!
//! Updates, keys and the time are arguments; lines and intents are results. There is no terminal, engine or clock here.

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

/// Maximum number of output lines that are stored per running step.
const OUTPUT_LINES: usize = 200;

/// How long after a question appears its keys are ignored, so that a double key press does not approve a change that
/// nobody has read.
const KEY_DELAY: TimeDelta = TimeDelta::milliseconds(300);

/// The message for a key that was ignored, until the question accepts keys.
const TOO_EARLY: &str = "that key came too soon after the question: read it first";
/// The message after that, until the next key or the next question. Without it a person could miss that the key was
/// ignored.
const PRESS_AGAIN: &str = "press that key again: it came too soon after the question";

/// What the stepper does after a key.
#[derive(Debug, Clone, PartialEq)]
pub enum Intent {
    /// Nothing outside the model.
    None,
    /// Submit a request to the engine.
    Submit(Request),
    /// Leave without stopping the run.
    Detach,
    Redraw,
}

/// The pane that is open besides the question.
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
    /// The name of the person.
    pub person: String,
    scrollback: Scrollback,
    /// The question on the screen.
    pub prompt: Option<Prompt>,
    /// The line that the person is typing.
    pub typing: Option<Typing>,
    pub pane: Pane,
    /// The last message to the person.
    pub message: Option<(Tone, String)>,
    /// When the question accepts keys, if a key was ignored.
    accepts_keys_at: Option<Timestamp>,
    /// The other process that holds the lease, for people.
    pub holder: Option<String>,
    /// Whether the person is leaving while running steps are being stopped.
    pub leaving: bool,
    /// The last output lines of each running step.
    output: BTreeMap<(RunId, StepKey), VecDeque<String>>,
    /// Events up to this number give no lines.
    after: u64,
    /// Whether a request is in progress. Until it is answered, keys do not submit another one.
    pub request_pending: bool,
}

impl Model {
    /// A stepper before the first event.
    pub fn new(signs: &'static Signs, person: String, after: u64) -> Self {
        Self {
            signs,
            person,
            scrollback: Scrollback::new(signs),
            prompt: None,
            typing: None,
            pane: Pane::default(),
            message: None,
            accepts_keys_at: None,
            holder: None,
            leaving: false,
            output: BTreeMap::new(),
            after,
            request_pending: false,
        }
    }

    /// The incident, once its first event has arrived.
    pub fn incident(&self) -> Option<&Incident> {
        self.scrollback.incident()
    }

    /// The number of the last event.
    pub fn seq(&self) -> u64 {
        self.incident().map_or(0, |incident| incident.seq)
    }

    /// Whether every started run has ended.
    pub fn is_over(&self) -> bool {
        self.incident().is_some_and(|incident| !incident.runs.is_empty() && incident.live_runs().next().is_none())
    }

    /// Applies an update; returns the lines for the scroll-back.
    pub fn apply(&mut self, update: &IncidentUpdate, now: Timestamp) -> Result<Vec<StyledLine>, Illegal> {
        let mut lines = Vec::new();
        match update {
            IncidentUpdate::Events(events) => {
                for recorded in events {
                    let event_lines = self.scrollback.apply(recorded)?;
                    if recorded.seq > self.after {
                        lines.extend(event_lines);
                    }
                }
                self.drop_output_of_finished_steps();
                self.update_prompt(now);
            }
            IncidentUpdate::Line { run, step, text } => {
                let output = self.output.entry((*run, step.clone())).or_default();
                output.push_back(text.clone());
                if output.len() > OUTPUT_LINES {
                    output.pop_front();
                }
            }
        }
        Ok(lines)
    }

    /// The last output lines of a step.
    pub fn output(&self, run: RunId, key: &StepKey) -> impl DoubleEndedIterator<Item = &str> {
        self.output.get(&(run, key.clone())).into_iter().flatten().map(String::as_str)
    }

    fn drop_output_of_finished_steps(&mut self) {
        let Some(incident) = self.scrollback.incident() else { return };
        self.output.retain(|(run, key), _| {
            incident.run(*run).and_then(|run| run.state(key)).is_some_and(|state| state.conclusion().is_none())
        });
    }

    /// The steps whose gates wait for a person.
    pub fn gates(&self) -> Vec<(RunId, StepKey)> {
        let gates = self.incident().map(Incident::waiting_for_person).unwrap_or_default();
        gates.into_iter().map(|(run, key, _)| (run, key.clone())).collect()
    }

    /// Keeps the question that is on the screen while it is open, otherwise shows the first open question.
    fn update_prompt(&mut self, now: Timestamp) {
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
        // The message was about the previous question.
        if self.message.as_ref().is_some_and(|(_, text)| text == TOO_EARLY || text == PRESS_AGAIN) {
            (self.message, self.accepts_keys_at) = (None, None);
        }
        if self.typing.is_none()
            && let Some(purpose) = self.prompt.as_ref().and_then(Prompt::opens)
        {
            self.typing = Some(Typing { purpose, editor: Default::default() });
        }
    }

    /// Shows the question that is `step` places further in the list of open questions.
    fn next_question(&mut self, step: usize, now: Timestamp) {
        let Some(incident) = self.incident() else { return };
        let open = incident.waiting_for_person();
        if open.len() < 2 {
            return;
        }
        let current = self.prompt.as_ref().and_then(|prompt| {
            open.iter().position(|(run, key, _)| (*run, *key) == (prompt.target.run, &prompt.target.step))
        });
        let (run, key, gate) = open[(current.unwrap_or(0) + step) % open.len()];
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
            _ => (self.message, self.accepts_keys_at) = (None, None),
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
                let is_missing = request.is_none() && matches!(typing.purpose, Purpose::Answer(..));
                if is_missing {
                    self.message = Some((Tone::Warn, "an answer is needed; esc and then s skips the step".to_owned()));
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
        let accepts_keys_at = prompt.since + KEY_DELAY;
        match prompt.press(key) {
            Pressed::Unknown => None,
            Pressed::Moved => Some(Intent::None),
            // Opening a line is harmless: only a further key submits it.
            Pressed::Type(purpose) => Some(self.open_line(purpose)),
            Pressed::Request(_) if now < accepts_keys_at => {
                self.message = Some((Tone::Warn, TOO_EARLY.to_owned()));
                self.accepts_keys_at = Some(accepts_keys_at);
                Some(Intent::None)
            }
            Pressed::Request(_) if self.request_pending => Some(Intent::None),
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
            KeyCode::Char('w') => return self.open_line(Purpose::Note),
            KeyCode::Char('x') if !self.is_over() => return self.open_line(Purpose::Stop),
            KeyCode::Char('a') if self.may_acknowledge() => return self.send(Request::Acknowledge),
            KeyCode::Tab => self.next_question(1, now),
            KeyCode::BackTab => self.next_question(self.gates().len().max(1) - 1, now),
            _ => {}
        }
        Intent::None
    }

    /// Whether the incident can be acknowledged.
    pub fn may_acknowledge(&self) -> bool {
        self.incident().is_some_and(|incident| incident.status == IncidentStatus::Open)
    }

    fn open_line(&mut self, purpose: Purpose) -> Intent {
        self.typing = Some(Typing { purpose, editor: Default::default() });
        Intent::None
    }

    fn send(&mut self, request: Request) -> Intent {
        self.request_pending = true;
        Intent::Submit(request)
    }

    /// Inserts pasted text into the line that the person is typing. Pasted text never counts as keys.
    pub fn paste(&mut self, text: &str) {
        if let Some(typing) = &mut self.typing {
            typing.editor.insert(text);
        }
    }

    /// When the screen changes without an update or a key.
    pub fn wake_at(&self) -> Option<Timestamp> {
        self.accepts_keys_at
    }

    /// Shows that the question accepts keys now, if a key was ignored.
    pub fn tick(&mut self, now: Timestamp) {
        if self.accepts_keys_at.is_some_and(|at| at <= now) {
            (self.message, self.accepts_keys_at) = (Some((Tone::Warn, PRESS_AGAIN.to_owned())), None);
        }
    }

    /// Handles the response to a request: none, or the text of a refusal.
    pub fn receive_response(&mut self, refusal: Option<String>) {
        self.request_pending = false;
        if let Some(text) = refusal {
            (self.message, self.accepts_keys_at) = (Some((Tone::Warn, text)), None);
        }
    }
}
