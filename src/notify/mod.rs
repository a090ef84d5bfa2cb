//! Channels for messages, one module each. A channel tries once to send a message.
//!
//! Not here: retries and deadlines (`domain::incident::message`), and the order of sending (`engine::delivery`).

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::core::text::one_line;
use crate::domain::core::time::{Span, Timestamp};

pub mod command;
pub mod email;
pub mod slack;
pub mod webhook;

/// The longest message in characters: what Slack shows of one section.
pub const MESSAGE_LIMIT: usize = 3_000;

/// A message for a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingMessage {
    /// The message's key: the same for every attempt, so that a receiver can recognise a repeat.
    pub key: String,
    /// Plain text; channels interpret no markup in it.
    pub text: String,
    /// The first message of the thread, as the channel's id. `None` for the first message.
    pub thread: Option<String>,
    /// The channel's name for the place of that thread, such as `C0123456`.
    pub place: Option<String>,
    pub incident: String,
    /// The severity's name, such as `P1`.
    pub severity: String,
    pub at: Timestamp,
}

/// Identifies a delivered message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The message's id, such as Slack's `ts`; `None` if the channel gives none.
    pub message: Option<String>,
    /// The channel's name for the place, such as `C0123456`.
    pub place: Option<String>,
}

/// Why a message was not delivered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Undelivered {
    /// A text for people that contains no secret.
    pub reason: String,
    /// How long the channel asks to wait before the next attempt.
    pub retry_after: Option<Duration>,
    /// Whether another attempt is pointless.
    pub permanent: bool,
}

/// A channel that delivers messages.
#[async_trait]
pub trait MessageChannel: std::fmt::Debug + Send + Sync {
    /// Tries once to send a message.
    async fn send(&self, message: &OutgoingMessage) -> Result<Receipt, Undelivered>;
}

/// The longest subject in characters: what a phone shows.
const SUBJECT_LIMIT: usize = 120;

/// The first line of a message.
fn subject(message: &OutgoingMessage) -> String {
    one_line(message.text.lines().next().unwrap_or_default(), SUBJECT_LIMIT)
}

/// Limit for connecting. A host that does not answer must not use up the time of a delivery.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Limit for one exchange if the caller sets none.
const EXCHANGE_LIMIT: Duration = Duration::from_secs(30);

/// An HTTP client that follows no redirect and uses no proxy.
fn client() -> Result<reqwest::Client, Undelivered> {
    install_crypto_provider();
    reqwest::Client::builder()
        .connect_timeout(CONNECT_LIMIT)
        .timeout(EXCHANGE_LIMIT)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .map_err(|error| permanent(format!("no HTTP client: {}", error.without_url())))
}

/// How long a response asks to wait.
fn requested_wait(response: &reqwest::Response, now: Timestamp) -> Option<Duration> {
    let text = response.headers().get(reqwest::header::RETRY_AFTER)?.to_str().ok()?;
    retry_after(text, now)
}

/// Parses `Retry-After`: seconds or a date (RFC 9110, 10.2.3).
fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let seconds = text.parse().ok().map(Duration::from_secs);
    seconds.or_else(|| chrono::DateTime::parse_from_rfc2822(text).ok().map(|at| Span::between(now, at.to_utc()).0))
}

/// A failure that another attempt cannot change.
fn permanent(reason: impl Into<String>) -> Undelivered {
    Undelivered { reason: reason.into(), retry_after: None, permanent: true }
}

/// A failure that another attempt may change.
fn temporary(reason: impl Into<String>) -> Undelivered {
    Undelivered { reason: reason.into(), retry_after: None, permanent: false }
}

/// Characters of a cause that are quoted.
const CAUSE_LIMIT: usize = 200;

/// The innermost cause of an error: the message of the server or the system, such as "connection refused".
fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    one_line(&cause.to_string(), CAUSE_LIMIT)
}

/// Installs ring as the process's cryptography unless another is installed. `reqwest` needs one and brings none.
fn install_crypto_provider() {
    // The only error is that one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_may_ask_for_seconds_or_for_a_date() {
        let now = chrono::DateTime::from_timestamp(1_445_412_479, 0).expect("an instant");
        assert_eq!(retry_after("30", now), Some(Duration::from_secs(30)));
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:28:00 GMT", now), Some(Duration::from_secs(1)));
        assert_eq!(retry_after("soon", now), None);
    }
}
