//! Slack by Socket Mode: this process opens the connection, so Slack need not be able to connect to this machine.
//!
//! Source: <https://docs.slack.dev/apis/events-api/using-socket-mode>. Each envelope is acknowledged before it is handled, and
//! a repeated one is dropped. After `disconnect`, or a minute without a message, a new connection is opened.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use slack_morphism::prelude::SlackApiAppsConnectionOpenRequest;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::payload;
use super::payload::Inbound;
use crate::surface::slack::App;

/// How long opening the connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(15);
/// How long the connection may be without a message: Slack pings several times a minute.
const SILENCE: Duration = Duration::from_secs(60);
/// Pauses after failed connections; the last one is repeated. A connection that worked resets them.
const PAUSES: [Duration; 6] = [
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(30),
    Duration::from_secs(60),
];
/// The largest envelope, in bytes: ten times the size of a message with all its blocks.
const ENVELOPE_LIMIT: usize = 1024 * 1024;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Why a connection ended.
enum End {
    /// Slack asked for a new one.
    Asked,
    /// It broke after Slack's `hello`.
    Broken(String),
    /// It failed before Slack's `hello`.
    Closed(String),
}

/// Receives envelopes until it is dropped, on one connection after another.
#[expect(clippy::disallowed_methods, reason = "pauses between connections to another machine count real time")]
pub(crate) async fn listen(app: &Arc<App>) {
    let mut failures = 0;
    loop {
        match receive(app).await {
            End::Asked => {
                failures = 0;
                continue;
            }
            End::Broken(why) => {
                tracing::warn!(why, "the socket to Slack broke");
                failures = 0;
            }
            End::Closed(why) => tracing::warn!(why, "the socket to Slack cannot be opened"),
        }
        tokio::time::sleep(PAUSES[failures.min(PAUSES.len() - 1)]).await;
        failures += 1;
    }
}

/// Opens a connection and handles its envelopes until it ends.
async fn receive(app: &Arc<App>) -> End {
    let mut socket = match open(app).await {
        Ok(socket) => socket,
        Err(why) => return End::Closed(why),
    };
    let mut greeted = false;
    loop {
        let ended = |why: &str| if greeted { End::Broken(why.to_owned()) } else { End::Closed(why.to_owned()) };
        let message = match tokio::time::timeout(SILENCE, socket.next()).await {
            Ok(Some(Ok(message))) => message,
            Ok(Some(Err(error))) => return ended(&error.to_string()),
            Ok(None) => return ended("it was closed"),
            Err(_) => return ended("there was no message for a minute"),
        };
        let Message::Text(text) = message else { continue };
        let Ok(envelope) = serde_json::from_str::<Value>(text.as_str()) else { continue };
        match envelope["type"].as_str() {
            Some("hello") => greeted = true,
            Some("disconnect") => return End::Asked,
            _ => {
                if let Err(why) = handle(app, &mut socket, envelope).await {
                    return ended(&why);
                }
            }
        }
    }
}

async fn open(app: &Arc<App>) -> Result<Socket, String> {
    let web = app.socket.as_ref().ok_or("there is no app token")?;
    let request = SlackApiAppsConnectionOpenRequest::new();
    let answer: Value = web.call("apps.connections.open", &request, "the app").await.map_err(|error| error.reason)?;
    let url = answer["url"].as_str().ok_or("Slack gave no address")?;
    let is_allowed = url.starts_with("wss://") || (app.stand_in && url.starts_with("ws://127.0.0.1:"));
    if !is_allowed {
        return Err("the address that Slack gave is not encrypted".to_owned());
    }
    let config = WebSocketConfig::default().max_message_size(Some(ENVELOPE_LIMIT)).max_frame_size(Some(ENVELOPE_LIMIT));
    let connecting = connect_async_with_config(url, Some(config), true);
    let connected = tokio::time::timeout(CONNECT_LIMIT, connecting).await.map_err(|_| "no answer".to_owned())?;
    // The address contains a credential. The errors of the WebSocket crate do not quote it.
    connected.map(|(socket, _)| socket).map_err(|error| error.to_string())
}

/// Acknowledges an envelope, then handles its payload.
async fn handle(app: &Arc<App>, socket: &mut Socket, mut envelope: Value) -> Result<(), String> {
    let Some(id) = envelope["envelope_id"].as_str().map(str::to_owned) else { return Ok(()) };
    let acknowledgement = json!({"envelope_id": id}).to_string();
    socket.send(Message::text(acknowledgement)).await.map_err(|error| error.to_string())?;
    if app.is_repeated(&id) {
        return Ok(());
    }
    let payload = envelope["payload"].take();
    let inbound = match envelope["type"].as_str() {
        Some("slash_commands") => Inbound::command(payload),
        Some("interactive") => Inbound::interaction(&payload),
        _ => None,
    };
    if let Some(inbound) = inbound {
        app.dispatch(Inbound { name: payload::name(&id), ..inbound });
    }
    Ok(())
}
