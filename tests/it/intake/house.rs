//! A shop with a sender of every form, and a real `runbook serve` over it.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use runbook::actions::transport::process::output_detached;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::real::daemon::{Daemon, free_port, get};

const PROGRAM: &str = env!("CARGO_BIN_EXE_runbook");

/// The secret of every sender, and the one that comes after it.
pub const KEY: &str = "key-one-51";
pub const NEXT: &str = "key-two-52";

pub const ESTATE: &str = "\
estate: Shop
environments: { production: { branch: production } }
secrets: { key: { env: KEY }, next: { env: NEXT } }
alerts: { environment: production }
senders:
  alertmanager: { auth: { bearer: { secret: [key, next] } } }
  grafana: { auth: { bearer: { secret: key } } }
  pagerduty: { auth: { bearer: { secret: key } } }
  sns: { auth: { bearer: { secret: key } } }
  github:
    auth: { bearer: { secret: key } }
    workflows: { test.yml: { failure: health_check_failed, success: tests_passed } }
  middleware:
    auth: { bearer: { secret: key } }
    mapping: { name: body.title, firing: body.id, recurs: true, summary: body.message, labels: body.attributes }
";

/// How long one answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The shop; its server ends with the value.
pub struct House {
    serve: Option<Daemon>,
    port: u16,
    directory: TempDir,
}

impl House {
    /// A shop whose server answers.
    pub fn open() -> Self {
        let mut house = Self::closed();
        house.begin(Signal::TERM);
        house
    }

