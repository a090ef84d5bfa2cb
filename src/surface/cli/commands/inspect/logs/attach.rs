//! Attaches the result of a search to an incident's timeline, as a note.
//!
//! **Invariant:** the text fits a note. The oldest lines are left out and counted.

use std::collections::VecDeque;

use super::context::SearchContext;
use super::line::{LineStyle, LineWriter};
use super::summary;
use crate::domain::core::id::IncidentId;
use crate::domain::core::text::{grouped, head_and_tail};
use crate::domain::incident::command::{Request, TEXT_LIMIT};
use crate::domain::journal::entry::JournalEntry;
use crate::domain::journal::summary::JournalSummary;
use crate::surface::cli::context::session::Session;
use crate::surface::cli::output::error::Result;
use crate::surface::terminal::CharacterSet;

/// Maximum bytes of lines in a note. The rest is for its title and for the names that replace secrets.
const LINES_LIMIT: usize = TEXT_LIMIT * 3 / 4;

/// Maximum bytes of the title, which is the command line of the search.
const TITLE_LIMIT: usize = TEXT_LIMIT / 8;

/// The newest lines, as many as fit.
#[derive(Debug, Default)]
pub(super) struct NewestLines {
    lines: VecDeque<String>,
    bytes: usize,
    left_out: u64,
}

impl NewestLines {
    /// Adds lines, which must be newer than those before; drops the oldest ones that no longer fit.
    pub(super) fn add(&mut self, lines: &[JournalEntry], context: &SearchContext) {
        let style = LineStyle { width: None, charset: CharacterSet::Unicode, is_evidence: true };
        let mut writer = LineWriter::new(context, style);
        for line in lines {
            let line = head_and_tail(&writer.line(line), LINES_LIMIT / 4, LINES_LIMIT / 4);
            self.bytes += line.len();
            self.lines.push_back(line);
            while self.bytes > LINES_LIMIT {
                self.bytes -= self.lines.pop_front().map_or(0, |line| line.len());
                self.left_out += 1;
            }
        }
    }

    /// The text of the lines.
    pub(super) fn text(&self) -> String {
        let lines: String = self.lines.iter().map(String::as_str).collect();
        match self.left_out {
            0 => lines,
            count => format!("… {} older lines left out\n{lines}", grouped(count)),
        }
    }
}

/// The newest of these lines, as many as fit.
pub(super) fn lines(lines: &[JournalEntry], context: &SearchContext) -> String {
    let mut newest = NewestLines::default();
    newest.add(lines, context);
    newest.text()
}

/// A summary, cut to fit.
pub(super) fn summary(summary: &JournalSummary) -> String {
    let style = summary::SummaryStyle { width: None, charset: CharacterSet::Unicode };
    head_and_tail(&summary::render(summary, &style), LINES_LIMIT / 2, LINES_LIMIT / 3)
}

/// Adds the evidence to an incident as a note, under the command line of the search.
pub(super) fn attach(session: &Session, incident: &str, searched: &str, evidence: &str) -> Result<IncidentId> {
    let mut open_engine = session.open_read_only()?;
    let id = open_engine.find(Some(incident))?;
    open_engine.prepare(&id)?;
    let title = head_and_tail(searched, TITLE_LIMIT, 0);
    let text = format!("evidence from `{title}`\n{evidence}");
    open_engine.submit(&id, Request::Note(text))?;
    Ok(id)
}
