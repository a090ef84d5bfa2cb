//! A host of the customer with the shipped runbooks and a running `serve`.
//!
//! The estate is the shipped one, with addresses, ports and values of the test. Each test adds its own fault.

use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use runbook::actions::transport::process::output_detached;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::real::daemon::{Daemon, free_port, get};
use crate::real::journal::{Entry, Journal};
use crate::real::repository::Repository;
use crate::real::slack::{self, Slack};
use crate::real::units::{SERVICES, Units, unit};

const PROGRAM: &str = env!("CARGO_BIN_EXE_runbook");

/// The bearer token of senders.
pub const BEARER: &str = "bearer-9c1d7f";

/// How long an answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The host; everything on it ends with the value.
pub struct Host {
    // Dropped first: it works with everything else.
    _serve: Daemon,
    port: u16,
    pub units: Units,
    pub repository: Repository,
    pub slack: Slack,
    directory: TempDir,
}

/// Differences from the shipped estate.
#[derive(Default)]
pub struct Facts {
    /// Lines of the environment file, such as `REDIS_URL=…`.
    pub secrets: Vec<String>,
    /// Texts of the estate and their replacements.
    pub edits: Vec<(&'static str, String)>,
    /// Ports of services that the test answers itself.
    pub answers: Vec<(&'static str, u16)>,
    /// Earlier entries of the journal.
    pub journal: Vec<Entry>,
}

impl Host {
    /// A host with these facts; `serve` answers when this returns.
    pub fn new(facts: Facts) -> Self {
        let units = Units::start();
        let (repository, slack) = (Repository::with_history(), Slack::start());
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), &units, &repository, &slack, &facts);
        if !facts.journal.is_empty() {
            let written = Journal::of(facts.journal);
            fs::copy(written.directory().join("part-1.journal"), units.journal().join("before.journal")).unwrap();
        }
        let port = free_port();
        let mut words: Vec<String> = vec!["-i".into()];
        words.extend(environment(directory.path()));
        words.push(PROGRAM.into());
        words.extend(places(directory.path()));
        words.extend(["serve".into(), "--listen".into(), format!("127.0.0.1:{port}")]);
        let log = directory.path().join("serve.log");
        let serve = Daemon::start(Path::new("/usr/bin/env"), &words, None, &log);
        serve.wait(|| get(port, "/health/ready").is_some_and(|(status, _)| status == 200));
        Self { _serve: serve, port, units, repository, slack, directory }
    }

    /// Posts an alert as Alertmanager does; the answer must be 2xx.
    pub fn alert(&self, name: &str, status: &str, value: f64, labels: Value) {
        let mut alert = json!({
            "status": status, "labels": {"alertname": name, "env": "production"},
            "annotations": {"value": value.to_string(), "summary": format!("{name} is {value}")},
            "startsAt": "2026-01-01T03:00:00Z", "endsAt": "0001-01-01T00:00:00Z", "fingerprint": "fa65a21db3335b7d",
        });
        if status == "resolved" {
            alert["endsAt"] = json!("2026-01-01T03:30:00Z");
        }
        if let (Some(all), Value::Object(labels)) = (alert["labels"].as_object_mut(), labels) {
            all.extend(labels);
        }
        let body = json!({"version": "4", "groupKey": "{}", "status": status, "receiver": "runbook", "groupLabels": {},
            "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://am", "alerts": [alert]});
        let answer = post(self.port, "/hooks/alertmanager", BEARER, &body.to_string());
        assert!(answer.starts_with("HTTP/1.1 2"), "{answer}");
    }

    /// Waits until the run waits for a person at this step.
    pub fn waits_for(&self, step: &str) {
        self.until(&format!("a person is needed at `{step}`"), || {
            let waiting = &self.incidents()[0]["waiting"];
            waiting.as_array().is_some_and(|all| all.iter().any(|key| key.as_str() == Some(step)))
        });
    }

    /// Waits until the run has ended.
    pub fn wait_for_end(&self) {
        self.until("the run has ended", || !self.events("run_ended").is_empty());
    }

