//! A project's first files, from what was found on a machine: the estate, and runbooks to start with.
//!
//! **Invariant:** a unit's name is one plain word in the estate, and the files pass the checker unchanged.
//!
//! What a person must review carries `FILL IN`. Not here: the discovery; see `engine::inspect::discovery`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::domain::config::estate::{live_path, metrics_path, ready_path};
use crate::domain::core::glob_name::matches;
use crate::domain::core::id;

/// The runbooks to begin with, by id.
const RUNBOOKS: [(&str, &str); 4] = [
    ("p1", include_str!("scaffold/p1.yaml")),
    ("p2", include_str!("scaffold/p2.yaml")),
    ("p3", include_str!("scaffold/p3.yaml")),
    ("p4", include_str!("scaffold/p4.yaml")),
];

/// What stands for datastores, the units they have in Debian and elsewhere, and the port they listen on.
pub const STORES: &[(&str, &[&str], u16)] = &[
    ("postgres", &["postgresql@*.service", "postgresql.service"], 5432),
    ("redis", &["redis-server.service", "redis.service", "valkey-server.service", "valkey.service"], 6379),
    ("meilisearch", &["meilisearch.service"], 7700),
    ("nginx", &["nginx.service"], 443),
];

/// Lines of a template between these stand only where there is a work tree.
const WITH_TREE: (&str, &str) = ("#{ with a work tree", "#}");

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiscoveredProject {
    /// The name of this host.
    pub hostname: String,
    /// The manager: `system`, `user` or an address.
    pub systemd: String,
    /// What the units of the shop begin with, when they have that in common: `shop-`.
    pub prefix: Option<String>,
    /// The services.
    pub services: Vec<DiscoveredService>,
    /// The datastores.
    pub stores: Vec<DiscoveredDatastore>,
    /// The work tree that is deployed here.
    pub tree: Option<DiscoveredWorktree>,
    /// What the stack on this machine is called, then those elsewhere; `production` when there is none.
    pub environments: Vec<String>,
}

/// A service that was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiscoveredService {
    pub unit: String,
    /// Where it listens on this host.
    pub ports: BTreeSet<u16>,
    /// What answered, when something did.
    pub health: Option<DiscoveredHealth>,
    /// What it is written in, when its program tells.
    pub language: Option<String>,
}

/// The health address that answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiscoveredHealth {
    /// Its port.
    pub port: u16,
    /// The path that says that it is alive.
    pub live: String,
    /// The path that says that it is ready, when it has one.
    pub ready: Option<String>,
    /// The page of metrics, when it has one.
    pub metrics: Option<String>,
}

/// A datastore that was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiscoveredDatastore {
    /// `postgres`, `redis`, …
    pub kind: String,
    /// Its unit, when it has one on this host.
    pub unit: Option<String>,
    /// Its port.
    pub port: u16,
    /// Whether something listens there.
    pub listens: bool,
}

/// A work tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiscoveredWorktree {
    /// Its directory.
    pub directory: String,
    /// The branch that is checked out.
    pub branch: Option<String>,
}

/// What most of these units begin with, up to a `-`; none when no two have that in common.
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

/// Which datastore a unit is.
pub fn store_of(unit: &str) -> Option<&'static str> {
    STORES.iter().find(|(_, units, _)| units.iter().any(|pattern| matches(pattern, unit))).map(|(kind, _, _)| *kind)
}

/// The first runbooks, by id.
pub fn runbooks(found: &DiscoveredProject) -> Vec<(&'static str, String)> {
    RUNBOOKS.into_iter().map(|(id, template)| (id, filled(template, found.tree.is_some()))).collect()
}

/// A template with the parts that fit.
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
    let shop = found.prefix.as_deref().map(|prefix| prefix.trim_end_matches('-')).filter(|name| !name.is_empty());
    let mut line = |line: String| {
        let _ = writeln!(text, "{line}");
    };
    line(format!("estate: {}    # FILL IN: the shop's name", safe_word(shop.unwrap_or("shop"))));
    let (here, elsewhere) = match found.environments.split_first() {
        Some((here, elsewhere)) => (here.as_str(), elsewhere),
        None => ("production", &[][..]),
    };
    line(format!("default_environment: {here}\n\nenvironments:"));
    let add = if elsewhere.is_empty() { "; add the others" } else { "" };
    line(format!("  {here}:    # FILL IN: what this stack is called{add}"));
    line(format!("    hostname: {}    # a run on any other host is refused", safe_word(&found.hostname)));
    line(format!("    systemd: {}", safe_word(&found.systemd)));
    match &found.tree {
        Some(tree) => {
            line(format!("    repository: {}    # FILL IN: is this what is deployed?", safe_word(&tree.directory)));
            if let Some(branch) = &tree.branch {
                line(format!("    branch: {}    # what is checked out there now", safe_word(branch)));
            }
        }
        None => line("    # repository: /srv/shop    # FILL IN: the work tree that is deployed here".to_owned()),
    }
    for name in elsewhere {
        line(format!("  {name}:    # FILL IN: where it is. No host is called so, so that nothing runs in it before"));
        line(
            "    hostname: \"FILL IN\"\n    # host: { ssh: deploy@web1 }    # unless runbooks are started there"
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
        return "\n# FILL IN: no unit was found; `runbook init --units \"shop-*\"` looks for others.\nservices: {}"
            .to_owned();
    }
    let mut text =
        "\n# FILL IN: mark those without which the shop is down with `criticality: critical`.\nservices:".to_owned();
    let mut names = BTreeSet::new();
    for service in &found.services {
        let name = name(&service.unit, found.prefix.as_deref(), &mut names);
        let (fields, remark) = described(service);
        let _ = write!(text, "\n  {name}: {{ {fields} }}{remark}");
    }
    text
}

