//! Why an update failed, and how long to wait before the next attempt.

use std::time::Duration;

use crate::engine::EngineError;
use crate::notify::Undelivered;
use crate::store::StoreError;

/// Pauses after consecutive failures; the last one is repeated.
const PAUSES: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(30),
];

/// Why an update failed.
pub(super) enum PostError {
    Slack(Undelivered),
    /// The log could not be read or written.
    Log(EngineError),
}

impl From<StoreError> for PostError {
    fn from(error: StoreError) -> Self {
        Self::Log(error.into())
    }
}

impl PostError {
    /// The estate has no channel for incidents, or Slack did not return where a message was posted.
    pub(super) fn nowhere() -> Self {
        let reason = "there is no channel to show incidents in".to_owned();
        Self::Slack(Undelivered { reason, retry_after: None, permanent: true })
    }

    /// Logs the error. Returns how long to wait before the next attempt.
    pub(super) fn pause(&self, failures: usize) -> Duration {
        let usual = PAUSES[failures.min(PAUSES.len() - 1)];
        match self {
            Self::Slack(error) => {
                tracing::warn!(reason = error.reason, "incidents are not shown in Slack");
                error.retry_after.unwrap_or(usual)
            }
            Self::Log(error) => {
                tracing::warn!(%error, "the log cannot be read for Slack");
                usual
            }
        }
    }
}
