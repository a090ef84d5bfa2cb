//! An event with its position in the incident's log.

use serde::{Deserialize, Serialize};

use super::{Actor, Event};
use crate::domain::core::time::Timestamp;

/// The most events of one incident. A command that would exceed it is refused.
pub const EVENT_LIMIT: u64 = 100_000;

/// An event with its position in the incident's log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// The number of the event: 1 for the first, without gaps.
    pub seq: u64,
    /// When it was recorded.
    pub at: Timestamp,
    /// Who caused it.
    pub by: Actor,
    pub event: Event,
}
