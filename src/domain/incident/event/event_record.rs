//! An event with its position in the stream.

use serde::{Deserialize, Serialize};

use super::{Actor, Event};
use crate::domain::core::time::Timestamp;

/// The most events one incident may hold; a run that would pass it is refused.
pub const EVENT_LIMIT: u64 = 100_000;

/// An event with its place in the stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// 1 for the first of an incident, without gaps.
    pub seq: u64,
    /// When it was recorded.
    pub at: Timestamp,
    /// Who or what it comes from.
    pub by: Actor,
    /// What happened.
    pub event: Event,
}
