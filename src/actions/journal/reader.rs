//! Cuts what journalctl prints into lines and counts those that match.
//!
//! **Invariant:** at most one line is held, and never more than [`LONGEST_LINE`] of it.

use super::Search;
use super::entry::Entry;
use super::tally::Tally;
use crate::actions::Context;
use crate::actions::process::capture::{Sink, Source};

/// A longer line of journalctl's JSON is counted, not understood. Binary messages take four bytes each there.
pub(super) const LONGEST_LINE: usize = 1024 * 1024;

/// What is kept of journalctl's own words.
const COMPLAINT: usize = 4 * 1024;

/// Cuts journalctl's output into lines and counts them.
pub(super) struct Reader<'s> {
    search: &'s Search,
    context: &'s Context,
    pub(super) tally: Tally,
    line: Vec<u8>,
    /// Whether the rest of the line is skipped.
    skipping: bool,
    /// What journalctl says on its standard error.
    pub(super) complaint: Vec<u8>,
}

impl<'s> Reader<'s> {
    pub(super) fn new(search: &'s Search, context: &'s Context) -> Self {
        let tally = Tally::new(search.limit);
        Self { search, context, tally, line: Vec::new(), skipping: false, complaint: Vec::new() }
    }

    fn end_line(&mut self) {
        self.tally.scanned += 1;
        if self.skipping {
            self.tally.oversized += 1;
        } else if let Some(entry) = Entry::read(&self.line)
            && self.search.matches(&entry)
        {
            self.tally.add(&entry, &self.context.redactor);
        }
        self.skipping = false;
        self.line.clear();
    }
}

impl Sink for Reader<'_> {
    fn take(&mut self, source: Source, bytes: &[u8]) {
        if source == Source::Stderr {
            let room = COMPLAINT - self.complaint.len();
            self.complaint.extend_from_slice(&bytes[..bytes.len().min(room)]);
            return;
        }
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            if !self.skipping {
                self.line.extend_from_slice(piece);
            }
            if self.line.len() > LONGEST_LINE {
                self.skipping = true;
                self.line.clear();
            }
            if piece.ends_with(b"\n") {
                self.end_line();
            }
        }
    }
}
