//! Two runs of one incident wait at steps with the same id: a click or command reaches the right one, or is refused.

use serde_json::{Value, json};

use super::server::{ADA, BOB, SlackServer};
use crate::real::slack::Message;

/// An incident in which two runs of `p1` ask for the cause, and the message with both questions.
fn two_runs() -> (SlackServer, String, Message) {
    let server = SlackServer::http();
    server.reply_to(BOB, "start p1");
    server.message("[infrastructure]");
    let id = server.incident();
    server.reply_to(BOB, &format!("start p1 --incident {id}"));
    let message = server.message("Run 2, runbook p1");
    (server, id, message)
}

/// The values of the buttons with this label.
fn button_values(message: &Message, label: &str) -> Vec<Value> {
    let blocks = message.blocks.as_array().into_iter().flatten();
    let buttons = blocks.flat_map(|block| block["elements"].as_array().into_iter().flatten());
    let labelled = buttons.filter(|button| button["text"]["text"].as_str().is_some_and(|text| text.starts_with(label)));
    labelled.map(|button| serde_json::from_str(button["value"].as_str().unwrap()).unwrap()).collect()
}

/// The value of the button of a run's question.
fn button_value_of_run(message: &Message, label: &str, run: u32) -> Value {
    let is_of = |value: &Value| value["d"].as_object().unwrap().values().next().unwrap()[0]["r"] == run;
    button_values(message, label)
        .into_iter()
        .find(is_of)
        .unwrap_or_else(|| panic!("no `{label}` of run {run}: {}", message.blocks))
}

/// The runs and steps of events of a type, in order.
fn recorded_steps(server: &SlackServer, id: &str, kind: &str) -> Vec<String> {
    fn collect(value: &Value, kind: &str, found: &mut Vec<String>) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| collect(item, kind, found)),
            Value::Object(fields) if fields.get("type").is_some_and(|name| name == kind) => {
                found.push(format!("{}:{}", fields["run"], fields["step"].as_str().unwrap()));
            }
            Value::Object(fields) => fields.values().for_each(|field| collect(field, kind, found)),
            _ => {}
        }
    }
    let log: Value = serde_json::from_str(&server.cli(&["-o", "json", "timeline", id])).unwrap();
    let mut found = Vec::new();
    collect(&log, kind, &mut found);
    found
}

#[test]
fn a_click_answers_the_question_of_its_run() {
    let (server, id, message) = two_runs();
    let shown = button_value_of_run(&message, "code", 1);
    assert_eq!(shown["d"]["answer"][0], json!({"r": 1, "s": "cause", "n": 1, "a": 0}));
    server.press(ADA, &message, &json!(shown.to_string()));
    server.until("the first run goes on", || recorded_steps(&server, &id, "answered") == ["1:cause"]);
    server.press(ADA, &message, &json!(button_value_of_run(&message, "code", 2).to_string()));
    server.until("the second run goes on", || recorded_steps(&server, &id, "answered") == ["1:cause", "2:cause"]);
    server.until("both changes are shown", || button_values(&server.message("[Run touch"), "Run touch").len() == 2);
    let changes = server.message("[Run touch");
    for run in [2, 1] {
        let before = recorded_steps(&server, &id, "approved");
        server.press(ADA, &changes, &json!(button_value_of_run(&changes, "Run touch", run).to_string()));
        server.until("it is agreed to", || recorded_steps(&server, &id, "approved").len() > before.len());
    }
    assert_eq!(recorded_steps(&server, &id, "approved"), ["2:mend", "1:mend"]);
    server.validate_messages();
}

#[test]
fn a_button_of_an_older_version_answers_only_an_unambiguous_step() {
    let (server, id, message) = two_runs();
    let old = json!(json!({"i": id, "d": {"answer": [{"s": "cause"}, "code"]}}).to_string());
    let text = server.answer(&server.press(ADA, &message, &old));
    assert!(text.contains("More than one question waits for an answer: `1:cause` (runbook `p1`), `2:cause`"), "{text}");
    assert!(text.contains(&format!("`/runbook answer {id} 1:cause <answer>`")), "{text}");
    // The previous version had the run and the question, and not the attempt.
    let old_of_run = json!(json!({"i": id, "d": {"answer": [{"r": 2, "s": "cause", "n": 1}, "code"]}}).to_string());
    server.press(ADA, &message, &old_of_run);
    server.until("it answers the run that it names", || recorded_steps(&server, &id, "answered") == ["2:cause"]);
    server.press(ADA, &message, &old);
    server.until("it answers the only one that is left", || {
        recorded_steps(&server, &id, "answered") == ["2:cause", "1:cause"]
    });
    let text = server.answer(&server.press(ADA, &message, &old_of_run));
    assert!(text.contains("`2:cause` has no open question"), "{text}");
}

