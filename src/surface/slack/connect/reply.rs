//! Replies that only the person who acted sees. They are sent to the address in the request.
//!
//! **Invariant:** a reply is sent only to a host of Slack, or to that of the Web API that the estate names instead.

use std::time::Duration;

use serde_json::{Value, json};
use url::Url;

use crate::notify::slack::plain;
use crate::surface::slack::render::block_kit::masked;
use crate::surface::slack::render::card::Card;

/// How long sending a reply may take.
const REPLY_LIMIT: Duration = Duration::from_secs(10);

/// The host of reply addresses; subdomains are accepted too.
const SLACK: &str = "slack.com";

/// A host and its port.
type Host = (String, Option<u16>);

/// Sends replies.
#[derive(Debug, Clone)]
pub struct Replies {
    client: reqwest::Client,
    /// The host of the Web API, if it is not Slack's own.
    stand_in: Option<Host>,
}

impl Replies {
    /// `api` is the address of the Web API if it is not Slack's own.
    ///
    /// # Errors
    /// When no HTTP client can be created.
    pub fn new(api: Option<&str>) -> Result<Self, String> {
        let client = reqwest::Client::builder()
            .timeout(REPLY_LIMIT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| format!("no HTTP client: {}", error.without_url()))?;
        let stand_in = api.and_then(|api| Url::parse(api).ok());
        let stand_in = stand_in.and_then(|url| Some((url.host_str()?.to_owned(), url.port())));
        Ok(Self { client, stand_in })
    }

    /// Sends a reply that only the person sees. A failure is only logged.
    pub async fn reply_privately(&self, address: Option<&str>, card: &Card) {
        self.post_text(address, &message(card, false)).await;
    }

    /// Replaces the message whose button was pressed.
    pub async fn replace(&self, address: Option<&str>, card: &Card) {
        self.post_text(address, &message(card, true)).await;
    }

    async fn post_text(&self, address: Option<&str>, message: &Value) {
        let Some(address) = address.and_then(|address| allowed(address, self.stand_in.as_ref())) else {
            tracing::warn!("a request from Slack has no address for the reply");
            return;
        };
        match self.client.post(address).json(message).send().await {
            Ok(answer) if answer.status().is_success() => {}
            Ok(answer) => tracing::warn!(status = answer.status().as_u16(), "Slack did not accept a reply"),
            Err(error) => tracing::warn!(error = %error.without_url(), "a reply could not be sent"),
        }
    }
}

/// The address, if a reply may be sent to it.
fn allowed(address: &str, stand_in: Option<&Host>) -> Option<Url> {
    let url = Url::parse(address).ok()?;
    let host = url.host_str()?;
    let is_slack = url.scheme() == "https" && (host == SLACK || host.ends_with(".slack.com"));
    let is_stand_in = stand_in.is_some_and(|(name, port)| name == host && *port == url.port());
    (is_slack || is_stand_in).then_some(url)
}

/// The reply in Slack's format.
fn message(card: &Card, replaces: bool) -> Value {
    json!({
        "response_type": "ephemeral", "replace_original": replaces,
        "text": plain(&masked(&card.summary)), "blocks": card.blocks.blocks(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_sent_only_to_slack() {
        assert!(allowed("https://hooks.slack.com/commands/T1/2/x", None).is_some());
        for wrong in
            ["http://hooks.slack.com/x", "https://slack.com.evil.example/x", "https://evilslack.com/", "file:///x"]
        {
            assert!(allowed(wrong, None).is_none(), "{wrong}");
        }
        let stand_in = ("127.0.0.1".to_owned(), Some(5000));
        assert!(allowed("http://127.0.0.1:5000/reply/1", Some(&stand_in)).is_some());
        assert!(allowed("http://127.0.0.1:5001/reply/1", Some(&stand_in)).is_none());
    }
}
