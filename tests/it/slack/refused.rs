//! Clicks and requests that must not count: of strangers, of the wrong person, old, replayed, of another incident, forged.

use serde_json::{Value, json};

use super::house::{ADA, BOB, EVE, House, SIGNING};
use super::look::{button, sdk, signature};
use crate::real::slack::Message;

/// A house in which a change waits for the commander, and the message that asks.
fn waiting() -> (House, Message) {
    let house = House::http();
    house.told(BOB, "start p1");
    let asked = house.message("[infrastructure]");
    house.click(BOB, &asked, "code");
    let agreed = house.message("[Run touch");
    (house, agreed)
}

/// What is said to who pressed.
fn no(house: &House, user: &str, message: &Message, value: &Value) -> String {
    house.answer(&house.press(user, message, value))
}

#[test]
fn who_may_not_agree_is_refused_and_it_is_written_down() {
    let (house, message) = waiting();
    let value = button(&message.blocks, "Run touch").unwrap()["value"].clone();
    assert!(no(&house, EVE, &message, &value).contains("is not incident_commander"));
    assert!(no(&house, BOB, &message, &value).contains("Ask one of: ada"));
    let timeline = house.timeline(&house.incident());
    assert_eq!(timeline.matches("refused").count(), 2, "{timeline}");
    assert!(timeline.contains("U0EVE") && timeline.contains("bob"), "{timeline}");
    assert!(!house.is_mended());
    house.check();
}

#[test]
fn a_name_is_no_proof() {
    let (house, message) = waiting();
    let value = button(&message.blocks, "Run touch").unwrap()["value"].clone();
    // Eve calls herself ada; every click of the harness says so, and only the id counts.
    assert!(no(&house, EVE, &message, &value).contains("`U0EVE` is not"));
    assert!(house.told(EVE, "note I am ada").contains("add `slack: U0EVE`"));
    assert!(house.told(EVE, "ack").contains("The estate does not know you"), "strangers may look, and no more");
    assert!(house.told(EVE, "status").contains("Live platform down"));
}

#[test]
fn agreement_is_for_what_was_shown_once_and_for_this_incident() {
    let (house, message) = waiting();
    let value = button(&message.blocks, "Run touch").unwrap()["value"].clone();
    let mut other: Value = serde_json::from_str(value.as_str().unwrap()).unwrap();
    other["d"]["approve"][1] = json!("0".repeat(64));
    let forged = no(&house, ADA, &message, &json!(other.to_string()));
    assert!(forged.contains("has changed since"), "{forged}");
    // The click belongs to another incident than the one that it names.
    let first = house.incident();
    house.told(BOB, "start p1");
    let second = house.until_second(&first);
    let asked = house.message_of(&second, "[code]");
    house.click(BOB, &asked, "code");
    house.message_of(&second, "[Run touch");
    let crossed = value.as_str().unwrap().replace(&first, &second);
    assert!(no(&house, ADA, &message, &json!(crossed)).contains("has changed since"), "{crossed}");
    assert!(!house.is_mended());
    house.press(ADA, &message, &value);
    house.until("the change was made", || house.is_mended());
    house.until("the question is over", || no(&house, ADA, &message, &value).contains("does not wait for agreement"));
    assert!(house.timeline(&first).contains("refused") && house.timeline(&second).contains("refused"));
}

#[test]
fn an_old_button_answers_no_other_question() {
    let (house, _) = waiting();
    let answered = house.slack.requests();
    let asked = answered.iter().find(|request| button(&request.body["blocks"], "code").is_some()).unwrap();
    let value = button(&asked.body["blocks"], "infrastructure").unwrap()["value"].clone();
    let message = house.message("bob answered: code");
    assert!(no(&house, ADA, &message, &value).contains("nothing was done"));
    assert!(no(&house, ADA, &message, &json!("{}")).contains("another version"));
}

#[test]
fn only_what_slack_has_signed_is_read_and_only_once() {
    let house = House::http();
    let body = b"command=%2Frunbook&text=start+p1&user_id=U0ADA&trigger_id=1";
    let now = crate::real::now().timestamp();
    let send = |at: i64, secret: &str, body: &[u8], signed: &[u8]| {
        let stamp = at.to_string();
        let signature = signature(secret, &stamp, signed);
        house
            .post("/slack/command", &[("X-Slack-Request-Timestamp", &stamp), ("X-Slack-Signature", &signature)], body)
            .0
    };
    assert_eq!(send(now, "another secret", body, body), 401);
    assert_eq!(send(now, SIGNING, body, b"command=%2Frunbook&text=list"), 401);
    assert_eq!(send(now - 301, SIGNING, body, body), 401);
    assert_eq!(send(now + 302, SIGNING, body, body), 401);
    assert_eq!(house.post("/slack/command", &[], body).0, 401);
    assert_eq!(house.slack.messages().len(), 0);
    assert_eq!([send(now, SIGNING, body, body), send(now, SIGNING, body, body)], [200, 200]);
    house.message("Live platform down");
    let all: Value = serde_json::from_str(&house.cli(&["-o", "json", "incidents"])).unwrap();
    assert_eq!(all.as_array().unwrap().len(), 1, "the same request is done once");
    // Slack's own verifier finds the harness's signatures right, so what is tested here is what Slack sends.
    let (stamp, text) = (now.to_string(), String::from_utf8_lossy(body));
    sdk(&[json!({"signed": {
        "secret": SIGNING, "timestamp": stamp, "now": now, "body": text, "signature": signature(SIGNING, &stamp, body),
    }})]);
}

