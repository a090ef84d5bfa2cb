//! Tests of the stand-in for Slack.

use super::*;
use std::process::Command;

fn call(slack: &Slack, method: &str, token: &str, body: &Value) -> Value {
    let mut command = Command::new("curl");
    command
        .args(["-s", "-H", "content-type: application/json", "-H", &format!("authorization: Bearer {token}")])
        .args(["-d", &body.to_string(), &format!("{}/{method}", slack.api_url())]);
    serde_json::from_slice(&super::super::run(&mut command, "curl").stdout).expect("Slack answers JSON")
}

#[test]
fn a_message_can_be_posted_answered_in_its_thread_and_changed() {
    let slack = Slack::start();
    let first = call(&slack, "chat.postMessage", TOKEN, &json!({"channel": "#incidents", "text": "down"}));
    assert_eq!(first["ok"], true);
    let reply = json!({"channel": "C0INCIDENTS", "text": "more", "thread_ts": first["ts"]});
    call(&slack, "chat.postMessage", TOKEN, &reply);
    let changed = json!({"channel": "C0INCIDENTS", "ts": first["ts"], "text": "up"});
    assert_eq!(call(&slack, "chat.update", TOKEN, &changed)["text"], "up");
    let messages = slack.messages();
    assert_eq!((messages[0].text.as_str(), messages[0].edits), ("up", 1));
    assert_eq!(messages[1].thread.as_deref(), first["ts"].as_str());
}

#[test]
fn errors_have_slacks_shape() {
    let slack = Slack::start();
    let body = json!({"channel": "#nowhere", "text": "x"});
    assert_eq!(call(&slack, "chat.postMessage", TOKEN, &body)["error"], "channel_not_found");
    assert_eq!(call(&slack, "chat.postMessage", "xoxb-other", &body)["error"], "invalid_auth");
    slack.next(Fault::TooMany(3));
    assert_eq!(call(&slack, "chat.postMessage", TOKEN, &body)["error"], "ratelimited");
    assert_eq!(slack.requests().len(), 3);
}
