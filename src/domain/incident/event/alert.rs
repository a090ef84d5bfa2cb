//! Alerts of an incident: fired, reported again, resolved. The table is [`crate::domain::incident::alert_set`].

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::alert::{Alert, AlertKey};
use crate::domain::core::time::Timestamp;

/// An event of an alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum AlertEvent {
    /// Something that is watched is not as it should be.
    #[serde(rename = "alert_fired")]
    Fired {
        /// The firing's name.
        key: AlertKey,
        /// What its sender says.
        alert: Arc<Alert>,
    },
    /// The same firing was reported again.
    #[serde(rename = "alert_repeated")]
    Repeated {
        /// The firing's name.
        key: AlertKey,
        /// How often since it was recorded last.
        times: u32,
    },
    /// What an alert warned of is over.
    #[serde(rename = "alert_resolved")]
    Resolved {
        /// The firing's name.
        key: AlertKey,
        /// When it ended, as its sender says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ends_at: Option<Timestamp>,
        /// When the incident is over, unless something fires again before.
        quiet_until: Timestamp,
    },
}
