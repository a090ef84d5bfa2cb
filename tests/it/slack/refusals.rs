//! Refused clicks and requests: of unknown users, of the wrong person, old, replayed, of another incident, forged.

use serde_json::{Value, json};

use super::blocks::{button, validate};
use super::server::{ADA, BOB, EVE, SIGNING, SlackServer, signature};
use crate::real::slack::Message;

/// A server with a change that waits for the commander's approval, and the message with its buttons.
fn waiting() -> (SlackServer, Message) {
    let server = SlackServer::http();
    server.reply_to(BOB, "start p1");
    let asked = server.message("[infrastructure]");
    server.click(BOB, &asked, "code");
    let agreed = server.message("[Run touch");
    (server, agreed)
}

/// The reply to a click.
fn refusal(server: &SlackServer, user: &str, message: &Message, value: &Value) -> String {
    server.answer(&server.press(user, message, value))
}

#[test]
fn an_approval_without_permission_is_refused_and_recorded() {
    let (server, message) = waiting();
    let value = button(&message.blocks, "Run touch").unwrap()["value"].clone();
    assert!(refusal(&server, EVE, &message, &value).contains("is not incident_commander"));
    assert!(refusal(&server, BOB, &message, &value).contains("Ask one of: ada"));
    let timeline = server.timeline(&server.incident());
    assert_eq!(timeline.matches("refused").count(), 2, "{timeline}");
    assert!(timeline.contains("U0EVE") && timeline.contains("bob"), "{timeline}");
    assert!(!server.is_repaired());
    server.validate_messages();
}

#[test]
fn a_display_name_proves_no_identity() {
    let (server, message) = waiting();
    let value = button(&message.blocks, "Run touch").unwrap()["value"].clone();
    // Every click of these tests has the name `ada`; only the id counts.
    assert!(refusal(&server, EVE, &message, &value).contains("`U0EVE` is not"));
    assert!(server.reply_to(EVE, "note I am ada").contains("add `slack: U0EVE`"));
    assert!(server.reply_to(EVE, "ack").contains("The estate does not know you"), "unknown users may only read");
    assert!(server.reply_to(EVE, "status").contains("Live platform down"));
}

#[test]
fn an_approval_is_valid_once_for_the_shown_change_of_its_incident() {
    let (server, message) = waiting();
    let value = button(&message.blocks, "Run touch").unwrap()["value"].clone();
    let mut other: Value = serde_json::from_str(value.as_str().unwrap()).unwrap();
    other["d"]["approve"][1] = json!("0".repeat(64));
    let forged = refusal(&server, ADA, &message, &json!(other.to_string()));
    assert!(forged.contains("differs from the one that you saw"), "{forged}");
    // The value of the button names another incident than its message.
    let first = server.incident();
    server.reply_to(BOB, "start p1");
    let second = server.until_second(&first);
    let asked = server.message_of(&second, "[code]");
    server.click(BOB, &asked, "code");
    server.message_of(&second, "[Run touch");
    let crossed = value.as_str().unwrap().replace(&first, &second);
    assert!(
        refusal(&server, ADA, &message, &json!(crossed)).contains("differs from the one that you saw"),
        "{crossed}"
    );
    assert!(!server.is_repaired());
    server.press(ADA, &message, &value);
    server.until("the change was made", || server.is_repaired());
    server.until("the question is over", || {
        refusal(&server, ADA, &message, &value).contains("does not wait for agreement")
    });
    assert!(server.timeline(&first).contains("refused") && server.timeline(&second).contains("refused"));
}

#[test]
fn an_old_button_does_not_answer_another_question() {
    let (server, _) = waiting();
    let answered = server.slack.requests();
    let asked = answered.iter().find(|request| button(&request.body["blocks"], "code").is_some()).unwrap();
    let value = button(&asked.body["blocks"], "infrastructure").unwrap()["value"].clone();
    let message = server.message("bob answered: code");
    assert!(refusal(&server, ADA, &message, &value).contains("nothing was done"));
    assert!(refusal(&server, ADA, &message, &json!("{}")).contains("another version"));
}

