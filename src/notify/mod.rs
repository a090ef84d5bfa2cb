//! How a message leaves: one file a channel.
//!
//! A channel sends one message once and says what became of it. Retries, deadlines and threads are the engine's.

use async_trait::async_trait;

pub mod slack;

/// The longest message, in characters: what Slack shows of one section.
pub const MESSAGE_LIMIT: usize = 3_000;

/// A message on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// The message's own name, the same for every try, so that a repeat can be recognised where it arrives.
    pub key: String,
    /// Plain text; no markup of any channel is understood in it.
    pub text: String,
    /// The message in whose thread it goes: its id at the channel.
    pub thread: Option<String>,
    /// The place of that thread, as the channel named it, such as `C0123456`.
    pub place: Option<String>,
}

/// Where a delivered message stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Its id there, such as Slack's `ts`; none where the channel gives none.
    pub message: Option<String>,
    /// Where it went, as the channel names it, such as `C0123456`.
    pub place: Option<String>,
}

/// Why a message did not arrive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Undelivered {
    /// In words.
    pub reason: String,
    /// When the channel asks to be tried again.
    pub retry_after: Option<std::time::Duration>,
    /// Whether trying again can help.
    pub permanent: bool,
}

/// A way for messages to leave.
#[async_trait]
pub trait Channel: std::fmt::Debug + Send + Sync {
    /// Sends one message, once.
    async fn send(&self, letter: &Letter) -> Result<Receipt, Undelivered>;
}
