//! Two runs of one incident wait at steps of one id: a click and typed words reach the one that was meant, or nothing.

use serde_json::{Value, json};

use super::house::{ADA, BOB, House};
use crate::real::slack::Message;

/// An incident in which two runs of `p1` ask for the cause, and the message that shows both questions.
fn two_runs() -> (House, String, Message) {
    let house = House::http();
    house.told(BOB, "start p1");
    house.message("[infrastructure]");
    let id = house.incident();
    house.told(BOB, &format!("start p1 --incident {id}"));
    let both = house.message("Run 2, runbook p1");
    (house, id, both)
}

/// What the buttons with this label carry.
fn carried(message: &Message, label: &str) -> Vec<Value> {
    let blocks = message.blocks.as_array().into_iter().flatten();
    let buttons = blocks.flat_map(|block| block["elements"].as_array().into_iter().flatten());
    let labelled = buttons.filter(|button| button["text"]["text"].as_str().is_some_and(|text| text.starts_with(label)));
    labelled.map(|button| serde_json::from_str(button["value"].as_str().unwrap()).unwrap()).collect()
}

/// What the button of a run's question carries.
fn of_run(message: &Message, label: &str, run: u32) -> Value {
    let is_of = |value: &Value| value["d"].as_object().unwrap().values().next().unwrap()[0]["r"] == run;
    carried(message, label)
        .into_iter()
        .find(is_of)
        .unwrap_or_else(|| panic!("no `{label}` of run {run}: {}", message.blocks))
}

/// The runs and steps of events of a type, in order.
fn recorded(house: &House, id: &str, kind: &str) -> Vec<String> {
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
    let log: Value = serde_json::from_str(&house.cli(&["-o", "json", "timeline", id])).unwrap();
    let mut found = Vec::new();
    collect(&log, kind, &mut found);
    found
}

#[test]
fn a_click_answers_the_question_of_the_run_that_was_shown() {
    let (house, id, both) = two_runs();
    let shown = of_run(&both, "code", 1);
    assert_eq!(shown["d"]["answer"][0], json!({"r": 1, "s": "cause", "n": 1, "a": 0}));
    house.press(ADA, &both, &json!(shown.to_string()));
    house.until("the first run goes on", || recorded(&house, &id, "answered") == ["1:cause"]);
    house.press(ADA, &both, &json!(of_run(&both, "code", 2).to_string()));
    house.until("the second run goes on", || recorded(&house, &id, "answered") == ["1:cause", "2:cause"]);
    house.until("both changes are shown", || carried(&house.message("[Run touch"), "Run touch").len() == 2);
    let changes = house.message("[Run touch");
    for run in [2, 1] {
        let before = recorded(&house, &id, "approved");
        house.press(ADA, &changes, &json!(of_run(&changes, "Run touch", run).to_string()));
        house.until("it is agreed to", || recorded(&house, &id, "approved").len() > before.len());
    }
    assert_eq!(recorded(&house, &id, "approved"), ["2:mend", "1:mend"]);
    house.check();
}

#[test]
fn a_button_of_an_older_message_answers_only_when_one_step_is_meant() {
    let (house, id, both) = two_runs();
    let old = json!(json!({"i": id, "d": {"answer": [{"s": "cause"}, "code"]}}).to_string());
    let said = house.answer(&house.press(ADA, &both, &old));
    assert!(said.contains("More than one question waits for an answer: `1:cause` (runbook `p1`), `2:cause`"), "{said}");
    assert!(said.contains(&format!("`/runbook answer {id} 1:cause <answer>`")), "{said}");
    // The version before this one had the run and the question.
    let old_of_run = json!(json!({"i": id, "d": {"answer": [{"r": 2, "s": "cause", "n": 1}, "code"]}}).to_string());
    house.press(ADA, &both, &old_of_run);
    house.until("it answers the run that it names", || recorded(&house, &id, "answered") == ["2:cause"]);
    house.press(ADA, &both, &old);
    house.until("it answers the only one that is left", || recorded(&house, &id, "answered") == ["2:cause", "1:cause"]);
    let said = house.answer(&house.press(ADA, &both, &old_of_run));
    assert!(said.contains("`2:cause` asks nothing"), "{said}");
}

#[test]
fn a_click_for_an_earlier_question_answers_no_later_one_in_the_same_message() {
    let house = House::http();
    house.told(BOB, "start tidy");
    house.click(BOB, &house.message("[Run touch"), "Run touch");
    let failed = house.message("[Try broken again]");
    let shown = carried(&failed, "Try broken").remove(0);
    let id = house.incident();
    house.press(BOB, &failed, &json!(shown.to_string()));
    house.until("it was tried twice", || {
        recorded(&house, &id, "step_ended").iter().filter(|step| *step == "1:broken").count() == 2
    });
    house.until("it is asked again", || carried(&house.message("[Try broken again]"), "Try broken")[0] != shown);
    let said = house.answer(&house.press(BOB, &failed, &json!(shown.to_string())));
    assert!(said.contains("nothing was done"), "{said}");
    assert_eq!(recorded(&house, &id, "retry_scheduled"), ["1:broken"]);
}

#[test]
fn typed_words_name_the_run_where_two_have_the_step() {
    let (house, id, _) = two_runs();
    for words in ["answer code", "answer cause code", "skip cause no need"] {
        let said = house.told(ADA, words);
        assert!(said.contains("`1:cause` (runbook `p1`), `2:cause` (runbook `p1`)"), "{words}: {said}");
    }
    assert!(house.told(ADA, "answer 3:cause code").contains("There is no run 3"));
    assert!(house.told(ADA, "answer 2:cause code").contains("Answered"));
    let said = house.told(ADA, "answer 2:cause code");
    assert!(said.contains("`2:cause` asks nothing"), "{said}");
    assert!(house.told(ADA, "answer code").contains("Answered"), "only one is left");
    house.until("both go on", || recorded(&house, &id, "answered") == ["2:cause", "1:cause"]);
    house.until("both changes wait", || {
        recorded(&house, &id, "asked").iter().filter(|step| step.ends_with(":mend")).count() == 2
    });
    for words in ["deny mend no", "deny too risky"] {
        let said = house.told(ADA, words);
        assert!(said.contains("`1:mend` (runbook `p1`), `2:mend` (runbook `p1`)"), "{words}: {said}");
    }
    assert!(house.told(ADA, "deny 1:mend").contains("Type `/runbook deny 1:mend <reason>`"));
    assert!(house.told(ADA, "deny 1:mend too risky").contains("Refused"));
    assert_eq!(recorded(&house, &id, "denied"), ["1:mend"]);
    let said = house.told(ADA, "approve mend 0123456789ab");
    assert!(said.contains("has changed since"), "{said}");
    house.check();
}

#[test]
fn words_for_a_question_that_is_over_do_not_answer_the_next_one() {
    let house = House::http();
    house.told(BOB, "start p1");
    house.message("[infrastructure]");
    let id = house.incident();
    house.told(BOB, &format!("start p4 --incident {id}"));
    house.message("What is it?");
    assert!(house.told(BOB, "answer cause code").contains("Answered"));
    let said = house.told(ADA, "answer cause code");
    assert!(said.contains(&format!("type `/runbook answer {id} look cause …`")), "{said}");
    assert_eq!(recorded(&house, &id, "answered"), ["1:cause"]);
    assert!(house.told(ADA, "answer look cause code").contains("Answered"));
    assert_eq!(recorded(&house, &id, "answered"), ["1:cause", "2:look"]);
}