#[test]
fn only_requests_signed_by_slack_are_handled_and_each_once() {
    let server = SlackServer::http();
    let body = b"command=%2Frunbook&text=start+p1&user_id=U0ADA&trigger_id=1";
    let now = crate::real::now().timestamp();
    let send = |at: i64, secret: &str, body: &[u8], signed: &[u8]| {
        let stamp = at.to_string();
        let signature = signature(secret, &stamp, signed);
        server
            .post("/slack/command", &[("X-Slack-Request-Timestamp", &stamp), ("X-Slack-Signature", &signature)], body)
            .0
    };
    assert_eq!(send(now, "another secret", body, body), 401);
    assert_eq!(send(now, SIGNING, body, b"command=%2Frunbook&text=list"), 401);
    assert_eq!(send(now - 301, SIGNING, body, body), 401);
    assert_eq!(send(now + 302, SIGNING, body, body), 401);
    assert_eq!(server.post("/slack/command", &[], body).0, 401);
    assert_eq!(server.slack.messages().len(), 0);
    assert_eq!([send(now, SIGNING, body, body), send(now, SIGNING, body, body)], [200, 200]);
    server.message("Live platform down");
    let all: Value = serde_json::from_str(&server.cli(&["-o", "json", "incidents"])).unwrap();
    assert_eq!(all.as_array().unwrap().len(), 1, "the same request is handled once");
    // Slack's SDK accepts our signature, so these requests are signed as Slack signs them.
    let (stamp, text) = (now.to_string(), String::from_utf8_lossy(body));
    validate(&[json!({"signed": {
        "secret": SIGNING, "timestamp": stamp, "now": now, "body": text, "signature": signature(SIGNING, &stamp, body),
    }})]);
}

#[test]
fn late_users_and_unknown_users_cannot_approve() {
    let server = SlackServer::http();
    server.reply_to(BOB, "start p2");
    let message = server.message("[Run touch");
    let value = button(&message.blocks, "Run touch").unwrap()["value"].clone();
    let text = refusal(&server, EVE, &message, &value);
    assert!(text.contains("is not one of the estate's `people`") || text.contains("does not wait"), "{text}");
    server.message("It needs no answer any more");
    server.message("nobody has agreed in time");
    assert!(refusal(&server, ADA, &message, &value).contains("does not wait for agreement"));
    assert!(!server.is_repaired());
    assert_eq!(server.timeline(&server.incident()).matches("refused").count(), 2);
}

#[test]
fn clicks_of_an_unknown_user_are_refused_and_recorded() {
    let server = SlackServer::http();
    server.reply_to(BOB, "start p1");
    let message = server.message("[infrastructure]");
    let id = server.incident();
    for (label, step) in [("Acknowledge", ""), ("Resolve", ""), ("code", " at cause")] {
        let value = button(&message.blocks, label).unwrap()["value"].clone();
        assert!(refusal(&server, EVE, &message, &value).contains("add `slack: U0EVE`"));
        let written = format!("turned away{step}: `U0EVE` may not");
        assert!(server.timeline(&id).contains(&written), "{label}: {}", server.timeline(&id));
    }
    assert!(server.timeline(&id).matches("turned away").count() == 3, "{}", server.timeline(&id));
    assert!(server.cli(&["incidents", "--open"]).contains("Live platform down"), "nothing was changed");
}

#[test]
fn commands_of_an_unknown_user_are_refused_and_recorded() {
    let server = SlackServer::http();
    server.reply_to(BOB, "start p1");
    let id = server.incident();
    for words in ["note hello", "resolve", "severity p4", "role take communications", "answer code", "cancel no", "ack"]
    {
        assert!(server.reply_to(EVE, words).contains("add `slack: U0EVE`"), "{words}");
        let verb = words.split(' ').next().unwrap();
        let written = format!("turned away: `U0EVE` may not use `/runbook {verb}`");
        assert!(server.timeline(&id).contains(&written), "{words}: {}", server.timeline(&id));
    }
    assert!(server.reply_to(EVE, "start p1").contains("add `slack: U0EVE`"));
    server.until("a refusal without an incident is in the server's log", || {
        server.log_end().contains("a person without permission was refused")
    });
    assert_eq!(server.incident(), id, "no incident was opened");
    assert!(server.cli(&["incidents", "--open"]).contains("P1"), "nothing was changed");
}

#[test]
fn a_request_handled_before_a_restart_is_not_repeated_after_it() {
    let mut server = SlackServer::http();
    let number = server.next();
    let reply = url::form_urlencoded::byte_serialize(server.slack.reply_url(&number).as_bytes()).collect::<String>();
    let body = format!("command=%2Frunbook&text=start+p1&user_id=U0ADA&trigger_id=1&response_url={reply}");
    let stamp = crate::real::now().timestamp().to_string();
    let signed = signature(SIGNING, &stamp, body.as_bytes());
    let headers = [("X-Slack-Request-Timestamp", stamp.as_str()), ("X-Slack-Signature", signed.as_str())];
    assert_eq!(server.post("/slack/command", &headers, body.as_bytes()).0, 200);
    server.until("it is answered", || server.slack.replies(&number).len() == 1);
    server.stop();
    server.start();
    assert_eq!(server.post("/slack/command", &headers, body.as_bytes()).0, 200);
    server.until("the second is answered", || server.slack.replies(&number).len() == 2);
    let text = super::blocks::text_of(&server.slack.replies(&number)[1]["blocks"]);
    assert!(text.contains("This was done before"), "{text}");
    let all: Value = serde_json::from_str(&server.cli(&["-o", "json", "incidents"])).unwrap();
    assert_eq!(all.as_array().unwrap().len(), 1);
}
