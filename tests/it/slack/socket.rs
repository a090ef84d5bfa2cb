//! Socket Mode: envelopes are acknowledged and handled once, and a lost connection is made again.

use serde_json::{Value, json};

use super::blocks::text_of;
use super::server::{ADA, SlackServer};

fn envelope(server: &SlackServer, id: &str, words: &str) -> Value {
    json!({
        "envelope_id": id, "type": "slash_commands", "accepts_response_payload": true,
        "payload": server.command_fields(ADA, words, id),
    })
}

fn reply_text(server: &SlackServer, id: &str) -> String {
    server.until("it is answered", || !server.slack.replies(id).is_empty());
    text_of(&server.slack.replies(id)[0]["blocks"])
}

#[test]
fn an_envelope_is_acknowledged_and_done_once() {
    let server = SlackServer::socket();
    let start = envelope(&server, "one", "start p1");
    server.slack.send(&start);
    server.slack.send(&start);
    assert!(reply_text(&server, "one").contains("Live platform down"));
    server.until("both are acknowledged", || server.slack.acknowledged() == ["one", "one"]);
    let all: Value = serde_json::from_str(&server.cli(&["-o", "json", "incidents"])).unwrap();
    assert_eq!(all.as_array().unwrap().len(), 1);
    server.validate_messages();
}

#[test]
fn another_connection_follows_one_that_ends() {
    let server = SlackServer::socket();
    server.slack.send(&json!({"type": "disconnect", "reason": "refresh_requested"}));
    server.until("it connects again", || {
        server.slack.sockets() == 1
            && server.slack.requests().iter().filter(|request| request.method == "apps.connections.open").count() == 2
    });
    server.slack.send(&envelope(&server, "two", "list"));
    assert!(reply_text(&server, "two").contains("Open incidents: 0"));
    server.slack.cut();
    server.until("it connects again", || server.slack.sockets() == 1);
    server.slack.send(&json!({"envelope_id": "odd", "type": "events_api", "payload": {}}));
    server.slack.send(&envelope(&server, "three", "help"));
    assert!(reply_text(&server, "three").contains("/runbook start"));
    server.until("an unknown envelope is acknowledged too", || server.slack.acknowledged().contains(&"odd".to_owned()));
}

#[test]
fn a_shortcut_is_handled_over_the_socket() {
    let server = SlackServer::socket();
    server.slack.send(&envelope(&server, "start", "start p1"));
    let live = server.message("Live platform down");
    let keep = json!({
        "type": "message_action", "callback_id": "add_to_timeline", "trigger_id": "t", "user": {"id": ADA},
        "channel": {"id": "C0INCIDENTS"}, "response_url": server.slack.reply_url("keep"),
        "message": {"type": "message", "user": "U0BOB", "ts": "1.1", "thread_ts": live.ts, "text": "the disk was full"},
    });
    server.slack.send(&json!({"envelope_id": "keep", "type": "interactive", "payload": keep}));
    assert!(reply_text(&server, "keep").contains("It is in the timeline"));
    let timeline = server.timeline(&server.incident());
    assert!(timeline.contains("bob: the disk was full"), "{timeline}");
}
