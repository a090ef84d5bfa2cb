//! The Slack channels: the Web API with a bot token, and an incoming webhook. Both send plain text, see [`plain()`].
//!
//! The Web API returns the message's `ts`, so that later messages can follow in its thread. A webhook returns only
//! `ok`, so its messages have no thread.
//!
//! Slack cannot send a message exactly once: `client_msg_id` is only for Slack's own programs. Web API messages carry
//! their key as `metadata`, so that a repeat can be recognised. Each crash or timeout between sending and recording can
//! cause one duplicate.
//!
//! **Invariant:** no error here holds the token or the webhook's address.

mod error_code;
mod escape;
mod message;
mod web_api;

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use slack_morphism::errors::SlackClientError;

pub use self::escape::{plain, without_mentions};
pub use self::message::Message;
pub use self::web_api::Web;
use super::{
    EXCHANGE_LIMIT, MessageChannel, OutgoingMessage, Receipt, Undelivered, client, permanent, requested_wait,
    root_cause, temporary,
};

/// Bytes of a webhook's response that are read; Slack's codes are shorter.
const RESPONSE_LIMIT: usize = 512;

/// Slack's error code when the first message of a thread was deleted.
const THREAD_GONE: &str = "thread_not_found";

type Cause = dyn std::error::Error + Send + Sync;

/// A Slack channel over the Web API.
pub struct SlackApi {
    web: Web,
    channel: String,
}

impl SlackApi {
    /// Sends to `channel` (`#incidents` or an id) with `token`. `api` replaces Slack's own address.
    pub fn new(channel: &str, token: &SecretString, api: Option<&str>) -> Result<Self, Undelivered> {
        Ok(Self { web: Web::new(token, api)?, channel: channel.to_owned() })
    }

    async fn post(&self, message: &OutgoingMessage, thread: Option<&str>) -> Result<Posted, SlackClientError> {
        let channel = message.place.as_deref().filter(|_| thread.is_some()).unwrap_or(&self.channel);
        let key = [("key", message.key.clone())];
        let mut message = Message::of_text(&message.text).with_metadata("runbook_message", key);
        message.channel = Some(channel.to_owned());
        message.thread_ts = thread.map(str::to_owned);
        // People who do not follow the thread must see it too.
        message.reply_broadcast = thread.map(|_| true);
        self.web.exchange("chat.postMessage", &message, EXCHANGE_LIMIT).await
    }
}

impl std::fmt::Debug for SlackApi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SlackApi({})", self.channel)
    }
}

#[async_trait]
impl MessageChannel for SlackApi {
    async fn send(&self, message: &OutgoingMessage) -> Result<Receipt, Undelivered> {
        let mut posted = self.post(message, message.thread.as_deref()).await;
        if matches!(&posted, Err(SlackClientError::ApiError(error)) if error.code == THREAD_GONE) {
            // The first message was deleted: send it outside the thread rather than not at all.
            posted = self.post(message, None).await;
        }
        let posted = posted.map_err(|error| undelivered(&error, &self.channel))?;
        Ok(Receipt { message: Some(posted.ts), place: Some(posted.channel) })
    }
}

/// A Slack channel over its incoming webhook.
pub struct SlackWebhook {
    client: reqwest::Client,
    address: url::Url,
}

impl SlackWebhook {
    /// The channel behind the webhook's address, which is a secret.
    pub fn new(address: &SecretString) -> Result<Self, Undelivered> {
        let address: url::Url = address
            .expose_secret()
            .trim()
            .parse()
            .map_err(|error: url::ParseError| permanent(format!("the webhook's address is no URL: {error}")))?;
        if !matches!(address.scheme(), "https" | "http") {
            return Err(permanent("the webhook's address does not begin with `https://`"));
        }
        Ok(Self { client: client()?, address })
    }
}

impl std::fmt::Debug for SlackWebhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SlackWebhook")
    }
}

#[async_trait]
impl MessageChannel for SlackWebhook {
    async fn send(&self, message: &OutgoingMessage) -> Result<Receipt, Undelivered> {
        let body = Message::of_text(&message.text);
        let response = self.client.post(self.address.clone()).json(&body).send().await;
        let response = response.map_err(|error| unreachable(Some(&error.without_url())))?;
        let status = response.status();
        if status.is_success() {
            return Ok(Receipt { message: None, place: None });
        }
        if status == reqwest::StatusCode::TOO_MANY_REQUESTS {
            return Err(error_code::too_many(requested_wait(&response, message.at)));
        }
        let code = first_bytes(response).await;
        Err(error_code::explain(&code, "the webhook's channel").unwrap_or_else(|| error_code::status(status.as_u16())))
    }
}

/// The beginning of a response, as text.
async fn first_bytes(mut response: reqwest::Response) -> String {
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        bytes.extend_from_slice(&chunk[..chunk.len().min(RESPONSE_LIMIT - bytes.len())]);
        if bytes.len() >= RESPONSE_LIMIT {
            break;
        }
    }
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

/// The fields of a `chat.postMessage` response that are used.
#[derive(Debug, Deserialize)]
struct Posted {
    channel: String,
    ts: String,
}

/// Explains an error. The crate's messages are not used, because they quote bodies and addresses.
fn undelivered(error: &SlackClientError, channel: &str) -> Undelivered {
    match error {
        SlackClientError::ApiError(error) => error_code::explain(&error.code, &format!("`{channel}`"))
            .unwrap_or_else(|| permanent("Slack gave no reason")),
        SlackClientError::RateLimitError(error) => error_code::too_many(error.retry_after),
        SlackClientError::HttpError(error) => error_code::status(error.status_code.as_u16()),
        SlackClientError::ProtocolError(_) | SlackClientError::SocketModeProtocolError(_) => {
            permanent("the response is not from Slack; check `api` of the channel in estate.yaml")
        }
        SlackClientError::HttpProtocolError(error) => unreachable(error.cause.as_deref()),
        SlackClientError::SystemError(error) => unreachable(error.cause.as_deref()),
        SlackClientError::EndOfStream(_) => unreachable(None),
    }
}

fn unreachable(cause: Option<&Cause>) -> Undelivered {
    let cause = cause.map_or_else(|| "the answer was cut off".to_owned(), |cause| root_cause(cause));
    temporary(format!("Slack cannot be reached: {cause}"))
}
