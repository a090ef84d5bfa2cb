//! A stand-in for Slack: messages, forms, replies to commands, Socket Mode and an incoming webhook.
//!
//! Paths, answers and errors have the shapes of
//! <https://docs.slack.dev/reference/methods/chat.postMessage>, <https://docs.slack.dev/reference/methods/chat.update>
//! and <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>: an error of the Web API is status
//! 200 with `"ok": false`; an error of a webhook is a status and a code; too many requests is status 429 with
//! `Retry-After`.
//!
//! It stores blocks and does not check them. It has no rate limit; [`Fault::TooMany`] gives Slack's answer for one.

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

/// The bot token; any other is `invalid_auth`.
pub const TOKEN: &str = "xoxb-stand-in-5f2d1c";

/// A second valid bot token, for a change of tokens.
pub const SECOND: &str = "xoxb-stand-in-9a60fe";

/// The app-level token of Socket Mode; any other is `invalid_auth`.
pub const APP_TOKEN: &str = "xapp-stand-in-77ab01";

/// The path of the incoming webhook; any other is `no_service`.
pub const HOOK: &str = "T0SHOP/B0RUNBOOK/hZ2k9QyW";

/// The channels, by name and id; any other is `channel_not_found`.
const CHANNELS: &[(&str, &str)] = &[("#incidents", "C0INCIDENTS"), ("#oncall", "C0ONCALL")];

/// How long a held request waits: longer than any time limit of a test.
const FOREVER: std::time::Duration = std::time::Duration::from_secs(600);

/// A fault that a request gets instead of an answer.
#[derive(Clone, Debug)]
pub enum Fault {
    /// An error code of the Web API or the webhook, such as `is_archived`.
    Error(&'static str),
    /// Status 429 and this many seconds in `Retry-After`.
    TooMany(u32),
    /// A status with an HTML page, as from a proxy.
    Status(u16),
    /// No answer at all.
    Hang,
    /// The message is accepted, and no answer comes.
    Lost,
    /// The message is accepted, and the answer comes after this many milliseconds.
    Late(u64),
}

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    /// `chat.postMessage`, `chat.update`, `auth.test` or `webhook`.
    pub method: String,
    /// The body, or `null` when it was not JSON.
    pub body: Value,
    /// The `Authorization` header.
    pub authorization: Option<String>,
}

/// A message in its current state.
#[derive(Clone, Debug)]
pub struct Message {
    /// The channel's id, or `webhook`.
    pub channel: String,
    /// The id of the message in its channel.
    pub ts: String,
    /// The `ts` of the first message of the thread, for a reply.
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
    /// Messages with this text get no answer.
    hanging_text: Option<String>,
    /// Faults of requests by method.
    faults_by_method: BTreeMap<String, Fault>,
    /// Forms that were opened.
    views: Vec<Value>,
    /// The scopes of the token, if a test has set them.
    scopes: Option<String>,
    /// Replies to commands and clicks, by the number in their response URL.
    replies: Vec<(String, Value)>,
    /// Channels that were created, by id.
    channels: Vec<String>,
    /// The address for Socket Mode.
    sockets: Option<SocketAddr>,
    /// The open sockets.
    open: Vec<tokio::sync::mpsc::UnboundedSender<Value>>,
    /// Envelopes that were acknowledged.
    acknowledged: Vec<String>,
    /// Requests that get no answer.
    held: usize,
}

impl Workspace {
    /// The scopes of the token.
    fn allowed(&self) -> String {
        self.scopes.clone().unwrap_or_else(|| "commands,chat:write".to_owned())
    }
}

/// The stand-in, on its own port until it is dropped.
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

    /// The URL that replaces `https://slack.com/api`.
    pub fn api_url(&self) -> String {
        format!("http://{}/api", self.address)
    }

    /// The URL that replaces `https://hooks.slack.com/services/T…/B…/…`.
    pub fn webhook_url(&self) -> String {
        format!("http://{}/services/{HOOK}", self.address)
    }

    /// The next request gets this fault; several faults are used in order.
    pub fn next(&self, fault: Fault) -> &Self {
        self.workspace().faults.push_back(fault);
        self
    }

    /// Every request gets this fault until [`Slack::recover`].
    pub fn always(&self, fault: Fault) -> &Self {
        self.workspace().always = Some(fault);
        self
    }

    /// Every request of a method gets this fault until [`Slack::recover`].
    pub fn always_for(&self, method: &str, fault: Fault) -> &Self {
        self.workspace().faults_by_method.insert(method.to_owned(), fault);
        self
    }

    /// Sets the scopes of the bot token.
    pub fn allow(&self, scopes: &str) -> &Self {
        self.workspace().scopes = Some(scopes.to_owned());
        self
    }

    /// Removes every fault.
    pub fn recover(&self) -> &Self {
        let mut workspace = self.workspace();
        (workspace.always, workspace.hanging_text) = (None, None);
        workspace.faults_by_method.clear();
        workspace.faults.clear();
        drop(workspace);
        self
    }

    /// Messages with this text get no answer until [`Slack::recover`].
    pub fn hang_on(&self, text: &str) -> &Self {
        self.workspace().hanging_text = Some(text.to_owned());
        self
    }

    /// Every request that arrived, in order.
    pub fn requests(&self) -> Vec<Request> {
        self.workspace().requests.clone()
    }

    /// Every accepted message in its current state, in the order of first posting.
    pub fn messages(&self) -> Vec<Message> {
        self.workspace().messages.clone()
    }

    /// The number of requests that get no answer and whose clients still wait.
    pub fn held(&self) -> usize {
        self.workspace().held
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
        // Held requests are dropped with the server, so a test that ends does not wait for them.
        tokio::select! {
            served = axum::serve(listener, routes) => served.expect("the listener stays open"),
            _ = stopped => {}
        }
    });
    runtime.shutdown_background();
}

