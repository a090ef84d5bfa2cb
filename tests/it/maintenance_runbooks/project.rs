//! A project with the shipped runbooks, whose estate names the parts of a test, used from the command line.
//!
//! Not here: a server. `schedule` tests that schedules start such runbooks.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::project::{PROGRAM, Project};
use crate::real::slack::{self, Slack};

/// The exit code of a run that waits for a person.
const WAITING: i32 = 6;

/// The project, with a stand-in for Slack.
pub struct MaintenanceProject {
    project: Project,
    pub slack: Slack,
}

impl MaintenanceProject {
    /// A project with these replacements in its estate.
    pub fn with(edits: &[(&str, &str)]) -> Self {
        let (mut project, slack) =
            (Project::new("", &[("LANG", "C.UTF-8"), ("GITHUB_TOKEN", "github-4711")]), Slack::start());
        project.set("PATH", &format!("{}:/usr/bin:/bin:/usr/sbin:/sbin", project.path("bin").display()));
        project.set("SLACK_BOT_TOKEN", slack::TOKEN);
        for name in ["bin", "work"] {
            fs::create_dir(project.path(name)).unwrap();
        }
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("runbooks");
        for file in fs::read_dir(&shipped).unwrap().map(Result::unwrap) {
            fs::copy(file.path(), project.path("runbooks").join(file.file_name())).unwrap();
        }
        project.write("environment", "");
        std::os::unix::fs::symlink(PROGRAM, project.path("bin/runbook")).unwrap();
        let project = Self { project, slack };
        project.edit("/opt/pakashop/.env.production", &project.path_text("environment"));
        project.edit("repository: /opt/pakashop", &format!("repository: {}", project.path_text("work")));
        let api = project.slack.api_url();
        project.edit("slack: \"#incidents\"", &format!("slack: \"#incidents\"\n    api: \"{api}\""));
        for (old, new) in edits {
            project.edit(old, new);
        }
        project
    }

    /// Replaces a text of the estate everywhere.
    pub fn edit(&self, old: &str, new: &str) {
        let estate = fs::read_to_string(self.path("runbooks/estate.yaml")).unwrap();
        assert!(estate.contains(old), "the estate has no `{old}`");
        self.project.write("runbooks/estate.yaml", &estate.replace(old, new));
    }

    /// Writes the environment file with this line, such as `DATABASE_URL=…`.
    pub fn secret(&self, line: &str) {
        self.project.write("environment", &format!("{line}\n"));
    }

    /// Sets a variable of the program.
    pub fn set(&mut self, name: &str, value: &str) {
        self.project.set(name, value);
    }

    /// Makes a program that is found before any other of its name.
    pub fn program(&self, name: &str, script: &str) {
        let file = self.path(&format!("bin/{name}"));
        fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// A path in the project's directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.project.path(name)
    }

    /// The same as text.
    pub fn path_text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Starts a runbook; returns when it waits for a person or has ended.
    pub fn start(&self, runbook: &str, environment: &str) {
        self.run(&["start", runbook, "--env", environment, "--auto"]);
    }

    /// Approves a change.
    pub fn approve(&self, step: &str) {
        assert!(self.waits_for(step), "{step} does not wait: {}", self.timeline());
        self.run(&["approve", "last", step]);
    }

    /// Answers a question, or marks a manual step as done.
    pub fn answer(&self, step: &str, answer: &str) {
        assert!(self.waits_for(step), "{step} does not wait: {}", self.timeline());
        self.run(&["answer", "last", step, answer]);
    }

    fn waits_for(&self, step: &str) -> bool {
        self.waiting().iter().any(|waiting| waiting == step)
    }

    /// The steps that wait for a person.
    pub fn waiting(&self) -> Vec<String> {
        let waiting = self.incident()["waiting"].as_array().cloned().unwrap_or_default();
        waiting.iter().filter_map(|key| key.as_str().map(str::to_owned)).collect()
    }

    /// Fails unless the newest maintenance incident is resolved.
    pub fn assert_resolved(&self) {
        let incident = self.incident();
        let status = (&incident["status"], &incident["severity"]);
        assert_eq!(status, (&"resolved".into(), &"maintenance".into()), "{}", self.timeline());
    }

    fn incident(&self) -> Value {
        self.project.json(&["incidents", "--maintenance"])[0].clone()
    }

    /// The text of the report.
    pub fn report(&self) -> String {
        String::from_utf8_lossy(&self.project.run(&["report", "last", "--print"]).stdout).into_owned()
    }

    /// What a step asks a person, as JSON.
    pub fn asks(&self, step: &str) -> String {
        let asked = self.events("asked");
        let found = asked.iter().rev().find(|event| event["step"] == step);
        found.unwrap_or_else(|| panic!("`{step}` asks nothing: {}", self.timeline()))["gate"].to_string()
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

    /// The events of one type.
    pub fn events(&self, kind: &str) -> Vec<Value> {
        crate::real::of_type(&self.project.json(&["timeline", "last"]), kind)
    }

    /// The timeline, for the message of a failed assertion.
    pub fn timeline(&self) -> String {
        String::from_utf8_lossy(&self.project.run(&["timeline", "last"]).stdout).into_owned()
    }

    fn run(&self, arguments: &[&str]) {
        let output = self.project.run(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        let code = output.status.code().unwrap_or(-1);
        assert!([0, WAITING].contains(&code), "{arguments:?} ended with {code}\n{stderr}\n{}", self.timeline());
    }
}

/// Writes a file that was changed `days` ago.
pub fn aged(file: &Path, text: &str, days: u64) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
    age(file, days);
}

/// Sets the time of the last change of a file or directory.
pub fn age(file: &Path, days: u64) {
    let at = std::time::SystemTime::now() - std::time::Duration::from_secs(days * 86_400);
    fs::File::open(file).unwrap().set_modified(at).unwrap();
}
