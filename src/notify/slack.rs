//! Slack: by the Web API with a bot token, or by an incoming webhook.
//!
//! The Web API answers with the message's `ts`, so that further messages can follow in its thread; a webhook answers
//! `ok` and nothing else, so its messages stand alone. Both send plain text: see [`plain()`].
//!
//! Slack has no way to send a message exactly once: `client_msg_id` belongs to Slack's own programs. Every message
//! carries its key as `metadata` (Web API), so that a repeat can be recognised; after a crash between sending and
//! recording there is **at worst one duplicate**.
//!
//! Deliberately absent: retries and the time limit of a whole delivery, which are the courier's; proxies; and markup.
//!
//! **Invariant:** no error of this room holds the token or the webhook's address.

mod error_code;
mod escape;
mod web_api;

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use slack_morphism::errors::SlackClientError;

pub use self::escape::{dead, plain};
pub use self::web_api::Web;
use super::{
    EXCHANGE_LIMIT, MessageChannel, OutgoingMessage, Receipt, Undelivered, client, fleeting, permanent, wait_asked,
};

/// Bytes of a webhook's response that are read; Slack's codes are shorter.
const ANSWER_LIMIT: usize = 512;

/// Slack's error code if the first message of a thread is gone.
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
        // People who do not follow the thread must see it too.
        let reply_broadcast = thread.map(|_| true);
        let message = Message { channel: Some(channel), thread_ts: thread, reply_broadcast, ..Message::of(message) };
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
        let message = Message { metadata: None, ..Message::of(message) };
        let answer = self.client.post(self.address.clone()).json(&message).send().await.map_err(unreachable)?;
        let status = answer.status();
        if status.is_success() {
            return Ok(Receipt { message: None, place: None });
        }
        if status == reqwest::StatusCode::TOO_MANY_REQUESTS {
            return Err(error_code::too_many(wait_asked(&answer, message.at)));
        }
        let said = first_bytes(answer).await;
        Err(error_code::explain(&said, "the webhook's channel").unwrap_or_else(|| error_code::status(status.as_u16())))
    }
}

/// The beginning of a response, as text.
async fn first_bytes(mut answer: reqwest::Response) -> String {
    let mut said = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        said.extend_from_slice(&chunk[..chunk.len().min(ANSWER_LIMIT - said.len())]);
        if said.len() >= ANSWER_LIMIT {
            break;
        }
    }
    String::from_utf8_lossy(&said).trim().to_owned()
}

/// The body of a message, for the Web API and for webhooks.
#[derive(Debug, Serialize)]
struct Message<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
    /// The text in notifications and old clients.
    text: String,
    blocks: [serde_json::Value; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    thread_ts: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_broadcast: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<serde_json::Value>,
    parse: &'static str,
    mrkdwn: bool,
    link_names: bool,
    unfurl_links: bool,
    unfurl_media: bool,
}

impl<'a> Message<'a> {
    /// A section of plain text, in which Slack interprets no markup, mention or emoji name.
    fn of(message: &OutgoingMessage) -> Message<'a> {
        let text = plain(&message.text);
        let shown = serde_json::json!({"type": "plain_text", "text": text, "emoji": false});
        Message {
            channel: None,
            blocks: [serde_json::json!({"type": "section", "text": shown})],
            text,
            thread_ts: None,
            reply_broadcast: None,
            metadata: Some(serde_json::json!({
                "event_type": "runbook_message", "event_payload": {"key": message.key},
            })),
            parse: "none",
            mrkdwn: false,
            link_names: false,
            unfurl_links: false,
            unfurl_media: false,
        }
    }
}

/// The fields of a `chat.postMessage` response that we need.
#[derive(Debug, Deserialize)]
struct Posted {
    channel: String,
    ts: String,
}

/// Explains an error. The crate's own messages quote bodies and addresses.
fn undelivered(error: &SlackClientError, channel: &str) -> Undelivered {
    match error {
        SlackClientError::ApiError(error) => error_code::explain(&error.code, &format!("`{channel}`"))
            .unwrap_or_else(|| permanent("Slack gave no reason")),
        SlackClientError::RateLimitError(error) => error_code::too_many(error.retry_after),
        SlackClientError::HttpError(error) => error_code::status(error.status_code.as_u16()),
        SlackClientError::ProtocolError(_) | SlackClientError::SocketModeProtocolError(_) => {
            permanent("what answered is not Slack; check `api` of the channel in estate.yaml")
        }
        SlackClientError::HttpProtocolError(error) => cut_off(error.cause.as_deref()),
        SlackClientError::SystemError(error) => cut_off(error.cause.as_deref()),
        SlackClientError::EndOfStream(_) => cut_off(None),
    }
}

fn cut_off(cause: Option<&Cause>) -> Undelivered {
    let cause = cause.map_or_else(|| "the answer was cut off".to_owned(), |cause| root(cause));
    fleeting(format!("Slack cannot be reached: {cause}"))
}

fn unreachable(error: reqwest::Error) -> Undelivered {
    cut_off(Some(&error.without_url()))
}

/// The innermost cause: the system's own message, such as "connection refused".
fn root(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    crate::domain::core::text::one_line(&cause.to_string(), 200)
}
