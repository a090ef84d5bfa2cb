//! `runbook init` with a real manager and services that answer or do not listen.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use runbook::actions::transport::process::output_detached;
use serde_json::Value;

use super::real::daemon::{free_port, get};
use super::real::eventually;
use super::real::repository::Repository;
use super::real::units::Units;

/// A unit whose service answers on this port.
pub fn answering(name: &str, port: u16, directory: &str) -> String {
    format!(
        "[Service]\nWorkingDirectory={directory}\nExecStart={} demo-service --name {name} --port {port}\n",
        env!("CARGO_BIN_EXE_runbook")
    )
}

/// A manager with units, and an empty project directory.
struct Host {
    units: Units,
    repository: Repository,
    port: u16,
    project: tempfile::TempDir,
}

impl Host {
    fn new() -> Self {
        let (repository, port) = (Repository::new(), free_port());
        let tree = repository.work();
        let web = answering("web", port, &tree.display().to_string());
        let silent = "[Service]\nExecStart=/bin/sleep infinity\n";
        let units = Units::bare(&[
            ("acme-web.service", web.as_str()),
            ("acme-jobs.service", silent),
            ("other.service", silent),
            ("redis-server.service", silent),
        ]);
        units.systemctl(&["start", "acme-web.service", "acme-jobs.service", "other.service", "redis-server.service"]);
        eventually("the service answers", || get(port, "/health").is_some_and(|(code, _)| code == 200));
        Self { units, repository, port, project: tempfile::tempdir().expect("a directory can be made") }
    }

    fn run(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runbook"));
        command.args(words).current_dir(self.project.path()).env("RUNBOOK_STATE", self.project.path().join("state"));
        output_detached(&mut command).expect("the program starts")
    }

    fn init(&self, words: &[&str]) -> (String, String) {
        let bus = self.units.bus();
        let output = self.run(&[&["init", "--systemd", &bus], words].concat());
        assert!(output.status.success(), "{output:?}");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (text(output.stdout), text(output.stderr))
    }

    fn estate(&self) -> String {
        fs::read_to_string(self.project.path().join("runbooks/estate.yaml")).expect("it was written")
    }
}

/// Every file below a directory with its content.
fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        match entry.path() {
            path if path.is_dir() => found.extend(files(&path)),
            path => drop(found.insert(path.clone(), fs::read(path).expect("a file"))),
        }
    }
    found
}

#[test]
fn running_services_are_in_the_estate_and_the_project_passes_the_linter() {
    let host = Host::new();
    let (written, stderr) = host.init(&[]);
    assert!(written.contains("written  runbooks/estate.yaml"), "{written}");
    assert!(stderr.contains("found 2 services, of which 1 answer, 1 datastores and the work tree"), "{stderr}");
    let (estate, port) = (host.estate(), host.port);
    assert!(estate.starts_with("# yaml-language-server: $schema=estate.schema.json\n"));
    assert!(
        estate
            .contains(&format!("web: {{ unit: acme-web.service, port: {port}, health: \"http://127.0.0.1:{port}\" }}")),
        "{estate}"
    );
    assert!(estate.contains("jobs: { unit: acme-jobs.service }    # FILL IN"), "{estate}");
    assert!(!estate.contains("other.service"), "{estate}");
    assert!(estate.contains("redis: { kind: redis, unit: redis-server.service, port: 6379 }"), "{estate}");
    assert!(estate.contains(&format!("repository: {}", host.repository.work().display())), "{estate}");
    assert!(estate.contains("branch: production"), "{estate}");
    let lint = host.run(&["lint"]);
    assert!(lint.status.success(), "{}", String::from_utf8_lossy(&lint.stderr));
    for file in ["runbooks/estate.schema.json", "systemd/runbook.service", "systemd/runbook.socket"] {
        assert!(host.project.path().join(file).exists(), "{file}");
    }
    let rule = fs::read_to_string(host.project.path().join("systemd/50-runbook.rules")).expect("it was written");
    assert!(rule.contains("acme-web.service") && rule.contains("\"restart\""), "{rule}");
}

#[test]
fn a_second_init_changes_no_existing_file() {
    let host = Host::new();
    host.init(&[]);
    let mine = host.estate().replace("FILL IN: the shop's name", "ours");
    fs::write(host.project.path().join("runbooks/estate.yaml"), &mine).expect("a file is written");
    fs::remove_file(host.project.path().join("runbooks/p4.yaml")).expect("a file is removed");
    let (stdout, stderr) = host.init(&[]);
    assert!(
        stdout.contains("kept     runbooks/estate.yaml") && stdout.contains("written  runbooks/p4.yaml"),
        "{stdout}"
    );
    assert!(stderr.contains("1 files written"), "{stderr}");
    let before = files(host.project.path());
    let (_, stderr) = host.init(&[]);
    assert!(stderr.contains("nothing is changed: every file is there already"), "{stderr}");
    assert_eq!(files(host.project.path()), before);
    assert_eq!(host.estate(), mine);
}

#[test]
fn a_dry_run_prints_everything_and_leaves_no_file() {
    let host = Host::new();
    let (printed, stderr) = host.init(&["--dry-run", "shop"]);
    assert!(
        printed.contains("--- runbooks/estate.yaml\n") && printed.contains("web: { unit: acme-web.service"),
        "{printed}"
    );
    assert!(stderr.contains("nothing is changed"), "{stderr}");
    assert_eq!(files(host.project.path()), BTreeMap::new());
    assert!(!host.project.path().join("shop").exists());
    let (json, _) = host.init(&["--dry-run", "shop", "-o", "json"]);
    let sheets: Vec<Value> = serde_json::from_str(&json).expect("JSON");
    assert!(sheets.iter().all(|sheet| sheet["fate"] == "missing"));
    assert!(sheets[0]["content"].as_str().is_some_and(|text| text.contains("acme-web.service")));
}

#[test]
fn units_are_chosen_by_a_pattern() {
    let host = Host::new();
    host.init(&["--units", "other*"]);
    assert!(host.estate().contains("unit: other.service") && !host.estate().contains("acme-web"), "{}", host.estate());
}
