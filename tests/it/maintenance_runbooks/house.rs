//! A shop with the shipped runbooks, whose estate speaks of the parts that a test brings, worked on by the command line.
//!
//! Deliberately absent: a server. That schedules start these runbooks is tested with others.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use runbook::actions::transport::process::output_detached;
use serde_json::Value;
use tempfile::TempDir;

use crate::real::slack::{self, Slack};

const PROGRAM: &str = env!("CARGO_BIN_EXE_runbook");

/// The exit code of a run that waits for a person.
const WAITING: i32 = 6;

/// The shop.
pub struct House {
    directory: TempDir,
    environment: Vec<String>,
    pub slack: Slack,
}

impl House {
    /// A shop whose estate has these texts in place of others.
    pub fn with(edits: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let slack = Slack::start();
        let to = directory.path().join("runbooks");
        for made in [&to, &directory.path().join("bin"), &directory.path().join("work")] {
            fs::create_dir(made).unwrap();
        }
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("runbooks");
        for file in fs::read_dir(&from).unwrap().map(Result::unwrap) {
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
        fs::write(directory.path().join("environment"), "").unwrap();
        let house = Self { directory, environment: Vec::new(), slack };
        std::os::unix::fs::symlink(PROGRAM, house.place("bin/runbook")).unwrap();
        house.edit("/opt/pakashop/.env.production", &house.shown("environment"));
        house.edit("repository: /opt/pakashop", &format!("repository: {}", house.shown("work")));
        house.edit("slack: \"#incidents\"", &format!("slack: \"#incidents\"\n    api: \"{}\"", house.slack.api_url()));
        for (was, is) in edits {
            house.edit(was, is);
        }
        house
    }

    /// Puts a text of the estate in the place of another, wherever that stands.
    pub fn edit(&self, was: &str, is: &str) {
        let file = self.place("runbooks/estate.yaml");
        let estate = fs::read_to_string(&file).unwrap();
        assert!(estate.contains(was), "the estate has no `{was}`");
        fs::write(file, estate.replace(was, is)).unwrap();
    }

    /// A line of the environment file, such as `DATABASE_URL=…`.
    pub fn secret(&self, line: &str) {
        fs::write(self.place("environment"), format!("{line}\n")).unwrap();
    }

    /// A variable of the account that types.
    pub fn variable(&mut self, assignment: String) {
        self.environment.push(assignment);
    }

    /// A program that is found before any other of its name.
    pub fn program(&self, name: &str, script: &str) {
        let file = self.place(&format!("bin/{name}"));
        fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// A place in its directory.
    pub fn place(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    /// The same as text.
    pub fn shown(&self, path: &str) -> String {
        self.place(path).display().to_string()
    }

    /// Starts a runbook, and comes back when it waits for a person or is over.
    pub fn start(&self, runbook: &str, environment: &str) {
        self.work(&["start", runbook, "--env", environment, "--auto"]);
    }

    /// Agrees to a change.
    pub fn approve(&self, step: &str) {
        assert!(self.waits_for(step), "{step} does not wait: {}", self.told());
        self.work(&["approve", "last", step]);
    }

    /// Does by hand what a step asks for, or answers it.
    pub fn answer(&self, step: &str, answer: &str) {
        assert!(self.waits_for(step), "{step} does not wait: {}", self.told());
        self.work(&["answer", "last", step, answer]);
    }

    /// Whether a person is needed at a step.
    pub fn waits_for(&self, step: &str) -> bool {
        self.waiting().iter().any(|waiting| waiting == step)
    }

    /// The steps that a person is needed at.
    pub fn waiting(&self) -> Vec<String> {
        let waiting = self.record()["waiting"].as_array().cloned().unwrap_or_default();
        waiting.iter().filter_map(|key| key.as_str().map(str::to_owned)).collect()
    }

    /// The one record, which has to be over without anybody having said so.
    pub fn is_over(&self) -> Value {
        let record = self.record();
        assert_eq!(
            (&record["status"], &record["severity"]),
            (&"resolved".into(), &"maintenance".into()),
            "{}",
            self.told()
        );
        record
    }

    fn record(&self) -> Value {
        self.json(&["incidents", "--maintenance"])[0].clone()
    }

    /// What the report says.
    pub fn report(&self) -> String {
        let output = output_detached(&mut self.command(&["report", "last", "--print"])).unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// What a step asks a person for.
    pub fn asks(&self, step: &str) -> String {
        let asked = self.events("asked");
        let found = asked.iter().rev().find(|event| event["step"] == step);
        found.unwrap_or_else(|| panic!("`{step}` asks nothing: {}", self.told()))["gate"].to_string()
    }

    /// How a step ended: its last outcome.
    pub fn outcome(&self, step: &str) -> Value {
        let ended = self.events("step_ended");
        let found = ended.iter().rev().find(|event| event["step"] == step);
        found.map(|event| event["outcome"].clone()).unwrap_or_else(|| panic!("`{step}` never ended: {}", self.told()))
    }

    /// Whether a step was ever begun.
    pub fn has_begun(&self, step: &str) -> bool {
        self.events("step_started").iter().any(|event| event["step"] == step)
    }

    /// The events of one type.
    pub fn events(&self, kind: &str) -> Vec<Value> {
        crate::real::of_type(&self.json(&["timeline", "last"]), kind)
    }

    /// The timeline, for a test that fails.
    pub fn told(&self) -> String {
        let output = output_detached(&mut self.command(&["timeline", "last"])).unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn json(&self, words: &[&str]) -> Value {
        let output = output_detached(&mut self.command(&[&["-o", "json"], words].concat())).unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    fn work(&self, words: &[&str]) {
        let output = output_detached(&mut self.command(words)).unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let code = output.status.code().unwrap_or(-1);
        assert!([0, WAITING].contains(&code), "{words:?} ended with {code}\n{said}\n{}", self.told());
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("/usr/bin/env");
        let path = format!("PATH={}:/usr/bin:/bin:/usr/sbin:/sbin", self.shown("bin"));
        let home = format!("HOME={}", self.directory.path().display());
        command.args(["-i", &path, &home, "LANG=C.UTF-8", "GITHUB_TOKEN=github-4711"]);
        command.arg(format!("SLACK_BOT_TOKEN={}", slack::TOKEN)).args(&self.environment);
        command.arg(PROGRAM).args(["--state", &self.shown("state")]).arg("--dir").arg(self.directory.path());
        command.args(words).stdin(Stdio::null());
        command
    }
}

/// Makes a file with this text that was changed last so many days ago.
pub fn aged(file: &Path, text: &str, days: u64) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
    age(file, days);
}

/// Makes a file or a directory as old as that.
pub fn age(file: &Path, days: u64) {
    let at = std::time::SystemTime::now() - std::time::Duration::from_secs(days * 86_400);
    fs::File::open(file).unwrap().set_modified(at).unwrap();
}
