//! The incident itself: opened, acknowledged, graded, resolved and written up.
//!
//! Its tables are `apply/transition.rs` and [`Incident::apply`](crate::domain::incident::Incident::apply).

use serde::{Deserialize, Serialize};

use super::run_lifecycle::{Regrade, SuggestedRunbook};
use crate::domain::core::id::IncidentId;
use crate::domain::core::severity::Severity;
use crate::domain::core::time::Timestamp;
use crate::domain::runbook::schedule::Skipped;

/// An event of the incident itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum IncidentEvent {
    /// The first event of every stream.
    #[serde(rename = "incident_opened")]
    Opened {
        /// Its id: the stream's own name, so that streams cannot be mixed up.
        id: IncidentId,
        /// A few words.
        title: String,
        /// How bad.
        severity: Severity,
        /// Where.
        environment: String,
        /// When the trouble was first noticed, when that is known and earlier.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detected_at: Option<Timestamp>,
        /// The group of alerts that it gathers, when an alert opened it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<String>,
    },
    /// A person has taken notice.
    Acknowledged,
    /// A person wrote something down.
    NoteAdded {
        /// The words.
        text: String,
    },
    /// It is worse, or less bad, than it was taken for.
    SeverityChanged(Regrade),
    /// An alert has a runbook that does not start by itself: a person may start it.
    RunProposed(SuggestedRunbook),
    /// An occurrence of a schedule was skipped, since this run of it still goes on.
    OccurrenceSkipped(Skipped),
    /// The trouble is over.
    Resolved {
        /// In the person's words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        summary: Option<String>,
    },
    /// A post-mortem draft was written.
    PostmortemWritten {
        /// Where.
        path: String,
        /// SHA-256 of the draft as generated, in hex.
        digest: String,
    },
    /// The report of maintenance was written.
    ReportWritten {
        /// Where.
        path: String,
        /// SHA-256 of the report as generated, in hex.
        digest: String,
    },
    /// A person says that the post-mortem is complete.
    PostmortemCompleted,
}
