//! A message in Slack that shows the incident: its subject, and where it was posted.
//!
//! Not here: the messages that are still to be posted, see [`Incident::unposted`](super::Incident::unposted); and messages to
//! stakeholders, see [`super::message`].

use serde::{Deserialize, Serialize};

use crate::domain::core::id::{RunId, StepKey};
use crate::domain::core::time::Timestamp;

/// The subject of a message that shows the incident.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PostSubject {
    /// The state of the incident. This message is edited in place.
    Live,
    /// A channel for this incident, if the estate configures one; further messages go there.
    Channel,
    /// A step waits for a person.
    Waits {
        run: RunId,
        step: StepKey,
        /// The number of the step's question.
        round: u32,
    },
    /// A run has failed.
    Failed { run: RunId },
    /// A deadline is near or missed.
    AtRisk {
        deadline: String,
        /// When the deadline is due. It tells the periods of a repeating deadline apart.
        due: Timestamp,
        missed: bool,
    },
    /// The incident is resolved.
    Resolved,
}

/// A message that was posted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlackPost {
    pub subject: PostSubject,
    /// The channel's name in the estate.
    pub channel: String,
    /// The place in Slack's notation, such as `C0123456`; empty if the channel could not be created.
    pub place: String,
    /// The message's id, Slack's `ts`; empty for a channel.
    pub message: String,
}
