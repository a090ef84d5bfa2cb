//! `runbook doctor` with a real manager, a real git remote, a real polkit and a stand-in for Slack.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use runbook::actions::transport::process::output_detached;
use serde_json::Value;

use super::init::answering;
use super::real::daemon::{free_port, get};
use super::real::eventually;
use super::real::polkit::Polkit;
use super::real::repository::Repository;
use super::real::slack::{Slack, TOKEN};
use super::real::units::Units;

const STEADY: &str = "[Service]\nExecStart=/bin/sleep infinity\n";

const ESTATE: &str = "
estate: Acme
default_environment: live
environments: { live: { systemd: 'BUS', repository: TREE, branch: production, vars: { env: ENVFILE } } }
services: { web: { unit: acme-web, port: PORT } }
datastores: { cache: { kind: redis, unit: acme-cache.service } }
channels: { incidents: { slack: '#incidents', token: { secret: slack }, api: 'API' } }
slack: { channel: incidents, signing_secret: { secret: signing } }
secrets: { slack: { file: slack }, hook: { env: HOOK }, signing: { file: signing } }
senders: { alertmanager: { auth: { bearer: { secret: hook } } } }
alerts: { environment: live }
";

const RUNBOOK: &str = "
runbook: mends
title: Mends
severity: p3
steps:
  - { id: age, command: { argv: [stat, --, '{{ environment.vars.env }}'] }, effect: read }
  - { id: restart, systemd: { restart: '{{ services[item].unit }}' }, for_each: \"['web']\", verify: { systemd: { status: web } } }
  - { id: reload, systemd: { reload: acme-cache.service }, verify: { systemd: { status: web } } }
";

/// A project directory.
struct Project(tempfile::TempDir);

impl Project {
    fn new(estate: &str, runbook: &str) -> Self {
        let project = Self(tempfile::tempdir().expect("a directory can be made"));
        fs::create_dir(project.path().join("runbooks")).expect("a directory can be made");
        project.write("runbooks/estate.yaml", estate.trim_start());
        project.write("runbooks/mends.yaml", runbook.trim_start());
        project
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).expect("a file is written");
    }

    fn doctor(&self, words: &[&str], variables: &[(&str, &str)]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runbook"));
        command.arg("doctor").args(words).current_dir(self.path()).env("RUNBOOK_STATE", self.path().join("state"));
        output_detached(command.envs(variables.iter().copied())).expect("the program starts")
    }

    /// The findings by topic and subject, and the exit code.
    fn findings(&self, words: &[&str], variables: &[(&str, &str)]) -> (BTreeMap<String, Value>, i32) {
        let output = self.doctor(&[words, &["-o", "json"]].concat(), variables);
        let found: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
        let key = |finding: &Value| {
            format!("{} {}", finding["topic"].as_str().unwrap(), finding["subject"].as_str().unwrap())
        };
        (found.iter().map(|finding| (key(finding), finding.clone())).collect(), output.status.code().unwrap_or(-1))
    }
}

/// A host without any problem.
struct HealthyHost {
    units: Units,
    repository: Repository,
    slack: Slack,
    project: Project,
    port: u16,
}

impl HealthyHost {
    fn new() -> Self {
        let (repository, slack, port) = (Repository::new(), Slack::start(), free_port());
        let cache = STEADY.to_owned() + "ExecReload=/bin/true\n";
        let units =
            Units::bare(&[("acme-web.service", answering("web", port, "/").as_str()), ("acme-cache.service", &cache)]);
        units.systemctl(&["start", "acme-web.service", "acme-cache.service"]);
        eventually("the service answers", || get(port, "/health").is_some_and(|(code, _)| code == 200));
        let project = Project::new("", RUNBOOK);
        let estate = ESTATE.replace("BUS", &units.bus()).replace("TREE", &repository.work().display().to_string());
        let env = project.path().join("env").display().to_string();
        project.write(
            "runbooks/estate.yaml",
            estate
                .replace("PORT", &port.to_string())
                .replace("API", &slack.api_url())
                .replace("ENVFILE", &env)
                .trim_start(),
        );
        for (name, text) in [("env", "A=b\n"), ("slack", TOKEN), ("signing", "0123456789abcdef")] {
            project.write(name, text);
        }
        Self { units, repository, slack, project, port }
    }

