//! Slack over HTTP: `/slack/command` and `/slack/interactive`, with signed requests.
//!
//! Source: <https://docs.slack.dev/authentication/verifying-requests-from-slack>: version 0, HMAC-SHA256 over
//! `v0:<timestamp>:<raw body>`.
//!
//! **Invariant:** a body is parsed only after its signature is verified, in constant time. A request with a repeated signature
//! is acknowledged and dropped.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use ring::hmac;
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::payload;
use super::payload::Inbound;
use crate::domain::core::time::Timestamp;
use crate::surface::slack::SlackInterface;

/// The largest body, in bytes: ten times the size of a message with all its blocks.
const BODY_LIMIT: usize = 1024 * 1024;
/// How much a request's time may differ from the clock of this host, in seconds, as Slack recommends.
const WINDOW: i64 = 300;

const SIGNATURE: &str = "x-slack-signature";
const TIMESTAMP: &str = "x-slack-request-timestamp";

/// The routes for Slack's requests.
pub fn router(slack: Arc<SlackInterface>) -> Router {
    Router::new()
        .route("/slack/command", post(command))
        .route("/slack/interactive", post(interactive))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(slack)
}

async fn command(State(slack): State<Arc<SlackInterface>>, headers: HeaderMap, body: Bytes) -> Response {
    handle(&slack, &headers, &body, |body| {
        let fields = form_urlencoded::parse(body);
        let fields: Map<String, Value> =
            fields.map(|(name, value)| (name.into_owned(), Value::String(value.into_owned()))).collect();
        Inbound::command(Value::Object(fields))
    })
}

async fn interactive(State(slack): State<Arc<SlackInterface>>, headers: HeaderMap, body: Bytes) -> Response {
    handle(&slack, &headers, &body, |body| {
        let payload = form_urlencoded::parse(body).find(|(name, _)| name == "payload")?.1;
        Inbound::interaction(&serde_json::from_str(&payload).ok()?)
    })
}

/// Verifies a request, acknowledges it and handles it afterwards. `read` parses its body.
fn handle(
    slack: &SlackInterface,
    headers: &HeaderMap,
    body: &[u8],
    read: impl FnOnce(&[u8]) -> Option<Inbound>,
) -> Response {
    // Without a signing secret no HTTP request can be authenticated.
    let Some(app) = slack.app().filter(|app| app.signing.is_some()) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let engine = app.handlers.engine.refreshed();
    let parts = engine.parts();
    let Some(secret) = app.signing.as_deref().and_then(|name| parts.secrets.get(name).ok()) else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let signature = match verify(secret.expose_secret().trim().as_bytes(), headers, body, parts.clock.now()) {
        Ok(signature) => signature,
        Err(why) => {
            tracing::warn!(why, "a request to Slack's routes was rejected");
            return (StatusCode::UNAUTHORIZED, why).into_response();
        }
    };
    // Slack shows every status but 200 to the person as a failure, so a payload of an unknown kind is acknowledged too.
    if !app.is_repeated(signature)
        && let Some(inbound) = read(body)
    {
        app.dispatch(Inbound { name: payload::name(signature), ..inbound });
    }
    StatusCode::OK.into_response()
}

/// Verifies that the signature matches the body and that the request is recent. Returns the signature.
///
/// # Errors
/// The reason why the request is rejected.
fn verify<'h>(secret: &[u8], headers: &'h HeaderMap, body: &[u8], now: Timestamp) -> Result<&'h str, &'static str> {
    let single = |name: &str| {
        let mut all = headers.get_all(name).iter();
        all.next().filter(|_| all.next().is_none()).and_then(|value| value.to_str().ok())
    };
    let stamp = single(TIMESTAMP).ok_or("the timestamp is missing")?;
    let at: i64 = stamp.parse().map_err(|_| "the timestamp is not a number")?;
    if now.timestamp().abs_diff(at) > WINDOW.unsigned_abs() {
        return Err("the timestamp differs too much from this machine's time");
    }
    let signature = single(SIGNATURE).ok_or("the signature is missing")?;
    let given = signature.strip_prefix("v0=").and_then(|digits| hex::decode(digits).ok());
    let given = given.ok_or("the signature is not of version 0")?;
    let signed = [b"v0:", stamp.as_bytes(), b":", body].concat();
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    hmac::verify(&key, &signed, &given).map_err(|_| "the signature does not match the body")?;
    Ok(signature)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example in Slack's documentation.
    const SECRET: &[u8] = b"8f742231b10e8888abcd99yyyzzz85a5";
    const BODY: &str = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";

    fn headers(stamp: &str) -> HeaderMap {
        let signature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
        let pairs = [(SIGNATURE, signature), (TIMESTAMP, stamp)];
        pairs.into_iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_example_of_slacks_documentation_is_valid_for_five_minutes_and_only_for_its_body() {
        let at = |seconds: i64| chrono::DateTime::from_timestamp(1_531_420_618 + seconds, 0).unwrap();
        let check =
            |stamp: &str, body: &str, seconds| verify(SECRET, &headers(stamp), body.as_bytes(), at(seconds)).is_ok();
        assert!(check("1531420618", BODY, 0) && check("1531420618", BODY, 300) && check("1531420618", BODY, -300));
        assert!(!check("1531420618", BODY, 301) && !check("1531420618", BODY, -301));
        assert!(!check("1531420619", BODY, 0) && !check("1531420618", &BODY.replace("xyzz", "xyzy"), 0));
        assert!(verify(SECRET, &HeaderMap::new(), BODY.as_bytes(), at(0)).is_err());
    }

    #[test]
    fn a_request_with_two_signatures_is_rejected() {
        let now = chrono::DateTime::from_timestamp(1_531_420_618, 0).unwrap();
        let mut twice = headers("1531420618");
        twice.append(SIGNATURE, "v0=00".parse().unwrap());
        assert!(verify(SECRET, &twice, BODY.as_bytes(), now).is_err());
    }
}
