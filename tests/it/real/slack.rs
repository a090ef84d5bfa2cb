//! Slack, as far as an incident tool speaks to it: messages, forms, answers to commands, Socket Mode and an incoming webhook.
//!
//! One of the two stand-ins that this project has. Paths, answers and errors have the shapes of
//! <https://docs.slack.dev/reference/methods/chat.postMessage>, <https://docs.slack.dev/reference/methods/chat.update>
//! and <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>: an error of the Web API is status
//! 200 with `"ok": false`; an error of a webhook is a status and a word; too many requests is status 429 with
//! `Retry-After`.
//!
//! Deliberately absent: what Slack does with blocks; they are kept as they came. Posts are not slowed down to one a
//! second, but [`Fault::TooMany`] says what Slack would say.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::sync::oneshot;

/// The bot token that the stand-in takes; any other is `invalid_auth`.
pub const TOKEN: &str = "xoxb-stand-in-5f2d1c";

/// Another one that it takes, for a change of tokens.
pub const SECOND: &str = "xoxb-stand-in-9a60fe";

/// The app-level token of Socket Mode; any other is `invalid_auth`.
pub const APP_TOKEN: &str = "xapp-stand-in-77ab01";

/// The incoming webhook's path; any other is `no_service`.
pub const HOOK: &str = "T0SHOP/B0RUNBOOK/hZ2k9QyW";

/// Channels that exist, by name and by id; any other is `channel_not_found`.
const CHANNELS: &[(&str, &str)] = &[("#incidents", "C0INCIDENTS"), ("#oncall", "C0ONCALL")];

/// How long a request hangs that was told to hang: longer than any patience of a test.
const FOREVER: std::time::Duration = std::time::Duration::from_secs(600);

