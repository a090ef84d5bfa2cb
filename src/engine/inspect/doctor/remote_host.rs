//! Another host: whether it lets us in, its clock, and the files and programs there that are named.
//!
//! Deliberately absent: anything that is put there. What is asked needs `sh` and `stat`, as steps do.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde_json::json;

use super::paths::{loosely, package};
use super::{Checkup, by};
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
    /// coreutils have one exit code for every failure. The message after the last colon, under LC_ALL=C, distinguishes
    /// them.
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

/// Names in one command: its output stays far below the limit of a kept output.
const ASKED: usize = 100;

/// Seconds from which a difference between two clocks puts events in the wrong order.
const APART: i64 = 2;

/// A path or a program, and the places that name it.
type Named<'n> = (&'n String, &'n Users);

impl Checkup {
    /// Checks the connection to the environment's host; `None` for this machine.
    pub(super) async fn own_connection(&self) -> Option<CheckResult> {
        let there = self.context.environment.host.ssh()?;
        let mut finding = self.connection(&there.to, there).await;
        if finding.mend.is_some() {
            finding.found.push_str("; nothing behind it was looked at");
        }
        Some(finding)
    }

    /// Checks the connections to the environment's further hosts.
    pub(super) async fn further_connections(&self) -> Vec<CheckResult> {
        let hosts = self.context.environment.hosts.iter().filter_map(|(name, host)| Some((name, host.ssh()?)));
        join_all(hosts.map(|(name, there)| self.connection(name, there))).await
    }

    async fn connection(&self, name: &str, there: &SshHost) -> CheckResult {
        let environment = Environment { host: Host::Ssh(there.clone()), ..(*self.context.environment).clone() };
        let context = Context { environment: environment.into(), ..self.context() };
        match host::reach(&context).await {
            Ok(()) => CheckResult::fine(Topic::Host, name, format!("`{}` lets us in", host::manual_command(there))),
            Err(error) => {
                CheckResult::wrong(Topic::Host, name, error.what, format!("{} true", host::manual_command(there)))
            }
        }
    }

    /// Compares the remote clock with ours: both write timestamps that order events.
    pub(super) async fn clock_there(&self, there: &SshHost) -> CheckResult {
        let subject = format!("clock of {}", there.to);
        let before = self.context.clock.now().timestamp();
        let said = self.ask("command", json!({ "argv": ["date", "+%s"] })).await;
        let after = self.context.clock.now().timestamp();
        let Some(at) = said.output["stdout"].as_str().and_then(|text| text.trim().parse::<i64>().ok()) else {
            return CheckResult::doubtful(Topic::Host, subject, one_line(&said.summary, 200));
        };
        let apart = (before - at).max(at - after).max(0);
        if apart < APART {
            return CheckResult::fine(Topic::Host, subject, "as here");
        }
        let found = format!("{apart} s from the clock here, so lines of its journal stand in the wrong order");
        CheckResult::wrong(
            Topic::Host,
            subject,
            found,
            format!("{} timedatectl set-ntp true", host::manual_command(there)),
        )
    }

    /// Checks the remote files and programs.
    pub(super) async fn places_there<'n>(&'n self, host: &SshHost) -> Vec<CheckResult> {
        let needs = &self.needs;
        let there = |names: &'n BTreeMap<String, Users>| -> Vec<Named<'n>> {
            names.iter().filter(|(name, users)| needs.is_there(name, users)).collect()
        };
        let (paths, programs, mut arguments) = (there(&needs.paths), there(&needs.programs), there(&needs.arguments));
        arguments.retain(|(path, _)| needs.is_argument_alone(path));
        let (paths, arguments, programs) =
            tokio::join!(self.paths(&paths, host), self.paths(&arguments, host), self.programs(&programs, host));
        paths.into_iter().chain(arguments.into_iter().map(loosely)).chain(programs).collect()
    }

    async fn paths(&self, paths: &[Named<'_>], there: &SshHost) -> Vec<CheckResult> {
        let said = self.remote_output(PATHS, paths).await;
        let judge = |((path, users), line): (&Named<'_>, Result<String, String>)| {
            let path = path.as_str();
            let wrong = |found: &str, mend: String| {
                CheckResult::wrong(Topic::Paths, path, format!("{found}; {}", by(users)), mend)
            };
            match line.map(|line| RemotePath::read(&line)) {
                Ok(RemotePath::Directory) => CheckResult::fine(Topic::Paths, path, "a directory"),
                Ok(RemotePath::File) => CheckResult::fine(Topic::Paths, path, "a file"),
                Ok(RemotePath::Denied) => {
                    let account = there.to.split_once('@').map_or("ACCOUNT", |(account, _)| account);
                    wrong(
                        "may not be looked at",
                        format!("{} sudo setfacl -m u:{account}:rX {path}", host::manual_command(there)),
                    )
                }
                Ok(RemotePath::Missing) => wrong("not there", self.edit(users)),
                Ok(RemotePath::Unclear(line)) => wrong(&line, self.edit(users)),
                Err(reason) => CheckResult::doubtful(Topic::Paths, path, reason),
            }
        };
        paths.iter().zip(said).map(judge).collect()
    }

    async fn programs(&self, programs: &[Named<'_>], there: &SshHost) -> Vec<CheckResult> {
        let said = self.remote_output(PROGRAMS, programs).await;
        let judge = |((name, users), line): (&Named<'_>, Result<String, String>)| match line {
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
                let mend = format!("{} sudo apt-get install {}", host::manual_command(there), package(name));
                CheckResult::wrong(Topic::Programs, name.as_str(), found, mend)
            }
            Ok(line) => CheckResult::fine(Topic::Programs, name.as_str(), one_line(&line, 200)),
            Err(reason) => CheckResult::doubtful(Topic::Programs, name.as_str(), reason),
        };
        programs.iter().zip(said).map(judge).collect()
    }

    /// One line of a script's output for each name, or why it is unknown.
    async fn remote_output(&self, script: &str, names: &[Named<'_>]) -> Vec<Result<String, String>> {
        let mut all = Vec::new();
        for names in names.chunks(ASKED) {
            let mut argv: Vec<&str> = vec!["sh", "-c", script, "sh"];
            argv.extend(names.iter().map(|(name, _)| name.as_str()));
            let said = self.ask("command", json!({ "argv": argv })).await;
            let lines: Vec<&str> = said.output["stdout"].as_str().unwrap_or_default().lines().collect();
            let is_whole = said.is_success() && lines.len() == names.len();
            all.extend((0..names.len()).map(|at| match is_whole {
                true => Ok(lines[at].to_owned()),
                false => Err(format!("there is no telling: {}", one_line(&said.summary, 200))),
            }));
        }
        all
    }
}
