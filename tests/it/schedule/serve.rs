//! Schedules as a person meets them: `runbook serve`, `runbook schedule`, the list of incidents, the calendar.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use runbook::actions::transport::process::output_detached;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::calendar::read;
use crate::real::daemon::{Daemon, free_port, get};

const PROGRAM: &str = env!("CARGO_BIN_EXE_runbook");

const ESTATE: &str = "
estate: Shop
default_environment: production
environments: { production: {} }
secrets: { key: { env: KEY } }
";

const CARE: &str = "
runbook: care
title: Yearly care
severity: maintenance
on: { schedule: 0 9 1 jan *, timezone: Africa/Lusaka }
steps:
  - { id: look, name: Look, set: { values: { x: 1 } } }
";

/// How long one answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

struct Shop(TempDir);

impl Shop {
    /// A shop whose schedule was taken up long ago, and that nobody was on duty for since.
    fn neglected() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in [("estate", ESTATE), ("care", CARE)] {
            fs::create_dir_all(directory.path().join("runbooks")).unwrap();
            fs::write(directory.path().join(format!("runbooks/{name}.yaml")), text).unwrap();
        }
        let identity = "schedule/care/production/0 9 1 jan * Africa/Lusaka";
        fs::create_dir(directory.path().join("state")).unwrap();
        let since = json!({identity: "2025-06-01T00:00:00Z"});
        fs::write(directory.path().join("state/schedules.json"), since.to_string()).unwrap();
        Self(directory)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn words(&self, words: &[&str]) -> Vec<String> {
        let directory = self.path().display();
        let mut all: Vec<String> =
            vec!["-i".into(), "PATH=/usr/bin:/bin".into(), "KEY=key-5511".into(), "TZ=Europe/Berlin".into()];
        all.extend([
            PROGRAM.to_owned(),
            "--dir".into(),
            format!("{directory}"),
            "--state".into(),
            format!("{directory}/state"),
        ]);
        all.extend(words.iter().map(|word| (*word).to_owned()));
        all
    }

    fn serve(&self, more: &[&str]) -> (Daemon, u16) {
        let port = free_port();
        let address = format!("127.0.0.1:{port}");
        let words = [&["serve", "--listen", &address][..], more].concat();
        let log = self.path().join("serve.log");
        let mut serve = Daemon::start(Path::new("/usr/bin/env"), &self.words(&words), None, &log);
        serve.wait(|| get(port, "/health/ready").is_some());
        (serve, port)
    }

    fn run(&self, words: &[&str]) -> (String, String) {
        let output =
            output_detached(Command::new("/usr/bin/env").args(self.words(words)).stdin(Stdio::null())).unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said = text(&output.stderr);
        assert!(output.status.success(), "{words:?}: {}\n{said}", output.status);
        (text(&output.stdout), said)
    }

    fn json(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.run(&[&["-o", "json"], words].concat()).0).unwrap()
    }

    /// Waits until the one record is over.
    fn over(&self) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let records = self.json(&["incidents", "--maintenance"]);
            let written = || fs::read_dir(self.path().join("reports")).is_ok_and(|all| all.count() > 0);
            if records[0]["status"] == "resolved" && written() {
                return records;
            }
            assert!(Instant::now() < until, "{records:#}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// The status and the body of a GET with a bearer token.
fn fetched(port: u16, path: &str, token: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[test]
fn a_server_catches_up_and_its_record_is_no_incident() {
    let shop = Shop::neglected();
    let before = shop.json(&["schedule"]);
    assert!(before[0]["last"].is_null() && !before[0]["missed"].as_array().unwrap().is_empty(), "{before:#}");
    let (_serve, port) = shop.serve(&[]);
    let records = shop.over();
    assert_eq!((records.as_array().unwrap().len(), &records[0]["severity"]), (1, &json!("maintenance")));
    assert_eq!(shop.json(&["incidents"]), json!([]), "it is counted among no incidents");
    let rows = shop.json(&["schedule"]);
    assert_eq!((&rows[0]["last"]["incident"], &rows[0]["last"]["became"]), (&records[0]["id"], &json!("succeeded")));
    let (table, said) = shop.run(&["schedule"]);
    assert!(table.contains("09:00 Africa/Lusaka") && table.contains("08:00 +01:00"), "{table}");
    assert!(said.contains("incidents --maintenance"), "{said}");
    let (report, _) = shop.run(&["report", records[0]["id"].as_str().unwrap(), "--print"]);
    assert!(report.contains("scheduled for ") && report.contains("# Yearly care, production"), "{report}");
    let (status, text) = fetched(port, "/calendar.ics", "");
    let calendar = read(&text);
    assert_eq!((status, &calendar["name"]), (200, &json!("Shop: maintenance")));
    let named = |event: &Value| event["description"].as_str().unwrap().contains(records[0]["id"].as_str().unwrap());
    let events = calendar["events"].as_array().unwrap();
    assert!(events.iter().any(named) && events.iter().any(|event| !named(event)), "{events:#?}");
    assert!(
        events.iter().all(|event| event["start"].as_str().unwrap().contains("-01-01T07:00:00+00:00")),
        "{events:#?}"
    );
    let printed = read(&shop.run(&["schedule", "--ics"]).0);
    let starts = |calendar: &Value| -> Vec<Value> {
        calendar["events"].as_array().unwrap().iter().map(|event| event["start"].clone()).collect()
    };
    assert_eq!(starts(&printed), starts(&calendar));
}

#[test]
fn the_calendar_asks_for_what_the_other_routes_ask_for() {
    let shop = Shop::neglected();
    let (_serve, port) = shop.serve(&["--token-secret", "key"]);
    assert_eq!(fetched(port, "/calendar.ics", "guessed").0, 401);
    let (status, text) = fetched(port, "/calendar.ics", "key-5511");
    assert_eq!((status, text.starts_with("BEGIN:VCALENDAR\r\n")), (200, true));
}

#[test]
fn started_by_hand_it_is_the_same_record() {
    let shop = Shop::neglected();
    let (_, said) = shop.run(&["start", "care", "--auto"]);
    assert!(said.contains("next: ") && said.contains(" report "), "{said}");
    let records = shop.over();
    assert_eq!((&records[0]["severity"], &records[0]["status"]), (&json!("maintenance"), &json!("resolved")));
    let (timeline, _) = shop.run(&["timeline", "last"]);
    assert!(timeline.contains("opened maintenance in production: Yearly care"), "{timeline}");
}
