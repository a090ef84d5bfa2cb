//! The shipped runbooks and estate, the runbook of the README and the demo, with real parts.
//!
//! The runbooks are used as they are shipped. In the estate, addresses and paths are replaced: the bus, the journal, the
//! ports, the work tree, the environment file and Slack's API.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use runbook::actions::transport::process::{output_detached, spawn_detached};
use runbook::clock::SystemClock;
use runbook::surface::demo::environment::{DemoEnvironment, DemoOptions};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::real::aws::Aws;
use super::real::eventually;
use super::real::repository::Repository;
use super::real::slack::{self, Slack};
use super::real::sshd::Sshd;
use super::real::units::{SERVICES, Units, unit};

const PROGRAM: &str = env!("CARGO_BIN_EXE_runbook");

/// A value that must be only in the environment file.
const SECRET: &str = "correct-horse-battery-staple";

/// The time limit of the demo.
const DEMO: Duration = Duration::from_secs(60);

/// The runbooks that alerts start.
const FOR_ALERTS: [&str; 8] = [
    "payment-error-rate",
    "api-p95-latency",
    "unhandled-exception",
    "redis-memory",
    "postgres-connections",
    "fraud-queue-backlog",
    "zra-transmission-failure",
    "meilisearch-index-lag",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A host of the customer: its units, its work tree, and stand-ins for Slack and AWS.
struct Host {
    units: Units,
    repository: Repository,
    slack: Slack,
    aws: Aws,
    directory: TempDir,
}

impl Host {
    fn new() -> Self {
        let host = Self {
            units: Units::start(),
            repository: Repository::with_history(),
            slack: Slack::start(),
            aws: Aws::new(),
            directory: tempfile::tempdir().unwrap(),
        };
        let healthy = json!([{"host": "i-1", "state": "running", "system": "ok", "instance": "ok"}]);
        host.aws.answers("ec2", "describe-instance-status", &healthy);
        host.aws.answers("cloudwatch", "describe-alarms", &json!([]));
        host.aws.answers("rds", "describe-db-instances", &json!([{"status": "available"}]));
        host.write();
        host
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes the shipped files, with the addresses and paths of this host.
    fn write(&self) {
        let (from, to) = (root().join("runbooks"), self.path("runbooks"));
        fs::create_dir(&to).unwrap();
        for name in ["p1.yaml", "p2.yaml", "p3.yaml", "p4.yaml"] {
            fs::copy(from.join(name), to.join(name)).unwrap();
        }
        let file = self.path("environment");
        fs::write(&file, format!("DATABASE_URL=postgres://shop:{SECRET}@127.0.0.1:1/shop\n")).unwrap();
        let mut estate = fs::read_to_string(from.join("estate.yaml")).unwrap();
        let bus_and_journal =
            format!("systemd: \"{}\"\n    journal: \"{}\"", self.units.bus(), self.units.journal().display());
        for (old, new) in [
            ("systemd: system", bus_and_journal),
            ("/opt/pakashop/.env.production", file.display().to_string()),
            ("repository: /opt/pakashop ", format!("repository: {} ", self.repository.work().display())),
            ("repository: /opt/pakashop\n", format!("repository: {}\n", self.repository.work().display())),
            (
                "token: { secret: slack_bot_token }",
                format!("token: {{ secret: slack_bot_token }}\n    api: \"{}\"", self.slack.api_url()),
            ),
        ] {
            assert!(estate.contains(old), "the estate has no `{old}`");
            estate = estate.replace(old, &new);
        }
        let mut lines: Vec<String> = estate.lines().map(str::to_owned).collect();
        for name in SERVICES {
            let line = lines.iter_mut().find(|line| line.contains(&unit(name))).expect("the estate has every service");
            let (before, after) = line.split_once("http://127.0.0.1:").expect("it has a health address");
            let rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
            *line = format!("{before}http://127.0.0.1:{}{rest}", self.units.port(name));
        }
        fs::write(to.join("estate.yaml"), lines.join("\n")).unwrap();
    }

    /// Makes the runbooks use SSH, as from the machine of an engineer.
    fn use_ssh(&self, sshd: &Sshd) {
        let path = self.path("runbooks/estate.yaml");
        let estate = fs::read_to_string(&path).unwrap();
        let (to, port, config) = (sshd.to(), sshd.port(), sshd.client_config());
        let host = format!("    host: {{ ssh: {to}, port: {port}, config: \"{}\" }}", config.display());
        let remote_line =
            |line: &str| if line.trim_start().starts_with("host: local") { host.clone() } else { line.to_owned() };
        fs::write(path, estate.lines().map(remote_line).collect::<Vec<_>>().join("\n")).unwrap();
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args([
            "--state",
            self.path("state").to_str().unwrap(),
            "--dir",
            self.directory.path().to_str().unwrap(),
        ]);
        command.args(words).env_clear().env("PATH", self.aws.path()).env("HOME", self.directory.path());
        command.env("LANG", "C.UTF-8").env("SLACK_BOT_TOKEN", slack::TOKEN).stdin(Stdio::null());
        command
    }

    /// The output of `runbook`; the exit code must be one of `codes`.
    fn runbook(&self, words: &[&str], codes: &[i32]) -> String {
        let output = output_detached(&mut self.command(words)).unwrap();
        let output_text = output_text(&output);
        assert!(codes.contains(&output.status.code().unwrap_or(-1)), "{words:?}: {}\n{output_text}", output.status);
        output_text
    }

    /// The incident's events of one type.
    fn events(&self, kind: &str) -> Vec<Value> {
        let log = output_detached(&mut self.command(&["-o", "json", "timeline"])).unwrap();
        let log: Value = serde_json::from_slice(&log.stdout).unwrap_or_default();
        crate::real::of_type(&log, kind)
    }

    /// A file of the state or the post-mortems that contains this text.
    fn file_with(&self, text: &str) -> Option<PathBuf> {
        let mut waiting = vec![self.path("state"), self.path("postmortems")];
        while let Some(path) = waiting.pop() {
            if path.is_dir() {
                waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            } else if String::from_utf8_lossy(&fs::read(&path).unwrap_or_default()).contains(text) {
                return Some(path);
            }
        }
        None
    }
}

fn output_text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn the_shipped_runbooks_have_no_problems_and_plan_in_both_environments() {
    let state = tempfile::tempdir().unwrap();
    let run = |words: &[&str]| {
        let mut command = Command::new(PROGRAM);
        command.arg("--dir").arg(root()).arg("--state").arg(state.path().join("state")).args(words);
        output_detached(command.env_remove("SLACK_BOT_TOKEN")).unwrap()
    };
    let lint = run(&["lint"]);
    assert!(lint.status.success(), "{}", output_text(&lint));
    let mut all =
        vec![("p1", "service=gateway"), ("p2", "service=gateway"), ("p3", "service=search"), ("p4", "subject=x")];
    all.extend(FOR_ALERTS.map(|id| (id, if id == "unhandled-exception" { "since=5m" } else { "alerted=7" })));
    for (id, param) in all {
        for environment in ["staging", "production"] {
            let plan = output_text(&run(&["start", id, "--plan", "--env", environment, "--param", param]));
            assert!(plan.contains("nothing was started"), "{plan}");
        }
    }
    assert!(!state.path().join("state").exists(), "a plan creates no state");
}

/// The runbook of the README, with the shipped estate.
#[test]
fn the_readmes_runbook_has_no_problems() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let (_, rest) = readme.split_once("```yaml\n").expect("the README shows a runbook");
    let (runbook, _) = rest.split_once("```").expect("its block ends");
    assert!(runbook.lines().count() <= 22, "it fits on a screen");
    let units = tempfile::tempdir().unwrap();
    let folder = units.path().join("runbooks");
    fs::create_dir(&folder).unwrap();
    fs::copy(root().join("runbooks/estate.yaml"), folder.join("estate.yaml")).unwrap();
    fs::write(folder.join("search-down.yaml"), runbook).unwrap();
    let lint = output_detached(Command::new(PROGRAM).arg("--dir").arg(units.path()).arg("lint")).unwrap();
    assert!(lint.status.success(), "{}", output_text(&lint));
}

#[test]
fn nothing_of_the_customer_is_in_the_program() {
    let mut waiting = vec![root().join("src")];
    let mut found = Vec::new();
    while let Some(path) = waiting.pop() {
        // The tests of the customer's services use the demo's service.
        if path.ends_with("surface/demo")
            || path.file_name().is_some_and(|name| ["tests", "tests.rs", "story.rs"].iter().any(|test| name == *test))
        {
            continue;
        }
        if path.is_dir() {
            waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let program = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for (number, line) in program.lines().enumerate() {
            let line = line.to_lowercase();
            if ["pakashop", "pawapay", "flutterwave", "zra_"].iter().any(|word| line.contains(word)) {
                found.push(format!("{}:{}: {}", path.strip_prefix(root()).unwrap().display(), number + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_p1_caused_by_infrastructure_restarts_the_failing_service_and_ends_in_a_post_mortem() {
    let host = Host::new();
    let before = host.units.property(&unit("gateway"), "InvocationID");
    let bystander = host.units.property(&unit("backend"), "InvocationID");
    host.units.break_service("gateway", "unready redis until-restart");

    let waits = host.runbook(&["start", "p1", "--env", "production"], &[6]);
    assert!(waits.contains("dashboards"), "{waits}");
    let first = host.slack.messages();
    assert_eq!(first.len(), 1, "the notice needs no approval: {waits}");
    assert!(first[0].text.contains("gateway"), "{}", first[0].text);

    host.runbook(&["answer", "last", "dashboards", "not looked at"], &[0, 6]);
    host.runbook(&["answer", "last", "cause", "infrastructure"], &[0, 6]);
    host.runbook(&["answer", "last", "remedy", "restart what is failing"], &[0, 6]);
    let asked = host.runbook(&["watch", "last"], &[6]);
    assert!(asked.contains("restart pakashop-gateway.service"), "{asked}");
    host.runbook(&["approve", "last"], &[0, 6]);
    let asked = host.runbook(&["watch", "last"], &[6]);
    assert!(asked.contains("restored"), "{asked}");
    assert_ne!(host.units.property(&unit("gateway"), "InvocationID"), before);
    assert_eq!(host.units.property(&unit("backend"), "InvocationID"), bystander, "no other service is restarted");

    host.runbook(&["answer", "last", "restored", "yes"], &[0, 6]);
    host.runbook(&["watch", "last"], &[0]);
    host.runbook(&["resolve", "last", "Redis was away; the gateway was restarted"], &[0]);
    let draft = host.runbook(&["postmortem", "last", "--print"], &[0]);
    for fact in ["Live platform down", "production", "pakashop-gateway.service", "TODO"] {
        assert!(draft.contains(fact), "the post-mortem lacks `{fact}`:\n{draft}");
    }
    let messages = host.slack.messages();
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[1].thread.as_deref(), Some(messages[0].ts.as_str()), "the follow-up is in the thread");
    assert_eq!(host.file_with(SECRET), None, "no file contains the secret");
    host.runbook(&["verify", "last"], &[0]);
}

#[test]
fn a_p1_killed_during_the_rollback_reverts_once() {
    let host = Host::new();
    host.runbook(&["start", "p1", "--env", "production"], &[6]);
    host.runbook(&["answer", "last", "dashboards", "nothing unusual"], &[0, 6]);
    host.runbook(&["answer", "last", "cause", "code"], &[0, 6]);
    let merge = host.repository.remote_head("production");
    host.runbook(&["answer", "last", "culprit", &merge], &[0, 6]);
    host.runbook(&["watch", "last"], &[6]);

    // In production two people have to approve it; `SUDO_UID` gives the first.
    let agreed = output_detached(host.command(&["approve", "last", "rollback"]).env("SUDO_UID", "1")).unwrap();
    assert_eq!(agreed.status.code(), Some(6), "{}", output_text(&agreed));
    let again = output_detached(host.command(&["approve", "last", "rollback"]).env("SUDO_UID", "1")).unwrap();
    assert_eq!(again.status.code(), Some(4), "one person counts once: {}", output_text(&again));
    assert_eq!(host.events("approval_refused").len(), 1);
    assert!(!host.events("step_started").iter().any(|event| event["step"] == "rollback"));

    host.repository.hang_pushes();
    let mut killed: Child =
        spawn_detached(host.command(&["approve", "last", "rollback"]).stdout(Stdio::null()).stderr(Stdio::null()))
            .unwrap();
    eventually("the rollback has started", || {
        host.events("step_started").iter().any(|event| event["step"] == "rollback")
    });
    killed.kill().unwrap();
    killed.wait().unwrap();
    host.repository.accept_pushes();

    host.runbook(&["watch", "last"], &[6]);
    let log = host.repository.remote_log("production");
    let reverts = log.iter().filter(|subject| subject.starts_with("Revert")).count();
    assert_eq!(reverts, 1, "{log:?}");
    assert_eq!(host.repository.status(), "", "the work tree is clean");
    host.runbook(&["verify", "last"], &[0]);
}

#[test]
fn a_p3_restarts_its_unit_only_after_the_evidence() {
    let host = Host::new();
    let before = host.units.property(&unit("search"), "InvocationID");
    host.units.break_service("search", "unready postgres until-restart");
    let asked = host.runbook(&["start", "p3", "--env", "production", "--param", "service=search"], &[6]);
    assert!(asked.contains("restart pakashop-search.service"), "{asked}");
    assert_eq!(host.units.property(&unit("search"), "InvocationID"), before, "nobody has approved yet");
    let evidence = host.events("step_ended");
    for step in ["errors", "metrics", "unit", "deployments", "configuration"] {
        assert!(evidence.iter().any(|event| event["step"] == step), "no evidence `{step}` before the restart");
    }
}

#[test]
fn a_p3_over_ssh_collects_evidence_restarts_and_verifies_remotely() {
    let (host, sshd) = (Host::new(), Sshd::start());
    host.use_ssh(&sshd);
    let plan = host.runbook(&["start", "p3", "--env", "production", "--param", "service=search", "--plan"], &[0, 7]);
    assert!(plan.contains(&format!("production on {}", sshd.to())), "{plan}");
    let before = host.units.property(&unit("search"), "InvocationID");
    host.units.break_service("search", "unready postgres until-restart");
    let asked = host.runbook(&["start", "p3", "--env", "production", "--param", "service=search"], &[6]);
    assert!(asked.contains(&format!("production on {}, that host's systemd", sshd.to())), "{asked}");
    for event in host.events("step_ended") {
        let well = ["errors", "last_words", "metrics", "unit", "deployments"].iter().any(|step| event["step"] == *step);
        assert!(!well || event["outcome"]["verdict"] == "succeeded", "{event}");
    }
    host.runbook(&["approve", "last"], &[0, 6]);
    let asked = host.runbook(&["watch", "last"], &[6]);
    assert!(asked.contains("What has changed?"), "{asked}");
    assert_ne!(host.units.property(&unit("search"), "InvocationID"), before);
    host.runbook(&["verify", "last"], &[0]);
    eventually("the last connection is closed", || sshd.connections().is_empty());
}

fn demo_options(directory: &TempDir) -> DemoOptions {
    let service: Vec<OsString> = vec![PROGRAM.into(), "demo-service".into()];
    DemoOptions { directory: directory.path().to_owned(), service, clock: Arc::new(SystemClock) }
}

#[test]
fn the_environment_of_the_demo_starts_and_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let environment = DemoEnvironment::build(demo_options(&directory)).await.expect("the environment is built");
        assert!(environment.has_systemd(), "{:?}", environment.missing());
        environment.break_it().expect("it breaks");
        environment.remove().await.expect("nothing is left");
    });
    assert!(!directory.path().join("parts").exists());
}

#[test]
fn the_demo_ends_within_a_minute() {
    let begun = Instant::now();
    let output = output_detached(Command::new(PROGRAM).arg("demo")).unwrap();
    let output_text = output_text(&output);
    assert!(output.status.success(), "{output_text}");
    assert!(begun.elapsed() < DEMO, "it took {:?}", begun.elapsed());
    let draft = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
    let text = fs::read_to_string(&draft).expect("the post-mortem is at the printed path");
    assert!(text.contains("The shop is down") && text.contains("demo-search.service"), "{text}");
    let place = draft.parent().and_then(Path::parent).expect("it is in the demo's directory");
    assert!(!place.join("parts").exists(), "the services are removed");
    fs::remove_dir_all(place).unwrap();
}
