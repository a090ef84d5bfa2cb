//! The estate: the inventory of environments, services, datastores, channels, people and secrets.
//!
//! These are resolved values, made by the checker from `estate.yaml` or read back from the log.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::alert_policy::AlertPolicy;
use super::host::LOCAL;
use super::incident_page::PageConfig;
use super::sender::Sender;
use super::slack_app::SlackApp;
use crate::domain::core::actor::{Actor, Identity};
use crate::domain::core::glob_name::matches;
use crate::domain::core::secret_ref::SecretRef;
use crate::domain::journal::trace_tree::TraceFields;

pub use super::channel::{Channel, Email, Program, Tls, Variable, Webhook};
pub use super::host::{Host, SshHost};

/// The whole estate. Its maps are by name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Estate {
    /// Its name, such as the shop's.
    pub estate: String,
    /// The environment of a run that names none; without it, `--env` is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_environment: Option<String>,
    #[serde(default)]
    pub environments: BTreeMap<String, Environment>,
    #[serde(default)]
    pub services: BTreeMap<String, Service>,
    #[serde(default)]
    pub datastores: BTreeMap<String, Datastore>,
    #[serde(default)]
    pub channels: BTreeMap<String, Channel>,
    #[serde(default)]
    pub people: BTreeMap<String, Person>,
    #[serde(default)]
    pub roles: BTreeMap<String, Role>,
    /// The sources of secrets, never their values.
    #[serde(default)]
    pub secrets: BTreeMap<String, SecretSource>,
    /// The senders of alerts; each posts to `/hooks/<name>`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub senders: BTreeMap<String, Sender>,
    #[serde(default)]
    pub postmortem: PostmortemPolicy,
    /// The reports of maintenance, which have no template.
    #[serde(default)]
    pub report: PostmortemPolicy,
    #[serde(default)]
    pub alerts: AlertPolicy,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slack: Option<SlackApp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<PageConfig>,
    /// The fields of the services' log lines that identify traces and spans.
    #[serde(default, skip_serializing_if = "TraceFields::is_usual")]
    pub logs: TraceFields,
}

/// One environment, such as production.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// The branch that is deployed there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The domain name that customers use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The host on which steps act.
    #[serde(default)]
    pub host: Host,
    /// Further hosts by name, for steps with `host`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hosts: BTreeMap<String, Host>,
    /// A pattern that the host's name must match. It protects against a run on the wrong host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// The systemd manager of the units.
    #[serde(default)]
    pub systemd: ManagerBus,
    /// The directory of the work tree that is deployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The directory with journal files; without it, the host's journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal: Option<String>,
    /// Any other values for runbooks, which use them as `environment.vars.<name>`.
    #[serde(default)]
    pub vars: BTreeMap<String, Value>,
}

impl Environment {
    /// The host of this name. `local` is this machine; without a name, it is the environment's host.
    ///
    /// # Errors
    /// A sentence, if there is no such host.
    pub fn host_called(&self, name: Option<&str>) -> Result<&Host, String> {
        match name {
            None => Ok(&self.host),
            Some(LOCAL) => Ok(&Host::Local),
            Some(name) => self.hosts.get(name).ok_or_else(|| format!("the environment has no host `{name}`")),
        }
    }

    /// The pattern in `hostname`, if the host is this machine and its name does not match. A host reached by SSH is checked when
    /// it is connected to.
    pub fn refuses(&self, hostname: &str) -> Option<&str> {
        let pattern = self.hostname.as_deref().filter(|_| self.host == Host::Local)?;
        (!matches(pattern, hostname)).then_some(pattern)
    }

    /// The same environment with the host of this name as its host. An unknown name changes nothing.
    #[must_use]
    pub fn on(&self, name: Option<&str>) -> Self {
        let host = self.host_called(name).unwrap_or(&self.host).clone();
        Self { host, ..self.clone() }
    }
}

/// The D-Bus of a systemd manager, as text: `system`, `user`, or an address such as `unix:path=/run/…/bus`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ManagerBus(pub String);

impl Default for ManagerBus {
    fn default() -> Self {
        Self("system".to_owned())
    }
}