/// What the next request meets instead of an answer.
#[derive(Clone, Debug)]
pub enum Fault {
    /// An error word of the Web API or the webhook, such as `is_archived`.
    Error(&'static str),
    /// Status 429 and this many seconds in `Retry-After`.
    TooMany(u32),
    /// A status with an HTML page, as a proxy in between answers.
    Status(u16),
    /// No answer at all.
    Hang,
    /// The message arrives and is recorded, but the answer is lost.
    Lost,
    /// The same, and the answer comes after this many milliseconds.
    Late(u64),
}

/// A request that arrived, whatever it was answered.
#[derive(Clone, Debug)]
pub struct Request {
    /// `chat.postMessage`, `chat.update`, `auth.test` or `webhook`.
    pub method: String,
    /// The body, or `null` when it was not JSON.
    pub body: Value,
    /// The `Authorization` header.
    pub authorization: Option<String>,
}

/// A message as a person in the channel sees it now.
#[derive(Clone, Debug)]
pub struct Message {
    /// The channel's id, or `webhook`.
    pub channel: String,
    /// Slack's name for the message inside its channel.
    pub ts: String,
    /// The `ts` of the message that began the thread, for a reply.
    pub thread: Option<String>,
    pub text: String,
    pub blocks: Value,
    /// How many times it was updated.
    pub edits: u32,
}

mod app;
mod socket;

#[derive(Default)]
struct Workspace {
    requests: Vec<Request>,
    messages: Vec<Message>,
    faults: VecDeque<Fault>,
    always: Option<Fault>,
    /// A message with these words in it hangs, however often it is sent.
    deaf: Option<String>,
    /// What requests of one method meet.
    hindered: BTreeMap<String, Fault>,
    /// Forms that were opened, with the trigger.
    views: Vec<Value>,
    /// What the token may do, when a test has said it.
    scopes: Option<String>,
    /// Answers to commands and clicks, by the number in their address.
    replies: Vec<(String, Value)>,
    /// Channels that were made.
    channels: Vec<String>,
    /// Where the sockets are.
    sockets: Option<SocketAddr>,
    /// Sockets that are open.
    open: Vec<tokio::sync::mpsc::UnboundedSender<Value>>,
    /// Envelopes that were acknowledged.
    acknowledged: Vec<String>,
}

impl Workspace {
    /// What the token may do.
    fn allowed(&self) -> String {
        self.scopes.clone().unwrap_or_else(|| "commands,chat:write".to_owned())
    }
}

/// The stand-in, on a port of its own until it is dropped.
pub struct Slack {
    address: SocketAddr,
    workspace: Arc<Mutex<Workspace>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Slack {
    /// Starts the stand-in; it answers when this returns.
    pub fn start() -> Self {
        let workspace = Arc::new(Mutex::new(Workspace::default()));
        let (stop, stopped) = oneshot::channel();
        let (bound, address) = std::sync::mpsc::channel();
        let state = Arc::clone(&workspace);
        let thread = std::thread::spawn(move || serve(state, &bound, stopped));
        let address = address.recv().expect("the stand-in for Slack binds a port of loopback");
        Self { address, workspace, stop: Some(stop), thread: Some(thread) }
    }

    /// What stands for `https://slack.com/api`.
    pub fn api_url(&self) -> String {
        format!("http://{}/api", self.address)
    }

    /// What stands for `https://hooks.slack.com/services/T…/B…/…`.
    pub fn webhook_url(&self) -> String {
        format!("http://{}/services/{HOOK}", self.address)
    }

    /// The next request meets this; several are met in order.
    pub fn next(&self, fault: Fault) -> &Self {
        self.workspace().faults.push_back(fault);
        self
    }

    /// Every request meets this until [`Slack::recover`].
    pub fn always(&self, fault: Fault) -> &Self {
        self.workspace().always = Some(fault);
        self
    }

    /// Every request of a method meets this until [`Slack::recover`].
    pub fn hinder(&self, method: &str, fault: Fault) -> &Self {
        self.workspace().hindered.insert(method.to_owned(), fault);
        self
    }

    /// The bot token may do this, and no more.
    pub fn allow(&self, scopes: &str) -> &Self {
        self.workspace().scopes = Some(scopes.to_owned());
        self
    }

    /// Requests are answered again.
    pub fn recover(&self) -> &Self {
        let mut workspace = self.workspace();
        (workspace.always, workspace.deaf) = (None, None);
        workspace.hindered.clear();
        workspace.faults.clear();
        drop(workspace);
        self
    }

    /// Messages with these words in them hang, until it recovers.
    pub fn deaf_to(&self, words: &str) -> &Self {
        self.workspace().deaf = Some(words.to_owned());
        self
    }

    /// Every request that arrived, in order.
    pub fn requests(&self) -> Vec<Request> {
        self.workspace().requests.clone()
    }

    /// Every message that was accepted, as it reads now, in the order of first posting.
    pub fn messages(&self) -> Vec<Message> {
        self.workspace().messages.clone()
    }

    fn workspace(&self) -> MutexGuard<'_, Workspace> {
        self.workspace.lock().expect("no handler panics while it holds the workspace")
    }
}

impl Drop for Slack {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the stand-in for Slack panicked");
        }
    }
}

fn serve(state: Arc<Mutex<Workspace>>, bound: &std::sync::mpsc::Sender<SocketAddr>, stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be built");
    runtime.block_on(async move {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
        let address = listener.local_addr().expect("a bound listener has an address");
        let sockets = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
        state.lock().expect("nobody has it yet").sockets = sockets.local_addr().ok();
        bound.send(address).expect("the test waits for the address");
        tokio::spawn(socket::serve(sockets, Arc::clone(&state)));
        let routes = Router::new()
            .route("/reply/{number}", post(app::reply))
            .route("/api/{method}", post(web_api))
            .route("/services/{team}/{bot}/{key}", post(webhook))
            .with_state(state);
        // Requests that hang are dropped with the server: a test that ends does not wait for them.
        tokio::select! {
            served = axum::serve(listener, routes) => served.expect("the listener stays open"),
            _ = stopped => {}
        }
    });
    runtime.shutdown_background();
}

type Shared = State<Arc<Mutex<Workspace>>>;

