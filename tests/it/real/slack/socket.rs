//! Slack's side of Socket Mode: <https://docs.slack.dev/apis/events-api/using-socket-mode>.

use std::sync::{Arc, Mutex};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use super::{Slack, Workspace};

impl Slack {
    /// Sends an envelope to every open socket; returns how many there are.
    pub fn send(&self, envelope: &Value) -> usize {
        let mut workspace = self.workspace();
        workspace.open.retain(|socket| socket.send(envelope.clone()).is_ok());
        workspace.open.len()
    }

    /// The number of open sockets.
    pub fn sockets(&self) -> usize {
        let mut workspace = self.workspace();
        workspace.open.retain(|socket| !socket.is_closed());
        workspace.open.len()
    }

    /// Drops every socket without a close frame.
    pub fn cut(&self) {
        self.workspace().open.clear();
    }

    /// The envelopes that were acknowledged, in order.
    pub fn acknowledged(&self) -> Vec<String> {
        self.workspace().acknowledged.clone()
    }

    /// The forms that were opened.
    pub fn views(&self) -> Vec<Value> {
        self.workspace().views.clone()
    }

    /// The response URL of a command or click.
    pub fn reply_url(&self, number: &str) -> String {
        format!("http://{}/reply/{number}", self.address)
    }

    /// The replies to a response URL, in order.
    pub fn replies(&self, number: &str) -> Vec<Value> {
        let workspace = self.workspace();
        workspace.replies.iter().filter(|(of, _)| of == number).map(|(_, body)| body.clone()).collect()
    }

    /// All replies.
    pub fn all_replies(&self) -> Vec<Value> {
        self.workspace().replies.iter().map(|(_, body)| body.clone()).collect()
    }
}

pub(super) fn address(state: &Mutex<Workspace>) -> Result<Value, &'static str> {
    let workspace = state.lock().expect("no handler panics while it holds the workspace");
    let address = workspace.sockets.ok_or("internal_error")?;
    Ok(json!({ "ok": true, "url": format!("ws://{address}/link/?ticket=t1") }))
}

pub(super) async fn serve(listener: TcpListener, state: Arc<Mutex<Workspace>>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve_socket(stream, Arc::clone(&state)));
    }
}

async fn serve_socket(stream: TcpStream, state: Arc<Mutex<Workspace>>) {
    let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
    let (sender, mut envelopes) = mpsc::unbounded_channel();
    let hello = json!({"type": "hello", "num_connections": 1, "connection_info": {"app_id": "A0RUNBOOK"}});
    if socket.send(Message::text(hello.to_string())).await.is_err() {
        return;
    }
    state.lock().expect("no handler panics while it holds the workspace").open.push(sender);
    loop {
        tokio::select! {
            envelope = envelopes.recv() => match envelope {
                Some(envelope) => drop(socket.send(Message::text(envelope.to_string())).await),
                // Dropped as by a network failure.
                None => return,
            },
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    let acknowledgement: Value = serde_json::from_str(text.as_str()).unwrap_or_default();
                    let id = acknowledgement["envelope_id"].as_str().unwrap_or_default().to_owned();
                    state.lock().expect("no handler panics while it holds the workspace").acknowledged.push(id);
                }
                Some(Ok(_)) => {}
                _ => return,
            },
        }
    }
}
