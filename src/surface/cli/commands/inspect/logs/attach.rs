//! What is found as evidence in the timeline of an incident: a note, as every other, through the one door in.
//!
//! **Invariant:** it fits a note. What does not fit is left out from the old end, and counted.

use std::collections::VecDeque;

use super::context::SearchContext;
use super::line::{LineStyle, LineWriter};
use super::summary;
use crate::domain::core::id::IncidentId;
use crate::domain::core::text::{grouped, head_and_tail};
use crate::domain::incident::command::{Request, WORDS_LIMIT};
use crate::domain::journal::entry::Entry;
use crate::domain::journal::summary::Summary;
use crate::surface::cli::context::session::Session;
use crate::surface::cli::output::error::Result;
use crate::surface::terminal::Letters;

/// Bytes of lines: what a note holds, with room for what it begins with and for names in place of secrets.
const ROOM: usize = WORDS_LIMIT * 3 / 4;

/// Bytes of the words that say what was searched.
const TITLE: usize = WORDS_LIMIT / 8;

/// The newest lines, as far as they fit.
#[derive(Debug, Default)]
pub(super) struct NewestLines {
    lines: VecDeque<String>,
    bytes: usize,
    left_out: u64,
}

impl NewestLines {
    /// Takes further lines, newer ones.
    pub(super) fn add(&mut self, lines: &[Entry], bench: &SearchContext) {
        let look = LineStyle { width: None, letters: Letters::Unicode, is_evidence: true };
        let mut pen = LineWriter::new(bench, look);
        for line in lines {
            let line = head_and_tail(&pen.line(line), ROOM / 4, ROOM / 4);
            self.bytes += line.len();
            self.lines.push_back(line);
            while self.bytes > ROOM {
                self.bytes -= self.lines.pop_front().map_or(0, |line| line.len());
                self.left_out += 1;
            }
        }
    }

    /// All of it.
    pub(super) fn text(&self) -> String {
        let lines: String = self.lines.iter().map(String::as_str).collect();
        match self.left_out {
            0 => lines,
            count => format!("… {} older lines left out\n{lines}", grouped(count)),
        }
    }
}

/// The newest of these lines, as far as they fit.
pub(super) fn lines(lines: &[Entry], bench: &SearchContext) -> String {
    let mut newest = NewestLines::default();
    newest.add(lines, bench);
    newest.text()
}

/// A summary, as far as it fits.
pub(super) fn summary(summary: &Summary) -> String {
    let style = summary::Style { width: None, letters: Letters::Unicode };
    head_and_tail(&summary::drawn(summary, &style), ROOM / 2, ROOM / 3)
}

/// Writes the evidence down in an incident, under what was searched.
pub(super) fn attach(station: &Session, incident: &str, searched: &str, evidence: &str) -> Result<IncidentId> {
    let mut desk = station.look()?;
    let id = desk.find(Some(incident))?;
    desk.prepare(&id)?;
    let title = head_and_tail(searched, TITLE, 0);
    let text = format!("evidence from `{title}`\n{evidence}");
    desk.submit(&id, Request::Note(text))?;
    Ok(id)
}
