//! What is known while somebody watches the board: rows, latencies, news, and which row is chosen.
//!
//! Deliberately absent: the terminal and the clock. What is pressed and what is found come in as arguments.

use std::collections::{HashMap, HashSet, VecDeque};

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::sparkline::Sample;
use crate::domain::core::time::Timestamp;
use crate::domain::host::status;
use crate::domain::host::status::{HealthGrade, StatusRow};

/// How many latencies are kept per row: more than the widest curve shows.
const SAMPLES: usize = 60;

/// How many changes are kept: more than the tallest screen has rows.
const NEWS: usize = 100;

/// How many rows a page key moves.
const PAGE: usize = 10;

/// A change of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusChange {
    /// When it was seen.
    pub at: Timestamp,
    /// The row's name.
    pub name: String,
    pub text: String,
    /// The grade after the change.
    pub grade: HealthGrade,
}

/// What a key asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatusIntent {
    /// Nothing.
    None,
    Leave,
    /// Probe everything now.
    Look,
    /// Show the logs of the selected row.
    Logs,
    /// Offer the runbook for the selected row, to be confirmed.
    Offer,
    /// Start the offered runbook, with these arguments.
    Start(Vec<String>),
}

/// The state of the board.
#[derive(Debug)]
pub struct StatusModel {
    /// The names of the project and the environment.
    pub title: (String, String),
    /// Problems first.
    pub rows: Vec<StatusRow>,
    /// Most recent first.
    pub news: VecDeque<StatusChange>,
    /// Why systemd cannot be reached.
    pub blind: Option<String>,
    /// A message to the person, shown until the next key.
    pub notice: Option<String>,
    /// The arguments of a runbook that waits for confirmation.
    pub offered: Option<Vec<String>>,
    samples: HashMap<String, VecDeque<Sample>>,
    /// Rows that have been seen completely once; the first result is not a change.
    known: HashSet<String>,
    chosen: Option<String>,
}

impl StatusModel {
    /// A board with these rows.
    pub fn new(title: (String, String), mut rows: Vec<StatusRow>) -> Self {
        status::sort(&mut rows);
        Self {
            title,
            rows,
            news: VecDeque::new(),
            blind: None,
            notice: None,
            offered: None,
            samples: HashMap::new(),
            known: HashSet::new(),
            chosen: None,
        }
    }

    /// Updates a row. `whole` is true once its unit and its probe have both been seen.
    pub fn put(&mut self, row: StatusRow, whole: bool, now: Timestamp) {
        let name = row.name.clone();
        let Some(old) = self.rows.iter_mut().find(|old| old.name == name) else { return };
        let text = status::changes(old, &row).filter(|_| self.known.contains(&name));
        let grade = row.grade;
        *old = row;
        if whole {
            self.known.insert(name.clone());
        }
        if let Some(text) = text {
            self.news.push_front(StatusChange { at: now, name, text, grade });
            self.news.truncate(NEWS);
        }
        status::sort(&mut self.rows);
    }

    /// Adds a latency, or none for a probe without an answer.
    pub fn sample(&mut self, name: &str, sample: Sample) {
        let samples = self.samples.entry(name.to_owned()).or_default();
        samples.push_back(sample);
        if samples.len() > SAMPLES {
            samples.pop_front();
        }
    }

    /// The latencies of a row, the latest last.
    pub fn samples(&self, name: &str) -> Vec<Sample> {
        self.samples.get(name).map(|samples| samples.iter().copied().collect()).unwrap_or_default()
    }

    /// The index of the selected row; the first row until the person selects one.
    pub fn chosen(&self) -> usize {
        let chosen = self.chosen.as_ref();
        self.rows.iter().position(|row| Some(&row.name) == chosen).unwrap_or(0)
    }

    /// The selected row.
    pub fn row(&self) -> Option<&StatusRow> {
        self.rows.get(self.chosen())
    }

    /// Handles a key.
    pub fn key(&mut self, key: KeyEvent) -> StatusIntent {
        if key.kind == KeyEventKind::Release {
            return StatusIntent::None;
        }
        self.notice = None;
        let offered = self.offered.take();
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c' | 'd') => StatusIntent::Leave,
                KeyCode::Char('l') => StatusIntent::Look,
                _ => StatusIntent::None,
            };
        }
        match (key.code, offered) {
            (KeyCode::Enter | KeyCode::Char('y'), Some(words)) => return StatusIntent::Start(words),
            // Any other key declines the offer and does nothing else.
            (_, Some(_)) => return StatusIntent::None,
            _ => {}
        }
        let at = self.chosen();
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return StatusIntent::Leave,
            KeyCode::Char(' ') => return StatusIntent::Look,
            KeyCode::Char('l') => return StatusIntent::Logs,
            KeyCode::Char('r') | KeyCode::Enter => return StatusIntent::Offer,
            KeyCode::Up | KeyCode::Char('k') => self.choose(at.saturating_sub(1)),
            KeyCode::Down | KeyCode::Char('j') => self.choose(at + 1),
            KeyCode::PageUp => self.choose(at.saturating_sub(PAGE)),
            KeyCode::PageDown => self.choose(at + PAGE),
            KeyCode::Home => self.choose(0),
            KeyCode::End => self.choose(usize::MAX),
            _ => {}
        }
        StatusIntent::None
    }

    fn choose(&mut self, at: usize) {
        let last = self.rows.len().saturating_sub(1);
        self.chosen = self.rows.get(at.min(last)).map(|row| row.name.clone());
    }
}
