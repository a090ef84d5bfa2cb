//! `runbook logs` with real journals: its output for people and programs, and evidence in incidents.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use chrono::{DateTime, TimeDelta, Utc};
use runbook::actions::transport::process::{output_detached, spawn_detached};
use serde_json::{Value, json};

use crate::real::journal::{Entry, Journal};
use crate::real::units::Units;

const ESTATE: &str = "
estate: pakashop
default_environment: production
environments:
  production: { branch: production, journal: JOURNAL }
  elsewhere: { hostname: not-this-one }
services:
  gateway: { unit: pakashop-gateway.service, port: 8000 }
  backend: { unit: pakashop-backend.service, port: 3080 }
  search: { unit: pakashop-search.service, port: 3005 }
secrets:
  token: { env: SHOP_TOKEN }
";

const WAITS: &str = "runbook: waits\ntitle: Waits\nseverity: p4\nsteps:\n  - { id: look, manual: Look at it }\n";

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// A project whose environment reads a journal directory.
struct LogsProject {
    home: tempfile::TempDir,
    path: String,
}

impl LogsProject {
    fn with_journal(journal: &Path) -> Self {
        let home = tempfile::tempdir().expect("a directory can be made");
        let runbooks = home.path().join("shop/runbooks");
        std::fs::create_dir_all(&runbooks).expect("a directory can be made");
        let estate = ESTATE.replace("JOURNAL", journal.to_str().expect("its name is text"));
        std::fs::write(runbooks.join("estate.yaml"), estate.trim_start()).expect("a file is written");
        std::fs::write(runbooks.join("waits.yaml"), WAITS).expect("a file is written");
        Self { home, path: "/usr/local/bin:/usr/bin:/bin".to_owned() }
    }

    fn directory(&self) -> PathBuf {
        self.home.path().join("shop")
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runbook"));
        command.args(words).current_dir(self.directory()).env_clear().stdin(Stdio::null());
        command.env("PATH", &self.path).env("HOME", self.home.path()).env("LANG", "C.UTF-8");
        command.env("TZ", "Africa/Lusaka").env("SHOP_TOKEN", "hunter22hunter");
        command
    }

    fn run(&self, words: &[&str]) -> (String, String, i32) {
        self.output_of(output_detached(&mut self.command(words)).expect("the program starts"))
    }

    /// The standard output on a terminal with this many columns.
    fn run_wide(&self, columns: &str, words: &[&str]) -> String {
        let mut command = self.command(words);
        self.output_of(output_detached(command.env("COLUMNS", columns)).expect("the program starts")).0
    }

    fn output_of(&self, output: Output) -> (String, String, i32) {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the output is UTF-8");
        (text(output.stdout), text(output.stderr), output.status.code().expect("it ends by itself"))
    }

    fn logs(&self, words: &[&str]) -> String {
        let (out, err, code) = self.run(&[&["logs"], words].concat());
        assert_eq!(code, 0, "{words:?}: {err}");
        assert!(err.contains("next: runbook "), "it ends with the next command: {err}");
        out
    }
}

/// `12:00:00` in Lusaka, which has no summer time, on a past day.
fn noon() -> DateTime<Utc> {
    "2025-06-10T10:00:00Z".parse().expect("an instant")
}

fn at(entry: Entry, millis: i64) -> Entry {
    entry.at(noon() + TimeDelta::milliseconds(millis))
}

fn unit(service: &str) -> String {
    format!("pakashop-{service}.service")
}

fn pino(millis: i64, service: &str, level: u8, message: &str, more: Value) -> Entry {
    at(Entry::pino(&unit(service), level, message, more), millis)
}

const THEN: [&str; 2] = ["--since", "2025-06-10 11:00"];

