//! `status`, `logs` and `doctor` over a real SSH connection, with a real manager and journal.

use std::path::Path;
use std::process::{Command, Stdio};

use portable_pty::CommandBuilder;
use runbook::actions::transport::process::output_detached;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::real::journal::{Entry, Journal};
use crate::real::redis::Redis;
use crate::real::sshd::Sshd;
use crate::real::terminal::Terminal;
use crate::real::units::Units;

const SLEEPS: &str = "[Service]\nExecStart=/bin/sleep infinity\n";

/// A runbook that needs a program of every host, one of no host, and a file of `Project`.
const RUNBOOK: &str = "
runbook: look
title: Look
severity: p3
params: { service: { type: service, help: Which. } }
steps:
  - { id: look, command: { argv: [stat, --, FILE] }, effect: read }
  - { id: gone, command: { argv: [no-such-program-of-ours, /no/such/file] }, effect: read }
  - { id: here, command: { argv: [no-such-program-either] }, effect: read, host: local }
  - { id: restart, systemd: { restart: '{{ params.service }}' }, verify: { systemd: { status: '{{ params.service }}' } } }
";

/// A project directory whose environment is the server's host.
struct Project(TempDir);

impl Project {
    fn of(host: &Value, units: &Units, more: &Value) -> Self {
        let project = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(project.path().join("runbooks")).unwrap();
        // In the form of `estate.yaml`.
        let ssh = &host["ssh"];
        let host = json!({ "ssh": ssh["to"], "port": ssh["port"], "config": ssh["config"] });
        let mut environment = json!({ "host": host, "systemd": units.bus() });
        environment.as_object_mut().unwrap().extend(more["environment"].as_object().cloned().unwrap_or_default());
        let estate = json!({
            "estate": "Acme", "environments": { "live": environment },
            "datastores": more["datastores"].as_object().cloned().unwrap_or_default(),
            "services": { "a": { "unit": "a" }, "b": { "unit": "b" } },
        });
        std::fs::write(project.path().join("file"), "").unwrap();
        let runbook = RUNBOOK.replace("FILE", &project.path().join("file").display().to_string());
        // JSON is YAML.
        std::fs::write(project.path().join("runbooks/estate.yaml"), estate.to_string()).unwrap();
        std::fs::write(project.path().join("runbooks/look.yaml"), runbook.trim_start()).unwrap();
        project
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Exit code, standard output, standard error.
    fn runbook(&self, words: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runbook"));
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", self.path()).env("LANG", "C.UTF-8");
        let output = output_detached(command.current_dir(self.path()).args(words).stdin(Stdio::null())).unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }

    fn json(&self, words: &[&str]) -> Value {
        let (_, data, stderr) = self.runbook(&[words, &["-o", "json"]].concat());
        serde_json::from_str(&data).unwrap_or_else(|_| panic!("{data}{stderr}"))
    }
}

fn units() -> Units {
    let units = Units::bare(&[("a.service", SLEEPS), ("b.service", SLEEPS)]);
    units.systemctl(&["start", "a.service", "b.service"]);
    units
}

/// The host with a port on which nothing listens.
fn nowhere(sshd: &Sshd) -> Value {
    let mut host = sshd.host();
    host["ssh"]["port"] = json!(crate::real::daemon::free_port());
    host
}

#[test]
fn status_uses_one_connection() {
    let (sshd, units, redis) = (Sshd::start(), units(), Redis::start());
    let stores = json!({ "datastores": { "cache": { "kind": "redis", "port": redis.port() } } });
    let project = Project::of(&sshd.host(), &units, &stores);
    units.systemctl(&["stop", "b.service"]);
    let report = project.json(&["status"]);
    let rows = report["rows"].as_array().unwrap();
    let states: Vec<&str> = rows.iter().map(|row| row["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["down", "up", "up"], "{report}");
    assert_eq!((&rows[0]["name"], &rows[1]["unit"]["active"]), (&json!("b"), &json!("active")), "{report}");
    assert_eq!((&rows[2]["name"], &report["systemd"]), (&json!("cache"), &Value::Null), "{report}");
    assert_eq!(sshd.log().matches("Accepted publickey").count(), 1);
}

#[test]
fn an_unreachable_host_is_unknown_and_not_down() {
    let (sshd, units) = (Sshd::start(), units());
    let stores = json!({ "datastores": { "cache": { "kind": "redis", "port": 6379 } } });
    let project = Project::of(&nowhere(&sshd), &units, &stores);
    let (code, table, stderr) = project.runbook(&["status"]);
    assert_eq!(code, 5, "{table}");
    assert_eq!((table.matches("unknown").count(), table.matches("down").count()), (3, 0), "{table}");
    assert_eq!(stderr.matches("Connection refused").count(), 1, "the cause is printed once: {stderr}");
    assert!(stderr.contains("live: 3 unknown") && stderr.contains("next: runbook doctor --env live"), "{stderr}");
    let (code, _, stderr) = project.runbook(&["logs"]);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("Connection refused") && stderr.contains("`runbook doctor --env live`"), "{stderr}");
    let (code, findings, _) = project.runbook(&["doctor"]);
    let by_hand = format!("fix: ssh -F {}", sshd.client_config().display());
    assert!(code == 7 && findings.contains(&by_hand), "{findings}");
    assert_eq!(findings.matches("Connection refused").count(), 1, "{findings}");
}

#[test]
fn status_watch_shows_changes_of_remote_units_at_once() {
    let (sshd, units) = (Sshd::start(), units());
    let project = Project::of(&sshd.host(), &units, &Value::Null);
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_runbook"));
    command.args(["status", "--watch", "--every", "1h"]);
    let mut terminal = Terminal::start((80, 24), project.path(), command, &[("LANG", "C.UTF-8")]);
    terminal.see("✓ 2 up");
    units.systemctl(&["stop", "a.service"]);
    terminal.see("a down: stopped");
    // A lost connection is made again, and changes in between are shown.
    sshd.cut();
    units.systemctl(&["start", "a.service"]);
    terminal.see("a up again, was down");
    terminal.press("q");
    assert_eq!(terminal.exit_code(), 0);
}

#[test]
fn lines_of_a_remote_journal_are_found_and_counted() {
    let (sshd, units) = (Sshd::start(), units());
    let journal = Journal::of([
        Entry::pino("a.service", 50, "it's $(down)", json!({ "orderId": "A-17", "op": "9f" })),
        Entry::pino("b.service", 30, "fine", json!({ "orderId": "A-18" })),
    ]);
    let project = Project::of(&sshd.host(), &units, &json!({ "environment": { "journal": journal.directory() } }));
    let (code, lines, _) = project.runbook(&["logs", "--order", "A-17"]);
    assert!(code == 0 && lines.contains("ERROR a it's $(down) orderId=A-17"), "{lines}");
    assert_eq!(project.json(&["logs", "--summary"])["lines"], json!(2));
}

#[test]
fn doctor_checks_the_remote_host() {
    let (sshd, units) = (Sshd::start(), units());
    let project = Project::of(&sshd.host(), &units, &json!({ "environment": { "vars": { "env": "/no/such/env" } } }));
    let findings = project.json(&["doctor"]);
    let state = |topic: &str, subject: &str| {
        let found = findings.as_array().unwrap().iter().find(|one| one["topic"] == topic && one["subject"] == *subject);
        found.unwrap_or_else(|| panic!("nothing of `{subject}`: {findings:#}"))
    };
    let file = project.path().join("file").display().to_string();
    for (topic, subject, expected) in [
        ("host", sshd.to().as_str(), "fine"),
        ("host", &format!("clock of {}", sshd.to()), "fine"),
        ("units", "a.service", "fine"),
        ("paths", &file, "fine"),
        ("paths", "/no/such/file", "doubtful"),
        ("paths", "/no/such/env", "wrong"),
        ("programs", "stat", "fine"),
        ("programs", "no-such-program-of-ours", "wrong"),
        ("programs", "no-such-program-either", "wrong"),
    ] {
        assert_eq!(state(topic, subject)["state"], expected, "{subject}: {findings:#}");
    }
    let mend = |subject: &str| state("programs", subject)["mend"].as_str().unwrap();
    assert!(mend("no-such-program-of-ours").starts_with("ssh -F "), "it is repaired on that host");
    assert!(mend("no-such-program-either").starts_with("apt-get "), "it is repaired on this host");
}
