//! A running `serve` and its Slack app: commands, buttons, incident messages, pages, faults and forged requests.
//!
//! Slack is a stand-in. Slack's SDK validates the messages that it gets.

mod blocks;
mod commands;
mod faults;
mod hostile;
mod page;
mod refusals;
mod server;
mod socket;
mod terminal;
mod thread;
mod token_change;
mod two_runs;
mod update_rate;

use std::time::Duration;

use slack_morphism::prelude::SlackAppManifest;

use self::server::{ADA, BOB, SlackServer};

#[test]
fn an_incident_goes_from_a_command_to_its_end() {
    let server = SlackServer::http();
    let text = server.reply_to(BOB, "start p1 service=search");
    assert!(text.contains("Live platform down on production"), "{text}");
    let live = server.message("Live platform down on production");
    let asked = server.message("[infrastructure]");
    server.click(BOB, &asked, "code");
    let agreed = server.message("[Run touch");
    assert!(!server.is_repaired(), "nobody has approved");
    server.click(ADA, &agreed, "Run touch");
    server.message("ada agreed");
    server.until("the change was made", || server.is_repaired());
    let text = server.reply_to(ADA, "resolve it was the search");
    assert!(text.starts_with("Resolved"), "{text}");
    let over = server.message("Resolved: Live platform down");
    assert!(blocks::text_of(&over.blocks).contains("by ada") && over.thread.as_ref() == Some(&live.ts), "{over:?}");
    let now = server.message("P1 resolved");
    assert_eq!(now.ts, live.ts, "the same message is changed");
    for message in server.slack.messages() {
        assert!(blocks::button(&message.blocks, "").is_none(), "no button is left: {}", message.blocks);
    }
    assert!(server.validate_messages() > 8);
}

#[test]
fn everything_is_acknowledged_within_a_second() {
    let server = SlackServer::http();
    for words in
        ["start p1", "", "list", "status", "ack", "nonsense", "note seen", "role take communications", "handoff"]
    {
        let reply = server.command(ADA, words);
        assert_eq!(reply.status, 200);
        assert!(reply.took < Duration::from_secs(1), "`{words}` took {:?}", reply.took);
        assert!(!server.answer(&reply).is_empty(), "{words}");
    }
    server.validate_messages();
}

#[test]
fn an_incident_may_have_its_own_channel() {
    let server = SlackServer::with_channels();
    server.reply_to(BOB, "start p1");
    let asked = server.message("[infrastructure]");
    server.until("the question is in the channel of the incident", || {
        server.slack.messages().iter().any(|message| message.channel.starts_with("C0INC") && message.thread.is_none())
    });
    let live = server.message("Live platform down");
    assert_eq!((live.channel.as_str(), asked.thread), ("C0INCIDENTS", None));
    let invited = server.slack.requests().into_iter().find(|request| request.method == "conversations.invite");
    assert_eq!(invited.expect("people are invited").body["users"], "U0ADA,U0BOB");
    server.until("the live message names it", || {
        server.message("Live platform down").blocks.to_string().contains("channel_id")
    });
    server.validate_messages();
}

#[test]
fn severity_is_changed_and_what_is_unknown_gets_a_suggestion() {
    let server = SlackServer::http();
    server.reply_to(ADA, "start p1");
    assert!(server.reply_to(ADA, "severity p2").contains("Severity P2"));
    server.message("P2 needs you");
    assert!(server.reply_to(ADA, "severity p2").contains("It is P2 already"));
    assert!(server.reply_to(ADA, "severity huge").contains("`huge` is no severity"));
    assert!(server.reply_to(ADA, "stauts").contains("Did you mean `/runbook status`?"));
    assert!(server.reply_to(ADA, "start p9").contains("There is no runbook `p9`"));
    let first = server.incident();
    server.reply_to(ADA, "start p1");
    server.until_second(&first);
    assert!(server.reply_to(ADA, "ack").contains("More than one incident is open"));
    assert!(server.reply_to(ADA, &format!("ack {first}")).contains("Acknowledged"));
}

#[test]
fn the_manifest_requests_the_minimal_scopes() {
    let server = SlackServer::http();
    let socket: serde_json::Value = serde_json::from_str(&server.cli(&["slack", "manifest"])).unwrap();
    assert_eq!(socket["oauth_config"]["scopes"]["bot"], serde_json::json!(["commands", "chat:write"]));
    assert_eq!(socket["settings"]["socket_mode_enabled"], true);
    // slack-morphism's type for a manifest has every key of ours but `token_rotation_enabled`.
    let known: SlackAppManifest = serde_json::from_value(socket.clone()).expect("it is a manifest");
    let mut read = serde_json::to_value(&known).unwrap();
    read["settings"]["token_rotation_enabled"] = serde_json::json!(false);
    assert_eq!(read, socket);
    let http = server.cli(&["slack", "manifest", "--address", "runbook.shop.example/"]);
    assert!(
        http.contains("https://runbook.shop.example/slack/command") && http.contains("\"socket_mode_enabled\": false"),
        "{http}"
    );
}