type Shared = State<Arc<Mutex<Workspace>>>;

async fn web_api(State(state): Shared, Path(method): Path<String>, headers: HeaderMap, body: Bytes) -> Response {
    let (body, fault) = record_request(&state, &method, &headers, &body);
    let after = match fault {
        Some(Fault::Error(code)) => return failed(code),
        Some(after @ (Fault::Lost | Fault::Late(_))) => Some(after),
        Some(fault) => return respond_with(&state, fault).await,
        None => None,
    };
    let answer = answer(&state, &method, &headers, &body);
    match after {
        Some(Fault::Late(pause)) => tokio::time::sleep(std::time::Duration::from_millis(pause)).await,
        Some(lost) => return respond_with(&state, lost).await,
        None => {}
    }
    match answer {
        Ok(answer) => (scopes(&state), json_response(&answer)).into_response(),
        Err(code) => failed(code),
    }
}

/// The header with the scopes of the token, which every answer of the Web API has.
fn scopes(state: &Mutex<Workspace>) -> [(&'static str, String); 1] {
    [("x-oauth-scopes", state.lock().expect("no handler panics while it holds the workspace").allowed())]
}

async fn webhook(
    State(state): Shared,
    Path((team, bot, key)): Path<(String, String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let (body, fault) = record_request(&state, "webhook", &headers, &body);
    let lost = matches!(fault, Some(Fault::Lost));
    match fault {
        Some(Fault::Error(code)) => return (StatusCode::BAD_REQUEST, code).into_response(),
        Some(fault) if !lost => return respond_with(&state, fault).await,
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
    store_message(&state, "webhook", &body);
    if lost {
        return respond_with(&state, Fault::Hang).await;
    }
    "ok".into_response()
}

/// Records the request; returns its body and its fault.
fn record_request(state: &Mutex<Workspace>, method: &str, headers: &HeaderMap, body: &Bytes) -> (Value, Option<Fault>) {
    let body: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let mut workspace = state.lock().expect("no handler panics while it holds the workspace");
    workspace.requests.push(Request { method: method.to_owned(), body: body.clone(), authorization });
    let text = body["text"].as_str().unwrap_or_default();
    let hangs = workspace.hanging_text.as_ref().filter(|hanging| text.contains(hanging.as_str())).map(|_| Fault::Hang);
    let faults_by_method = hangs.or_else(|| workspace.faults_by_method.get(method).cloned());
    let fault = faults_by_method.or_else(|| workspace.faults.pop_front()).or_else(|| workspace.always.clone());
    (body, fault)
}

/// Counts a held request while its client waits: the server drops the request when the client disconnects.
struct Held<'a>(&'a Mutex<Workspace>);

impl<'a> Held<'a> {
    fn new(state: &'a Mutex<Workspace>) -> Self {
        state.lock().expect("no handler panics while it holds the workspace").held += 1;
        Self(state)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.lock().expect("no handler panics while it holds the workspace").held -= 1;
    }
}

async fn respond_with(state: &Mutex<Workspace>, fault: Fault) -> Response {
    match fault {
        Fault::TooMany(seconds) => {
            let retry = [(header::RETRY_AFTER, seconds.to_string())];
            (StatusCode::TOO_MANY_REQUESTS, retry, r#"{"ok":false,"error":"ratelimited"}"#).into_response()
        }
        Fault::Status(status) => {
            let status = StatusCode::from_u16(status).expect("a test names a real status");
            let html = [(header::CONTENT_TYPE, "text/html")];
            (status, html, "<html><body><h1>upstream error</h1></body></html>").into_response()
        }
        Fault::Error(code) => failed(code),
        Fault::Hang | Fault::Lost | Fault::Late(_) => {
            let _held = Held::new(state);
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
    if !app::needed_scope(method).is_none_or(|scope| allowed.split(',').any(|one| one == scope)) {
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
    let message = store_message(state, &channel, body);
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

fn store_message(state: &Mutex<Workspace>, channel: &str, body: &Value) -> Message {
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

fn failed(code: &str) -> Response {
    json_response(&json!({ "ok": false, "error": code }))
}

fn json_response(value: &Value) -> Response {
    let json = [(header::CONTENT_TYPE, "application/json; charset=utf-8")];
    (json, value.to_string()).into_response()
}

#[cfg(test)]
mod tests;
