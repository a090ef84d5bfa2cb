//! A server on loopback in place of Slack: it accepts `chat.postMessage` as Slack's Web API does, and stores the messages.

use std::io;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::response::Json;
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::sync::lock;

/// Maximum number of stored messages; the demo sends two.
const MAX_MESSAGES: usize = 100;

/// A received message.
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
        let routes = Router::new().route("/api/chat.postMessage", post(post_message)).with_state(Arc::clone(&messages));
        let server = tokio::spawn(async move {
            // It serves until it is aborted. An error is ignored: messages then fail to be delivered.
            let _ = axum::serve(listener, routes).await;
        });
        Ok(Self { address, messages, server })
    }

    /// The address that replaces `https://slack.com/api`.
    pub fn api(&self) -> &str {
        &self.address
    }

    /// The messages received so far.
    pub fn messages(&self) -> Vec<FakeMessage> {
        lock(&self.messages).clone()
    }
}

impl Drop for FakeSlack {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn post_message(State(messages): State<Arc<Mutex<Vec<FakeMessage>>>>, Json(body): Json<Value>) -> Json<Value> {
    let text = body["text"].as_str().unwrap_or_default().to_owned();
    let thread = body.get("thread_ts").filter(|thread| !thread.is_null()).cloned();
    let mut messages = lock(&messages);
    if messages.len() >= MAX_MESSAGES {
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
