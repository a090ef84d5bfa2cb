//! What is known while somebody watches the board: rows, latencies, news, and which row is chosen.
//!
//! Deliberately absent: the terminal and the clock. What is pressed and what is found come in as arguments.

use std::collections::{HashMap, HashSet, VecDeque};

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::sparkline::Sample;
use crate::domain::core::time::Timestamp;
use crate::domain::host::status;
use crate::domain::host::status::{HealthGrade, StatusRow};

/// How many latencies of a row are kept: more than the widest curve has letters.
const SAMPLES: usize = 60;

/// How many news are kept: more than the tallest screen has rows.
const NEWS: usize = 100;

/// How far a page is.
const PAGE: usize = 10;

/// Something that has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusChange {
    /// When it was seen.
    pub at: Timestamp,
    /// Of what.
    pub name: String,
    /// What is new.
    pub text: String,
    /// How well it is now.
    pub grade: HealthGrade,
}

/// What a key asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatusIntent {
    /// Nothing more than is on the screen already.
    None,
    /// To end.
    Leave,
    /// To ask everything again now.
    Look,
    /// The chosen row's logs.
    Logs,
    /// The runbook for the chosen row, once more to be agreed to.
    Offer,
    /// What was offered, agreed to.
    Start(Vec<String>),
}

/// The board.
#[derive(Debug)]
pub struct StatusModel {
    /// The shop's name and the environment's.
    pub title: (String, String),
    /// Trouble first.
    pub rows: Vec<StatusRow>,
    /// The latest first.
    pub news: VecDeque<StatusChange>,
    /// Why systemd cannot be reached, if it cannot.
    pub blind: Option<String>,
    /// A word to the person, until the next key.
    pub notice: Option<String>,
    /// The words of a runbook that waits to be agreed to.
    pub offered: Option<Vec<String>>,
    samples: HashMap<String, VecDeque<Sample>>,
    /// Rows of which everything has been seen once: what comes before is no news.
    known: HashSet<String>,
    chosen: Option<String>,
}

impl StatusModel {
    /// A board of these rows.
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

    /// What is known of one subject now; `whole` when all that can be seen of it has been.
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

    /// How long an answer took, or that there was none.
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

    /// Where the chosen row stands. Until somebody chooses, that is the worst.
    pub fn chosen(&self) -> usize {
        let chosen = self.chosen.as_ref();
        self.rows.iter().position(|row| Some(&row.name) == chosen).unwrap_or(0)
    }

    /// The chosen row.
    pub fn row(&self) -> Option<&StatusRow> {
        self.rows.get(self.chosen())
    }

    /// What a key asks for.
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
            // Whatever else is pressed is a no, and nothing more.
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
