//! `runbook status` with a real systemd manager, real services, a real Redis and a real PostgreSQL.
//!
//! Not here: the text for each combination of unit and health, see the unit tests of the domain.

#![expect(clippy::disallowed_methods, reason = "tests start the real program")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use runbook::actions::transport::process::output_detached;
use serde_json::Value;
use tempfile::TempDir;

use super::real::eventually;
use super::real::postgres::Postgres;
use super::real::redis::Redis;
use super::real::units::{SERVICES, Units};

mod watch;

/// A runbook whose only parameter is a service.
const RUNBOOK: &str = "
runbook: mend
title: A service is down
severity: p3
params:
  service: { type: service, help: Which. }
steps:
  - { id: look, name: \"Look at {{ params.service }}\", command: [echo, \"looked at {{ params.service }}\"], effect: read }
";

/// A project directory.
fn directory(estate: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let runbooks = directory.path().join("runbooks");
    std::fs::create_dir(&runbooks).unwrap();
    std::fs::write(runbooks.join("estate.yaml"), estate).unwrap();
    std::fs::write(runbooks.join("mend.yaml"), RUNBOOK).unwrap();
    directory
}

/// Runs `runbook status`: exit code, standard output, standard error.
fn status(directory: &Path, words: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runbook"));
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", directory).env("LANG", "C.UTF-8");
    command.env("DATABASE_URL", std::fs::read_to_string(directory.join("url")).unwrap_or_default());
    command.current_dir(directory).arg("status").args(words).stdin(Stdio::null());
    let output = output_detached(&mut command).unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// The line of a row, with single spaces.
fn line(table: &str, name: &str) -> String {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let found = table.lines().map(words).find(|line| line.split(' ').nth(2) == Some(name));
    found.unwrap_or_else(|| panic!("no line of `{name}`:\n{table}"))
}

#[test]
fn every_service_has_a_line_and_failures_come_first() {
    let (units, redis, postgres) = (Units::start(), Redis::start(), Postgres::start());
    let more = format!(
        "  ghost: {{ unit: pakashop-ghost.service }}\nsecrets: {{ database: {{ env: DATABASE_URL }} }}\ndatastores:\n  \
         cache: {{ kind: redis, port: {} }}\n  orders: {{ kind: postgres, url: {{ secret: database }} }}\n  \
         nginx: {{ kind: nginx, unit: nginx.service }}\n",
        redis.port()
    );
    let directory = directory(&(units.estate("") + &more));
    std::fs::write(directory.path().join("url"), postgres.url()).unwrap();

    let (code, all, stderr) = status(directory.path(), &[]);
    assert_eq!(all.lines().count(), 1 + SERVICES.len() + 4, "a line each:\n{all}");
    assert!(line(&all, "cache").starts_with("✓ up cache") && line(&all, "orders").ends_with("ready"), "{all}{stderr}");
    assert_eq!(line(&all, "ghost"), "✗ down ghost missing – – – – not installed");
    assert_eq!(code, 5, "something is not installed");

    units.break_service("backend", "unready postgres");
    units.break_service("fraud", "slow");
    units.systemctl(&["stop", "pakashop-coupon.service"]);
    let (code, all, stderr) = status(directory.path(), &["--limit", "2s"]);
    assert_eq!(code, 5);
    let names: Vec<&str> = all.lines().skip(1).filter_map(|line| line.split_whitespace().nth(2)).collect();
    assert_eq!(names[..4], ["coupon", "fraud", "ghost", "backend"], "{all}");
    assert!(line(&all, "backend").ends_with("postgres is unreachable"), "{all}");
    assert!(line(&all, "fraud").ends_with("no answer within 2s"), "{all}");
    assert!(line(&all, "coupon").ends_with("stopped"), "{all}");
    assert!(stderr.contains("production: 3 down, 1 degraded, 19 up"), "{stderr}");
    assert!(stderr.contains("next: runbook start mend --env production --param service=coupon"), "{stderr}");

    let (_, json, _) = status(directory.path(), &["-o", "json", "--limit", "2s", "backend"]);
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&report["counts"]["degraded"], &report["systemd"]), (&1.into(), &Value::Null), "{json}");
    let row = &report["rows"][0];
    assert_eq!(row["health"]["dependencies"]["postgres"], "unreachable", "{json}");
    assert!(row["unit"]["since"].is_string() && row["unit"]["restarts"] == 0, "{json}");
    assert!(!json.contains(&postgres.url()), "the URL is a secret");

    let (code, all, stderr) = status(directory.path(), &["--no-probes", "gateway", "search"]);
    assert_eq!((code, all.lines().count()), (0, 3), "{all}");
    assert!(stderr.contains("next: runbook status --env production --watch"), "{stderr}");
}

