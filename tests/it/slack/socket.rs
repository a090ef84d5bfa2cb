//! Socket Mode: envelopes are acknowledged, done once, and a connection that ends is followed by another.

use serde_json::{Value, json};

use super::house::{ADA, House};
use super::look::seen;

fn envelope(house: &House, id: &str, words: &str) -> Value {
    json!({
        "envelope_id": id, "type": "slash_commands", "accepts_response_payload": true,
        "payload": house.command_fields(ADA, words, id),
    })
}

fn answered(house: &House, id: &str) -> String {
    house.until("it is answered", || !house.slack.replies(id).is_empty());
    seen(&house.slack.replies(id)[0]["blocks"])
}

#[test]
fn an_envelope_is_acknowledged_and_done_once() {
    let house = House::socket();
    let start = envelope(&house, "one", "start p1");
    house.slack.send(&start);
    house.slack.send(&start);
    assert!(answered(&house, "one").contains("Live platform down"));
    house.until("both are acknowledged", || house.slack.acknowledged() == ["one", "one"]);
    let all: Value = serde_json::from_str(&house.cli(&["-o", "json", "incidents"])).unwrap();
    assert_eq!(all.as_array().unwrap().len(), 1);
    house.check();
}

#[test]
fn another_connection_follows_one_that_ends() {
    let house = House::socket();
    house.slack.send(&json!({"type": "disconnect", "reason": "refresh_requested"}));
    house.until("it connects again", || {
        house.slack.sockets() == 1
            && house.slack.requests().iter().filter(|request| request.method == "apps.connections.open").count() == 2
    });
    house.slack.send(&envelope(&house, "two", "list"));
    assert!(answered(&house, "two").contains("Open incidents: 0"));
    house.slack.cut();
    house.until("it connects again", || house.slack.sockets() == 1);
    house.slack.send(&json!({"envelope_id": "odd", "type": "events_api", "payload": {}}));
    house.slack.send(&envelope(&house, "three", "help"));
    assert!(answered(&house, "three").contains("/runbook start"));
    house.until("what is not known is acknowledged too", || house.slack.acknowledged().contains(&"odd".to_owned()));
}

#[test]
fn a_button_and_a_shortcut_come_by_the_socket_too() {
    let house = House::socket();
    house.slack.send(&envelope(&house, "start", "start p1"));
    let live = house.message("Live platform down");
    let keep = json!({
        "type": "message_action", "callback_id": "add_to_timeline", "trigger_id": "t", "user": {"id": ADA},
        "channel": {"id": "C0INCIDENTS"}, "response_url": house.slack.reply_url("keep"),
        "message": {"type": "message", "user": "U0BOB", "ts": "1.1", "thread_ts": live.ts, "text": "the disk was full"},
    });
    house.slack.send(&json!({"envelope_id": "keep", "type": "interactive", "payload": keep}));
    assert!(answered(&house, "keep").contains("It is in the timeline"));
    let timeline = house.timeline(&house.incident());
    assert!(timeline.contains("bob: the disk was full"), "{timeline}");
}