    /// A shop without a server.
    pub fn closed() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let runbooks = directory.path().join("runbooks");
        fs::create_dir(&runbooks).unwrap();
        fs::write(runbooks.join("estate.yaml"), ESTATE).unwrap();
        fs::create_dir(directory.path().join("state")).unwrap();
        Self { serve: None, port: free_port(), directory }
    }

    /// Where the log is.
    pub fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    /// Starts the server, to be ended by this signal.
    pub fn begin(&mut self, farewell: Signal) {
        let address = format!("127.0.0.1:{}", self.port);
        self.start(&["--listen", &address], farewell);
    }

    /// Starts the server with other arguments; it has to listen on its port of `127.0.0.1`.
    pub fn begin_at(&mut self, words: &[&str]) {
        self.start(words, Signal::TERM);
    }

    fn start(&mut self, arguments: &[&str], farewell: Signal) {
        let mut words: Vec<String> = vec!["-i".into()];
        words.extend(self.environment());
        words.push(PROGRAM.into());
        words.extend(self.places());
        words.push("serve".into());
        words.extend(arguments.iter().map(|word| (*word).to_owned()));
        let log = self.directory.path().join("serve.log");
        let mut serve = Daemon::start(Path::new("/usr/bin/env"), &words, None, &log).ending_with(farewell);
        // With a token the answer without one is 401, and it serves all the same.
        serve.wait(|| get(self.port, "/health/ready").is_some_and(|(status, _)| status == 200 || status == 401));
        self.serve = Some(serve);
    }

    /// Ends the server by the signal that it was started for.
    pub fn end(&mut self) {
        self.serve = None;
    }

    /// Edits one of the shop's runbooks, or the estate, for the server to find when it is told to look.
    pub fn edit(&self, name: &str, text: &str) {
        fs::write(self.directory.path().join("runbooks").join(format!("{name}.yaml")), text).unwrap();
    }

    /// Removes one of them.
    pub fn remove(&self, name: &str) {
        fs::remove_file(self.directory.path().join("runbooks").join(format!("{name}.yaml"))).unwrap();
    }

    /// Tells the server to take up edited files, and waits until it says this of them.
    pub fn reload(&mut self, said: &str) {
        let serve = self.serve.as_mut().expect("it serves");
        let before = serve.said().matches(said).count();
        serve.signal(Signal::HUP);
        serve.wait_for(said, |serve| serve.said().matches(said).count() > before);
    }

    /// What the server has said.
    pub fn said(&self) -> String {
        self.serve.as_ref().expect("it serves").said()
    }

    /// A server of the same shop with other arguments, not started.
    pub fn serving(&self, words: &[&str]) -> Command {
        self.command(&[&["serve"], words].concat())
    }

    /// Posts a body; the status of the answer, 0 without one.
    pub fn post(&self, sender: &str, secret: &str, body: &[u8]) -> u16 {
        self.post_with(sender, secret, &[], body)
    }

    /// The same with further headers.
    pub fn post_with(&self, sender: &str, secret: &str, headers: &[&str], body: &[u8]) -> u16 {
        post(self.port, sender, secret, headers, body)
    }

    /// The status of the answer to a GET with this bearer token.
    pub fn get_as(&self, path: &str, bearer: &str) -> u16 {
        let mut stream = self.connect();
        write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {bearer}\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A connection to the server.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("serve listens");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Whether it still answers, and is ready.
    pub fn is_well(&self) -> bool {
        get(self.port, "/health/ready").is_some_and(|(status, _)| status == 200)
    }

    /// What the server's process uses, in KiB.
    pub fn memory(&self) -> u64 {
        let pid = self.serve.as_ref().expect("it serves").pid();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// The incidents, as JSON.
    pub fn incidents(&self) -> Value {
        serde_json::from_str(&self.told(&["-o", "json", "incidents", "--limit", "1000"])).unwrap_or_default()
    }

    /// Everything in the log, as text.
    pub fn everything(&self) -> String {
        let incidents = self.incidents();
        let ids = incidents.as_array().into_iter().flatten().filter_map(|row| row["id"].as_str());
        ids.map(|id| self.told(&["-o", "json", "timeline", id])).collect()
    }

    /// What a command says; it must succeed.
    pub fn told(&self, words: &[&str]) -> String {
        let output = output_detached(&mut self.command(words)).unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{words:?}: {}\n{said}", output.status);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A command of the same project, not started.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("/usr/bin/env");
        command.arg("-i").args(self.environment()).arg(PROGRAM).args(self.places()).args(words).stdin(Stdio::null());
        command
    }

    fn environment(&self) -> Vec<String> {
        let home = format!("HOME={}", self.directory.path().display());
        vec!["PATH=/usr/bin:/bin".into(), home, format!("KEY={KEY}"), format!("NEXT={NEXT}")]
    }

    fn places(&self) -> Vec<String> {
        let (state, shop) = (self.state().display().to_string(), self.directory.path().display().to_string());
        vec!["--state".into(), state, "--dir".into(), shop]
    }
}

/// One alert of this name as Alertmanager posts it; `number` tells firings apart.
pub fn alert(name: &str, number: usize) -> Value {
    json!({
        "version": "4", "groupKey": "{}", "status": "firing", "receiver": "runbook", "groupLabels": {},
        "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://am",
        "alerts": [{
            "status": "firing", "labels": {"alertname": name, "number": number.to_string()},
            "annotations": {"summary": format!("firing-{number}-")}, "startsAt": "2026-01-01T03:00:00Z",
            "endsAt": "0001-01-01T00:00:00Z", "fingerprint": format!("{number:016x}"),
        }],
    })
}

/// Posts a body; the status of the answer, 0 without one.
pub fn post(port: u16, sender: &str, secret: &str, headers: &[&str], body: &[u8]) -> u16 {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return 0 };
    let _ = stream.set_read_timeout(Some(PATIENCE));
    let mut head = format!("POST /hooks/{sender} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n");
    for header in headers.iter().copied().map(str::to_owned).chain([
        format!("Authorization: Bearer {secret}"),
        format!("X-GitHub-Event: workflow_run\r\nContent-Length: {}", body.len()),
    ]) {
        head.push_str(&header);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    // Whoever is refused by the headers may find the connection closed before the body is through.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
    status(&mut stream)
}

/// The status of the next answer, 0 without one.
pub fn status(stream: &mut TcpStream) -> u16 {
    let mut answer = [0; 12];
    if stream.read_exact(&mut answer).is_err() {
        return 0;
    }
    std::str::from_utf8(&answer[9..]).ok().and_then(|digits| digits.parse().ok()).unwrap_or_default()
}
