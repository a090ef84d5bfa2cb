//! Deadlines: set, near, met, missed, lifted. The table is [`crate::domain::incident::deadline`].

use serde::{Deserialize, Serialize};

use crate::domain::core::id::StepKey;
use crate::domain::core::time::Timestamp;
use crate::domain::runbook::{DeadlineFrom, DeadlineRule};

/// An event of a deadline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum DeadlineEvent {
    /// A deadline was set.
    #[serde(rename = "deadline_set")]
    Set {
        name: String,
        /// Whether its time is counted from the opening or the resolution.
        from: DeadlineFrom,
        due: Timestamp,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        warn_at: Option<Timestamp>,
        /// When the engine notifies stakeholders itself, and fallback routes open for messages that meet the deadline.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fallback_at: Option<Timestamp>,
        /// The runbook's rule; none in old logs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rule: Option<Box<DeadlineRule>>,
    },
    /// The deadline's `warn_at` was reached.
    #[serde(rename = "deadline_warned")]
    Warned { name: String },
    /// The deadline was met, in time or late.
    #[serde(rename = "deadline_met")]
    Met {
        name: String,
        /// When the requirement was fulfilled; the event may be recorded later.
        met_at: Timestamp,
        /// The step that met it, if one did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<StepKey>,
    },
    /// The deadline was not met when it was due.
    #[serde(rename = "deadline_missed")]
    Missed { name: String },
    /// The deadline no longer applies, because the incident is resolved.
    #[serde(rename = "deadline_lifted")]
    Lifted { name: String },
}
