//! Checks a remote host: its connection, its clock, and the files and programs that runbooks name. The remote host needs only
//! `sh`, `stat` and `date`.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde_json::json;

use super::paths::{as_doubtful, package};
use super::{Doctor, by};
use crate::actions::Context;
use crate::actions::transport::host;
use crate::domain::config::estate::{Environment, SshHost};
use crate::domain::config::host::Host;
use crate::domain::core::text::one_line;
use crate::domain::host::requirement::{CheckResult, Topic, Users};

/// Prints one line for each path: `directory`, `file`, or the error of coreutils. Relative paths start in the account's
/// home directory.
const PATHS: &str = "for path; do \
    if [ -d \"$path\" ]; then echo directory; elif [ -e \"$path\" ]; then echo file; \
    else LC_ALL=C stat -L -c file -- \"$path\" 2>&1; fi; done; true";

/// A line of [`PATHS`].
enum RemotePath {
    Directory,
    File,
    Denied,
    Missing,
    /// Another error of coreutils.
    Unclear(String),
}

impl RemotePath {
    /// coreutils have one exit code for every failure. The message after the last colon distinguishes them (with LC_ALL=C).
    fn read(line: &str) -> Self {
        match line.rsplit(": ").next().unwrap_or(line) {
            "directory" => Self::Directory,
            "file" => Self::File,
            "Permission denied" => Self::Denied,
            "No such file or directory" => Self::Missing,
            _ => Self::Unclear(one_line(line, 200)),
        }
    }
}

/// Prints one line for each program: its path, or nothing.
const PROGRAMS: &str = "for name; do command -v -- \"$name\" || echo; done";

/// The most names in one command, so that its output stays far below the limit of an output.
const CHUNK: usize = 100;

/// The difference between two clocks, in seconds, from which events are in the wrong order.
const CLOCK_TOLERANCE: i64 = 2;

/// A path or a program, and the places that name it.
type Named<'n> = (&'n String, &'n Users);

impl Doctor {
    /// Checks the connection to the environment's host; `None` if that is this machine.
    pub(super) async fn own_connection(&self) -> Option<CheckResult> {
        let there = self.context.environment.host.ssh()?;
        let mut finding = self.connection(&there.to, there).await;
        if finding.mend.is_some() {
            finding.found.push_str("; nothing behind it was checked");
        }
        Some(finding)
    }

    /// Checks the connections to the environment's other hosts.
    pub(super) async fn other_connections(&self) -> Vec<CheckResult> {
        let hosts = self.context.environment.hosts.iter().filter_map(|(name, host)| Some((name, host.ssh()?)));
        join_all(hosts.map(|(name, there)| self.connection(name, there))).await
    }

    async fn connection(&self, name: &str, there: &SshHost) -> CheckResult {
        let environment = Environment { host: Host::Ssh(there.clone()), ..(*self.context.environment).clone() };
        let context = Context { environment: environment.into(), ..self.context() };
        match host::reach(&context).await {
            Ok(()) => CheckResult::fine(Topic::Host, name, format!("`{}` connects", host::manual_command(there))),
            Err(error) => {
                CheckResult::wrong(Topic::Host, name, error.what, format!("{} true", host::manual_command(there)))
            }
        }
    }

    /// Compares the remote clock with the local one: the timestamps of both order events.
    pub(super) async fn remote_clock(&self, there: &SshHost) -> CheckResult {
        let subject = format!("clock of {}", there.to);
        let before = self.context.clock.now().timestamp();
        let outcome = self.perform("command", json!({ "argv": ["date", "+%s"] })).await;
        let after = self.context.clock.now().timestamp();
        let Some(at) = outcome.output["stdout"].as_str().and_then(|text| text.trim().parse::<i64>().ok()) else {
            return CheckResult::doubtful(Topic::Host, subject, one_line(&outcome.summary, 200));
        };
        let difference = (before - at).max(at - after).max(0);
        if difference < CLOCK_TOLERANCE {
            return CheckResult::fine(Topic::Host, subject, "same time as here");
        }
        let found = format!("{difference} s from the clock here, so events of the two hosts are in the wrong order");
        CheckResult::wrong(
            Topic::Host,
            subject,
            found,
            format!("{} timedatectl set-ntp true", host::manual_command(there)),
        )
    }