    /// Waits until something in the log is true, or fails the test with the timeline. Reading the log starts the program, so
    /// it is read again only when one of its files has changed.
    fn until(&self, what: &str, is_true: impl Fn() -> bool) {
        let until = Instant::now() + PATIENCE;
        loop {
            let read = self.log_files();
            if is_true() {
                return;
            }
            while self.log_files() == read {
                assert!(Instant::now() < until, "waited in vain until {what}: {}", self.timeline());
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    /// The files of the log, each with its length and the time of its last change.
    fn log_files(&self) -> Vec<(OsString, u64, SystemTime)> {
        let entries = fs::read_dir(self.directory.path().join("state")).unwrap().map(Result::unwrap);
        let mut files: Vec<_> = entries
            .filter_map(|entry| Some((entry.file_name(), entry.metadata().ok()?)))
            .map(|(name, metadata)| (name, metadata.len(), metadata.modified().unwrap()))
            .collect();
        files.sort_unstable();
        files
    }

    /// Approves a change.
    pub fn approve(&self, step: &str) {
        self.waits_for(step);
        self.runbook(&["approve", "last", step, "--detach"]);
    }

    /// Answers a question, or marks a manual step as done.
    pub fn answer(&self, step: &str, answer: &str) {
        self.waits_for(step);
        self.runbook(&["answer", "last", step, answer, "--detach"]);
    }

    /// The last outcome of a step.
    pub fn outcome(&self, step: &str) -> Value {
        let ended = self.events("step_ended");
        let found = ended.iter().rev().find(|event| event["step"] == step);
        found
            .map(|event| event["outcome"].clone())
            .unwrap_or_else(|| panic!("`{step}` never ended: {}", self.timeline()))
    }

    /// Whether a step was ever started.
    pub fn has_started(&self, step: &str) -> bool {
        self.events("step_started").iter().any(|event| event["step"] == step)
    }

    /// Whether a person was ever asked for anything.
    pub fn has_asked(&self) -> bool {
        !self.events("asked").is_empty()
    }

    /// The texts of the messages in Slack. All messages are in the thread of the first.
    pub fn messages(&self) -> Vec<String> {
        let messages = self.slack.messages();
        for reply in messages.iter().skip(1) {
            assert_eq!(reply.thread.as_deref(), Some(messages[0].ts.as_str()), "{}", reply.text);
        }
        messages.into_iter().map(|message| message.text).collect()
    }

    /// The incident's events of one type.
    pub fn events(&self, kind: &str) -> Vec<Value> {
        crate::real::of_type(&self.json(&["timeline", "last"]), kind)
    }

    fn incidents(&self) -> Value {
        self.json(&["incidents"])
    }

    fn timeline(&self) -> String {
        let output = output_detached(&mut self.command(&["timeline", "last"])).unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn json(&self, words: &[&str]) -> Value {
        let mut all = vec!["-o", "json"];
        all.extend(words);
        let output = output_detached(&mut self.command(&all)).unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    fn runbook(&self, words: &[&str]) {
        let output = output_detached(&mut self.command(words)).unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{words:?}: {}\n{stderr}\n{}", output.status, self.timeline());
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("/usr/bin/env");
        command.arg("-i").args(environment(self.directory.path())).arg(PROGRAM);
        command.args(places(self.directory.path())).args(words).stdin(Stdio::null());
        command
    }
}

/// Posts a body to `serve`; returns the whole answer.
pub fn post(port: u16, path: &str, bearer: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("serve listens");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nAuthorization: Bearer {bearer}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

fn environment(directory: &Path) -> Vec<String> {
    vec![
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into(),
        "LANG=C.UTF-8".into(),
        format!("HOME={}", directory.display()),
        format!("SLACK_BOT_TOKEN={}", slack::TOKEN),
        format!("HOOK_BEARER={BEARER}"),
    ]
}

fn places(directory: &Path) -> Vec<String> {
    let state = directory.join("state").display().to_string();
    vec!["--state".into(), state, "--dir".into(), directory.display().to_string()]
}

/// Writes the shipped files, with the addresses and paths of this host.
fn write(directory: &Path, units: &Units, repository: &Repository, slack: &Slack, facts: &Facts) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("runbooks");
    let to = directory.join("runbooks");
    fs::create_dir(&to).unwrap();
    for file in fs::read_dir(&from).unwrap().map(Result::unwrap) {
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
    let secrets = directory.join("environment");
    fs::write(&secrets, facts.secrets.join("\n") + "\n").unwrap();
    let estate = estate(&to, &secrets, units, repository, slack, facts);
    fs::write(to.join("estate.yaml"), estate).unwrap();
}

fn estate(
    runbooks: &Path,
    secrets: &Path,
    units: &Units,
    repository: &Repository,
    slack: &Slack,
    facts: &Facts,
) -> String {
    let mut estate = fs::read_to_string(runbooks.join("estate.yaml")).unwrap();
    let work: PathBuf = repository.work();
    let own = [
        ("systemd: system", format!("systemd: \"{}\"\n    journal: \"{}\"", units.bus(), units.journal().display())),
        ("/opt/pakashop/.env.production", secrets.display().to_string()),
        ("repository: /opt/pakashop ", format!("repository: {} ", work.display())),
        ("repository: /opt/pakashop\n", format!("repository: {}\n", work.display())),
        ("slack: \"#incidents\"", format!("slack: \"#incidents\"\n    api: \"{}\"", slack.api_url())),
    ];
    for (was, is) in own.iter().chain(&facts.edits) {
        assert!(estate.contains(was), "the estate has no `{was}`");
        estate = estate.replace(was, is);
    }
    let mut lines: Vec<String> = estate.lines().map(str::to_owned).collect();
    for name in SERVICES {
        let line = lines.iter_mut().find(|line| line.contains(&unit(name))).expect("the estate has every service");
        let (before, after) = line.split_once("http://127.0.0.1:").expect("it has a health address");
        let rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
        let port =
            facts.answers.iter().find(|(service, _)| *service == name).map_or(units.port(name), |(_, port)| *port);
        *line = format!("{before}http://127.0.0.1:{port}{rest}");
    }
    lines.join("\n")
}
