//! A message in a chat that shows how an incident stands: what it is about, and where it was posted.
//!
//! Not here: which ones are to be posted, see [`Incident::unposted`](super::Incident::unposted); and messages to stakeholders, see [`super::message`].

use serde::{Deserialize, Serialize};

use crate::domain::core::id::{RunId, StepKey};
use crate::domain::core::time::Timestamp;

/// What a message on the board is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PostSubject {
    /// How the incident stands: the one that is changed in place.
    Live,
    /// The incident's own channel, where the estate wants one; further messages go there.
    Channel,
    /// A person is needed at a step.
    Waits {
        /// The run.
        run: RunId,
        /// The step.
        step: StepKey,
        /// Which of the step's questions.
        round: u32,
    },
    /// A run has failed.
    Failed {
        /// The run.
        run: RunId,
    },
    /// A deadline comes near, or has passed.
    AtRisk {
        /// Its name.
        deadline: String,
        /// When it is missed: one that repeats is another one each time.
        due: Timestamp,
        /// Whether it has passed.
        missed: bool,
    },
    /// The trouble is over.
    Resolved,
}

/// A message that was posted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlackPost {
    /// What it is about.
    pub subject: PostSubject,
    /// The channel's name in the estate.
    pub channel: String,
    /// Where it stands, as the channel names it, such as Slack's `C0123456`; empty where none could be had.
    pub place: String,
    /// Its id there, such as Slack's `ts`; empty for a channel.
    pub message: String,
}
