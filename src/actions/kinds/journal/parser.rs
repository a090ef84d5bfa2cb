//! Takes what journalctl prints: records on standard output, its own words on standard error.
//!
//! **Invariant:** memory is bounded: one record, and the beginning of the words.

use super::query::JournalctlExit;
use crate::actions::transport::process::Ending;
use crate::actions::transport::process::capture::{ChildStream, Sink};
use crate::domain::journal::export::{Export, ExportRecord};

/// Bytes kept of journalctl's error output.
const COMPLAINT: usize = 4 * 1024;

/// Splits journalctl's output into records and passes them on.
pub(super) struct JournalParser<'t> {
    export: Export,
    complaint: Vec<u8>,
    take: &'t mut (dyn FnMut(&ExportRecord<'_>) + Send),
}

impl<'t> JournalParser<'t> {
    pub(super) fn new(take: &'t mut (dyn FnMut(&ExportRecord<'_>) + Send)) -> Self {
        Self { export: Export::default(), complaint: Vec::new(), take }
    }

    pub(super) fn ended(self, ending: Ending) -> JournalctlExit {
        let complaint = String::from_utf8_lossy(&self.complaint).into_owned();
        JournalctlExit { ending, complaint, records: self.export.records, oversized: self.export.oversized }
    }
}

impl Sink for JournalParser<'_> {
    fn take(&mut self, source: ChildStream, bytes: &[u8]) {
        if source == ChildStream::Stderr {
            let room = COMPLAINT - self.complaint.len();
            self.complaint.extend_from_slice(&bytes[..bytes.len().min(room)]);
            return;
        }
        self.export.push(bytes, &mut *self.take);
    }
}
