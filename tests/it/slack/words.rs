//! What is typed in a hurry: options in any spelling, words that mean nothing, and where each answer leads.

use serde_json::json;

use super::house::{ADA, BOB, House};
use super::look::{button, seen};

#[test]
fn start_takes_what_the_terminals_takes() {
    let house = House::http();
    let said =
        house.told(ADA, "start p1 production —auto —title “the shop is slow” —param service=search detected=10m");
    assert!(said.contains("the shop is slow on production"), "{said}");
    let timeline = house.timeline(&house.incident());
    assert!(timeline.contains("service=search"), "{timeline}");
    let first = house.incident();
    house.told(ADA, "start P1 --step");
    let second = house.until_second(&first);
    let logged = |id: &str| house.cli(&["-o", "json", "timeline", id]);
    assert!(logged(&first).contains("\"mode\": \"auto\"") && logged(&second).contains("\"mode\": \"step\""));
    assert!(logged(&first).contains("detected_at") && !logged(&second).contains("detected_at"));
    assert!(house.told(ADA, &format!("start p4 --incident {}", &first[..5])).contains("the shop is slow"));
    house.until("it runs there", || house.timeline(&first).contains("run 2: p4"));
    assert!(house.told(ADA, "start p1 env=prodution").contains("Did you mean `--env production`?"));
    assert!(house.told(ADA, "start p1 servce=x").contains("Did you mean `--param service`?"));
    house.check();
}

#[test]
fn every_answer_leads_on() {
    let house = House::http();
    let leads = |words: &str| {
        let reply = house.command(ADA, words);
        house.answer(&reply);
        let blocks = house.slack.replies(&reply.number)[0]["blocks"].clone();
        let said = seen(&blocks);
        assert!(said.contains("/runbook") || button(&blocks, "").is_some(), "`{words}` leads nowhere: {said}");
        said
    };
    for words in ["", "list", "incidents", "note x", "status", "handoff", "resolve", "help", "wat", "start", "start p9"]
    {
        leads(words);
    }
    house.told(ADA, "start p1");
    house.message("[infrastructure]");
    for words in [
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
    ] {
        leads(words);
    }
    assert!(leads("resolve").contains("complete the post-mortem") || leads("status").contains("P1 resolved"));
    for words in ["resolve", "ack", "severity p2", "note late", "answer code", "update over"] {
        leads(words);
    }
    house.check();
}

#[test]
fn an_incident_that_is_mistyped_is_no_other() {
    let house = House::http();
    house.told(ADA, "start p1");
    let id = house.incident();
    let wrong = format!("{}x", &id[..id.len() - 1]);
    for words in [format!("resolve {wrong}"), format!("note {wrong} it burns"), format!("severity {wrong} p4")] {
        let said = house.told(ADA, &words);
        assert!(said.contains(&format!("There is no incident `{wrong}`")) && said.contains(&id), "{said}");
    }
    assert!(house.told(ADA, &format!("resolve {}", &id[..5])).contains(&format!("/runbook resolve {id}")));
    assert_eq!(house.incident(), id, "it is open");
    assert!(house.told(ADA, &format!("status {}", &id[..3])).contains("Live platform down"), "the beginning is enough");
    let first = id;
    house.told(ADA, "start p1");
    house.until_second(&first);
    assert!(house.told(ADA, "note it burns").contains(&format!("/runbook note {first} it burns")), "ready to be typed");
}

#[test]
fn a_message_that_one_person_sees_says_who_and_when_after_a_click() {
    let house = House::http();
    house.told(BOB, "start p1");
    house.message("[infrastructure]");
    let reply = house.command(BOB, "");
    house.answer(&reply);
    let blocks = house.slack.replies(&reply.number)[0]["blocks"].clone();
    let number = house.next();
    house.interact(&number, &json!({
        "type": "block_actions", "user": {"id": BOB}, "trigger_id": "t", "response_url": house.slack.reply_url(&number),
        "container": {"type": "message", "message_ts": "1.1", "channel_id": "C0INCIDENTS", "is_ephemeral": true},
        "actions": [{"type": "button", "action_id": "press_1", "value": button(&blocks, "code").unwrap()["value"]}],
    }));
    house.until("it is replaced", || !house.slack.replies(&number).is_empty());
    let now = house.slack.replies(&number).remove(0);
    assert_eq!(now["replace_original"], true);
    assert!(seen(&now["blocks"]).contains("bob answered: code"), "{now}");
    assert!(now["blocks"].to_string().contains("\"date\"") && button(&now["blocks"], "").is_none(), "{now}");
    house.check();
}

#[test]
fn what_waits_for_others_is_shown_apart_from_what_waits_for_you() {
    let house = House::http();
    house.told(BOB, "start p1");
    house.message("[infrastructure]");
    house.told(BOB, "answer “Code”");
    house.message("[Run touch");
    let said = house.told(BOB, "");
    assert!(
        said.contains("Nothing waits for you") && said.contains("For others") && !said.contains("[Run touch"),
        "{said}"
    );
    assert!(house.told(ADA, "").contains("[Run touch"), "the commander may agree");
    assert!(house.told(ADA, "deny mend not now").contains("Refused"), "a step may be named");
    house.message("ada refused: not now");
}

#[test]
fn a_hand_over_has_its_times_in_the_readers_zone() {
    let house = House::http();
    house.told(BOB, "start p1");
    house.told(BOB, "note the disk is full");
    let reply = house.command(ADA, "handoff");
    let said = house.answer(&reply);
    assert!(said.contains("What people said") && said.contains("bob: note: the disk is full"), "{said}");
    let blocks = house.slack.replies(&reply.number)[0]["blocks"].as_array().unwrap().clone();
    let part = blocks.iter().find(|block| seen(block).contains("What people said")).unwrap();
    assert!(part.to_string().contains("\"date\""), "{part}");
    house.check();
}