#[test]
fn a_click_for_an_earlier_question_does_not_answer_a_later_one() {
    let server = SlackServer::http();
    server.reply_to(BOB, "start tidy");
    server.click(BOB, &server.message("[Run touch"), "Run touch");
    let failed = server.message("[Try broken again]");
    let shown = button_values(&failed, "Try broken").remove(0);
    let id = server.incident();
    server.press(BOB, &failed, &json!(shown.to_string()));
    server.until("it was tried twice", || {
        recorded_steps(&server, &id, "step_ended").iter().filter(|step| *step == "1:broken").count() == 2
    });
    server
        .until("it is asked again", || button_values(&server.message("[Try broken again]"), "Try broken")[0] != shown);
    let text = server.answer(&server.press(BOB, &failed, &json!(shown.to_string())));
    assert!(text.contains("nothing was done"), "{text}");
    assert_eq!(recorded_steps(&server, &id, "retry_scheduled"), ["1:broken"]);
}

#[test]
fn a_typed_command_names_the_run_when_two_have_the_step() {
    let (server, id, _) = two_runs();
    for words in ["answer code", "answer cause code", "skip cause no need"] {
        let text = server.reply_to(ADA, words);
        assert!(text.contains("`1:cause` (runbook `p1`), `2:cause` (runbook `p1`)"), "{words}: {text}");
    }
    assert!(server.reply_to(ADA, "answer 3:cause code").contains("There is no run 3"));
    assert!(server.reply_to(ADA, "answer 2:cause code").contains("Answered"));
    let text = server.reply_to(ADA, "answer 2:cause code");
    assert!(text.contains("`2:cause` has no open question"), "{text}");
    assert!(server.reply_to(ADA, "answer code").contains("Answered"), "only one is left");
    server.until("both go on", || recorded_steps(&server, &id, "answered") == ["2:cause", "1:cause"]);
    server.until("both changes wait", || {
        recorded_steps(&server, &id, "asked").iter().filter(|step| step.ends_with(":mend")).count() == 2
    });
    for words in ["deny mend no", "deny too risky"] {
        let text = server.reply_to(ADA, words);
        assert!(text.contains("`1:mend` (runbook `p1`), `2:mend` (runbook `p1`)"), "{words}: {text}");
    }
    assert!(server.reply_to(ADA, "deny 1:mend").contains("Type `/runbook deny 1:mend <reason>`"));
    assert!(server.reply_to(ADA, "deny 1:mend too risky").contains("Denied"));
    assert_eq!(recorded_steps(&server, &id, "denied"), ["1:mend"]);
    let text = server.reply_to(ADA, "approve mend 0123456789ab");
    assert!(text.contains("differs from the one that you saw"), "{text}");
    server.validate_messages();
}

#[test]
fn a_command_for_an_answered_question_does_not_answer_the_next_one() {
    let server = SlackServer::http();
    server.reply_to(BOB, "start p1");
    server.message("[infrastructure]");
    let id = server.incident();
    server.reply_to(BOB, &format!("start p4 --incident {id}"));
    server.message("What is it?");
    assert!(server.reply_to(BOB, "answer cause code").contains("Answered"));
    let text = server.reply_to(ADA, "answer cause code");
    assert!(text.contains(&format!("type `/runbook answer {id} look cause …`")), "{text}");
    assert_eq!(recorded_steps(&server, &id, "answered"), ["1:cause"]);
    assert!(server.reply_to(ADA, "answer look cause code").contains("Answered"));
    assert_eq!(recorded_steps(&server, &id, "answered"), ["1:cause", "2:look"]);
}