    fn findings(&self) -> (BTreeMap<String, Value>, i32) {
        self.project.findings(&[], &[("HOOK", "0123456789abcdef")])
    }

    /// Replaces a text of the estate.
    fn change(&self, from: &str, to: &str) {
        let file = self.project.path().join("runbooks/estate.yaml");
        let estate = fs::read_to_string(&file).expect("it was written");
        assert!(estate.contains(from), "{from}");
        self.project.write("runbooks/estate.yaml", &estate.replace(from, to));
    }

    /// The state of a finding, and the command that repairs it.
    fn of(&self, key: &str) -> (String, String) {
        state_and_fix(&self.findings().0, key)
    }
}

fn state_and_fix(findings: &BTreeMap<String, Value>, key: &str) -> (String, String) {
    let finding = findings.get(key).unwrap_or_else(|| panic!("`{key}` is not in {findings:#?}"));
    let text = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
    println!("{key}: {}", text("found"));
    (text("state"), text("mend"))
}

#[test]
fn on_a_healthy_host_every_part_is_checked_and_the_exit_code_is_0() {
    let host = HealthyHost::new();
    let (found, code) = host.findings();
    let wrong: Vec<&Value> = found.values().filter(|finding| finding["state"] == "wrong").collect();
    assert_eq!((code, wrong), (0, vec![]), "{found:#?}");
    let tree = format!("git {}", host.repository.work().display());
    for key in [
        "units acme-web.service",
        "health web",
        "slack token slack",
        "senders alertmanager",
        "secrets hook",
        "rights restart",
        "rights reload",
        "programs stat",
        "programs git",
        "disk log",
        "log disk",
        &tree,
    ] {
        let (state, _) = state_and_fix(&found, key);
        // The disk of a build machine may be nearly full.
        assert!(state == "fine" || (key == "disk log" && state == "doubtful"), "{key}: {state}");
    }
    let process = host.units.property("acme-web.service", "MainPID");
    host.findings();
    assert_eq!(host.units.property("acme-web.service", "MainPID"), process, "the check of rights restarts nothing");
    let text = host.project.doctor(&[], &[("HOOK", "0123456789abcdef")]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("units\n  ✓ ok       acme-cache.service"), "{text}");
    assert!(!text.contains(TOKEN) && !text.contains('\u{1b}'), "{text}");
}

#[test]
fn each_missing_part_is_listed_with_the_command_that_repairs_it() {
    let host = HealthyHost::new();
    host.units.systemctl(&["stop", "acme-web.service"]);
    host.units.systemctl(&["stop", "acme-cache.service"]);
    host.units.systemctl(&["mask", "--runtime", "acme-cache.service"]);
    for name in ["env", "signing"] {
        fs::remove_file(host.project.path().join(name)).expect("a file is removed");
    }
    host.project.write("runbooks/more.yaml", "runbook: more\ntitle: More\nseverity: p4\nsteps:\n  - { id: a, command: [no-such-program, --, /no/such/file], effect: read }\n  - { id: c, disk: /no/such/place }\n");
    host.change("services: {", "services: { gone: { unit: gone }, ");
    host.project.write("runbooks/bad.yaml", "runbook: bad\n");
    let (found, code) = host.project.findings(&[], &[]);
    assert_eq!(code, 7);
    let stderr = host.project.doctor(&["--env", "live"], &[]).stderr;
    let stderr = String::from_utf8_lossy(&stderr).into_owned();
    assert!(stderr.contains("doctor --env live"), "the next command has the same environment: {stderr}");
    let port = host.port;
    let env = host.project.path().join("env").display().to_string();
    let estate = "${EDITOR:-vi} runbooks/estate.yaml";
    let more = "${EDITOR:-vi} runbooks/more.yaml";
    for (key, command) in [
        ("runbooks runbooks/bad.yaml", "runbook lint runbooks/bad.yaml".to_owned()),
        ("units acme-cache.service", "systemctl --user unmask acme-cache.service".to_owned()),
        ("units gone.service", estate.to_owned()),
        ("health web", "systemctl --user restart acme-web".to_owned()),
        ("secrets hook", "export HOOK=…".to_owned()),
        ("secrets signing", format!("/dev/stdin {}", host.project.path().join("signing").display())),
        ("senders alertmanager", "export HOOK=…".to_owned()),
        (&format!("paths {env}"), estate.to_owned()),
        ("paths /no/such/place", more.to_owned()),
        ("programs no-such-program", "apt-get install no-such-program".to_owned()),
    ] {
        let (state, fix) = state_and_fix(&found, key);
        assert!(state == "wrong" && fix.contains(&command), "{key}: {state}, {fix}; {port}");
    }
    assert_eq!(
        state_and_fix(&found, "units acme-web.service"),
        ("doubtful".into(), "systemctl --user start acme-web.service".into())
    );
    assert_eq!(state_and_fix(&found, "paths /no/such/file").0, "doubtful", "a program may create the file");
    let every = found.values().filter(|finding| finding["state"] == "wrong").all(|finding| finding["mend"].is_string());
    assert!(every, "{found:#?}");
}

