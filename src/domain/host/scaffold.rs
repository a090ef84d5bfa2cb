//! The first files of a project, made from what was discovered on a machine: the estate, and four runbooks. `FILL IN` marks what
//! a person has to check or write.
//!
//! **Invariant:** the files pass the checker unchanged, whatever the discovered texts contain.
//!
//! Not here: the discovery; see `engine::inspect::discovery`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::domain::config::estate::{live_path, metrics_path, ready_path};
use crate::domain::core::glob_name::matches;
use crate::domain::core::id;

/// The first runbooks, by id.
const RUNBOOKS: [(&str, &str); 4] = [
    ("p1", include_str!("scaffold/p1.yaml")),
    ("p2", include_str!("scaffold/p2.yaml")),
    ("p3", include_str!("scaffold/p3.yaml")),
    ("p4", include_str!("scaffold/p4.yaml")),
];

/// The known datastores: each with its kind, its units in Debian and elsewhere, and its port.
pub const STORES: &[(&str, &[&str], u16)] = &[
    ("postgres", &["postgresql@*.service", "postgresql.service"], 5432),
    ("redis", &["redis-server.service", "redis.service", "valkey-server.service", "valkey.service"], 6379),
    ("meilisearch", &["meilisearch.service"], 7700),
    ("nginx", &["nginx.service"], 443),
];

/// The lines of a template that begin and end a part for projects with a work tree.
const WITH_TREE: (&str, &str) = ("#{ with a work tree", "#}");

/// The result of the discovery.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiscoveredProject {
    /// The name of this host.
    pub hostname: String,
    /// The systemd manager: `system`, `user` or an address.
    pub systemd: String,
    /// The common prefix of the project's units, if they have one: `shop-`.
    pub prefix: Option<String>,
    pub services: Vec<DiscoveredService>,
    pub stores: Vec<DiscoveredDatastore>,
    /// The work tree that is deployed here.
    pub tree: Option<DiscoveredWorktree>,
    /// The name of the environment on this machine, then those of others. If empty, there is one, `production`.
    pub environments: Vec<String>,
}

/// A discovered service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiscoveredService {
    pub unit: String,
    /// The ports on which it listens.
    pub ports: BTreeSet<u16>,
    /// The health endpoints, if one of them answered.
    pub health: Option<DiscoveredHealth>,
    /// The programming language, if its program shows it.
    pub language: Option<String>,
}

/// The health endpoints that answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiscoveredHealth {
    pub port: u16,
    /// The path of the liveness endpoint.
    pub live: String,
    /// The path of the readiness endpoint, if there is one.
    pub ready: Option<String>,
    /// The path of the metrics, if there are any.
    pub metrics: Option<String>,
}

/// A discovered datastore.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiscoveredDatastore {
    /// `postgres`, `redis`, …
    pub kind: String,
    /// Its unit, if it has one on this host.
    pub unit: Option<String>,
    pub port: u16,
    /// Whether something listens on the port.
    pub listens: bool,
}

/// A discovered work tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiscoveredWorktree {
    pub directory: String,
    /// The branch that is checked out.
    pub branch: Option<String>,
}

/// The most frequent prefix of these units, up to a `-`, if at least two have it.
pub fn prefix<'a>(units: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for unit in units {
        if let Some((first, _)) = unit.split_once('-').filter(|(first, _)| !first.is_empty()) {
            *counts.entry(first).or_default() += 1;
        }
    }
    let (first, count) = counts.into_iter().max_by_key(|(_, count)| *count)?;
    (count > 1).then(|| format!("{first}-"))
}

/// The kind of the datastore that a unit is, if it is one.
pub fn store_of(unit: &str) -> Option<&'static str> {
    STORES.iter().find(|(_, units, _)| units.iter().any(|pattern| matches(pattern, unit))).map(|(kind, _, _)| *kind)
}

