//! Blocks of Slack messages: their text, their buttons, and their validation by Slack's SDK.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use runbook::actions::transport::process::spawn_detached;
use serde_json::Value;

/// The text of blocks, with the labels of buttons in brackets.
pub fn text_of(blocks: &Value) -> String {
    match blocks {
        Value::Array(items) => items.iter().map(text_of).collect::<Vec<_>>().join(" "),
        Value::Object(fields) if fields.get("type").is_some_and(|kind| kind == "button") => {
            format!("[{}]", fields["text"]["text"].as_str().unwrap_or_default())
        }
        Value::Object(fields) if fields.get("text").is_some_and(Value::is_string) => {
            fields["text"].as_str().unwrap().to_owned()
        }
        Value::Object(fields) => {
            fields.values().map(text_of).filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ")
        }
        _ => String::new(),
    }
}

/// The button whose label begins with `label`.
pub fn button<'a>(blocks: &'a Value, label: &str) -> Option<&'a Value> {
    let buttons = blocks.as_array()?.iter().filter(|block| block["type"] == "actions");
    let mut buttons = buttons.flat_map(|block| block["elements"].as_array().into_iter().flatten());
    buttons.find(|button| button["text"]["text"].as_str().is_some_and(|text| text.starts_with(label)))
}

/// Validates items, each one line of JSON, with Slack's SDK.
pub fn validate(items: &[Value]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let vendors =
        Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is below the target").join("vendors/python");
    assert!(
        vendors.join("slack_sdk").is_dir(),
        "`tests/run` installs Slack's SDK from `tests/fixtures/slack/requirements.txt`"
    );
    let mut command = Command::new("/usr/bin/python3");
    command.arg(root.join("tests/fixtures/slack/check.py")).env("PYTHONPATH", vendors);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = spawn_detached(&mut command).expect("python3 starts; install the Debian package `python3`");
    let lines: String = items.iter().map(|item| format!("{item}\n")).collect();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let report = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(report.trim(), format!("checked {}", items.len()), "the SDK finds errors");
}