#[test]
fn a_missing_remote_and_a_missing_branch_are_reported() {
    let host = HealthyHost::new();
    let key = format!("git {}", host.repository.work().display());
    host.change("branch: production", "branch: nowhere");
    assert_eq!(host.of(&key), ("wrong".into(), "${EDITOR:-vi} runbooks/estate.yaml".into()));
    fs::remove_dir_all(host.repository.remote()).expect("a directory is removed");
    let (state, fix) = host.of(&key);
    assert!(state == "wrong" && fix.contains("remote set-url origin"), "{fix}");
}

#[test]
fn the_scopes_of_the_token_are_checked_with_slack() {
    let host = HealthyHost::new();
    host.slack.allow("chat:write");
    let (state, fix) = host.of("slack token slack");
    assert!(state == "wrong" && fix.contains("slack manifest"), "{fix}");
    host.project.write("slack", "xoxb-another-one");
    let (found, _) = host.findings();
    assert!(found["slack token slack"]["found"].as_str().is_some_and(|found| found.contains("invalid_auth")));
}

#[test]
fn a_damaged_log_and_a_missing_manager_are_reported() {
    let host = HealthyHost::new();
    fs::create_dir(host.project.path().join("state")).expect("a directory can be made");
    host.project.write("state/runbook.db", &"no log at all ".repeat(1000));
    host.change(&host.units.bus(), "unix:path=/no/such/bus");
    let (found, code) = host.findings();
    let log = format!("log {}", host.project.path().join("state/runbook.db").display());
    assert_eq!((state_and_fix(&found, &log), code), (("wrong".into(), "runbook verify".into()), 7));
    assert_eq!(state_and_fix(&found, "units systemd").0, "wrong");
}

#[test]
fn the_polkit_rights_of_another_account_are_checked_by_verb_and_unit() {
    let estate = "estate: Acme\nenvironments: { live: {} }\nservices: { web: { unit: acme-web } }\n\
                  datastores: { cache: { kind: redis, unit: acme-cache.service } }\n";
    let runbook = RUNBOOK.replace("{{ environment.vars.env }}", "/");
    let project = Project::new(estate, &runbook);
    let mut rule = Command::new(env!("CARGO_BIN_EXE_runbook"));
    rule.arg("--dir").arg(project.path()).args(["unit", "polkit", "--user", "nobody"]);
    let rule = output_detached(&mut rule).expect("the program starts");
    let rule = String::from_utf8(rule.stdout).expect("UTF-8");
    let polkit = Polkit::with(&rule.replace("\"reload\"", "\"nothing\""));
    let bus = polkit.address();
    let (found, _) = project.findings(&["--user", "nobody"], &[("DBUS_SYSTEM_BUS_ADDRESS", &bus)]);
    assert_eq!(state_and_fix(&found, "rights restart").0, "fine");
    let (state, fix) = state_and_fix(&found, "rights reload");
    assert!(state == "wrong" && fix.contains("unit polkit --user nobody"), "{fix}");
    let (found, _) = project.findings(&["--user", "no-such-account"], &[("DBUS_SYSTEM_BUS_ADDRESS", &bus)]);
    assert!(state_and_fix(&found, "rights no-such-account").1.starts_with("useradd"));
}
