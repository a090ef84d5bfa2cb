//! Post-mortems on disk.

use std::path::Path;

use crate::domain::event::Recorded;
use crate::domain::incident::Incident;

/// A draft that is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Where, relative to the shop's directory unless the estate names an absolute place.
    pub path: String,
    /// SHA-256 of the draft as generated, in hex.
    pub digest: String,
}

/// Why a draft is not on disk.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ArchiveError {
    /// A fragment.
    pub message: String,
    /// A sentence that says what to do.
    pub hint: Option<String>,
}

/// Writes the post-mortem draft of an incident below the shop's directory. Blocks for one fsync.
///
/// `log` is the whole stream. The directory, the template and the name come from the log and the estate in it. An
/// earlier draft that a person has edited keeps the edits. Calling it again with the same log touches nothing.
pub fn write(_shop: &Path, _incident: &Incident, _log: &[Recorded]) -> Result<Written, ArchiveError> {
    Err(ArchiveError { message: "not yet".to_owned(), hint: None })
}
