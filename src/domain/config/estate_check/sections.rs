//! The parts of an estate, each held against what it may say.

use super::EstateChecker;
use crate::domain::config::estate::{
    Criticality, Datastore, Environment, ManagerBus, Person, Role, SecretSource, Service, live_path, metrics_path,
    ready_path,
};
use crate::domain::config::yaml::fields::{Fields, list};
use crate::domain::config::yaml::node::{Content, Entry, Node};
use crate::domain::core::diagnostic::{MAX_QUOTED, Problem, visible};
use crate::domain::core::secret_ref::SecretRef;

pub(in crate::domain) const ENVIRONMENT_KEYS: &[&str] =
    &["branch", "domain", "host", "hosts", "hostname", "systemd", "repository", "journal", "vars"];
pub(in crate::domain) const SERVICE_KEYS: &[&str] =
    &["unit", "port", "language", "health", "live", "ready", "metrics", "criticality", "depends_on"];
pub(in crate::domain) const DATASTORE_KEYS: &[&str] = &["kind", "unit", "url", "port"];
pub(in crate::domain) const PERSON_KEYS: &[&str] = &["name", "account", "slack", "email"];
pub(in crate::domain) const ROLE_KEYS: &[&str] = &["summary", "people"];
const SECRET_KEYS: &[&str] = &["env", "file", "key", "credential"];

/// How much a service matters, as it is written.
pub(in crate::domain) const CRITICALITY: &[(&str, Criticality)] =
    &[("critical", Criticality::Critical), ("normal", Criticality::Normal)];

/// The longest name of a systemd unit, from systemd's own limit.
const MAX_UNIT: usize = 255;