    /// Checks the remote files and programs.
    pub(super) async fn remote_places<'n>(&'n self, host: &SshHost) -> Vec<CheckResult> {
        let needs = &self.needs;
        let there = |names: &'n BTreeMap<String, Users>| -> Vec<Named<'n>> {
            names.iter().filter(|(name, users)| needs.is_there(name, users)).collect()
        };
        let (paths, programs, mut arguments) = (there(&needs.paths), there(&needs.programs), there(&needs.arguments));
        arguments.retain(|(path, _)| needs.is_argument_alone(path));
        let (paths, arguments, programs) =
            tokio::join!(self.paths(&paths, host), self.paths(&arguments, host), self.programs(&programs, host));
        paths.into_iter().chain(arguments.into_iter().map(as_doubtful)).chain(programs).collect()
    }

    async fn paths(&self, paths: &[Named<'_>], there: &SshHost) -> Vec<CheckResult> {
        let lines = self.remote_output(PATHS, paths).await;
        let finding = |((path, users), line): (&Named<'_>, Result<String, String>)| {
            let path = path.as_str();
            let wrong = |found: &str, remedy: String| {
                CheckResult::wrong(Topic::Paths, path, format!("{found}; {}", by(users)), remedy)
            };
            match line.map(|line| RemotePath::read(&line)) {
                Ok(RemotePath::Directory) => CheckResult::fine(Topic::Paths, path, "a directory"),
                Ok(RemotePath::File) => CheckResult::fine(Topic::Paths, path, "a file"),
                Ok(RemotePath::Denied) => {
                    let account = there.to.split_once('@').map_or("ACCOUNT", |(account, _)| account);
                    wrong(
                        "permission denied",
                        format!("{} sudo setfacl -m u:{account}:rX {path}", host::manual_command(there)),
                    )
                }
                Ok(RemotePath::Missing) => wrong("not there", self.edit(users)),
                Ok(RemotePath::Unclear(line)) => wrong(&line, self.edit(users)),
                Err(reason) => CheckResult::doubtful(Topic::Paths, path, reason),
            }
        };
        paths.iter().zip(lines).map(finding).collect()
    }

    async fn programs(&self, programs: &[Named<'_>], there: &SshHost) -> Vec<CheckResult> {
        let lines = self.remote_output(PROGRAMS, programs).await;
        let finding = |((name, users), line): (&Named<'_>, Result<String, String>)| match line {
            Ok(line) if line.is_empty() && name.contains('/') => {
                let found = format!("not there, or cannot be run; {}", by(users));
                CheckResult::wrong(
                    Topic::Programs,
                    name.as_str(),
                    found,
                    format!("{} ls -l {name}", host::manual_command(there)),
                )
            }
            Ok(line) if line.is_empty() => {
                let found = format!("not in the PATH of `{}`; {}", there.to, by(users));
                let remedy = format!("{} sudo apt-get install {}", host::manual_command(there), package(name));
                CheckResult::wrong(Topic::Programs, name.as_str(), found, remedy)
            }
            Ok(line) => CheckResult::fine(Topic::Programs, name.as_str(), one_line(&line, 200)),
            Err(reason) => CheckResult::doubtful(Topic::Programs, name.as_str(), reason),
        };
        programs.iter().zip(lines).map(finding).collect()
    }

    /// One line of a script's output for each name, or why it is unknown.
    async fn remote_output(&self, script: &str, names: &[Named<'_>]) -> Vec<Result<String, String>> {
        let mut all = Vec::new();
        for names in names.chunks(CHUNK) {
            let mut argv: Vec<&str> = vec!["sh", "-c", script, "sh"];
            argv.extend(names.iter().map(|(name, _)| name.as_str()));
            let outcome = self.perform("command", json!({ "argv": argv })).await;
            let lines: Vec<&str> = outcome.output["stdout"].as_str().unwrap_or_default().lines().collect();
            let is_complete = outcome.is_success() && lines.len() == names.len();
            all.extend((0..names.len()).map(|at| match is_complete {
                true => Ok(lines[at].to_owned()),
                false => Err(format!("unknown: {}", one_line(&outcome.summary, 200))),
            }));
        }
        all
    }
}
