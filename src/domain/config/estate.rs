//! The estate: the inventory of environments, services, datastores, channels, people and secrets.
//!
//! These are resolved values, made by the checker from `estate.yaml` or read back from the log. No fact about a project is in Rust.

use crate::domain::core::glob_name::matches;
use crate::domain::core::secret_ref::SecretRef;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::alert_policy::AlertPolicy;
use super::host::LOCAL;
use super::incident_page::PageConfig;
use super::sender::Sender;
use super::slack_app::SlackApp;
use crate::domain::core::actor::{Actor, Identity};
use crate::domain::journal::trace_tree::TraceFields;

pub use super::channel::{Channel, Email, Program, Tls, Variable, Webhook};
pub use super::host::{Host, SshHost};

/// A shop, whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Estate {
    /// The shop's name.
    pub estate: String,
    /// The environment that `start` takes when none is given; else `--env` is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_environment: Option<String>,
    /// By name.
    #[serde(default)]
    pub environments: BTreeMap<String, Environment>,
    /// By name.
    #[serde(default)]
    pub services: BTreeMap<String, Service>,
    /// By name.
    #[serde(default)]
    pub datastores: BTreeMap<String, Datastore>,
    /// By name.
    #[serde(default)]
    pub channels: BTreeMap<String, Channel>,
    /// By name.
    #[serde(default)]
    pub people: BTreeMap<String, Person>,
    /// By name.
    #[serde(default)]
    pub roles: BTreeMap<String, Role>,
    /// By name: where the value is found, never the value.
    #[serde(default)]
    pub secrets: BTreeMap<String, SecretSource>,
    /// Who may post alerts, by name; the name is a part of the address that they post to.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub senders: BTreeMap<String, Sender>,
    /// The post-mortem's place and template.
    #[serde(default)]
    pub postmortem: PostmortemPolicy,
    /// Where the reports of maintenance are written.
    #[serde(default)]
    pub report: PostmortemPolicy,
    /// What is done about alerts in general.
    #[serde(default)]
    pub alerts: AlertPolicy,
    /// The Slack app that people use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slack: Option<SlackApp>,
    /// Where incidents have a page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<PageConfig>,
    /// By which fields the services' lines say where in a trace they belong.
    #[serde(default, skip_serializing_if = "TraceFields::is_usual")]
    pub logs: TraceFields,
}

/// One whole stack, such as production.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// The branch that is deployed there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The public domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Where its host is.
    #[serde(default)]
    pub host: Host,
    /// Further hosts by name, for steps that name one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hosts: BTreeMap<String, Host>,
    /// A pattern that the host's name must match before anything runs there: a guard against the wrong host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Which systemd manager: `system`, `user`, or a D-Bus address.
    #[serde(default)]
    pub systemd: ManagerBus,
    /// The directory of the work tree that is deployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The directory with journal files; the host's own journal when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal: Option<String>,
    /// Free facts, referred to as `environment.vars.<name>`.
    #[serde(default)]
    pub vars: BTreeMap<String, Value>,
}

impl Environment {
    /// The host of this name: `local` is this machine, and no name is the environment's own host.
    ///
    /// # Errors
    /// A sentence that says that there is none.
    pub fn host_called(&self, name: Option<&str>) -> Result<&Host, String> {
        match name {
            None => Ok(&self.host),
            Some(LOCAL) => Ok(&Host::Local),
            Some(name) => self.hosts.get(name).ok_or_else(|| format!("the environment has no host `{name}`")),
        }
    }

    /// The pattern that the name of this machine would have to match and does not. Another machine is asked for its name when
    /// it is connected to.
    pub fn refuses(&self, hostname: &str) -> Option<&str> {
        let pattern = self.hostname.as_deref().filter(|_| self.host == Host::Local)?;
        (!matches(pattern, hostname)).then_some(pattern)
    }