/// The fields of a service, and what a person has to look at.
fn described(service: &DiscoveredService) -> (String, String) {
    let mut fields = vec![format!("unit: {}", safe_word(&service.unit))];
    let mut remark = String::new();
    match &service.health {
        Some(health) => {
            fields.push(format!("port: {}", health.port));
            fields.push(format!("health: \"http://127.0.0.1:{}\"", health.port));
            let ready = health.ready.as_deref().unwrap_or(&health.live);
            let paths = [("live", &*health.live, live_path()), ("ready", ready, ready_path())];
            fields.extend(
                paths.iter().filter(|(_, path, usual)| path != usual).map(|(key, path, _)| format!("{key}: {path}")),
            );
            let metrics = health.metrics.as_deref().filter(|path| *path != metrics_path());
            fields.extend(metrics.map(|path| format!("metrics: {path}")));
        }
        None => match service.ports.first() {
            Some(port) => {
                fields.push(format!("port: {port}"));
                remark = "    # FILL IN: `health`; nothing answered on /health or /healthz".to_owned();
            }
            None => remark = "    # FILL IN: `port` and `health`; it listens nowhere now".to_owned(),
        },
    }
    fields.extend(service.language.as_ref().map(|language| format!("language: {}", safe_word(language))));
    (fields.join(", "), remark)
}

/// A name that the checker takes, and that is not taken.
fn name(unit: &str, prefix: Option<&str>, taken: &mut BTreeSet<String>) -> String {
    let bare = unit.strip_suffix(".service").unwrap_or(unit);
    let short = prefix.and_then(|prefix| bare.strip_prefix(prefix)).filter(|short| !short.is_empty()).unwrap_or(bare);
    let letter = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c.to_ascii_lowercase() } else { '-' };
    let mut name: String = short.chars().map(letter).collect();
    if !id::is_name(&name) {
        name = format!("s-{}", name.trim_matches('-'));
    }
    let mut free = name.clone();
    let mut number = 2;
    while !taken.insert(free.clone()) {
        free = format!("{name}-{number}");
        number += 1;
    }
    free
}

fn stores(found: &DiscoveredProject) -> String {
    if found.stores.is_empty() {
        return "\n# FILL IN: none was found on this host.\ndatastores: {}".to_owned();
    }
    let mut text = "\ndatastores:".to_owned();
    for store in &found.stores {
        let unit = store.unit.as_ref().map(|unit| format!(", unit: {}", safe_word(unit))).unwrap_or_default();
        let remark = match (store.listens, &store.unit) {
            (false, _) => "    # FILL IN: nothing listens on this port now",
            (true, None) => "    # FILL IN: by its port only; which unit is it?",
            (true, Some(_)) => "",
        };
        let _ = write!(text, "\n  {}: {{ kind: {}{unit}, port: {} }}{remark}", store.kind, store.kind, store.port);
    }
    text
}

/// A word of YAML: quoted as JSON is wherever it might be anything but itself.
fn safe_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let is_word = matches!(
        text.to_ascii_lowercase().as_str(),
        "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
    );
    if begins && !is_word && text.chars().all(plain) {
        text.to_owned()
    } else {
        serde_json::Value::from(text).to_string()
    }
}

const HEAD: &str = "\
# yaml-language-server: $schema=estate.schema.json
# What the runbooks speak of, as `runbook init` found it on this machine. FILL IN marks what a person has to look at.
# `runbook lint` checks this file, `runbook doctor` whether everything in it is really there.

";

const TAIL: &str = "
# FILL IN: how stakeholders are told. Then a step of a runbook can do it: `notify: { to: [incidents], message: … }`.
# channels:
#   incidents: { slack: \"#incidents\", token: { secret: slack_bot_token } }

# FILL IN: who may decide, with what proves who they are: `ada: { account: ada, slack: U024BE7LH, email: ada@shop.example }`.
people: {}
roles:
  incident_commander: { summary: Decides; agrees to what is hard to take back. }

# FILL IN: where each secret is found; a value never stands here. All of them are kept out of what is written and sent.
# secrets:
#   slack_bot_token: { credential: slack_bot_token }

# FILL IN: who may post alerts to `runbook serve`, and what proves that it is the one.
# senders:
#   alertmanager: { auth: { bearer: { secret: hook } } }

postmortem:
  directory: postmortems";

#[cfg(test)]
mod tests;
