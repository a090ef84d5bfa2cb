//! `runbook doctor` on a real manager, a real remote of git, a real polkit and a stand-in for Slack.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use runbook::actions::transport::process::output_detached;
use serde_json::Value;

use super::init::answering;
use super::real::daemon::{free_port, get};
use super::real::polkit::Polkit;
use super::real::repository::Repository;
use super::real::shop::{Shop, eventually};
use super::real::slack::{Slack, TOKEN};

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

const MENDS: &str = "
runbook: mends
title: Mends
severity: p3
steps:
  - { id: age, command: { argv: [stat, --, '{{ environment.vars.env }}'] }, effect: read }
  - { id: restart, systemd: { restart: '{{ services[item].unit }}' }, for_each: \"['web']\", verify: { systemd: { status: web } } }
  - { id: reload, systemd: { reload: acme-cache.service }, verify: { systemd: { status: web } } }
";

/// A shop's directory.
struct Place(tempfile::TempDir);

impl Place {
    fn new(estate: &str, runbook: &str) -> Self {
        let place = Self(tempfile::tempdir().expect("a directory can be made"));
        fs::create_dir(place.path().join("runbooks")).expect("a directory can be made");
        place.write("runbooks/estate.yaml", estate.trim_start());
        place.write("runbooks/mends.yaml", runbook.trim_start());
        place
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

/// A host on which everything is as it should be.
struct Well {
    shop: Shop,
    repository: Repository,
    slack: Slack,
    place: Place,
    port: u16,
}

impl Well {
    fn new() -> Self {
        let (repository, slack, port) = (Repository::new(), Slack::start(), free_port());
        let cache = STEADY.to_owned() + "ExecReload=/bin/true\n";
        let shop =
            Shop::bare(&[("acme-web.service", answering("web", port, "/").as_str()), ("acme-cache.service", &cache)]);
        shop.systemctl(&["start", "acme-web.service", "acme-cache.service"]);
        eventually("the service answers", || get(port, "/health").is_some_and(|(code, _)| code == 200));
        let place = Place::new("", MENDS);
        let estate = ESTATE.replace("BUS", &shop.bus()).replace("TREE", &repository.work().display().to_string());
        let env = place.path().join("env").display().to_string();
        place.write(
            "runbooks/estate.yaml",
            estate
                .replace("PORT", &port.to_string())
                .replace("API", &slack.api_url())
                .replace("ENVFILE", &env)
                .trim_start(),
        );
        for (name, text) in [("env", "A=b\n"), ("slack", TOKEN), ("signing", "0123456789abcdef")] {
            place.write(name, text);
        }
        Self { shop, repository, slack, place, port }
    }

    fn findings(&self) -> (BTreeMap<String, Value>, i32) {
        self.place.findings(&[], &[("HOOK", "0123456789abcdef")])
    }

    /// Changes a word of the estate.
    fn change(&self, from: &str, to: &str) {
        let file = self.place.path().join("runbooks/estate.yaml");
        let estate = fs::read_to_string(&file).expect("it was written");
        assert!(estate.contains(from), "{from}");
        self.place.write("runbooks/estate.yaml", &estate.replace(from, to));
    }

    /// How it is, and the command that mends it.
    fn of(&self, key: &str) -> (String, String) {
        told(&self.findings().0, key)
    }
}

fn told(findings: &BTreeMap<String, Value>, key: &str) -> (String, String) {
    let finding = findings.get(key).unwrap_or_else(|| panic!("`{key}` is not in {findings:#?}"));
    let text = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
    println!("{key}: {}", text("found"));
    (text("state"), text("mend"))
}

#[test]
fn where_all_is_well_it_ends_with_0_and_every_part_was_looked_at() {
    let well = Well::new();
    let (found, code) = well.findings();
    let wrong: Vec<&Value> = found.values().filter(|finding| finding["state"] == "wrong").collect();
    assert_eq!((code, wrong), (0, vec![]), "{found:#?}");
    let tree = format!("git {}", well.repository.work().display());
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
        let (state, _) = told(&found, key);
        // The disk of a machine that compiles may be nearly full.
        assert!(state == "fine" || (key == "disk log" && state == "doubtful"), "{key}: {state}");
    }
    let process = well.shop.property("acme-web.service", "MainPID");
    well.findings();
    assert_eq!(well.shop.property("acme-web.service", "MainPID"), process, "asking for rights restarts nothing");
    let text = well.place.doctor(&[], &[("HOOK", "0123456789abcdef")]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("units\n  ✓ ok     acme-cache.service"), "{text}");
    assert!(!text.contains(TOKEN) && !text.contains('\u{1b}'), "{text}");
}

#[test]
fn each_thing_that_is_missing_is_wrong_with_the_command_that_mends_it() {
    let well = Well::new();
    well.shop.systemctl(&["stop", "acme-web.service"]);
    well.shop.systemctl(&["stop", "acme-cache.service"]);
    well.shop.systemctl(&["mask", "--runtime", "acme-cache.service"]);
    for name in ["env", "signing"] {
        fs::remove_file(well.place.path().join(name)).expect("a file is removed");
    }
    well.place.write("runbooks/more.yaml", "runbook: more\ntitle: More\nseverity: p4\nsteps:\n  - { id: a, command: [no-such-program, --, /no/such/file], effect: read }\n  - { id: c, disk: /no/such/place }\n");
    well.change("services: {", "services: { gone: { unit: gone }, ");
    well.place.write("runbooks/bad.yaml", "runbook: bad\n");
    let (found, code) = well.place.findings(&[], &[]);
    assert_eq!(code, 7);
    let talk = well.place.doctor(&["--env", "live"], &[]).stderr;
    let talk = String::from_utf8_lossy(&talk).into_owned();
    assert!(talk.contains("doctor --env live"), "the next look is at the same environment: {talk}");
    let port = well.port;
    let env = well.place.path().join("env").display().to_string();
    let estate = "${EDITOR:-vi} runbooks/estate.yaml";
    let more = "${EDITOR:-vi} runbooks/more.yaml";
    for (key, mend) in [
        ("runbooks runbooks/bad.yaml", "runbook lint runbooks/bad.yaml".to_owned()),
        ("units acme-cache.service", "systemctl --user unmask acme-cache.service".to_owned()),
        ("units gone.service", estate.to_owned()),
        ("health web", "systemctl --user restart acme-web".to_owned()),
        ("secrets hook", "export HOOK=…".to_owned()),
        ("secrets signing", format!("/dev/stdin {}", well.place.path().join("signing").display())),
        ("senders alertmanager", "export HOOK=…".to_owned()),
        (&format!("paths {env}"), estate.to_owned()),
        ("paths /no/such/place", more.to_owned()),
        ("programs no-such-program", "apt-get install no-such-program".to_owned()),
    ] {
        let (state, said) = told(&found, key);
        assert!(state == "wrong" && said.contains(&mend), "{key}: {state}, {said}; {port}");
    }
    assert_eq!(
        told(&found, "units acme-web.service"),
        ("doubtful".into(), "systemctl --user start acme-web.service".into())
    );
    assert_eq!(told(&found, "paths /no/such/file").0, "doubtful", "a program may make what it is given");
    let every = found.values().filter(|finding| finding["state"] == "wrong").all(|finding| finding["mend"].is_string());
    assert!(every, "{found:#?}");
}

#[test]
fn a_remote_that_is_gone_and_a_branch_that_it_does_not_have_are_told() {
    let well = Well::new();
    let key = format!("git {}", well.repository.work().display());
    well.change("branch: production", "branch: nowhere");
    assert_eq!(well.of(&key), ("wrong".into(), "${EDITOR:-vi} runbooks/estate.yaml".into()));
    fs::remove_dir_all(well.repository.remote()).expect("a directory is removed");
    let (state, mend) = well.of(&key);
    assert!(state == "wrong" && mend.contains("remote set-url origin"), "{mend}");
}

#[test]
fn slack_is_asked_what_the_token_may_do() {
    let well = Well::new();
    well.slack.allow("chat:write");
    let (state, mend) = well.of("slack token slack");
    assert!(state == "wrong" && mend.contains("slack manifest"), "{mend}");
    well.place.write("slack", "xoxb-another-one");
    let (found, _) = well.findings();
    assert!(found["slack token slack"]["found"].as_str().is_some_and(|found| found.contains("invalid_auth")));
}

#[test]
fn a_log_that_is_damaged_and_a_manager_that_is_gone_are_told() {
    let well = Well::new();
    fs::create_dir(well.place.path().join("state")).expect("a directory can be made");
    well.place.write("state/runbook.db", &"no log at all ".repeat(1000));
    well.change(&well.shop.bus(), "unix:path=/no/such/bus");
    let (found, code) = well.findings();
    let log = format!("log {}", well.place.path().join("state/runbook.db").display());
    assert_eq!((told(&found, &log), code), (("wrong".into(), "runbook verify".into()), 7));
    assert_eq!(told(&found, "units systemd").0, "wrong");
}

#[test]
fn polkit_is_asked_for_each_verb_and_unit_of_another_account() {
    let estate = "estate: Acme\nenvironments: { live: {} }\nservices: { web: { unit: acme-web } }\n\
                  datastores: { cache: { kind: redis, unit: acme-cache.service } }\n";
    let runbook = MENDS.replace("{{ environment.vars.env }}", "/");
    let place = Place::new(estate, &runbook);
    let mut rule = Command::new(env!("CARGO_BIN_EXE_runbook"));
    rule.arg("--dir").arg(place.path()).args(["unit", "polkit", "--user", "nobody"]);
    let rule = output_detached(&mut rule).expect("the program starts");
    let rule = String::from_utf8(rule.stdout).expect("UTF-8");
    let polkit = Polkit::with(&rule.replace("\"reload\"", "\"nothing\""));
    let bus = polkit.address();
    let (found, _) = place.findings(&["--user", "nobody"], &[("DBUS_SYSTEM_BUS_ADDRESS", &bus)]);
    assert_eq!(told(&found, "rights restart").0, "fine");
    let (state, mend) = told(&found, "rights reload");
    assert!(state == "wrong" && mend.contains("unit polkit --user nobody"), "{mend}");
    let (found, _) = place.findings(&["--user", "no-such-account"], &[("DBUS_SYSTEM_BUS_ADDRESS", &bus)]);
    assert!(told(&found, "rights no-such-account").1.starts_with("useradd"));
}
