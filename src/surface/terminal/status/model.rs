//! The state of the live board: rows, latencies, changes and the selected row.
//!
//! Keys, results and the time are arguments; there is no terminal and no clock here.

use std::collections::{HashMap, HashSet, VecDeque};

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::sparkline::Sample;
use crate::domain::core::time::Timestamp;
use crate::domain::host::status;
use crate::domain::host::status::{HealthGrade, StatusRow};

/// Maximum number of latencies per row: more than the widest curve shows.
const MAX_SAMPLES: usize = 60;

/// Maximum number of changes: more than a tall screen shows.
const MAX_CHANGES: usize = 100;

/// How many rows a page key moves.
const PAGE_ROWS: usize = 10;

/// A change of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusChange {
    /// When the change was detected.
    pub at: Timestamp,
    /// The row's name.
    pub name: String,
    pub text: String,
    /// The grade after the change.
    pub grade: HealthGrade,
}

/// What the board does after a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatusIntent {
    /// Nothing.
    None,
    Leave,
    /// Probe everything now.
    CheckNow,
    /// Show the logs of the selected row.
    Logs,
    /// Offer to start the runbook for the selected row.
    Offer,
    /// Start the offered runbook, with these arguments.
    Start(Vec<String>),
}

/// The state of the board.
#[derive(Debug)]
pub struct StatusModel {
    /// The name of the estate and the name of the environment.
    pub title: (String, String),
    /// Problems first.
    pub rows: Vec<StatusRow>,
    /// Most recent first.
    pub changes: VecDeque<StatusChange>,
    /// Why systemd cannot be reached.
    pub systemd_error: Option<String>,
    /// A message to the person, shown until the next key.
    pub notice: Option<String>,
    /// The arguments of the offered runbook, which waits for confirmation.
    pub offered: Option<Vec<String>>,
    samples: HashMap<String, VecDeque<Sample>>,
    /// The rows with a complete result. A first complete result is not a change.
    complete: HashSet<String>,
    /// The name of the selected row, if the person has selected one.
    chosen: Option<String>,
}

impl StatusModel {
    /// A board with these rows.
    pub fn new(title: (String, String), mut rows: Vec<StatusRow>) -> Self {
        status::sort(&mut rows);
        Self {
            title,
            rows,
            changes: VecDeque::new(),
            systemd_error: None,
            notice: None,
            offered: None,
            samples: HashMap::new(),
            complete: HashSet::new(),
            chosen: None,
        }
    }

    /// Updates a row. `is_complete` is true once the results of its unit and of its probe are both known.
    pub fn update(&mut self, row: StatusRow, is_complete: bool, now: Timestamp) {
        let name = row.name.clone();
        let Some(old) = self.rows.iter_mut().find(|old| old.name == name) else { return };
        let text = status::changes(old, &row).filter(|_| self.complete.contains(&name));
        let grade = row.grade;
        *old = row;
        if is_complete {
            self.complete.insert(name.clone());
        }
        if let Some(text) = text {
            self.changes.push_front(StatusChange { at: now, name, text, grade });
            self.changes.truncate(MAX_CHANGES);
        }
        status::sort(&mut self.rows);
    }

    /// Adds the result of a probe to the latencies of a row.
    pub fn sample(&mut self, name: &str, sample: Sample) {
        let samples = self.samples.entry(name.to_owned()).or_default();
        samples.push_back(sample);
        if samples.len() > MAX_SAMPLES {
            samples.pop_front();
        }
    }

    /// The latencies of a row, oldest first.
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
                KeyCode::Char('l') => StatusIntent::CheckNow,
                _ => StatusIntent::None,
            };
        }
        match (key.code, offered) {
            (KeyCode::Enter | KeyCode::Char('y'), Some(arguments)) => return StatusIntent::Start(arguments),
            // Any other key only declines the offer.
            (_, Some(_)) => return StatusIntent::None,
            _ => {}
        }
        let at = self.chosen();
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return StatusIntent::Leave,
            KeyCode::Char(' ') => return StatusIntent::CheckNow,
            KeyCode::Char('l') => return StatusIntent::Logs,
            KeyCode::Char('r') | KeyCode::Enter => return StatusIntent::Offer,
            KeyCode::Up | KeyCode::Char('k') => self.choose(at.saturating_sub(1)),
            KeyCode::Down | KeyCode::Char('j') => self.choose(at + 1),
            KeyCode::PageUp => self.choose(at.saturating_sub(PAGE_ROWS)),
            KeyCode::PageDown => self.choose(at + PAGE_ROWS),
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
