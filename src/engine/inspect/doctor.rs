//! Checks everything that a project needs of its host, all topics at once.
//!
//! [`Needs`] lists the requirements. The kinds of action perform the checks, so that a check has the same result as the step.
//! A finding that is wrong has the command that fixes it.
//!
//! **Invariant:** checks change nothing, except a temporary file that measures the disk. Each topic ends within
//! [`TOPIC_LIMIT`].

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::actions::transport::host::manual_command;
use crate::actions::{self, Context};
use crate::domain::config::estate::Environment;
use crate::domain::config::host::Host;
use crate::domain::core::time::Span;
use crate::domain::host::requirement::{CheckResult, CheckState, Needs, Topic, Users};
use crate::domain::incident::outcome::Outcome;

mod disk;
mod host;
mod log;
mod network;
mod paths;
mod permissions;
mod remote_host;
mod secrets;
mod units;

/// How long one topic may take. A remote on a slow line answers within a few seconds, and a person waits for the whole list.
const TOPIC_LIMIT: Duration = Duration::from_secs(15);

/// How long before the limit a check stops, so that it can report what did not answer.
const RESERVE: Duration = Duration::from_secs(2);

/// The most names that a finding lists. It only counts the others.
const NAME_LIMIT: usize = 5;

/// Topics that do not need the environment's host.
const LOCAL_TOPICS: [Topic; 3] = [Topic::Disk, Topic::Log, Topic::Slack];

/// The check of one topic.
type CheckFuture<'a> = Pin<Box<dyn Future<Output = Vec<CheckResult>> + Send + 'a>>;

/// The inputs of one run of all checks.
#[derive(Debug, Clone)]
pub struct Doctor {
    /// The context for the kinds, with the environment to check.
    pub context: Context,
    /// The requirements of the project.
    pub needs: Needs,
    /// The file of the log, which may not exist yet.
    pub log: PathBuf,
    /// The name of this host.
    pub hostname: String,
    /// The account whose permissions are checked.
    pub account: Account,
    /// The scopes that the Slack app needs.
    pub scopes: Vec<String>,
    /// The parts of commands that are suggested.
    pub commands: CommandHints,
}

/// The account whose permissions are checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The account that the runbooks run as.
    pub name: String,
    /// Whether this process runs as that account.
    pub is_own: bool,
    /// Whether this process runs as root.
    pub asks_as_root: bool,
}

/// The parts of commands that are suggested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandHints {
    /// The program with the flags that it needs for this project.
    pub runbook: String,
    /// The directory of the runbooks and the estate.
    pub folder: String,
}

impl Doctor {
    /// Runs all checks, the topics concurrently.
    pub async fn run(&self) -> Vec<CheckResult> {
        let (own, others) = tokio::join!(self.own_connection(), self.other_connections());
        let is_reached = own.as_ref().is_none_or(|finding| finding.state == CheckState::Fine);
        let mut findings: Vec<CheckResult> = own.into_iter().chain(others).collect();
        let checks: [(Topic, CheckFuture<'_>); 9] = [
            (Topic::Host, Box::pin(self.host())),
            (Topic::Disk, Box::pin(self.disk())),
            (Topic::Log, Box::pin(self.log())),
            (Topic::Units, Box::pin(self.units())),
            (Topic::Rights, Box::pin(self.rights())),
            (Topic::Health, Box::pin(self.health())),
            (Topic::Git, Box::pin(self.git())),
            (Topic::Slack, Box::pin(self.slack())),
            (Topic::Paths, Box::pin(self.places())),
        ];
        // Checks behind a failed connection would only fail too, each after its limit.
        let checks = checks.into_iter().filter(|(topic, _)| is_reached || LOCAL_TOPICS.contains(topic));
        let checks = checks.map(|(topic, check)| async move {
            let found = tokio::time::timeout(TOPIC_LIMIT, check).await;
            let late = || format!("no result within {}", Span(TOPIC_LIMIT));
            found.unwrap_or_else(|_| vec![CheckResult::doubtful(topic, topic.code(), late())])
        });
        findings.extend(futures_util::future::join_all(checks).await.concat());
        findings.extend(self.senders());
        findings.extend(self.secrets());
        findings
    }

    /// Performs an action on the environment's host, within the limit of a topic.
    async fn perform(&self, kind: &str, spec: Value) -> Outcome {
        let kind = actions::kind(kind).expect("the kinds that the checks use are in the list");
        kind.perform(&spec, &self.context()).await
    }

    /// Performs an action on this machine, whichever host the environment has.
    async fn perform_here(&self, kind: &str, spec: Value) -> Outcome {
        let mut here = self.clone();
        here.context.environment = Arc::new(Environment { host: Host::Local, ..(*self.context.environment).clone() });
        here.perform(kind, spec).await
    }

    /// The context for a kind. Its deadline is a little before the limit of the topic.
    fn context(&self) -> Context {
        let until = Span(TOPIC_LIMIT - RESERVE).after(self.context.clock.now());
        Context { deadline: Some(until), ..self.context.clone() }
    }

    /// The command that opens the file to correct: the runbook if only one names the thing, otherwise the estate.
    fn edit(&self, users: &Users) -> String {
        let runbook = users.iter().next().and_then(|user| user.strip_prefix("runbook ")).filter(|_| users.len() == 1);
        format!("${{EDITOR:-vi}} {}/{}.yaml", self.commands.folder, runbook.unwrap_or("estate"))
    }

    /// The command line that runs `command` as the checked account on the environment's host.
    fn as_account(&self, command: &str) -> String {
        match &self.context.environment.host {
            Host::Ssh(there) => format!("{} {command}", manual_command(there)),
            Host::Local if self.account.is_own => command.to_owned(),
            Host::Local => format!("sudo -u {} {command}", self.account.name),
        }
    }
}

/// The files and sections that name a thing, at most [`NAME_LIMIT`].
fn by(users: &Users) -> String {
    format!("named by {}", few(users.iter().map(String::as_str)))
}

/// The first of some names, and the number of others.
fn few<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    let shown = names.iter().take(NAME_LIMIT).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAME_LIMIT) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
