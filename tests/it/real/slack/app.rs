//! Forms, channels and replies of an app.

use std::sync::Mutex;

use axum::body::Bytes;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::{Shared, Workspace};

/// The scope that a method needs, from the page of the method.
pub(super) fn needed_scope(method: &str) -> Option<&'static str> {
    match method {
        "chat.postMessage" | "chat.update" => Some("chat:write"),
        "conversations.create" | "conversations.invite" => Some("channels:manage"),
        _ => None,
    }
}

pub(super) fn create_channel(state: &Mutex<Workspace>, body: &Value) -> Result<Value, &'static str> {
    let name = body["name"].as_str().ok_or("invalid_name_required")?;
    let mut workspace = state.lock().expect("no handler panics while it holds the workspace");
    let id = format!("C0{}", name.to_uppercase().replace('-', ""));
    if workspace.channels.contains(&id) {
        return Err("name_taken");
    }
    workspace.channels.push(id.clone());
    Ok(json!({ "ok": true, "channel": { "id": id, "name": name, "is_channel": true } }))
}

pub(super) fn invite(state: &Mutex<Workspace>, body: &Value) -> Result<Value, &'static str> {
    let channel = body["channel"].as_str().unwrap_or_default();
    if body["users"].as_str().is_none_or(str::is_empty) {
        return Err("no_user");
    }
    let workspace = state.lock().expect("no handler panics while it holds the workspace");
    if !workspace.channels.iter().any(|made| made == channel) {
        return Err("channel_not_found");
    }
    Ok(json!({ "ok": true, "channel": { "id": channel } }))
}

pub(super) fn open_view(state: &Mutex<Workspace>, body: &Value) -> Result<Value, &'static str> {
    if body["trigger_id"].as_str().is_none_or(str::is_empty) {
        return Err("invalid_trigger");
    }
    state.lock().expect("no handler panics while it holds the workspace").views.push(body["view"].clone());
    Ok(json!({ "ok": true, "view": { "id": "V0FORM", "type": "modal" } }))
}

pub(super) async fn reply(State(state): Shared, Path(number): Path<String>, body: Bytes) -> &'static str {
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    state.lock().expect("no handler panics while it holds the workspace").replies.push((number, body));
    "ok"
}
