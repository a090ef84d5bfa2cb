//! A real `runbook serve` and people in Slack: from the first command to the end of an incident, and whatever is tried on the
//! way. Slack is a stand-in; what we send it is checked by Slack's own SDK.

mod board;
mod faults;
mod hostile;
mod house;
mod look;
mod page;
mod refused;
mod renewed;
mod socket;
mod terminal;
mod turns;
mod two_runs;
mod words;

use std::time::Duration;

use slack_morphism::prelude::SlackAppManifest;

use self::house::{ADA, BOB, House};

#[test]
fn an_incident_goes_from_a_command_to_its_end() {
    let house = House::http();
    let said = house.told(BOB, "start p1 service=search");
    assert!(said.contains("Live platform down on production"), "{said}");
    let live = house.message("Live platform down on production");
    let asked = house.message("[infrastructure]");
    house.click(BOB, &asked, "code");
    let agreed = house.message("[Run touch");
    assert!(!house.is_mended(), "nobody has agreed");
    house.click(ADA, &agreed, "Run touch");
    house.message("ada agreed");
    house.until("the change was made", || house.is_mended());
    let said = house.told(ADA, "resolve it was the search");
    assert!(said.starts_with("Resolved"), "{said}");
    let over = house.message("Resolved: Live platform down");
    assert!(look::seen(&over.blocks).contains("by ada") && over.thread.as_ref() == Some(&live.ts), "{over:?}");
    let now = house.message("P1 resolved");
    assert_eq!(now.ts, live.ts, "the same message is changed");
    for message in house.slack.messages() {
        assert!(look::button(&message.blocks, "").is_none(), "no button is left: {}", message.blocks);
    }
    assert!(house.check() > 8);
}

#[test]
fn everything_is_acknowledged_within_a_second() {
    let house = House::http();
    for words in
        ["start p1", "", "list", "status", "ack", "nonsense", "note seen", "role take communications", "handoff"]
    {
        let reply = house.command(ADA, words);
        assert_eq!(reply.status, 200);
        assert!(reply.took < Duration::from_secs(1), "`{words}` took {:?}", reply.took);
        assert!(!house.answer(&reply).is_empty(), "{words}");
    }
    house.check();
}

#[test]
fn an_incident_may_have_a_channel_of_its_own() {
    let house = House::with_channels();
    house.told(BOB, "start p1");
    let asked = house.message("[infrastructure]");
    house.until("it is asked in the own channel", || {
        house.slack.messages().iter().any(|message| message.channel.starts_with("C0INC") && message.thread.is_none())
    });
    let live = house.message("Live platform down");
    assert_eq!((live.channel.as_str(), asked.thread), ("C0INCIDENTS", None));
    let invited = house.slack.requests().into_iter().find(|request| request.method == "conversations.invite");
    assert_eq!(invited.expect("people are invited").body["users"], "U0ADA,U0BOB");
    house.until("the live message names it", || {
        house.message("Live platform down").blocks.to_string().contains("channel_id")
    });
    house.check();
}

#[test]
fn severity_is_changed_and_what_is_unknown_gets_a_suggestion() {
    let house = House::http();
    house.told(ADA, "start p1");
    assert!(house.told(ADA, "severity p2").contains("Severity P2"));
    house.message("P2 needs you");
    assert!(house.told(ADA, "severity p2").contains("It is P2 already"));
    assert!(house.told(ADA, "severity huge").contains("`huge` is no severity"));
    assert!(house.told(ADA, "stauts").contains("Did you mean `/runbook status`?"));
    assert!(house.told(ADA, "start p9").contains("There is no runbook `p9`"));
    let first = house.incident();
    house.told(ADA, "start p1");
    house.until_second(&first);
    assert!(house.told(ADA, "ack").contains("More than one incident is open"));
    assert!(house.told(ADA, &format!("ack {first}")).contains("Acknowledged"));
}

#[test]
fn the_manifest_asks_for_the_least() {
    let house = House::http();
    let socket: serde_json::Value = serde_json::from_str(&house.cli(&["slack", "manifest"])).unwrap();
    assert_eq!(socket["oauth_config"]["scopes"]["bot"], serde_json::json!(["commands", "chat:write"]));
    assert_eq!(socket["settings"]["socket_mode_enabled"], true);
    // The model that Slack's library for Rust has of a manifest knows every key but one, and misses none.
    let known: SlackAppManifest = serde_json::from_value(socket.clone()).expect("it is a manifest");
    let mut read = serde_json::to_value(&known).unwrap();
    read["settings"]["token_rotation_enabled"] = serde_json::json!(false);
    assert_eq!(read, socket);
    let http = house.cli(&["slack", "manifest", "--address", "runbook.shop.example/"]);
    assert!(
        http.contains("https://runbook.shop.example/slack/command") && http.contains("\"socket_mode_enabled\": false"),
        "{http}"
    );
}
