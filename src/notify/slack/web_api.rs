//! Slack's Web API: calls a method once, with the token of a bot or an app.
//!
//! These parts of the crate slack-morphism (version 2.31) are used: the session, which posts a method over hyper; its errors,
//! with Slack's error code and the requested wait; its models of requests (Block Kit, views, message contents).
//!
//! These are not used:
//!
//! * Functions for methods, such as `chat_post_message`. They parse the whole response. If Slack left out a field, a posted
//!   message would count as lost and be posted again. Callers here parse only the fields that they need.
//! * Requests for messages, which cannot turn `mrkdwn` off, and for invitations, which have no `force`.
//! * Rate control, which waits and repeats inside a call. The engine decides both.
//! * The Socket Mode client, which has no time limits. Ours is `src/surface/slack/connect/socket_mode.rs`.
//! * The check of signatures, which reads the system's clock and takes a body as text.
//!
//! **Invariant:** no error holds the token.

use std::sync::Arc;
use std::time::Duration;

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use slack_morphism::errors::SlackClientError;
use slack_morphism::prelude::{SlackApiToken, SlackClient, SlackClientHyperConnector};

use super::{Cause, undelivered};
use crate::notify::{CONNECT_LIMIT, Undelivered, install_crypto_provider, permanent};

/// Limit for a method call that a person waits for.
const CALL_LIMIT: Duration = Duration::from_secs(10);

type Connector = SlackClientHyperConnector<HttpsConnector<HttpConnector>>;

/// Slack's Web API with one token.
pub struct Web {
    client: SlackClient<Connector>,
    token: SlackApiToken,
}

impl std::fmt::Debug for Web {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Web")
    }
}

impl Web {
    /// The API with `token`. `api` replaces Slack's address.
    ///
    /// # Errors
    /// If the system has no trusted certificates.
    pub fn new(token: &SecretString, api: Option<&str>) -> Result<Self, Undelivered> {
        // Callers open other connections, such as a socket, that need installed cryptography.
        install_crypto_provider();
        let mut connector = SlackClientHyperConnector::from(https_or_http()?);
        if let Some(api) = api {
            connector = connector.with_slack_api_url(api.trim_end_matches('/'));
        }
        let token = SlackApiToken::new(token.expose_secret().trim().to_owned().into());
        Ok(Self { client: SlackClient::new(connector), token })
    }

    /// Calls a method such as `chat.update` once.
    ///
    /// # Errors
    /// Why the call failed. `place` is the name of the channel in the message.
    pub async fn call<Q, A>(&self, method: &str, body: &Q, place: &str) -> Result<A, Undelivered>
    where
        Q: Serialize + Send + Sync,
        A: DeserializeOwned + Send + 'static,
    {
        self.exchange(method, body, CALL_LIMIT).await.map_err(|error| undelivered(&error, place))
    }

    pub(super) async fn exchange<Q, A>(&self, method: &str, body: &Q, within: Duration) -> Result<A, SlackClientError>
    where
        Q: Serialize + Send + Sync,
        A: DeserializeOwned + Send + 'static,
    {
        let session = self.client.open_session(&self.token);
        tokio::time::timeout(within, session.http_session_api.http_post(method, body, None))
            .await
            .unwrap_or_else(|_| Err(Box::<Cause>::from("no answer").into()))
    }
}

fn https_or_http() -> Result<HttpsConnector<HttpConnector>, Undelivered> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut http = HttpConnector::new();
    http.set_connect_timeout(Some(CONNECT_LIMIT));
    http.enforce_http(false);
    let builder = HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(provider)
        .map_err(|error| permanent(format!("no certificates to trust: {error}; install `ca-certificates`")))?;
    Ok(builder.https_or_http().enable_http1().wrap_connector(http))
}
