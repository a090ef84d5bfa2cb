//! The incident itself: opened, acknowledged, changed in severity, resolved, and documented.
//!
//! Its tables are `apply/transition.rs` and [`Incident::apply`](crate::domain::incident::Incident::apply).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::core::id::IncidentId;
use crate::domain::core::severity::Severity;
use crate::domain::core::time::Timestamp;
use crate::domain::runbook::schedule::Skipped;

/// An event of the incident itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum IncidentEvent {
    /// The first event of every log.
    #[serde(rename = "incident_opened")]
    Opened {
        /// The id of the log, so that logs cannot be confused.
        id: IncidentId,
        title: String,
        severity: Severity,
        environment: String,
        /// When the problem was first noticed, if that is known and was before the opening.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detected_at: Option<Timestamp>,
        /// The alert group that the incident collects, if an alert opened it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<String>,
    },
    /// A person acknowledged the incident.
    Acknowledged,
    /// A person added a note.
    NoteAdded { text: String },
    /// A person changed the severity.
    SeverityChanged(SeverityChange),
    /// An alert matches a runbook that does not start automatically. A person may start it.
    RunProposed(SuggestedRunbook),
    /// An occurrence of a schedule was skipped, because the previous run has not ended.
    OccurrenceSkipped(Skipped),
    /// A person or the engine resolved the incident.
    Resolved {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        summary: Option<String>,
    },
    /// A post-mortem draft was written.
    PostmortemWritten {
        path: String,
        /// SHA-256 of the draft as generated, in hex.
        digest: String,
    },
    /// The report of maintenance was written.
    ReportWritten {
        path: String,
        /// SHA-256 of the report as generated, in hex.
        digest: String,
    },
    /// A person completed the post-mortem.
    PostmortemCompleted,
}

/// A runbook that a person may start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SuggestedRunbook {
    pub runbook: String,
    /// The parameters that the alert sets.
    pub params: Map<String, Value>,
    /// Why it did not start automatically.
    pub reason: String,
}

/// The new severity of an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SeverityChange {
    pub severity: Severity,
}