    /// The environment as it is for what is done on the host of this name.
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

/// How much a service matters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Criticality {
    /// The shop is down without it.
    Critical,
    /// The shop works without it.
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
    /// The path of the liveness answer.
    #[serde(default = "live_path")]
    pub live: String,
    /// The path of the readiness answer.
    #[serde(default = "ready_path")]
    pub ready: String,
    /// The path of the Prometheus text.
    #[serde(default = "metrics_path")]
    pub metrics: String,
    /// How much it matters.
    #[serde(default)]
    pub criticality: Criticality,
    /// Other services that it needs.
    #[serde(default)]
    pub depends_on: Vec<String>,
}

/// Where liveness is asked for unless a service says otherwise.
pub fn live_path() -> String {
    "/health".to_owned()
}

/// Where readiness is asked for unless a service says otherwise.
pub fn ready_path() -> String {
    "/health/ready".to_owned()
}

/// Where metrics are scraped unless a service says otherwise.
pub fn metrics_path() -> String {
    "/health/metrics".to_owned()
}

/// One datastore.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Datastore {
    /// `postgres`, `redis`, `meilisearch`, or another word.
    pub kind: String,
    /// The systemd unit, where it runs on the host.
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
    /// The name as it is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The account on the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The Slack user id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slack: Option<String>,
    /// The e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

/// What a person may be during an incident. With nobody listed, anybody may take it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Role {
    /// One sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Who may take it, by name in `people`.
    #[serde(default)]
    pub people: Vec<String>,
}

/// Where a secret's value is found: exactly one of `env`, `file`, `credential`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretSource {
    /// An environment variable of this process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
    /// A file; its whole text, or with `key` one line `KEY=value` of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The key within an environment file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// A systemd credential, found under `$CREDENTIALS_DIRECTORY`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

/// Where post-mortems are written and how they look.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostmortemPolicy {
    /// The directory, relative to the shop's directory; `postmortems` unless it is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// A minijinja template that replaces ours, relative to the shop's directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
}

impl Estate {
    /// Every unit that the estate names: its services' and its datastores'.
    pub fn units(&self) -> impl Iterator<Item = &str> {
        let services = self.services.values().map(|service| service.unit.as_str());
        services.chain(self.datastores.values().filter_map(|store| store.unit.as_deref()))
    }

    /// The person whom an identity proves, by the key in `people`.
    pub fn person(&self, id: &Identity) -> Option<&str> {
        let is = |person: &Person| match id {
            Identity::Account(account) => person.account.as_ref() == Some(account),
            Identity::Slack(user) => person.slack.as_ref() == Some(user),
            Identity::Email(address) => person.email.as_ref().is_some_and(|email| email.eq_ignore_ascii_case(address)),
        };
        self.people.iter().find(|(_, person)| is(person)).map(|(name, _)| name.as_str())
    }

    /// Whoever a face has proved to be somebody: called as the estate calls that person. Somebody whom it does not know
    /// is called by the account or id, with its kind in front where a person of the estate is called the same.
    pub fn actor(&self, id: Identity, via: &str) -> Actor {
        let name = match self.person(&id) {
            Some(name) => name.to_owned(),
            None if self.people.contains_key(id.value()) => id.to_string(),
            None => id.value().to_owned(),
        };
        Actor::Person { name, via: via.to_owned(), id: Some(id) }
    }

    /// What proves who a person is, where the estate says it.
    pub fn identity(&self, person: &str) -> Option<Identity> {
        let person = self.people.get(person)?;
        let account = person.account.clone().map(Identity::Account);
        account
            .or_else(|| person.slack.clone().map(Identity::Slack))
            .or_else(|| person.email.clone().map(Identity::Email))
    }
}

impl Estate {
    /// The channel where incidents are shown, with its name.
    pub fn board(&self) -> Option<(&str, &Channel)> {
        let app = self.slack.as_ref()?;
        Some((&app.channel, self.channels.get(&app.channel)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        assert!(matches("pakashop-*", "pakashop-gateway.service") && matches("*", "") && matches("a?c*e", "abcdde"));
        assert!(!matches("web?", "web") && !matches("web", "web1") && !matches("*-a", "a-b"));
    }
}
