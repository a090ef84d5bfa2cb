//! How a message leaves: one file a channel.
//!
//! A channel sends one message once and says what became of it. Retries, deadlines and threads are the engine's.

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::core::text::one_line;
use crate::domain::core::time::{Span, Timestamp};

pub mod command;
pub mod email;
pub mod slack;
pub mod webhook;

/// The longest message, in characters: what Slack shows of one section.
pub const MESSAGE_LIMIT: usize = 3_000;

/// A message on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingMessage {
    /// The message's own name, the same for every try, so that a repeat can be recognised where it arrives.
    pub key: String,
    /// Plain text; no markup of any channel is understood in it.
    pub text: String,
    /// The message in whose thread it goes: its id at the channel.
    pub thread: Option<String>,
    /// The place of that thread, as the channel named it, such as `C0123456`.
    pub place: Option<String>,
    /// The incident's id.
    pub incident: String,
    /// How bad it is: `P1`.
    pub severity: String,
    /// When it is sent.
    pub at: Timestamp,
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
    pub retry_after: Option<Duration>,
    /// Whether trying again can help.
    pub permanent: bool,
}

/// A way for messages to leave.
#[async_trait]
pub trait Channel: std::fmt::Debug + Send + Sync {
    /// Sends one message, once.
    async fn send(&self, letter: &OutgoingMessage) -> Result<Receipt, Undelivered>;
}

/// The longest subject of a letter, in characters: what a telephone shows of one.
const SUBJECT_LIMIT: usize = 120;

/// The first line of a message, as its subject.
fn subject(letter: &OutgoingMessage) -> String {
    one_line(letter.text.lines().next().unwrap_or_default(), SUBJECT_LIMIT)
}

/// How long a connection may take: a host that does not answer is not worth more of a delivery's time.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// How long one exchange may take when nobody above is less patient.
const EXCHANGE_LIMIT: Duration = Duration::from_secs(30);

/// A client for posts that go to one address and nowhere else.
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

/// How long an answer asks to be left alone.
fn wait_asked(answer: &reqwest::Response, now: Timestamp) -> Option<Duration> {
    let text = answer.headers().get(reqwest::header::RETRY_AFTER)?.to_str().ok()?;
    retry_after(text, now)
}

/// What a `Retry-After` asks for: seconds, or a date (RFC 9110, 10.2.3).
fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let seconds = text.parse().ok().map(Duration::from_secs);
    seconds.or_else(|| chrono::DateTime::parse_from_rfc2822(text).ok().map(|at| Span::between(now, at.to_utc()).0))
}

fn permanent(reason: impl Into<String>) -> Undelivered {
    Undelivered { reason: reason.into(), retry_after: None, permanent: true }
}

fn fleeting(reason: impl Into<String>) -> Undelivered {
    Undelivered { reason: reason.into(), retry_after: None, permanent: false }
}

/// Makes ring the process's cryptography, unless it has one; `reqwest` asks for that and brings none.
fn install_crypto_provider() {
    // The error says that there is one already, which is as good.
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
