//! The deadlines that a runbook declares. Their state in an incident is in [`crate::domain::incident::deadline`].

use serde::{Deserialize, Serialize};

use crate::domain::core::time::Span;

/// What must be done by when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadlineRule {
    /// The name that a step's `meets` refers to.
    pub name: String,
    /// How long after `from`.
    pub within: Span,
    /// When the time begins to run.
    pub from: DeadlineFrom,
    /// When to warn, counted from `from`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warn_at: Option<Span>,
    /// When the engine notifies stakeholders itself and fallback channels are tried, counted from `from`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback_at: Option<Span>,
    /// The role that somebody has to take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Whether `within` begins again with every message to stakeholders, as long as the incident is open.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeats: bool,
    /// The channels of the stakeholders, for a deadline that repeats; any channel when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<String>,
    /// The channels that are notified when it comes near and when it is missed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub escalate: Vec<String>,
}

impl DeadlineRule {
    /// Whether a step can meet it, by its `meets`.
    pub fn is_met_by_step(&self) -> bool {
        self.from == DeadlineFrom::Opened && self.role.is_none() && !self.repeats
    }
}

/// The instant that a deadline is counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadlineFrom {
    /// When the incident is opened. A step with `meets` meets it.
    Opened,
    /// When the incident is resolved. Completing the post-mortem meets it.
    Resolved,
}
