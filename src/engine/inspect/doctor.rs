//! Looks at everything that a shop needs of its host, all at once, and says of each thing how it is.
//!
//! What is to be looked at is in [`Needs`]; the looking is done by the kinds of action, as a runbook would do it, so that
//! what is found well here is well there too.
//!
//! Deliberately absent: mending. Every finding that is wrong has the command that a person types.
//!
//! **Invariant:** nothing is changed: what is asked are reads, and each look is over within [`LOOK_LIMIT`].

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
use crate::domain::host::requirement::{CheckResult, Needs, State, Topic, Users};
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

/// How long one look may take. A remote behind a slow line answers within a few seconds; a person who waits for the
/// whole list does not wait for longer than this.
pub const LOOK_LIMIT: Duration = Duration::from_secs(15);

/// What is kept for a look to end in good order, and to say what has not answered.
const RESERVE: Duration = Duration::from_secs(2);

/// How many of a kind a line names before it only counts.
const NAMED: usize = 5;

/// What is looked at without any other host.
const OF_THIS_MACHINE: [Topic; 3] = [Topic::Disk, Topic::Log, Topic::Slack];

/// A look at one topic.
type CheckFuture<'a> = Pin<Box<dyn Future<Output = Vec<CheckResult>> + Send + 'a>>;

/// One round of looks.
#[derive(Debug, Clone)]
pub struct Checkup {
    /// What a kind is given, with the environment that is looked at.
    pub context: Context,
    /// What is to be looked at.
    pub needs: Needs,
    /// The file of the log, which may not be there yet.
    pub log: PathBuf,
    /// This host's name.
    pub hostname: String,
    /// Whose rights are looked at.
    pub account: Account,
    /// What the Slack app has to be allowed.
    pub scopes: Vec<String>,
    /// How things are typed here.
    pub words: Words,
}

/// Whose rights are looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The account that the runbooks run as.
    pub name: String,
    /// Whether it is the one of this process.
    pub is_own: bool,
    /// Whether this process is root's.
    pub asks_as_root: bool,
}

/// How things are typed here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// The program with the flags that it needs to find this shop.
    pub runbook: String,
    /// The folder of the runbooks and the estate.
    pub folder: String,
}

impl Checkup {
    /// Looks at everything, each topic for itself and all at the same time.
    pub async fn run(&self) -> Vec<CheckResult> {
        let (own, further) = tokio::join!(self.own_connection(), self.further_connections());
        let is_reached = own.as_ref().is_none_or(|finding| finding.state == State::Fine);
        let mut findings: Vec<CheckResult> = own.into_iter().chain(further).collect();
        let looks: [(Topic, CheckFuture<'_>); 9] = [
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
        // What stands behind a connection that is not there would only say so once more, each after its time.
        let looks = looks.into_iter().filter(|(topic, _)| is_reached || OF_THIS_MACHINE.contains(topic));
        let looks = looks.map(|(topic, look)| async move {
            let found = tokio::time::timeout(LOOK_LIMIT, look).await;
            let late = || format!("it was not known within {}", Span(LOOK_LIMIT));
            found.unwrap_or_else(|_| vec![CheckResult::doubtful(topic, topic.code(), late())])
        });
        findings.extend(futures_util::future::join_all(looks).await.concat());
        findings.extend(self.senders());
        findings.extend(self.secrets());
        findings
    }

    /// What a kind finds, within the time of a look.
    async fn ask(&self, kind: &str, spec: Value) -> Outcome {
        let kind = actions::kind(kind).expect("the kinds that are asked here are in the list");
        kind.perform(&spec, &self.context()).await
    }

    /// What a kind finds on this machine, whichever host the environment is on.
    async fn ask_here(&self, kind: &str, spec: Value) -> Outcome {
        let mut here = self.clone();
        here.context.environment = Arc::new(Environment { host: Host::Local, ..(*self.context.environment).clone() });
        here.ask(kind, spec).await
    }

    /// What a kind is given: with a little less time than the look has.
    fn context(&self) -> Context {
        let until = Span(LOOK_LIMIT - RESERVE).after(self.context.clock.now());
        Context { deadline: Some(until), ..self.context.clone() }
    }

    /// The command that opens the file in which somebody's mistake stands: the estate, or the only runbook that makes it.
    fn edit(&self, users: &Users) -> String {
        let runbook = users.iter().next().and_then(|user| user.strip_prefix("runbook ")).filter(|_| users.len() == 1);
        format!("${{EDITOR:-vi}} {}/{}.yaml", self.words.folder, runbook.unwrap_or("estate"))
    }

    /// A command that the account types, also when somebody else looks for it.
    fn as_account(&self, command: &str) -> String {
        match &self.context.environment.host {
            Host::Ssh(there) => format!("{} {command}", manual_command(there)),
            Host::Local if self.account.is_own => command.to_owned(),
            Host::Local => format!("sudo -u {} {command}", self.account.name),
        }
    }
}

/// Who names a thing, in a few words.
fn by(users: &Users) -> String {
    format!("named by {}", few(users.iter().map(String::as_str)))
}

/// The first of some names, and how many more there are.
fn few<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    let shown = names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
