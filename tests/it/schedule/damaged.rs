//! `runbook schedule` with a log in which the name of one occurrence was changed.

use std::process::Command;

use runbook::actions::transport::process::output_detached;
use runbook::domain::incident::event::{Actor, Event, IncidentEvent};
use runbook::domain::runbook::schedule::name;
use runbook::store::sqlite::Sqlite;
use runbook::store::{EventStore, NewEvent, Write};
use rusqlite::Connection;

use super::{DAILY, at};

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_schedule_is_named_and_the_others_are_listed() {
    let project = tempfile::tempdir().unwrap();
    let runbooks = project.path().join("runbooks");
    std::fs::create_dir(&runbooks).unwrap();
    std::fs::write(runbooks.join("estate.yaml"), "estate: shop\nenvironments: { production: {}, staging: {} }\n")
        .unwrap();
    std::fs::write(runbooks.join("daily.yaml"), DAILY.trim_start()).unwrap();
    let log = project.path().join("runbook.db");
    let store = Sqlite::open(&log).await.unwrap();
    let due = at("2026-01-01T07:00:00Z");
    let note = NewEvent::new(
        due,
        Actor::person("ada", "cli"),
        Event::Incident(IncidentEvent::NoteAdded { text: "note".to_owned() }),
    );
    let keys = vec![name("daily", "production", due)];
    store.write(Write { keys, ..Write::of(&"lusab-mifod".parse().unwrap(), 0, vec![note]) }).await.unwrap();
    store.close().await.unwrap();
    let connection = Connection::open(&log).unwrap();
    let trigger = "SELECT group_concat('DROP TRIGGER ' || name, ';') FROM sqlite_schema WHERE type = 'trigger'";
    let drop: String = connection.query_row(trigger, [], |row| row.get(0)).unwrap();
    let again = "SELECT group_concat(sql, ';') FROM sqlite_schema WHERE type = 'trigger'";
    let make: String = connection.query_row(again, [], |row| row.get(0)).unwrap();
    let change = "UPDATE keys SET incident = 'another-one'";
    connection.execute_batch(&format!("PRAGMA foreign_keys = OFF; {drop}; {change}; {make}")).unwrap();
    connection.close().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_runbook"));
    command
        .env_clear()
        .env("LANG", "C.UTF-8")
        .current_dir(project.path())
        .arg("--state")
        .arg(project.path())
        .arg("schedule");
    let output = output_detached(&mut command).unwrap();
    let (data, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(1), "{data}{stderr}");
    assert_eq!(data.lines().count(), 3, "both are listed: {data}");
    assert!(data.lines().any(|line| line.contains("production") && line.ends_with("unknown")), "{data}");
    assert!(
        stderr.contains("past runs of `daily` in `production` are unknown") && stderr.contains("verify"),
        "{stderr}"
    );
}