fn payments() -> Journal {
    Journal::of([
        pino(
            0,
            "gateway",
            30,
            "POST /checkout",
            json!({"orderId": "A-17", "traceId": TRACE, "spanId": "a1", "spanName": "checkout.complete"}),
        ),
        pino(
            12,
            "backend",
            30,
            "charging",
            json!({"orderId": "A-17", "traceId": TRACE, "spanId": "b2", "parentSpanId": "a1", "spanName": "payment.process", "phone": "+260971234556"}),
        ),
        pino(
            412,
            "backend",
            50,
            "provider timed out",
            json!({
            "orderId": "A-17", "traceId": TRACE, "spanId": "b2", "parentSpanId": "a1", "token": "hunter22hunter",
            "err": {"type": "TimeoutError", "message": "provider timed out", "stack": "TimeoutError: provider timed out\n    at charge (/opt/pay.js:10:5)\n    at main (/opt/pay.js:99:1)"}}),
        ),
        pino(430, "gateway", 40, "answered 504", json!({"orderId": "A-17", "traceId": TRACE, "spanId": "a1"})),
        at(Entry::text(&unit("search"), "order A-17: \x1b[31mno\x1b[0m stock\nsecond line").priority(3), 500),
        pino(600, "gateway", 50, "connect ECONNREFUSED 10.0.0.1:5432", json!({"orderId": "A-177"})),
        pino(700, "backend", 50, "connect ECONNREFUSED 10.0.0.2:5432", json!({"orderId": "B-1"})),
        at(Entry::text("nginx.service", "GET /health 200"), 800),
    ])
}

