//! Words that want to be more than words, and forms.

use serde_json::{Value, json};

use super::house::{ADA, House};

/// Mentions, links, markup, controls and much of it.
const HOSTILE: &str =
    "<!channel> <@U0BOB> @here *x* `y` ~z~ <http://evil.example|bank> &lt;!here&gt; \u{202e}\u{1b}[2J :boom:";

#[test]
fn foreign_words_stay_words() {
    let house = House::http();
    house.alert(&format!("{HOSTILE} {}", "long ".repeat(100)), &format!("{HOSTILE}{}", "x".repeat(9_000)));
    house.message("evil.example");
    let note = format!("note {HOSTILE} {}", "y".repeat(5_000));
    house.told(ADA, &note);
    house.told(ADA, "handoff");
    house.told(ADA, &format!("resolve {HOSTILE}"));
    house.message("Resolved");
    assert!(house.check() > 4);
    let mut sent: Vec<Value> = house.slack.requests().into_iter().map(|request| request.body).collect();
    sent.extend(house.slack.all_replies());
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
fn a_form_asks_only_for_what_is_missing() {
    let house = House::http();
    let reply = house.command(ADA, "start p3 reason=\"it is slow\"");
    house.until("a form is shown", || !house.slack.views().is_empty());
    let view = house.slack.views().remove(0);
    let asked: Vec<&str> =
        view["blocks"].as_array().unwrap().iter().filter_map(|block| block["block_id"].as_str()).collect();
    assert_eq!(asked, ["service"]);
    let filled = json!({"service": {"value": {"type": "static_select", "selected_option": {"value": "search"}}}});
    let submitted = json!({
        "type": "view_submission", "user": {"id": ADA}, "trigger_id": "t",
        "view": {"id": "V0FORM", "type": "modal", "callback_id": view["callback_id"], "private_metadata": view["private_metadata"],
            "state": {"values": filled}},
    });
    house.interact("unused", &submitted);
    assert!(house.answer(&reply).contains("A service is down"));
    let asked = house.message("What is seen in search?");
    house.click(ADA, &asked, "Answer");
    house.until("a form is shown", || house.slack.views().len() == 2);
    let view = house.slack.views().remove(1);
    let submitted = json!({
        "type": "view_submission", "user": {"id": ADA}, "trigger_id": "t",
        "view": {"callback_id": view["callback_id"], "private_metadata": view["private_metadata"],
            "state": {"values": {"words": {"value": {"type": "plain_text_input", "value": "nothing at all"}}}}},
    });
    house.interact("unused", &submitted);
    house.message("ada answered: nothing at all");
    house.check();
}
