//! Receives journalctl's output: records on standard output, messages on standard error.
//!
//! **Invariant:** memory is bounded: one record, and the beginning of standard error.

use super::journalctl_exit::JournalctlExit;
use crate::actions::transport::process::Ending;
use crate::actions::transport::process::capture::{ChildStream, Sink};
use crate::domain::journal::export::{Export, ExportRecord};

/// Bytes kept of journalctl's standard error.
const STDERR_LIMIT: usize = 4 * 1024;

/// Splits journalctl's output into records and passes them on.
pub(super) struct JournalParser<'t> {
    export: Export,
    stderr: Vec<u8>,
    take: &'t mut (dyn FnMut(&ExportRecord<'_>) + Send),
}

impl<'t> JournalParser<'t> {
    pub(super) fn new(take: &'t mut (dyn FnMut(&ExportRecord<'_>) + Send)) -> Self {
        Self { export: Export::default(), stderr: Vec::new(), take }
    }

    /// The result of a run that ended so.
    pub(super) fn finish(self, ending: Ending) -> JournalctlExit {
        let stderr = String::from_utf8_lossy(&self.stderr).into_owned();
        JournalctlExit { ending, stderr, records: self.export.records, oversized: self.export.oversized }
    }
}

impl Sink for JournalParser<'_> {
    fn take(&mut self, source: ChildStream, bytes: &[u8]) {
        if source == ChildStream::Stderr {
            let free = STDERR_LIMIT - self.stderr.len();
            self.stderr.extend_from_slice(&bytes[..bytes.len().min(free)]);
            return;
        }
        self.export.push(bytes, &mut *self.take);
    }
}