impl EstateChecker<'_> {
    /// The fields of one entry; an entry with nothing in it has none.
    pub(super) fn open<'n>(&mut self, entry: &'n Entry, what: &str, keys: &[&str]) -> Option<Fields<'n>> {
        let mut fields = Fields::open(&mut self.report, &entry.value, what, keys)?;
        if entry.value.as_map().is_some_and(<[Entry]>::is_empty) {
            fields.span = entry.key_span.clone();
        }
        Some(fields)
    }

    pub(super) fn environment(&mut self, entry: &Entry) -> Option<Environment> {
        let fields = self.open(entry, "an environment", ENVIRONMENT_KEYS)?;
        Some(Environment {
            branch: self.optional(&fields, "branch"),
            domain: self.optional(&fields, "domain"),
            host: fields.get("host").and_then(|node| self.host(node)).unwrap_or_default(),
            hosts: fields.get("hosts").map(|node| self.all(node, "hosts", Self::further_host)).unwrap_or_default(),
            hostname: self.optional(&fields, "hostname"),
            systemd: fields.get("systemd").and_then(|node| self.bus(node)).unwrap_or_default(),
            repository: self.optional(&fields, "repository"),
            journal: self.optional(&fields, "journal"),
            vars: fields
                .get("vars")
                .map(|node| self.all(node, "vars", |_, entry| Some(entry.value.to_json())))
                .unwrap_or_default(),
        })
    }

    fn bus(&mut self, node: &Node) -> Option<ManagerBus> {
        let text = self.report.text(node)?;
        if matches!(text, "system" | "user") || text.starts_with("unix:") {
            return Some(ManagerBus(text.to_owned()));
        }
        let problem = Problem::new(node.span.clone(), format!("`{}` is no systemd manager", visible(text, MAX_QUOTED)));
        self.report.add(
            problem
                .did_you_mean(text, ["system", "user"])
                .or_help("Write `system`, `user`, or a D-Bus address such as `unix:path=/run/user/1000/bus`."),
        );
        None
    }

    pub(super) fn service(&mut self, entry: &Entry) -> Option<Service> {
        let fields = self.open(entry, "a service", SERVICE_KEYS)?;
        let unit = fields.required(&mut self.report, "unit", "a service").and_then(|node| self.unit(node));
        let health = fields.get("health").and_then(|node| self.address(node));
        let criticality =
            fields.get("criticality").map_or(Some(Criticality::Normal), |node| self.report.keyword(node, CRITICALITY));
        Some(Service {
            port: self.port(&fields),
            language: self.optional(&fields, "language"),
            live: fields.get("live").and_then(|node| self.path(node)).unwrap_or_else(live_path),
            ready: fields.get("ready").and_then(|node| self.path(node)).unwrap_or_else(ready_path),
            metrics: fields.get("metrics").and_then(|node| self.path(node)).unwrap_or_else(metrics_path),
            depends_on: fields.get("depends_on").map(|node| self.dependencies(node, &entry.key)).unwrap_or_default(),
            unit: unit?,
            health,
            criticality: criticality?,
        })
    }

    fn dependencies(&mut self, node: &Node, own: &str) -> Vec<String> {
        let known = self.names.services.clone();
        let items = self.report.one_or_many(node);
        items
            .iter()
            .filter_map(|item| {
                if item.as_text() == Some(own) {
                    self.report.add(Problem::new(item.span.clone(), "a service cannot depend on itself"));
                }
                self.known(item, "service", &known)
            })
            .collect()
    }

    fn unit(&mut self, node: &Node) -> Option<String> {
        let text = self.report.text(node)?;
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '_' | '.' | '\\' | '@' | '-');
        if text.len() <= MAX_UNIT && text.chars().all(fits) && !text.starts_with('-') {
            return Some(text.to_owned());
        }
        let problem =
            Problem::new(node.span.clone(), format!("`{}` is not the name of a unit", visible(text, MAX_QUOTED)));
        self.report.add(problem.help("Write the whole name, such as `shop-gateway.service`."));
        None
    }

    fn port(&mut self, fields: &Fields<'_>) -> Option<u16> {
        let number = self.report.integer(fields.get("port")?, 1, i64::from(u16::MAX))?;
        u16::try_from(number).ok()
    }

    pub(super) fn address(&mut self, node: &Node) -> Option<String> {
        let text = self.report.text(node)?;
        let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
        if rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(char::is_whitespace)) {
            return Some(text.trim_end_matches('/').to_owned());
        }
        let problem = Problem::new(node.span.clone(), format!("`{}` is not an address", visible(text, MAX_QUOTED)));
        self.report.add(problem.help("Write it with its scheme, such as `http://127.0.0.1:8000`."));
        None
    }

    fn path(&mut self, node: &Node) -> Option<String> {
        let text = self.report.text(node)?;
        if text.starts_with('/') {
            return Some(text.to_owned());
        }
        let problem = Problem::new(
            node.span.clone(),
            format!("the path `{}` does not start with `/`", visible(text, MAX_QUOTED)),
        );
        self.report.add(problem.help(format!("Write `/{}`.", visible(text, MAX_QUOTED))));
        None
    }

    /// Two services on one unit would be restarted as one and judged as two.
    pub(super) fn units_differ(&mut self, fields: &Fields<'_>) {
        let mut seen: std::collections::BTreeMap<String, crate::domain::core::diagnostic::Span> =
            std::collections::BTreeMap::new();
        let services = fields.get("services").and_then(Node::as_map).unwrap_or_default();
        for node in services.iter().filter_map(|entry| entry.value.get("unit")) {
            let Some(unit) = node.as_text() else { continue };
            if let Some(first) = seen.get(unit) {
                let problem = Problem::new(
                    node.span.clone(),
                    format!("two services have the unit `{}`", visible(unit, MAX_QUOTED)),
                );
                self.report.add(problem.related(first.clone(), "the first is here"));
            } else {
                seen.insert(unit.to_owned(), node.span.clone());
            }
        }
    }

    pub(super) fn datastore(&mut self, entry: &Entry) -> Option<Datastore> {
        let fields = self.open(entry, "a datastore", DATASTORE_KEYS)?;
        let kind = fields.required(&mut self.report, "kind", "a datastore").and_then(|node| self.report.name(node));
        Some(Datastore {
            unit: fields.get("unit").and_then(|node| self.unit(node)),
            url: fields.get("url").and_then(|node| self.secret_ref(node)),
            port: self.port(&fields),
            kind: kind?,
        })
    }

    pub(super) fn secret_ref(&mut self, node: &Node) -> Option<SecretRef> {
        if let Content::Text(_) = node.content {
            let problem = Problem::new(node.span.clone(), "a secret does not stand in this file");
            self.report.add(problem.help("Name it under `secrets`, and write `{ secret: <its name> }` here."));
            return None;
        }
        let fields = Fields::open(&mut self.report, node, "a secret", &["secret"])?;
        let name = fields.required(&mut self.report, "secret", "a secret")?;
        let known = self.names.secrets.clone();
        self.known(name, "secret", &known).map(|secret| SecretRef { secret })
    }

    pub(super) fn person(&mut self, entry: &Entry) -> Option<Person> {
        if entry.value.content == Content::Null {
            return Some(Person::default());
        }
        let fields = self.open(entry, "a person", PERSON_KEYS)?;
        Some(Person {
            name: self.optional(&fields, "name"),
            account: self.optional(&fields, "account"),
            slack: self.optional(&fields, "slack"),
            email: fields.get("email").and_then(|node| self.mailbox(node)),
        })
    }

    /// One who proves to be somebody must not be two people.
    pub(super) fn people_differ(&mut self, fields: &Fields<'_>) {
        let people = fields.get("people").and_then(Node::as_map).unwrap_or_default();
        for key in ["account", "slack", "email"] {
            let mut seen: Vec<(&str, crate::domain::core::diagnostic::Span)> = Vec::new();
            for node in people.iter().filter_map(|entry| entry.value.get(key)) {
                let Some(text) = node.as_text() else { continue };
                match seen.iter().find(|(other, _)| other.eq_ignore_ascii_case(text)) {
                    Some((_, first)) => {
                        let shown = visible(text, MAX_QUOTED);
                        let problem = Problem::new(node.span.clone(), format!("two people have the {key} `{shown}`"));
                        self.report.add(problem.related(first.clone(), "the first is here"));
                    }
                    None => seen.push((text, node.span.clone())),
                }
            }
        }
    }

    pub(super) fn role(&mut self, entry: &Entry) -> Option<Role> {
        if entry.value.content == Content::Null {
            return Some(Role::default());
        }
        let fields = self.open(entry, "a role", ROLE_KEYS)?;
        let known = self.names.people.clone();
        let people = fields.get("people").map_or(&[][..], |node| self.report.one_or_many(node));
        let people = people.iter().filter_map(|person| self.known(person, "person", &known)).collect();
        Some(Role { summary: self.optional(&fields, "summary"), people })
    }

    pub(super) fn secret(&mut self, entry: &Entry) -> Option<SecretSource> {
        const SOURCES: &[&str] = &["env", "file", "credential"];
        let fields = self.open(entry, "a secret", SECRET_KEYS)?;
        let given: Vec<&Entry> = fields.iter().filter(|entry| SOURCES.contains(&entry.key.as_str())).collect();
        match given.as_slice() {
            [_] => {}
            [] => self.report.add(
                Problem::new(entry.key_span.clone(), "it is not said where the secret is found")
                    .help(format!("Give exactly one of {}.", list(SOURCES))),
            ),
            [first, second, ..] => {
                let message = format!("the secret is found in two places, `{}` and `{}`", first.key, second.key);
                self.report.add(
                    Problem::new(second.key_span.clone(), message).related(first.key_span.clone(), "the first is here"),
                );
            }
        }
        if let (Some(key), None) = (fields.entry("key"), fields.entry("file")) {
            self.report
                .add(Problem::new(key.key_span.clone(), "`key` names a line of a `file`").help("Add `file: …`."));
        }
        Some(SecretSource {
            env: fields.get("env").and_then(|node| self.variable(node)),
            file: self.optional(&fields, "file"),
            key: fields.get("key").and_then(|node| self.family(node)),
            credential: self.optional(&fields, "credential"),
        })
    }

    /// The name of a variable in a file, or with a trailing `*` of every one that begins so.
    fn family(&mut self, node: &Node) -> Option<String> {
        match node.as_text().and_then(|text| text.strip_suffix('*')) {
            Some(prefix) if is_variable(prefix) => Some(format!("{prefix}*")),
            _ => self.variable(node),
        }
    }

    /// The name of an environment variable. A value in its place would be a secret in a file.
    fn variable(&mut self, node: &Node) -> Option<String> {
        let text = self.report.text(node)?;
        if is_variable(text) {
            return Some(text.to_owned());
        }
        // The text is not repeated: it may be the secret itself.
        let problem = Problem::new(node.span.clone(), "this is not the name of a variable");
        self.report.add(problem.help("Write the variable's name, never its value."));
        None
    }
}

/// Whether a text can name an environment variable.
pub(super) fn is_variable(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !text.is_empty() && text.len() <= 128 && text.chars().all(fits) && !text.starts_with(|c: char| c.is_ascii_digit())
}
