//! Deadlines: set, warned of, met, missed, lifted. The table is [`crate::domain::incident::deadline`].

use serde::{Deserialize, Serialize};

use crate::domain::core::id::StepKey;
use crate::domain::core::time::Timestamp;
use crate::domain::runbook::{DeadlineFrom, DeadlineRule};

/// An event of a deadline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum DeadlineEvent {
    /// A deadline began to run.
    #[serde(rename = "deadline_set")]
    Set {
        /// Its name.
        name: String,
        /// When its time began.
        from: DeadlineFrom,
        /// When it is missed.
        due: Timestamp,
        /// When to warn.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        warn_at: Option<Timestamp>,
        /// When the engine tells stakeholders itself, and messages that keep it take other ways.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fallback_at: Option<Timestamp>,
        /// The rule that it follows, for what is not an instant.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rule: Option<Box<DeadlineRule>>,
    },
    /// It comes near.
    #[serde(rename = "deadline_warned")]
    Warned {
        /// Its name.
        name: String,
    },
    /// It was kept.
    #[serde(rename = "deadline_met")]
    Met {
        /// Its name.
        name: String,
        /// When what it asks for was done.
        met_at: Timestamp,
        /// By which step, when it was one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<StepKey>,
    },
    /// It passed.
    #[serde(rename = "deadline_missed")]
    Missed {
        /// Its name.
        name: String,
    },
    /// It is not asked for any more, since the trouble is over.
    #[serde(rename = "deadline_lifted")]
    Lifted {
        /// Its name.
        name: String,
    },
}
