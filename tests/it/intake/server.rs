//! A project with a sender of every format, and a running `serve` on it.

use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::project::{self, Project};
use crate::real::daemon::{Daemon, free_port, get};
use crate::real::http;

/// The secret of every sender, and the next one during a rotation.
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

/// How long an answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The project and its server; the server ends with the value.
pub struct IntakeServer {
    // Dropped first: it writes into the project.
    serve: Option<Daemon>,
    port: u16,
    project: Project,
}

impl IntakeServer {
    /// A server that answers.
    pub fn started() -> Self {
        let mut server = Self::stopped();
        server.start(Signal::TERM);
        server
    }

    /// A project whose server is not started.
    pub fn stopped() -> Self {
        Self { serve: None, port: free_port(), project: Project::new(ESTATE, &[("KEY", KEY), ("NEXT", NEXT)]) }
    }

    /// The state directory.
    pub fn state(&self) -> PathBuf {
        self.project.state()
    }

    /// Starts the server; `stop_signal` will end it.
    pub fn start(&mut self, stop_signal: Signal) {
        let address = format!("127.0.0.1:{}", self.port);
        self.serve = Some(self.project.serve(self.port, &["--listen", &address]).stopped_by(stop_signal));
    }

    /// Starts the server with other arguments; it has to listen on its port of `127.0.0.1`.
    pub fn start_with(&mut self, arguments: &[&str]) {
        self.serve = Some(self.project.serve(self.port, arguments));
    }

    /// Stops the server by the signal that it was started with.
    pub fn stop(&mut self) {
        self.serve = None;
    }

    /// Writes a runbook or the estate.
    pub fn edit(&self, name: &str, text: &str) {
        self.project.write(&format!("runbooks/{name}.yaml"), text);
    }

    /// Removes a runbook.
    pub fn remove(&self, name: &str) {
        fs::remove_file(self.project.path(&format!("runbooks/{name}.yaml"))).unwrap();
    }

    /// Makes the server reload its files, and waits until it logs this about them.
    pub fn reload(&self, expected: &str) {
        project::reload(self.daemon(), expected);
    }

    /// The end of the server's log.
    pub fn log_end(&self) -> String {
        self.daemon().log_end()
    }

    /// Posts a body as a sender; the status of the answer, 0 without one.
    pub fn post(&self, sender: &str, secret: &str, body: &[u8]) -> u16 {
        post(self.port, sender, secret, &[], body)
    }

    /// The same with further headers.
    pub fn post_with(&self, sender: &str, secret: &str, headers: &[(&str, &str)], body: &[u8]) -> u16 {
        post(self.port, sender, secret, headers, body)
    }

    /// The status of the answer to a GET with this bearer token.
    pub fn get_as(&self, path: &str, bearer: &str) -> u16 {
        http::send(self.port, &format!("GET {path}"), &[("Authorization", &format!("Bearer {bearer}"))], b"").status
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

    /// Whether the server answers that it is ready.
    pub fn is_ready(&self) -> bool {
        get(self.port, "/health/ready").is_some_and(|(status, _)| status == 200)
    }

    /// The peak memory of the server's process, in KiB.
    pub fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.daemon().pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// The incidents, as JSON.
    pub fn incidents(&self) -> Value {
        self.project.json(&["incidents", "--limit", "1000"])
    }

    /// The timelines of all incidents, as text.
    pub fn timelines(&self) -> String {
        let incidents = self.incidents();
        let ids = incidents.as_array().into_iter().flatten().filter_map(|row| row["id"].as_str());
        ids.map(|id| self.stdout(&["-o", "json", "timeline", id])).collect()
    }

    /// The standard output of a command, which must succeed.
    pub fn stdout(&self, arguments: &[&str]) -> String {
        self.project.stdout(arguments)
    }

    /// A command of the same project, not started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.project.command(arguments)
    }

    fn daemon(&self) -> &Daemon {
        self.serve.as_ref().expect("the server is started")
    }
}

/// One alert of this name as Alertmanager posts it; each `number` is another firing.
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

/// Posts a body as a sender; the status of the answer, 0 without one.
pub fn post(port: u16, sender: &str, secret: &str, headers: &[(&str, &str)], body: &[u8]) -> u16 {
    let bearer = format!("Bearer {secret}");
    let own = [("Authorization", bearer.as_str()), ("X-GitHub-Event", "workflow_run")];
    http::send(port, &format!("POST /hooks/{sender}"), &[headers, &own].concat(), body).status
}

/// The status of the next answer, 0 without one.
pub fn status(stream: &mut TcpStream) -> u16 {
    let mut answer = [0; 12];
    if stream.read_exact(&mut answer).is_err() {
        return 0;
    }
    std::str::from_utf8(&answer[9..]).ok().and_then(|digits| digits.parse().ok()).unwrap_or_default()
}