async fn web_api(State(state): Shared, Path(method): Path<String>, headers: HeaderMap, body: Bytes) -> Response {
    let (body, fault) = arrive(&state, &method, &headers, &body);
    let after = match fault {
        Some(Fault::Error(word)) => return failed(word),
        Some(after @ (Fault::Lost | Fault::Late(_))) => Some(after),
        Some(fault) => return meet(fault).await,
        None => None,
    };
    let answer = answer(&state, &method, &headers, &body);
    match after {
        Some(Fault::Late(pause)) => tokio::time::sleep(std::time::Duration::from_millis(pause)).await,
        Some(lost) => return meet(lost).await,
        None => {}
    }
    match answer {
        Ok(answer) => (scopes(&state), json_response(&answer)).into_response(),
        Err(word) => failed(word),
    }
}

/// What the token may do, as every answer of the Web API says it.
fn scopes(state: &Mutex<Workspace>) -> [(&'static str, String); 1] {
    [("x-oauth-scopes", state.lock().expect("no handler panics while it holds the workspace").allowed())]
}

async fn webhook(
    State(state): Shared,
    Path((team, bot, key)): Path<(String, String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let (body, fault) = arrive(&state, "webhook", &headers, &body);
    let lost = matches!(fault, Some(Fault::Lost));
    match fault {
        Some(Fault::Error(word)) => return (StatusCode::BAD_REQUEST, word).into_response(),
        Some(fault) if !lost => return meet(fault).await,
        _ => {}
    }
    if format!("{team}/{bot}/{key}") != HOOK {
        return (StatusCode::NOT_FOUND, "no_service").into_response();
    }
    if body.is_null() {
        return (StatusCode::BAD_REQUEST, "invalid_payload").into_response();
    }
    if !has_content(&body) {
        return (StatusCode::BAD_REQUEST, "no_text").into_response();
    }
    keep(&state, "webhook", &body);
    if lost {
        return meet(Fault::Hang).await;
    }
    "ok".into_response()
}

/// Records the request; returns its body and what it must meet.
fn arrive(state: &Mutex<Workspace>, method: &str, headers: &HeaderMap, body: &Bytes) -> (Value, Option<Fault>) {
    let body: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let mut workspace = state.lock().expect("no handler panics while it holds the workspace");
    workspace.requests.push(Request { method: method.to_owned(), body: body.clone(), authorization });
    let text = body["text"].as_str().unwrap_or_default();
    let hangs = workspace.deaf.as_ref().filter(|words| text.contains(words.as_str())).map(|_| Fault::Hang);
    let hindered = hangs.or_else(|| workspace.hindered.get(method).cloned());
    let fault = hindered.or_else(|| workspace.faults.pop_front()).or_else(|| workspace.always.clone());
    (body, fault)
}

async fn meet(fault: Fault) -> Response {
    match fault {
        Fault::TooMany(seconds) => {
            let retry = [(header::RETRY_AFTER, seconds.to_string())];
            (StatusCode::TOO_MANY_REQUESTS, retry, r#"{"ok":false,"error":"ratelimited"}"#).into_response()
        }
        Fault::Status(status) => {
            let status = StatusCode::from_u16(status).expect("a test names a real status");
            let html = [(header::CONTENT_TYPE, "text/html")];
            (status, html, "<html><body><h1>upstream trouble</h1></body></html>").into_response()
        }
        Fault::Error(word) => failed(word),
        Fault::Hang | Fault::Lost | Fault::Late(_) => {
            tokio::time::sleep(FOREVER).await;
            StatusCode::GATEWAY_TIMEOUT.into_response()
        }
    }
}

fn answer(state: &Mutex<Workspace>, method: &str, headers: &HeaderMap, body: &Value) -> Result<Value, &'static str> {
    let authorization = headers.get(header::AUTHORIZATION).ok_or("not_authed")?;
    let tokens: &[&str] = if method == "apps.connections.open" { &[APP_TOKEN] } else { &[TOKEN, SECOND] };
    if !tokens.iter().any(|token| authorization.as_bytes() == format!("Bearer {token}").as_bytes()) {
        return Err("invalid_auth");
    }
    let allowed = state.lock().expect("no handler panics while it holds the workspace").allowed();
    if !app::needed(method).is_none_or(|scope| allowed.split(',').any(|one| one == scope)) {
        return Err("missing_scope");
    }
    match method {
        "apps.connections.open" => socket::address(state),
        "conversations.create" => app::create_channel(state, body),
        "conversations.invite" => app::invite(state, body),
        "views.open" => app::open_view(state, body),
        "auth.test" => Ok(json!({
            "ok": true, "url": "https://pakashop.slack.com/", "team": "Pakashop", "user": "runbook",
            "team_id": "T0SHOP", "user_id": "U0RUNBOOK", "bot_id": "B0RUNBOOK",
        })),
        "chat.postMessage" => post_message(state, body),
        "chat.update" => update(state, body),
        _ => Err("unknown_method"),
    }
}

fn post_message(state: &Mutex<Workspace>, body: &Value) -> Result<Value, &'static str> {
    let channel = channel(state, body)?;
    if !has_content(body) {
        return Err("no_text");
    }
    let message = keep(state, &channel, body);
    Ok(json!({ "ok": true, "channel": channel, "ts": message.ts, "message": shape(&message) }))
}

fn update(state: &Mutex<Workspace>, body: &Value) -> Result<Value, &'static str> {
    let channel = channel(state, body)?;
    let mut workspace = state.lock().expect("no handler panics while it holds the workspace");
    let message = workspace
        .messages
        .iter_mut()
        .find(|message| message.channel == channel && Some(message.ts.as_str()) == body["ts"].as_str())
        .ok_or("message_not_found")?;
    message.text = body["text"].as_str().unwrap_or_default().to_owned();
    message.blocks = body["blocks"].clone();
    message.edits += 1;
    Ok(json!({
        "ok": true, "channel": channel, "ts": message.ts, "text": message.text, "message": shape(message),
    }))
}

