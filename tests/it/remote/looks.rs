//! `status`, `logs` and `doctor` over a real SSH connection, at a real manager and journal behind it.

use std::path::Path;
use std::process::{Command, Stdio};

use portable_pty::CommandBuilder;
use runbook::actions::transport::process::output_detached;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::real::journal::{Entry, Journal};
use crate::real::redis::Redis;
use crate::real::shop::Shop;
use crate::real::sshd::Sshd;
use crate::real::terminal::Terminal;

const SLEEPS: &str = "[Service]\nExecStart=/bin/sleep infinity\n";

/// What a runbook there needs: a program that every host has, one that none has, and a file that only `Place` makes.
const LOOK: &str = "
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

/// A shop's directory whose host is the server's.
struct Place(TempDir);

impl Place {
    fn of(host: &Value, shop: &Shop, more: &Value) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(place.path().join("runbooks")).unwrap();
        // As people write it.
        let ssh = &host["ssh"];
        let host = json!({ "ssh": ssh["to"], "port": ssh["port"], "config": ssh["config"] });
        let mut environment = json!({ "host": host, "systemd": shop.bus() });
        environment.as_object_mut().unwrap().extend(more["environment"].as_object().cloned().unwrap_or_default());
        let estate = json!({
            "estate": "Acme", "environments": { "live": environment },
            "datastores": more["datastores"].as_object().cloned().unwrap_or_default(),
            "services": { "a": { "unit": "a" }, "b": { "unit": "b" } },
        });
        std::fs::write(place.path().join("file"), "").unwrap();
        let look = LOOK.replace("FILE", &place.path().join("file").display().to_string());
        // What is JSON is YAML.
        std::fs::write(place.path().join("runbooks/estate.yaml"), estate.to_string()).unwrap();
        std::fs::write(place.path().join("runbooks/look.yaml"), look.trim_start()).unwrap();
        place
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Exit code, data, talk.
    fn runbook(&self, words: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runbook"));
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", self.path()).env("LANG", "C.UTF-8");
        let output = output_detached(command.current_dir(self.path()).args(words).stdin(Stdio::null())).unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }

    fn json(&self, words: &[&str]) -> Value {
        let (_, data, said) = self.runbook(&[words, &["-o", "json"]].concat());
        serde_json::from_str(&data).unwrap_or_else(|_| panic!("{data}{said}"))
    }
}

fn shop() -> Shop {
    let shop = Shop::bare(&[("a.service", SLEEPS), ("b.service", SLEEPS)]);
    shop.systemctl(&["start", "a.service", "b.service"]);
    shop
}

/// A host that nobody listens on.
fn nowhere(sshd: &Sshd) -> Value {
    let mut host = sshd.host();
    host["ssh"]["port"] = json!(crate::real::daemon::free_port());
    host
}

#[test]
fn a_whole_board_goes_over_one_connection() {
    let (sshd, shop, redis) = (Sshd::start(), shop(), Redis::start());
    let stores = json!({ "datastores": { "cache": { "kind": "redis", "port": redis.port() } } });
    let place = Place::of(&sshd.host(), &shop, &stores);
    shop.systemctl(&["stop", "b.service"]);
    let report = place.json(&["status"]);
    let rows = report["rows"].as_array().unwrap();
    let states: Vec<&str> = rows.iter().map(|row| row["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["down", "up", "up"], "{report}");
    assert_eq!((&rows[0]["name"], &rows[1]["unit"]["active"]), (&json!("b"), &json!("active")), "{report}");
    assert_eq!((&rows[2]["name"], &report["systemd"]), (&json!("cache"), &Value::Null), "{report}");
    assert_eq!(sshd.log().matches("Accepted publickey").count(), 1);
}

#[test]
fn of_a_host_that_is_not_reached_nothing_is_known_and_nothing_is_called_down() {
    let (sshd, shop) = (Sshd::start(), shop());
    let stores = json!({ "datastores": { "cache": { "kind": "redis", "port": 6379 } } });
    let place = Place::of(&nowhere(&sshd), &shop, &stores);
    let (code, table, said) = place.runbook(&["status"]);
    assert_eq!(code, 5, "{table}");
    assert_eq!((table.matches("unknown").count(), table.matches("down").count()), (3, 0), "{table}");
    assert_eq!(said.matches("Connection refused").count(), 1, "why is said once: {said}");
    assert!(said.contains("live: 3 unknown") && said.contains("next: runbook doctor --env live"), "{said}");
    let (code, _, said) = place.runbook(&["logs"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("Connection refused") && said.contains("`runbook doctor --env live`"), "{said}");
    let (code, findings, _) = place.runbook(&["doctor"]);
    let by_hand = format!("fix: ssh -F {}", sshd.client_config().display());
    assert!(code == 7 && findings.contains(&by_hand), "{findings}");
    assert_eq!(findings.matches("Connection refused").count(), 1, "{findings}");
}

#[test]
fn the_board_shows_changes_of_another_hosts_units_as_they_happen() {
    let (sshd, shop) = (Sshd::start(), shop());
    let place = Place::of(&sshd.host(), &shop, &Value::Null);
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_runbook"));
    command.args(["status", "--watch", "--every", "1h"]);
    let mut board = Terminal::start((80, 24), place.path(), command, &[("LANG", "C.UTF-8")]);
    board.see("✓ 2 up");
    shop.systemctl(&["stop", "a.service"]);
    board.see("a down: stopped");
    // A connection that breaks off is made again, and what has happened meanwhile is seen.
    sshd.cut();
    shop.systemctl(&["start", "a.service"]);
    board.see("a up again, was down");
    board.press("q");
    assert_eq!(board.exit_code(), 0);
}

#[test]
fn lines_of_another_hosts_journal_are_found_and_counted() {
    let (sshd, shop) = (Sshd::start(), shop());
    let journal = Journal::of([
        Entry::pino("a.service", 50, "it's $(down)", json!({ "orderId": "A-17", "op": "9f" })),
        Entry::pino("b.service", 30, "fine", json!({ "orderId": "A-18" })),
    ]);
    let place = Place::of(&sshd.host(), &shop, &json!({ "environment": { "journal": journal.directory() } }));
    let (code, lines, _) = place.runbook(&["logs", "--order", "A-17"]);
    assert!(code == 0 && lines.contains("ERROR a it's $(down) orderId=A-17"), "{lines}");
    assert_eq!(place.json(&["logs", "--summary"])["lines"], json!(2));
}

#[test]
fn a_doctor_looks_at_what_is_on_the_other_host() {
    let (sshd, shop) = (Sshd::start(), shop());
    let place = Place::of(&sshd.host(), &shop, &json!({ "environment": { "vars": { "env": "/no/such/env" } } }));
    let findings = place.json(&["doctor"]);
    let state = |topic: &str, subject: &str| {
        let found = findings.as_array().unwrap().iter().find(|one| one["topic"] == topic && one["subject"] == *subject);
        found.unwrap_or_else(|| panic!("nothing of `{subject}`: {findings:#}"))
    };
    let file = place.path().join("file").display().to_string();
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
    assert!(mend("no-such-program-of-ours").starts_with("ssh -F "), "it is mended there");
    assert!(mend("no-such-program-either").starts_with("apt-get "), "and this one here");
}