/// The first runbooks, by id.
pub fn runbooks(found: &DiscoveredProject) -> Vec<(&'static str, String)> {
    RUNBOOKS.into_iter().map(|(id, template)| (id, filled(template, found.tree.is_some()))).collect()
}

/// The text of a runbook, with or without the parts for a work tree.
fn filled(template: &str, with_tree: bool) -> String {
    let mut text = String::from("# yaml-language-server: $schema=runbook.schema.json\n");
    let mut inside = false;
    for line in template.lines() {
        match line.trim() {
            begin if begin == WITH_TREE.0 => inside = true,
            end if end == WITH_TREE.1 => inside = false,
            _ if inside && !with_tree => {}
            _ => {
                let _ = writeln!(text, "{line}");
            }
        }
    }
    text
}

/// The text of `estate.yaml`.
pub fn estate(found: &DiscoveredProject) -> String {
    let mut text = String::from(HEAD);
    let name = found.prefix.as_deref().map(|prefix| prefix.trim_end_matches('-')).filter(|name| !name.is_empty());
    let mut line = |line: String| {
        let _ = writeln!(text, "{line}");
    };
    line(format!("estate: {}    # FILL IN: the shop's name", yaml_scalar(name.unwrap_or("shop"))));
    let (here, elsewhere) = match found.environments.split_first() {
        Some((here, elsewhere)) => (here.as_str(), elsewhere),
        None => ("production", &[][..]),
    };
    line(format!("default_environment: {here}\n\nenvironments:"));
    let add = if elsewhere.is_empty() { "; add the others" } else { "" };
    line(format!("  {here}:    # FILL IN: the name of the environment on this machine{add}"));
    line(format!("    hostname: {}    # a run on any other host is refused", yaml_scalar(&found.hostname)));
    line(format!("    systemd: {}", yaml_scalar(&found.systemd)));
    match &found.tree {
        Some(tree) => {
            line(format!("    repository: {}    # FILL IN: is this deployed?", yaml_scalar(&tree.directory)));
            if let Some(branch) = &tree.branch {
                line(format!("    branch: {}    # checked out there now", yaml_scalar(branch)));
            }
        }
        None => line("    # repository: /srv/shop    # FILL IN: the work tree that is deployed here".to_owned()),
    }
    for name in elsewhere {
        line(format!("  {name}:    # FILL IN: its host's name. Until then no host matches, so nothing runs there"));
        line(
            "    hostname: \"FILL IN\"\n    # host: { ssh: deploy@web1 }    # if runbooks are not started there"
                .to_owned(),
        );
    }
    line(services(found));
    line(stores(found));
    line(TAIL.to_owned());
    text
}

fn services(found: &DiscoveredProject) -> String {
    if found.services.is_empty() {
        return "\n# FILL IN: no unit was found; `runbook init --units \"shop-*\"` searches for others.\nservices: {}"
            .to_owned();
    }
    let mut text =
        "\n# FILL IN: add `criticality: critical` to those without which the shop is down.\nservices:".to_owned();
    let mut names = BTreeSet::new();
    for service in &found.services {
        let name = unused_name(&service.unit, found.prefix.as_deref(), &mut names);
        let (fields, remark) = fields_and_remark(service);
        let _ = write!(text, "\n  {name}: {{ {fields} }}{remark}");
    }
    text
}