#[test]
fn a_service_that_keeps_ending_shows_its_exit_code() {
    let looping = "[Service]\nExecStart=/bin/sh -c 'exit 3'\nRestart=always\nRestartSec=5s\nMemoryAccounting=yes\n";
    let steady = "[Service]\nExecStart=/bin/sleep infinity\nMemoryAccounting=yes\n";
    let units = Units::bare(&[("a.service", looping), ("b.service", steady)]);
    units.systemctl(&["start", "b.service"]);
    units.try_systemctl(&["start", "a.service"]);
    let estate = units.estate("") + "  a: { unit: a }\n  b: { unit: b }\n";
    let directory = directory(&estate);
    eventually("systemd waits before the next start", || units.property("a.service", "SubState") == "auto-restart");
    let (code, all, _) = status(directory.path(), &[]);
    assert_eq!(code, 5);
    assert!(line(&all, "a").starts_with("✗ down a restarting"), "{all}");
    assert!(line(&all, "a").ends_with("restarting: exited 3"), "{all}");
    assert!(line(&all, "b").starts_with("✓ up b active"), "{all}");
}

#[test]
fn a_missing_bus_is_reported_once_and_services_are_still_probed() {
    let port = answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}");
    let estate = format!(
        "estate: small\nenvironments:\n  here: {{ systemd: \"unix:path=/nonexistent/bus\" }}\nservices:\n  \
         a: {{ unit: a, port: {port} }}\n  b: {{ unit: b }}\n"
    );
    let directory = directory(&estate);
    let (code, all, stderr) = status(directory.path(), &[]);
    assert_eq!(code, 5);
    assert!(line(&all, "a").starts_with("✓ up a") && line(&all, "b").ends_with("systemd cannot be reached"), "{all}");
    assert_eq!(
        stderr.matches("the systemd manager at `unix:path=/nonexistent/bus` cannot be reached").count(),
        1,
        "{stderr}"
    );
}

#[test]
fn an_invalid_huge_or_missing_answer_is_one_line() {
    let body = |text: &str| format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{text}");
    let garbage = answering(&body("{\"status\": \u{1b}[2J"));
    let huge = answering(&body(&"x".repeat(3 << 20)));
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let estate = format!(
        "estate: small\nenvironments:\n  here: {{ systemd: \"unix:path=/nonexistent/bus\" }}\nservices:\n  \
         garbage: {{ unit: a, port: {garbage} }}\n  huge: {{ unit: b, port: {huge} }}\n  silent: {{ unit: c, port: {} }}\n",
        silent.local_addr().unwrap().port()
    );
    let directory = directory(&estate);
    let (code, all, _) = status(directory.path(), &["--limit", "1s"]);
    assert_eq!((code, all.lines().count()), (5, 4), "{all}");
    assert!(line(&all, "garbage").ends_with("its readiness response is not JSON"), "{all}");
    assert!(line(&all, "huge").ends_with("its readiness response is larger than 1 MiB"), "{all}");
    assert!(line(&all, "silent").ends_with("no answer within 1s"), "{all}");
}

#[test]
fn wrong_arguments_are_refused_with_their_remedy() {
    let estate = "estate: small\nenvironments:\n  here: {}\n  there: { hostname: \"no-such-host\" }\nservices:\n  \
                  gateway: { unit: a }\n";
    let directory = directory(estate);
    for (words, code, expected) in [
        (&[][..], 2, "Type `--env` and one of: here, there."),
        (&["--env", "hree"], 2, "Did you mean `here`?"),
        (&["--env", "there"], 4, "is not a host of `there`"),
        (&["--env", "here", "gatway"], 2, "Did you mean `gateway`?"),
        (&["--env", "here", "--limit", "2h"], 2, "1m is the maximum"),
        (&["--env", "here", "--watch"], 2, "Type `runbook status -o jsonl` for output that programs can read."),
    ] {
        let (ended, _, stderr) = status(directory.path(), words);
        assert_eq!(ended, code, "{words:?}: {stderr}");
        assert!(stderr.contains(expected), "{words:?}: {stderr}");
    }
}

/// Starts a server that gives every client this answer; its port.
fn answering(answer: &str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, answer) = (listener.local_addr().unwrap().port(), answer.to_owned());
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let answer = answer.clone();
            thread::spawn(move || {
                let _ = stream.read(&mut [0; 4096]);
                // The client may have disconnected.
                let _ = stream.write_all(answer.as_bytes());
            });
        }
    });
    port
}
