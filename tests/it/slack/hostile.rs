//! Hostile text in commands and alerts, and forms.

use serde_json::{Value, json};

use super::server::{ADA, SlackServer};

/// Mentions, links, markup and control characters.
const HOSTILE: &str =
    "<!channel> <@U0BOB> @here *x* `y` ~z~ <http://evil.example|bank> &lt;!here&gt; \u{202e}\u{1b}[2J :boom:";

#[test]
fn text_from_outside_stays_text() {
    let server = SlackServer::http();
    server.alert(&format!("{HOSTILE} {}", "long ".repeat(100)), &format!("{HOSTILE}{}", "x".repeat(9_000)));
    server.message("evil.example");
    let note = format!("note {HOSTILE} {}", "y".repeat(5_000));
    server.reply_to(ADA, &note);
    server.reply_to(ADA, "handoff");
    server.reply_to(ADA, &format!("resolve {HOSTILE}"));
    server.message("Resolved");
    assert!(server.validate_messages() > 4);
    let mut sent: Vec<Value> = server.slack.requests().into_iter().map(|request| request.body).collect();
    sent.extend(server.slack.all_replies());
    for one in sent {
        let blocks = one["blocks"].to_string();
        assert!(
            !blocks.contains("mrkdwn") && !blocks.contains("\"broadcast\"") && !blocks.contains("@here"),
            "{blocks}"
        );
        let text = one["text"].as_str().unwrap_or_default();
        assert!(!text.contains("<!") && !text.contains("<@") && !text.contains("@here"), "{text}");
        assert!(!one.to_string().contains("\\u001b") && !one.to_string().contains('\u{202e}'), "{one}");
    }
}

#[test]
fn a_form_asks_only_for_missing_parameters() {
    let server = SlackServer::http();
    let reply = server.command(ADA, "start p3 reason=\"it is slow\"");
    server.until("a form is shown", || !server.slack.views().is_empty());
    let view = server.slack.views().remove(0);
    let asked: Vec<&str> =
        view["blocks"].as_array().unwrap().iter().filter_map(|block| block["block_id"].as_str()).collect();
    assert_eq!(asked, ["service"]);
    let filled = json!({"service": {"value": {"type": "static_select", "selected_option": {"value": "search"}}}});
    let submitted = json!({
        "type": "view_submission", "user": {"id": ADA}, "trigger_id": "t",
        "view": {"id": "V0FORM", "type": "modal", "callback_id": view["callback_id"], "private_metadata": view["private_metadata"],
            "state": {"values": filled}},
    });
    server.interact("unused", &submitted);
    assert!(server.answer(&reply).contains("A service is down"));
    let asked = server.message("What is seen in search?");
    server.click(ADA, &asked, "Answer");
    server.until("a form is shown", || server.slack.views().len() == 2);
    let view = server.slack.views().remove(1);
    let submitted = json!({
        "type": "view_submission", "user": {"id": ADA}, "trigger_id": "t",
        "view": {"callback_id": view["callback_id"], "private_metadata": view["private_metadata"],
            "state": {"values": {"words": {"value": {"type": "plain_text_input", "value": "nothing at all"}}}}},
    });
    server.interact("unused", &submitted);
    server.message("ada answered: nothing at all");
    server.validate_messages();
}
