//! The demo's `#incidents`: a server on loopback that takes messages as Slack's Web API does, and keeps them.
//!
//! Deliberately absent: everything of Slack but `chat.postMessage`, and the network.

use std::io;
use std::sync::{Arc, Mutex};

use crate::sync::lock;
use axum::Router;
use axum::extract::State;
use axum::response::Json;
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Maximum number of messages kept; the demo sends two.
const KEPT: usize = 100;

/// A message that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FakeMessage {
    pub text: String,
    /// Whether it is a reply in a thread.
    pub in_thread: bool,
}

/// The server; dropping it stops it.
#[derive(Debug)]
pub struct FakeSlack {
    address: String,
    messages: Arc<Mutex<Vec<FakeMessage>>>,
    server: JoinHandle<()>,
}

impl FakeSlack {
    /// Starts the server on a free port.
    ///
    /// # Errors
    /// When loopback has no free port.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("http://{}/api", listener.local_addr()?);
        let messages = Arc::default();
        let routes = Router::new().route("/api/chat.postMessage", post(take)).with_state(Arc::clone(&messages));
        let server = tokio::spawn(async move {
            // It serves until it is aborted; errors do not matter.
            let _ = axum::serve(listener, routes).await;
        });
        Ok(Self { address, messages, server })
    }

    /// The address that replaces `https://slack.com/api`.
    pub fn api(&self) -> &str {
        &self.address
    }

    /// The messages that have arrived so far.
    pub fn messages(&self) -> Vec<FakeMessage> {
        lock(&self.messages).clone()
    }
}

impl Drop for FakeSlack {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn take(State(messages): State<Arc<Mutex<Vec<FakeMessage>>>>, Json(body): Json<Value>) -> Json<Value> {
    let text = body["text"].as_str().unwrap_or_default().to_owned();
    let thread = body.get("thread_ts").filter(|thread| !thread.is_null()).cloned();
    let mut messages = lock(&messages);
    if messages.len() >= KEPT {
        return Json(json!({ "ok": false, "error": "ratelimited" }));
    }
    messages.push(FakeMessage { text: text.clone(), in_thread: thread.is_some() });
    let ts = format!("1700000000.{:06}", messages.len());
    let mut message =
        json!({ "type": "message", "subtype": "bot_message", "text": text, "bot_id": "B0DEMO", "ts": ts });
    if let Some(thread) = thread {
        message["thread_ts"] = thread;
    }
    Json(json!({ "ok": true, "channel": "C0INCIDENTS", "ts": ts, "message": message }))
}