#[test]
fn every_error_of_an_order_is_shown_in_full_and_escaped() {
    let journal = payments();
    let project = LogsProject::with_journal(journal.directory());
    let out = project.logs(&[&THEN[..], &["--order", "A-17", "--level", "error"]].concat());
    insta::assert_snapshot!(out, @r"
    2025-06-10 12:00:00.412+02:00 ERROR backend provider timed out orderId=A-17 token=[redacted:token] err.type=TimeoutError traceId=4bf92f3577b34da6a3ce929d0e0e4736 spanId=b2 parentSpanId=a1
      TimeoutError: provider timed out
          at charge (/opt/pay.js:10:5)
          at main (/opt/pay.js:99:1)
    2025-06-10 12:00:00.500+02:00 ERROR search  order A-17: ␛[31mno␛[0m stock
      second line
    ");
    let all = project.logs(&[&THEN[..], &["--order", "A-17"]].concat());
    assert_eq!(all.lines().filter(|line| line.starts_with("2025-")).count(), 5, "{all}");
    assert!(all.contains("phone=+26097*****56") && !all.contains("A-177"), "{all}");
}

#[test]
fn on_a_terminal_the_day_is_printed_once_and_every_line_fits() {
    let journal = payments();
    let project = LogsProject::with_journal(journal.directory());
    let words = [&["logs"], &THEN[..], &["--order", "A-17"]].concat();
    for columns in ["80", "40"] {
        let out = project.run_wide(columns, &words);
        assert!(out.lines().all(|line| line.chars().count() <= columns.parse().expect("a number")), "{out}");
        assert_eq!(out.matches("Tuesday, 2025-06-10, UTC+02:00").count(), 1, "{out}");
    }
    insta::assert_snapshot!(project.run_wide("80", &[&words[..], &["--level", "error"]].concat()), @r"
    Tuesday, 2025-06-10, UTC+02:00
    12:00:00.412 ERROR backend provider timed out orderId=A-17
                               token=[redacted:token] err.type=TimeoutError
                               traceId=4bf92f3577b34da6a3ce929d0e0e4736 spanId=b2
                               parentSpanId=a1
                               TimeoutError: provider timed out
                                   at charge (/opt/pay.js:10:5)
                                   at main (/opt/pay.js:99:1)
    12:00:00.500 ERROR search  order A-17: ␛[31mno␛[0m stock
                               second line
    ");
    insta::assert_snapshot!(project.run_wide("40", &[&words[..], &["--level", "error"]].concat()), @r"
    Tuesday, 2025-06-10, UTC+02:00
    12:00:00 ERROR backend
      provider timed out orderId=A-17
      token=[redacted:token]
      err.type=TimeoutError
      traceId=4bf92f3577b34da6a3ce929d0e0e47
      36 spanId=b2 parentSpanId=a1
      TimeoutError: provider timed out
          at charge (/opt/pay.js:10:5)
          at main (/opt/pay.js:99:1)
    12:00:00 ERROR search
      order A-17: ␛[31mno␛[0m stock
      second line
    ");
}

#[test]
fn a_trace_is_a_tree_of_its_spans_across_services() {
    let journal = payments();
    let project = LogsProject::with_journal(journal.directory());
    insta::assert_snapshot!(project.logs(&[&THEN[..], &["--trace", TRACE]].concat()), @r"
    trace 4bf92f3577b34da6a3ce929d0e0e4736 4 lines, 2 spans, 2 services in 430ms, from 2025-06-10 12:00:00.000+02:00
    └─ checkout.complete a1 430ms
       │      +0ms INFO  gateway POST /checkout orderId=A-17
       ├─ payment.process b2 400ms
       │  │     +12ms INFO  backend charging orderId=A-17 phone=+26097*****56
       │       +412ms ERROR backend provider timed out orderId=A-17 token=[redacted:token] err.type=TimeoutError
       │         TimeoutError: provider timed out
       │             at charge (/opt/pay.js:10:5)
       │             at main (/opt/pay.js:99:1)
            +430ms WARN  gateway answered 504 orderId=A-17
    ");
}

#[test]
fn json_output_has_every_line_as_its_service_wrote_it() {
    let journal = payments();
    let project = LogsProject::with_journal(journal.directory());
    let out = project.logs(&[&THEN[..], &["-o", "json"]].concat());
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect();
    assert_eq!(lines.len(), 8);
    assert_eq!((&lines[1]["level"], &lines[1]["phone"]), (&json!(30), &json!("+26097*****56")));
    assert_eq!(lines[2]["token"], "[redacted:token]");
    assert_eq!((&lines[4]["level"], &lines[4]["service"]), (&json!(50), &json!("pakashop-search")));
    assert!(lines[4]["msg"].as_str().expect("text").ends_with("stock\nsecond line"));
}

#[test]
fn services_fields_levels_and_patterns_narrow_a_search() {
    let journal = payments();
    let project = LogsProject::with_journal(journal.directory());
    let count = |words: &[&str]| project.logs(&[&THEN[..], &["-o", "json"], words].concat()).lines().count();
    for (words, expected) in [
        (&["--service", "gateway"][..], 3),
        (&["--service", "gateway,search"], 4),
        (&["--service", "pakashop-*"], 7),
        (&["--service", "nginx.service"], 1),
        (&["--service", "b*", "--level", "error"], 2),
        (&["--level", "error"], 4),
        (&["--level", "fatal"], 0),
        (&["--field", "orderId=B-1"], 1),
        (&["--field", "err.type=TimeoutError"], 1),
        (&["--field", "_SYSTEMD_UNIT=nginx.service"], 1),
        (&["--grep", "econnrefused"], 2),
        (&["--grep", "^connect .*5432$"], 2),
        (&["--grep", "Econnrefused"], 0),
        (&["--until", "2025-06-10 12:00:00.012"], 2),
        (&["--lines", "3"], 3),
        (&["--lines", "all"], 8),
    ] {
        assert_eq!(count(words), expected, "{words:?}");
    }
    let newest = project.logs(&[&THEN[..], &["--lines", "2", "-o", "json"]].concat());
    assert!(newest.starts_with(r#"{"level":50"#) && newest.contains("GET /health"), "oldest line first: {newest}");
}

#[test]
fn wrong_arguments_are_refused_with_a_hint() {
    let journal = payments();
    let project = LogsProject::with_journal(journal.directory());
    for (words, expected) in [
        (&["--service", "gatway"][..], "hint: Did you mean `gateway`?"),
        (&["--env", "producton"], "hint: Did you mean `production`?"),
        (&["--since", "yesterday"], "hint: Type how long ago such as `10m`"),
        (&["--grep", "("], "error: `--grep`: "),
        (&["--field", "orderId"], "a field is given as `name=value`"),
        (&["--level", "loud"], "possible values: trace"),
        (&["--lines", "0"], "or `all`"),
        (&["--since", "5m", "--until", "10m"], "hint: `--since 20m --until 10m` searches from 20 to 10 minutes ago"),
        (&["--attach", "last"], "there are no incidents"),
        (&["--directory", "/no/where"], "there is no directory `/no/where`"),
        (&["--follow", "--summary"], "cannot be used with"),
    ] {
        let (_, err, code) = project.run(&[&["logs"], words].concat());
        assert!(code == 2 && err.contains(expected), "{words:?}: {err}");
    }
    let (_, err, code) = project.run(&["logs", "--env", "elsewhere"]);
    assert!(code == 4 && err.contains("is not a host of `elsewhere`"), "{err}");
}

#[test]
fn an_empty_result_names_the_search_and_a_wider_one() {
    let journal = payments();
    let project = LogsProject::with_journal(journal.directory());
    let (out, err, code) = project.run(&["logs", "--order", "Z-9", "--level", "error"]);
    assert_eq!((out.as_str(), code), ("", 0));
    assert!(err.contains("no lines with `--order Z-9 --level error` since 1h\n"), "{err}");
    assert!(err.contains("next: runbook logs --order Z-9 --level error --since 24h\n"), "{err}");
}

#[test]
fn similar_messages_are_summarized_with_times_and_services() {
    let journal = payments();
    let project = LogsProject::with_journal(journal.directory());
    let words = [&THEN[..], &["--level", "error", "--summary"]].concat();
    insta::assert_snapshot!(project.logs(&words), @r"
    4 lines, from 2025-06-10 12:00:00 to 2025-06-10 12:00:00 (UTC+02:00): 4 error

    █
    from 12:00:00, each 1s, the highest 4

    SERVICE  LINES  ERRORS  OVER TIME
    backend  2      2       █
    gateway  1      1       █
    search   1      1       █

    MESSAGE                                        COUNT  LEVEL  FIRST     LAST      SERVICES
    connect ECONNREFUSED <n>                       2      ERROR  12:00:00  12:00:00  backend, gateway
    order A-<n>: ␛[<n>mno␛[<n>m stock second line  1      ERROR  12:00:00  12:00:00  search
    provider timed out                             1      ERROR  12:00:00  12:00:00  backend
    ");
    let document: Value = serde_json::from_str(&project.logs(&[&words[..], &["-o", "json"]].concat())).expect("JSON");
    assert_eq!((&document["lines"], &document["messages"][0]["count"]), (&json!(4), &json!(2)));
    assert_eq!(document["messages"][0]["shape"], "connect ECONNREFUSED <n>");
    assert_eq!(document["services"]["backend"], json!({"lines": 2, "errors": 2}));
}

#[test]
fn found_lines_become_evidence_in_an_incident() {
    let journal = payments();
    let project = LogsProject::with_journal(journal.directory());
    let (_, err, code) = project.run(&["start", "waits"]);
    assert_eq!(code, 6, "{err}");
    let words = [&["logs"], &THEN[..], &["--order", "A-17", "--attach", "last"]].concat();
    let (out, err, code) = project.run(&words);
    assert!(code == 0 && err.contains("added to the timeline") && err.contains("next: runbook timeline "), "{err}");
    assert!(out.contains("provider timed out"), "it is shown too: {out}");
    let (timeline, _, _) = project.run(&["timeline", "last", "-o", "json"]);
    let events: Value = serde_json::from_str(&timeline).expect("events");
    let note = events
        .as_array()
        .expect("a list")
        .iter()
        .find_map(|event| event["event"]["text"].as_str().or(event["text"].as_str()));
    let note = note.unwrap_or_else(|| panic!("there is a note: {timeline}"));
    assert!(note.starts_with("evidence from `runbook logs --order A-17 --since '2025-06-10 11:00'`\n"), "{note}");
    assert!(note.contains("2025-06-10 10:00:00.412Z ERROR backend provider timed out"), "in UTC: {note}");
    assert!(note.contains("+26097*****56") && !note.contains("hunter22") && !note.contains('\x1b'), "{note}");
}

#[test]
fn evidence_fits_a_note_with_any_number_of_lines() {
    let lines = (0..2000).map(|n| pino(n, "gateway", 30, &format!("line {n} {}", "x".repeat(80)), json!({})));
    let journal = Journal::of(lines);
    let project = LogsProject::with_journal(journal.directory());
    assert_eq!(project.run(&["start", "waits"]).2, 6);
    for more in [&[][..], &["-o", "json"], &["--summary"]] {
        let words = [&["logs"], &THEN[..], &["--attach", "last"], more].concat();
        let (_, err, code) = project.run(&words);
        assert_eq!(code, 0, "{err}");
    }
    let (timeline, _, _) = project.run(&["timeline", "last", "-o", "jsonl"]);
    assert!(timeline.contains("older lines left out") && timeline.contains("line 1999 "));
}

#[test]
fn a_long_period_read_in_slices_gives_the_same_lines() {
    let hours = |n: i64| at(Entry::pino(&unit("gateway"), 30, &format!("line {n}"), json!({"n": n})), n * 600_000);
    let journal = Journal::of((0..500).map(hours));
    let project = LogsProject::with_journal(journal.directory());
    let numbers = |words: &[&str]| -> Vec<i64> {
        let out = project.logs(&[&["-o", "json", "--since", "2020-01-01"], words].concat());
        out.lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["n"].as_i64().expect("a number"))
            .collect()
    };
    let whole: Vec<i64> = (0..500).collect();
    assert_eq!(numbers(&["--lines", "all"]), whole);
    assert_eq!(numbers(&["--grep", "line"]), whole);
    assert_eq!(numbers(&["--grep", "line", "--lines", "7"]), whole[493..]);
    assert_eq!(numbers(&["--grep", "line 4[0-9]{2}"]), whole[400..]);
}

#[test]
fn a_journalctl_without_pattern_matching_finds_the_same() {
    let journal = payments();
    let mut project = LogsProject::with_journal(journal.directory());
    let programs = project.home.path().join("programs");
    std::fs::create_dir(&programs).expect("a directory can be made");
    let old = "#!/bin/sh\nfor word; do case $word in --grep=*)\n  echo 'Compiled without pattern matching support' >&2\n  exit 1 ;; esac; done\nexec /usr/bin/journalctl \"$@\"\n";
    let program = programs.join("journalctl");
    std::fs::write(&program, old).expect("a file is written");
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("it can be started");
    let words = [&THEN[..], &["--order", "A-17"]].concat();
    let found = project.logs(&words);
    project.path = format!("{}:{}", programs.display(), project.path);
    assert_eq!(project.logs(&words), found);
    assert_eq!(found.lines().filter(|line| line.starts_with("2025-")).count(), 5);
}

#[test]
fn a_copied_journal_is_read_without_an_estate() {
    let journal = payments();
    let project = LogsProject::with_journal(journal.directory());
    let mut command =
        project.command(&["logs", "--since", "2025-06-10", "--service", "pakashop-gateway", "-o", "json"]);
    command.arg("--directory").arg(journal.directory()).current_dir(project.home.path());
    let (out, err, code) = project.output_of(output_detached(&mut command).expect("the program starts"));
    assert!(code == 0 && err.contains("there is no estate here"), "{err}");
    assert_eq!(out.lines().count(), 3);
}

/// A program that is killed with the value.
struct Following(Child);

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn followed_lines_are_printed_as_they_are_written_until_an_interrupt() {
    let real = Units::start();
    let project = LogsProject::with_journal(real.journal());
    let mut command = project.command(&["logs", "--service", "gateway,backend", "--level", "error", "--follow"]);
    let mut child =
        Following(spawn_detached(command.stdout(Stdio::piped()).stderr(Stdio::piped())).expect("it starts"));
    let mut lines = BufReader::new(child.0.stdout.take().expect("it is piped")).lines();
    for service in ["gateway", "backend"] {
        real.break_service(service, "error-log");
        // Errors of the other service may come in between.
        let line = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains(service))).expect("there is a line");
        assert!(line.expect("it is text").contains(" ERROR "));
        real.heal(service);
    }
    let pid = rustix::process::Pid::from_child(&child.0);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it is ours");
    assert_eq!(child.0.wait().expect("it ends").code(), Some(130));
    let mut expected = String::new();
    child.0.stderr.take().expect("it is piped").read_to_string(&mut expected).expect("it is text");
    assert!(!expected.contains("error:"), "{expected}");
}
