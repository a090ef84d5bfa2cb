//! Commands typed in Slack: spellings of options, mistyped text, and the replies.

use serde_json::json;

use super::blocks::{button, text_of};
use super::server::{ADA, BOB, SlackServer};

#[test]
fn start_takes_the_options_of_the_terminal() {
    let server = SlackServer::http();
    let text =
        server.reply_to(ADA, "start p1 production —auto —title “the shop is slow” —param service=search detected=10m");
    assert!(text.contains("the shop is slow on production"), "{text}");
    let timeline = server.timeline(&server.incident());
    assert!(timeline.contains("service=search"), "{timeline}");
    let first = server.incident();
    server.reply_to(ADA, "start P1 --step");
    let second = server.until_second(&first);
    let json_timeline = |id: &str| server.cli(&["-o", "json", "timeline", id]);
    assert!(
        json_timeline(&first).contains("\"mode\": \"auto\"") && json_timeline(&second).contains("\"mode\": \"step\"")
    );
    assert!(json_timeline(&first).contains("detected_at") && !json_timeline(&second).contains("detected_at"));
    assert!(server.reply_to(ADA, &format!("start p4 --incident {}", &first[..5])).contains("the shop is slow"));
    server.until("it runs in the first incident", || server.timeline(&first).contains("run 2: p4"));
    assert!(server.reply_to(ADA, "start p1 env=prodution").contains("Did you mean `--env production`?"));
    assert!(server.reply_to(ADA, "start p1 servce=x").contains("Did you mean `--param service`?"));
    server.validate_messages();
}

/// Commands while a question of an incident is open, some of them wrong.
const DURING_AN_INCIDENT: [&str; 36] = [
    "answer",
    "answer bananas",
    "approve",
    "approve nothing",
    "deny",
    "deny no",
    "retry",
    "skip",
    "undo",
    "undo mend",
    "cancel",
    "note",
    "role",
    "role give",
    "role take boss",
    "role give communications carl",
    "severity",
    "severity p1",
    "update",
    "postmortem",
    "postmortem complete",
    "verify",
    "timeline",
    "page",
    "show",
    "show p1",
    "show p7",
    "ack",
    "ack",
    "\u{1f525}",
    "“note” it",
    "note “it’s” \u{1f525} <@U0BOB> & `x`",
    "role take communications",
    "start p1 gateway",
    "status lusab-fidok",
    "status nothing",
];

#[test]
fn every_reply_offers_a_next_command() {
    let server = SlackServer::http();
    let has_next_command = |words: &str| {
        let reply = server.command(ADA, words);
        server.answer(&reply);
        let blocks = server.slack.replies(&reply.number)[0]["blocks"].clone();
        let text = text_of(&blocks);
        assert!(
            text.contains("/runbook") || button(&blocks, "").is_some(),
            "the reply to `{words}` has no next command: {text}"
        );
        text
    };
    for words in ["", "list", "incidents", "note x", "status", "handoff", "resolve", "help", "wat", "start", "start p9"]
    {
        has_next_command(words);
    }
    server.reply_to(ADA, "start p1");
    server.message("[infrastructure]");
    for words in DURING_AN_INCIDENT {
        has_next_command(words);
    }
    assert!(
        has_next_command("resolve").contains("complete the post-mortem")
            || has_next_command("status").contains("P1 resolved")
    );
    for words in ["resolve", "ack", "severity p2", "note late", "answer code", "update over"] {
        has_next_command(words);
    }
    server.validate_messages();
}

#[test]
fn a_mistyped_incident_is_not_found() {
    let server = SlackServer::http();
    server.reply_to(ADA, "start p1");
    let id = server.incident();
    let wrong = format!("{}x", &id[..id.len() - 1]);
    for words in [format!("resolve {wrong}"), format!("note {wrong} it burns"), format!("severity {wrong} p4")] {
        let text = server.reply_to(ADA, &words);
        assert!(text.contains(&format!("There is no incident `{wrong}`")) && text.contains(&id), "{text}");
    }
    assert!(server.reply_to(ADA, &format!("resolve {}", &id[..5])).contains(&format!("/runbook resolve {id}")));
    assert_eq!(server.incident(), id, "it is still open");
    assert!(server.reply_to(ADA, &format!("status {}", &id[..3])).contains("Live platform down"), "a prefix is enough");
    let first = id;
    server.reply_to(ADA, "start p1");
    server.until_second(&first);
    assert!(
        server.reply_to(ADA, "note it burns").contains(&format!("/runbook note {first} it burns")),
        "the hint can be typed as it is"
    );
}

#[test]
fn an_ephemeral_message_shows_who_answered_and_when() {
    let server = SlackServer::http();
    server.reply_to(BOB, "start p1");
    server.message("[infrastructure]");
    let reply = server.command(BOB, "");
    server.answer(&reply);
    let blocks = server.slack.replies(&reply.number)[0]["blocks"].clone();
    let number = server.next();
    server.interact(&number, &json!({
        "type": "block_actions", "user": {"id": BOB}, "trigger_id": "t", "response_url": server.slack.reply_url(&number),
        "container": {"type": "message", "message_ts": "1.1", "channel_id": "C0INCIDENTS", "is_ephemeral": true},
        "actions": [{"type": "button", "action_id": "press_1", "value": button(&blocks, "code").unwrap()["value"]}],
    }));
    server.until("the message is replaced", || !server.slack.replies(&number).is_empty());
    let now = server.slack.replies(&number).remove(0);
    assert_eq!(now["replace_original"], true);
    assert!(text_of(&now["blocks"]).contains("bob answered: code"), "{now}");
    assert!(now["blocks"].to_string().contains("\"date\"") && button(&now["blocks"], "").is_none(), "{now}");
    server.validate_messages();
}

#[test]
fn steps_for_others_are_listed_apart_from_steps_for_you() {
    let server = SlackServer::http();
    server.reply_to(BOB, "start p1");
    server.message("[infrastructure]");
    server.reply_to(BOB, "answer “Code”");
    server.message("[Run touch");
    let text = server.reply_to(BOB, "");
    assert!(
        text.contains("Nothing waits for you") && text.contains("For others") && !text.contains("[Run touch"),
        "{text}"
    );
    assert!(server.reply_to(ADA, "").contains("[Run touch"), "the commander may approve");
    assert!(server.reply_to(ADA, "deny mend not now").contains("Denied"), "a step may be named");
    server.message("ada refused: not now");
}

#[test]
fn a_hand_over_has_its_times_in_the_time_zone_of_the_reader() {
    let server = SlackServer::http();
    server.reply_to(BOB, "start p1");
    server.reply_to(BOB, "note the disk is full");
    let reply = server.command(ADA, "handoff");
    let text = server.answer(&reply);
    assert!(text.contains("What people said") && text.contains("bob: note: the disk is full"), "{text}");
    let blocks = server.slack.replies(&reply.number)[0]["blocks"].as_array().unwrap().clone();
    let part = blocks.iter().find(|block| text_of(block).contains("What people said")).unwrap();
    assert!(part.to_string().contains("\"date\""), "{part}");
    server.validate_messages();
}
