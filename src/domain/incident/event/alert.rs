//! Alerts of an incident: fired, reported again, resolved. The table is [`crate::domain::incident::alert_set`].

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::alert::{Alert, AlertKey};
use crate::domain::core::time::Timestamp;

/// An event of an alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum AlertEvent {
    /// An alert fired.
    #[serde(rename = "alert_fired")]
    Fired { key: AlertKey, alert: Arc<Alert> },
    /// The sender reported the same alert again.
    #[serde(rename = "alert_repeated")]
    Repeated {
        key: AlertKey,
        /// How many reports arrived since the last recorded one.
        times: u32,
    },
    /// An alert is resolved.
    #[serde(rename = "alert_resolved")]
    Resolved {
        key: AlertKey,
        /// The end of the alert, as its sender reports it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ends_at: Option<Timestamp>,
        /// When the incident is resolved, unless an alert fires before.
        quiet_until: Timestamp,
    },
}
