//! Golden logs: every released version of a log can be read, folded and printed as a timeline.
//!
//! **Invariant:** a line of a golden log is never changed; a new event gets lines of its own.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use runbook::domain::incident::event::{Event, Recorded, TYPES};
use runbook::domain::incident::{IncidentStatus, fold};
use runbook::domain::report::timeline::Timeline;
use serde_json::{Map, Value};

/// Every golden log.
const LOGS: [&str; 5] =
    ["postmortem/p1.jsonl", "logs/alerts.jsonl", "logs/people.jsonl", "logs/slack.jsonl", "logs/maintenance.jsonl"];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn text(name: &str) -> String {
    fs::read_to_string(fixture(name)).expect("the fixture is there")
}

fn log(name: &str) -> Vec<Recorded> {
    text(name).lines().map(|line| serde_json::from_str(line).expect("a golden log can be read")).collect()
}

/// The lines of every golden log.
fn lines() -> Vec<String> {
    LOGS.into_iter().flat_map(|file| text(file).lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// Every type of event.
fn types() -> BTreeSet<String> {
    TYPES.iter().map(|name| (*name).to_owned()).collect()
}

/// The `type` of the event in a line.
fn type_of(line: &str) -> String {
    let line: Value = serde_json::from_str(line).expect("JSON");
    line["event"]["type"].as_str().expect("every event has a type").to_owned()
}

#[test]
fn every_event_type_is_in_a_golden_log() {
    assert_eq!(lines().iter().map(|line| type_of(line)).collect::<BTreeSet<String>>(), types());
}

/// Events whose older form, without a later field, is also in the golden logs.
const GROWN: [&str; 2] = ["run_started", "asked"];

#[test]
fn an_event_is_serialized_byte_for_byte_as_before() {
    let mut same = BTreeSet::new();
    for (line, recorded) in lines().into_iter().zip(LOGS.into_iter().flat_map(log)) {
        let written = serde_json::to_string(&recorded).expect("JSON");
        let name = type_of(&line);
        if written == line {
            same.insert(name);
        } else {
            assert!(GROWN.contains(&name.as_str()), "{line}\n{written}");
        }
    }
    assert_eq!(same, types());
}

#[test]
fn every_event_is_read_with_its_type_at_any_position() {
    for recorded in LOGS.into_iter().flat_map(log) {
        let written = serde_json::to_string(&recorded.event).expect("JSON");
        assert!(written.starts_with("{\"type\":\""), "{written}");
        assert_eq!(serde_json::from_str::<Event>(&written).expect("it is read again"), recorded.event);
        let Value::Object(fields) = serde_json::to_value(&recorded.event).expect("JSON") else { panic!("{written}") };
        let reversed: Map<String, Value> = fields.into_iter().rev().collect();
        let reversed = serde_json::to_string(&reversed).expect("JSON");
        assert_eq!(
            serde_json::from_str::<Event>(&reversed).expect("the type may be the last field"),
            recorded.event,
            "{reversed}"
        );
    }
}

/// Whether `new` has every value of `old`. It may have more fields, with their defaults. Durations are compared by value.
fn contains_value(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            old.iter().all(|(name, value)| new.get(name).is_some_and(|new| contains_value(value, new)))
        }
        (Value::Array(old), Value::Array(new)) => {
            old.len() == new.len() && old.iter().zip(new).all(|(old, new)| contains_value(old, new))
        }
        (Value::String(old), Value::String(new)) => {
            old == new || humantime::parse_duration(old).is_ok_and(|old| humantime::parse_duration(new) == Ok(old))
        }
        _ => old == new,
    }
}

#[test]
fn nothing_of_a_golden_log_is_lost_when_it_is_written_again() {
    for file in LOGS {
        for (line, recorded) in text(file).lines().zip(log(file)) {
            let old: Value = serde_json::from_str(line).expect("JSON");
            let again = serde_json::to_value(&recorded).expect("JSON");
            assert!(contains_value(&old, &again), "{file}, event {}: {old:#}\n{again:#}", recorded.seq);
        }
    }
}

#[test]
fn the_golden_log_of_an_incident_that_alerts_opened_folds_to_what_it_was() {
    let incident = fold(&log("logs/alerts.jsonl")).expect("a golden log folds").expect("it is not empty");
    assert_eq!((incident.id.as_str(), incident.status), ("tofiv-sunam", IncidentStatus::Resolved));
    assert_eq!(incident.group.as_deref(), Some("production / queue"));
    assert_eq!((incident.alerts.len(), incident.alerts.firing()), (2, 0));
    let runs: Vec<&str> = incident.runs.iter().map(|run| run.runbook.id.as_str()).collect();
    assert_eq!(runs, ["queue", "notice", "disk"]);
    assert!(incident.completed.is_some());
}

#[test]
fn the_golden_log_of_an_incident_with_roles_and_refusals_folds_to_what_it_was() {
    let incident = fold(&log("logs/people.jsonl")).expect("a golden log folds").expect("it is not empty");
    assert_eq!((incident.id.as_str(), incident.status), ("nudaf-jajis", IncidentStatus::Resolved));
    assert_eq!((incident.refusals, incident.roles.len()), (2, 1));
    let deadlines: Vec<&str> = incident.deadlines.iter().map(|deadline| deadline.name.as_str()).collect();
    assert_eq!(deadlines, ["notify", "commander", "update"]);
}

#[test]
fn the_golden_log_of_maintenance_folds_to_what_it_was() {
    let record = fold(&log("logs/maintenance.jsonl")).expect("a golden log folds").expect("it is not empty");
    assert!(record.is_maintenance() && record.deadlines.is_empty());
    let schedule = record.runs[0].schedule.as_ref().expect("a schedule started it");
    assert_eq!((schedule.timezone.as_str(), schedule.missed.len()), ("Africa/Lusaka", 1));
    assert!(record.draft.is_some_and(|draft| draft.path.starts_with("reports/")));
}

/// Fails unless the timeline of a golden log equals the golden text.
fn assert_timeline_unchanged(name: &str) {
    let entries = Timeline::of(&log(&format!("logs/{name}.jsonl"))).entries;
    let timeline: String =
        entries.iter().map(|entry| format!("{} {}: {}\n", entry.seq, entry.who, entry.text)).collect();
    if timeline != text(&format!("logs/{name}.txt")) {
        let actual = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.txt"));
        fs::write(&actual, timeline).expect("the target directory is writable");
        panic!("the timeline differs; compare {} and copy it to the fixtures if it is better", actual.display());
    }
}

#[test]
fn the_timelines_of_golden_logs_are_unchanged() {
    ["alerts", "people", "slack", "maintenance"].into_iter().for_each(assert_timeline_unchanged);
}
