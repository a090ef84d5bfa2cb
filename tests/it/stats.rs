//! `runbook stats` with a log of many incidents, copied from a golden log.

use std::path::Path;
use std::process::{Command, Output};

use chrono::TimeDelta;
use runbook::actions::transport::process::output_detached;
use runbook::domain::core::id::IncidentId;
use runbook::domain::incident::event::{DeadlineEvent, Event, IncidentEvent, Recorded};
use runbook::store::sqlite::Sqlite;
use runbook::store::{EventStore, NewEvent};
use serde_json::Value;

use super::real;

fn golden() -> Vec<Recorded> {
    let text = include_str!("../fixtures/logs/people.jsonl");
    text.lines().map(|line| serde_json::from_str(line).expect("a golden log can be read")).collect()
}

/// The events of a copy of the golden incident, opened this long ago.
fn drafts(id: &IncidentId, ago: TimeDelta) -> Vec<NewEvent> {
    let log = golden();
    let shift = real::now() - ago - log[0].at;
    let moved = |recorded: Recorded| {
        let mut event = recorded.event;
        match &mut event {
            Event::Incident(IncidentEvent::Opened { id: named, detected_at, .. }) => {
                *named = id.clone();
                *detected_at = Some(recorded.at + shift - TimeDelta::minutes(4));
            }
            Event::Deadline(DeadlineEvent::Set { due, .. }) => *due += shift,
            Event::Deadline(DeadlineEvent::Met { met_at, .. }) => *met_at += shift,
            _ => {}
        }
        NewEvent::new(recorded.at + shift, recorded.by, event)
    };
    log.into_iter().map(moved).collect()
}

/// A state directory with one copy for each age in days.
fn state(days: impl IntoIterator<Item = i64>) -> tempfile::TempDir {
    let state = tempfile::tempdir().expect("a directory can be made");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    runtime.block_on(async {
        let store = Sqlite::open(state.path().join("runbook.db")).await.expect("the log is made");
        // The oldest first, since incidents are listed by their last change.
        let mut days: Vec<i64> = days.into_iter().collect();
        days.sort_unstable_by_key(|days| std::cmp::Reverse(*days));
        for (number, days) in (1_u32..).zip(days) {
            let id = IncidentId::from_bits(number);
            store.append(&id, 0, drafts(&id, TimeDelta::days(days))).await.expect("it is written");
        }
    });
    state
}

fn stats(state: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runbook"));
    command.env_clear().env("COLUMNS", "80").current_dir("/").arg("--state").arg(state).arg("stats").args(words);
    output_detached(&mut command).expect("the program starts")
}

fn out(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

#[test]
fn only_incidents_opened_since_are_counted_on_every_page() {
    let state = state((0..450).map(|number| number % 2 * 100 + 1));
    let of = |words: &[&str]| -> Value { serde_json::from_str(&out(&stats(state.path(), words))).expect("JSON") };
    let recent = of(&["-o", "json"]);
    assert_eq!(recent["all"]["incidents"], 225);
    assert_eq!(recent["all"]["times"]["detect"]["median_seconds"], 240.0);
    assert_eq!(recent["all"]["deadlines"]["update"]["kept"], 450);
    assert_eq!(recent["groups"][0]["key"], "P1");
    assert_eq!(of(&["-o", "json", "--since", "200d", "--by", "month"])["all"]["incidents"], 450);
}

#[test]
fn the_table_fits_eighty_columns_and_counts_known_values() {
    let state = state([1, 2]);
    let text = out(&stats(state.path(), &["--by", "runbook"]));
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(text.contains("4m / 4m"), "{text}");
    let known = text.lines().find(|line| line.starts_with("known")).expect("there is a line with the known values");
    assert_eq!(known.split_whitespace().collect::<Vec<_>>(), ["known", "2", "2", "0", "2", "0", "2"], "{text}");
}

#[test]
fn an_empty_log_is_reported_with_the_next_command() {
    let nowhere = tempfile::tempdir().expect("a directory can be made");
    let output = stats(nowhere.path(), &[]);
    assert_eq!(out(&output), "");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("no incident was opened since") && stderr.contains("start <runbook>"), "{stderr}");
}

#[test]
fn an_invalid_time_is_refused_with_valid_examples() {
    let nowhere = tempfile::tempdir().expect("a directory can be made");
    let output = stats(nowhere.path(), &["--since", "lately"]);
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("`90d`") && stderr.contains("`2026-01-31`"), "{stderr}");
}

#[test]
fn an_svg_is_written_to_the_given_file_and_only_for_stats() {
    let state = state([1]);
    let file = state.path().join("chart.svg");
    assert_eq!(out(&stats(state.path(), &["-o", "svg", "--out", &file.to_string_lossy()])), "");
    let picture = std::fs::read_to_string(&file).expect("it was written");
    assert!(picture.starts_with("<svg xmlns=") && picture.contains("Time to detect"), "{picture}");
    let mut list = Command::new(env!("CARGO_BIN_EXE_runbook"));
    list.env_clear().args(["-o", "svg", "--state"]).arg(state.path()).arg("incidents");
    assert_eq!(output_detached(&mut list).expect("the program starts").status.code(), Some(2));
}