/// The fields of a service, and a comment on what a person has to fill in.
fn fields_and_remark(service: &DiscoveredService) -> (String, String) {
    let mut fields = vec![format!("unit: {}", yaml_scalar(&service.unit))];
    let mut remark = String::new();
    match &service.health {
        Some(health) => {
            fields.push(format!("port: {}", health.port));
            fields.push(format!("health: \"http://127.0.0.1:{}\"", health.port));
            let ready = health.ready.as_deref().unwrap_or(&health.live);
            let paths = [("live", &*health.live, live_path()), ("ready", ready, ready_path())];
            fields.extend(
                paths
                    .iter()
                    .filter(|(_, path, default)| path != default)
                    .map(|(key, path, _)| format!("{key}: {path}")),
            );
            let metrics = health.metrics.as_deref().filter(|path| *path != metrics_path());
            fields.extend(metrics.map(|path| format!("metrics: {path}")));
        }
        None => match service.ports.first() {
            Some(port) => {
                fields.push(format!("port: {port}"));
                remark = "    # FILL IN: `health`; nothing answered on /health or /healthz".to_owned();
            }
            None => remark = "    # FILL IN: `port` and `health`; it listens on no port now".to_owned(),
        },
    }
    fields.extend(service.language.as_ref().map(|language| format!("language: {}", yaml_scalar(language))));
    (fields.join(", "), remark)
}

/// A valid name for a service that is not among `used`, made from its unit without the prefix. It is added to `used`.
fn unused_name(unit: &str, prefix: Option<&str>, used: &mut BTreeSet<String>) -> String {
    let bare = unit.strip_suffix(".service").unwrap_or(unit);
    let short = prefix.and_then(|prefix| bare.strip_prefix(prefix)).filter(|short| !short.is_empty()).unwrap_or(bare);
    let letter = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c.to_ascii_lowercase() } else { '-' };
    let mut base: String = short.chars().map(letter).collect();
    if !id::is_name(&base) {
        base = format!("s-{}", base.trim_matches('-'));
    }
    let mut name = base.clone();
    let mut number = 2;
    while !used.insert(name.clone()) {
        name = format!("{base}-{number}");
        number += 1;
    }
    name
}

fn stores(found: &DiscoveredProject) -> String {
    if found.stores.is_empty() {
        return "\n# FILL IN: none was found on this host.\ndatastores: {}".to_owned();
    }
    let mut text = "\ndatastores:".to_owned();
    for store in &found.stores {
        let unit = store.unit.as_ref().map(|unit| format!(", unit: {}", yaml_scalar(unit))).unwrap_or_default();
        let remark = match (store.listens, &store.unit) {
            (false, _) => "    # FILL IN: nothing listens on this port now",
            (true, None) => "    # FILL IN: found by its port; add its `unit` if it has one",
            (true, Some(_)) => "",
        };
        let _ = write!(text, "\n  {}: {{ kind: {}{unit}, port: {} }}{remark}", store.kind, store.kind, store.port);
    }
    text
}

/// A text as a YAML scalar, in quotes unless it is certainly read as text.
fn yaml_scalar(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let is_keyword = matches!(
        text.to_ascii_lowercase().as_str(),
        "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
    );
    if begins && !is_keyword && text.chars().all(plain) {
        text.to_owned()
    } else {
        serde_json::Value::from(text).to_string()
    }
}

const HEAD: &str = "\
# yaml-language-server: $schema=estate.schema.json
# The inventory for the runbooks, as `runbook init` found it on this machine. FILL IN marks what you have to check or write.
# `runbook lint` checks this file, `runbook doctor` checks that everything in it exists.

";

const TAIL: &str = "
# FILL IN: how stakeholders are notified. A step of a runbook can then do it: `notify: { to: [incidents], message: … }`.
# channels:
#   incidents: { slack: \"#incidents\", token: { secret: slack_bot_token } }

# FILL IN: the people on call, and how they are identified: `ada: { account: ada, slack: U024BE7LH, email: ada@shop.example }`.
people: {}
roles:
  incident_commander: { summary: Decides; approves what is hard to undo. }

# FILL IN: the source of each secret, never its value. All of them are removed from what is written and sent.
# secrets:
#   slack_bot_token: { credential: slack_bot_token }

# FILL IN: the monitoring systems that post alerts to `runbook serve`, and how they are authenticated.
# senders:
#   alertmanager: { auth: { bearer: { secret: hook } } }

postmortem:
  directory: postmortems";

#[cfg(test)]
mod tests;