/// How critical a service is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Criticality {
    /// The platform is down without it.
    Critical,
    /// The platform works without it.
    #[default]
    Normal,
}

/// One service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// The systemd unit.
    pub unit: String,
    /// The port it listens on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The language it is written in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// The address that its health paths are appended to: `http://127.0.0.1:8000`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<String>,
    /// The path of the liveness endpoint.
    #[serde(default = "live_path")]
    pub live: String,
    /// The path of the readiness endpoint.
    #[serde(default = "ready_path")]
    pub ready: String,
    /// The path of the Prometheus metrics.
    #[serde(default = "metrics_path")]
    pub metrics: String,
    #[serde(default)]
    pub criticality: Criticality,
    /// The services that it depends on.
    #[serde(default)]
    pub depends_on: Vec<String>,
}

/// The default path of the liveness endpoint.
pub fn live_path() -> String {
    "/health".to_owned()
}

/// The default path of the readiness endpoint.
pub fn ready_path() -> String {
    "/health/ready".to_owned()
}

/// The default path of the metrics.
pub fn metrics_path() -> String {
    "/health/metrics".to_owned()
}

/// One datastore.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Datastore {
    /// `postgres`, `redis`, `meilisearch`, or another name.
    pub kind: String,
    /// The systemd unit, if it runs on the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The secret that holds its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<SecretRef>,
    /// The port it listens on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

/// One person.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Person {
    /// The name that is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The account on the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The Slack user id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slack: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

/// A role of a person in an incident.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Role {
    /// One sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// The people who may take it, by name in `people`; if empty, anybody.
    #[serde(default)]
    pub people: Vec<String>,
}

/// The source of a secret's value: exactly one of `env`, `file`, `credential`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretSource {
    /// An environment variable of this process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
    /// A file. Its whole text is the value, or with `key`, the value of one line `KEY=value`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The key of the line in `file`; with a trailing `*`, a prefix of keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// A systemd credential, a file under `$CREDENTIALS_DIRECTORY`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

/// The directory and the template of post-mortems or reports.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostmortemPolicy {
    /// The directory, relative to the project directory. The default is `postmortems`, and `reports` for maintenance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// A minijinja template in place of the built-in one, relative to the project directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
}

impl Estate {
    /// The units of all services and datastores.
    pub fn units(&self) -> impl Iterator<Item = &str> {
        let services = self.services.values().map(|service| service.unit.as_str());
        services.chain(self.datastores.values().filter_map(|store| store.unit.as_deref()))
    }

    /// The person with this identity, by name in `people`.
    pub fn person(&self, id: &Identity) -> Option<&str> {
        let is = |person: &Person| match id {
            Identity::Account(account) => person.account.as_ref() == Some(account),
            Identity::Slack(user) => person.slack.as_ref() == Some(user),
            Identity::Email(address) => person.email.as_ref().is_some_and(|email| email.eq_ignore_ascii_case(address)),
        };
        self.people.iter().find(|(_, person)| is(person)).map(|(name, _)| name.as_str())
    }

    /// The actor with an identity that an interface has verified. Its name is the person's in `people`. An unknown user has the
    /// account or id as name, with its kind in front if a person of the estate has the same name.
    pub fn actor(&self, id: Identity, via: &str) -> Actor {
        let name = match self.person(&id) {
            Some(name) => name.to_owned(),
            None if self.people.contains_key(id.value()) => id.to_string(),
            None => id.value().to_owned(),
        };
        Actor::Person { name, via: via.to_owned(), id: Some(id) }
    }

    /// An identity of a person: the account, otherwise the Slack user id, otherwise the e-mail address.
    pub fn identity(&self, person: &str) -> Option<Identity> {
        let person = self.people.get(person)?;
        let account = person.account.clone().map(Identity::Account);
        account
            .or_else(|| person.slack.clone().map(Identity::Slack))
            .or_else(|| person.email.clone().map(Identity::Email))
    }

    /// The channel in which the Slack app shows incidents, with its name.
    pub fn incident_channel(&self) -> Option<(&str, &Channel)> {
        let app = self.slack.as_ref()?;
        Some((&app.channel, self.channels.get(&app.channel)?))
    }
}