#[test]
fn who_comes_too_late_or_is_a_stranger_agrees_to_nothing_even_where_anybody_may() {
    let house = House::http();
    house.told(BOB, "start p2");
    let message = house.message("[Run touch");
    let value = button(&message.blocks, "Run touch").unwrap()["value"].clone();
    let said = no(&house, EVE, &message, &value);
    assert!(said.contains("is not one of the estate's `people`") || said.contains("does not wait"), "{said}");
    house.message("It needs no answer any more");
    house.message("nobody has agreed in time");
    assert!(no(&house, ADA, &message, &value).contains("does not wait for agreement"));
    assert!(!house.is_mended());
    assert_eq!(house.timeline(&house.incident()).matches("refused").count(), 2);
}

#[test]
fn a_stranger_who_presses_anything_is_told_and_it_is_written_down() {
    let house = House::http();
    house.told(BOB, "start p1");
    let message = house.message("[infrastructure]");
    let id = house.incident();
    for (label, step) in [("Acknowledge", ""), ("Resolve", ""), ("code", " at cause")] {
        let value = button(&message.blocks, label).unwrap()["value"].clone();
        assert!(no(&house, EVE, &message, &value).contains("add `slack: U0EVE`"));
        let written = format!("turned away{step}: `U0EVE` may not");
        assert!(house.timeline(&id).contains(&written), "{label}: {}", house.timeline(&id));
    }
    assert!(house.timeline(&id).matches("turned away").count() == 3, "{}", house.timeline(&id));
    assert!(house.cli(&["incidents", "--open"]).contains("Live platform down"), "nothing was done");
}

#[test]
fn a_stranger_who_types_anything_is_told_and_it_is_written_down() {
    let house = House::http();
    house.told(BOB, "start p1");
    let id = house.incident();
    for words in ["note hello", "resolve", "severity p4", "role take communications", "answer code", "cancel no", "ack"]
    {
        assert!(house.told(EVE, words).contains("add `slack: U0EVE`"), "{words}");
        let verb = words.split(' ').next().unwrap();
        let written = format!("turned away: `U0EVE` may not use `/runbook {verb}`");
        assert!(house.timeline(&id).contains(&written), "{words}: {}", house.timeline(&id));
    }
    assert!(house.told(EVE, "start p1").contains("add `slack: U0EVE`"));
    house.until("what belongs to no incident is in the server's own log", || {
        house.said().contains("a person without permission was refused")
    });
    assert_eq!(house.incident(), id, "nothing was opened");
    assert!(house.cli(&["incidents", "--open"]).contains("P1"), "and nothing was done");
}

#[test]
fn what_was_done_before_a_restart_is_not_done_again_after_it() {
    let mut house = House::http();
    let number = house.next();
    let reply = url::form_urlencoded::byte_serialize(house.slack.reply_url(&number).as_bytes()).collect::<String>();
    let body = format!("command=%2Frunbook&text=start+p1&user_id=U0ADA&trigger_id=1&response_url={reply}");
    let stamp = crate::real::now().timestamp().to_string();
    let signed = signature(SIGNING, &stamp, body.as_bytes());
    let headers = [("X-Slack-Request-Timestamp", stamp.as_str()), ("X-Slack-Signature", signed.as_str())];
    assert_eq!(house.post("/slack/command", &headers, body.as_bytes()).0, 200);
    house.until("it is answered", || house.slack.replies(&number).len() == 1);
    house.end();
    house.begin();
    assert_eq!(house.post("/slack/command", &headers, body.as_bytes()).0, 200);
    house.until("the second is answered", || house.slack.replies(&number).len() == 2);
    let said = super::look::seen(&house.slack.replies(&number)[1]["blocks"]);
    assert!(said.contains("This was done before"), "{said}");
    let all: Value = serde_json::from_str(&house.cli(&["-o", "json", "incidents"])).unwrap();
    assert_eq!(all.as_array().unwrap().len(), 1);
}