fn keep(state: &Mutex<Workspace>, channel: &str, body: &Value) -> Message {
    let mut workspace = state.lock().expect("no handler panics while it holds the workspace");
    let message = Message {
        channel: channel.to_owned(),
        ts: format!("1795374639.{:06}", workspace.messages.len() + 1),
        thread: body["thread_ts"].as_str().map(str::to_owned),
        text: body["text"].as_str().unwrap_or_default().to_owned(),
        blocks: body["blocks"].clone(),
        edits: 0,
    };
    workspace.messages.push(message.clone());
    message
}

fn channel(state: &Mutex<Workspace>, body: &Value) -> Result<String, &'static str> {
    let named = body["channel"].as_str().unwrap_or_default();
    if state.lock().expect("no handler panics while it holds the workspace").channels.iter().any(|made| made == named) {
        return Ok(named.to_owned());
    }
    CHANNELS
        .iter()
        .find(|(name, id)| named == *name || named == *id || named == &name[1..])
        .map(|(_, id)| (*id).to_owned())
        .ok_or("channel_not_found")
}

fn has_content(body: &Value) -> bool {
    let text = body["text"].as_str().is_some_and(|text| !text.is_empty());
    let blocks = body["blocks"].as_array().is_some_and(|blocks| !blocks.is_empty());
    text || blocks || body["attachments"].is_array()
}

fn shape(message: &Message) -> Value {
    let mut shape = json!({
        "type": "message", "subtype": "bot_message", "text": message.text, "username": "runbook",
        "bot_id": "B0RUNBOOK", "ts": message.ts,
    });
    if let Some(thread) = &message.thread {
        shape["thread_ts"] = json!(thread);
    }
    shape
}

fn failed(word: &str) -> Response {
    json_response(&json!({ "ok": false, "error": word }))
}

fn json_response(value: &Value) -> Response {
    let json = [(header::CONTENT_TYPE, "application/json; charset=utf-8")];
    (json, value.to_string()).into_response()
}

#[cfg(test)]
mod tests;
