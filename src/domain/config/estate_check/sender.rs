//! The senders of an estate: what each speaks, how it proves who it is, and the expressions of its mapping.

use std::collections::BTreeMap;

use super::EstateChecker;
use crate::domain::config::estate::Environment;
use crate::domain::config::sender::{Auth, Form, Mapping, Pairs, Sender, StatusMapping, Workflow};
use crate::domain::config::yaml::fields::{Fields, list};
use crate::domain::config::yaml::node::{Content, Entry, Node};
use crate::domain::core::diagnostic::{MAX_QUOTED, Problem, visible};
use crate::domain::core::severity::SEVERITIES;
use crate::domain::core::severity::Severity;
use crate::domain::template::expression;
use crate::domain::template::expression::ExpressionError;

pub(in crate::domain) const SENDER_KEYS: &[&str] =
    &["form", "auth", "topics", "certificate", "environment", "catch_up", "severities", "mapping", "workflows"];
pub(in crate::domain) const AUTH_KEYS: &[&str] =
    &["bearer", "basic", "header", "github", "grafana", "pagerduty", "standard", "none"];
pub(in crate::domain) const WORKFLOW_KEYS: &[&str] = &["failure", "success", "environment"];
pub(in crate::domain) const STATUS_KEYS: &[&str] = &["value", "firing", "resolved"];

/// The keys of a mapping: the fields of an alert, and what is more than a field.
pub(in crate::domain) fn mapping_keys() -> Vec<&'static str> {
    [&["each"], Mapping::FIELDS, &["status", "labels", "annotations", "recurs"]].concat()
}

/// Secrets of one sender at a time: two during a rotation, and one more while the old one is forgotten.
const MAX_SECRETS: usize = 4;

impl EstateChecker<'_> {
    pub(super) fn sender(&mut self, entry: &Entry) -> Option<Sender> {
        let fields = Fields::open(&mut self.report, &entry.value, "a sender", SENDER_KEYS)?;
        let form = self.form(entry, &fields);
        let auth = self.auth(entry, &fields, form);
        let environments = self.names.environments.clone();
        let sender = Sender {
            topics: fields.get("topics").map(|node| self.topics(node)).unwrap_or_default(),
            certificate: self.optional(&fields, "certificate"),
            environment: fields.get("environment").and_then(|node| self.known(node, "environment", &environments)),
            catch_up: fields.get("catch_up").and_then(|node| self.address(node)),
            severities: fields.get("severities").map(|node| self.severities(node)).unwrap_or_default(),
            mapping: fields.get("mapping").and_then(|node| self.mapping(node)),
            workflows: fields.get("workflows").map(|node| self.workflows(node)).unwrap_or_default(),
            ..Sender::new(form?, auth?)
        };
        self.belongs(entry, &fields, &sender);
        Some(sender)
    }

    /// The form, which the name says too; a sender with a mapping needs no other.
    fn form(&mut self, entry: &Entry, fields: &Fields<'_>) -> Option<Form> {
        if let Some(node) = fields.get("form") {
            return self.report.keyword(node, Form::WORDS);
        }
        if fields.get("mapping").is_some() {
            return Some(Form::Mapping);
        }
        let named = Form::WORDS.iter().find(|(word, _)| *word == entry.key).map(|(_, form)| *form);
        if named.is_none() {
            let words: Vec<&str> = Form::WORDS.iter().map(|(word, _)| *word).collect();
            let problem = Problem::new(entry.key_span.clone(), "it is not said what the sender speaks");
            self.report.add(problem.help(format!("Give it a `form`, one of {}.", list(&words))));
        }
        named
    }

    fn auth(&mut self, entry: &Entry, fields: &Fields<'_>, form: Option<Form>) -> Option<Auth> {
        let Some(node) = fields.get("auth") else {
            if form == Some(Form::Sns) {
                return Some(Auth::Sns);
            }
            let problem = Problem::new(entry.key_span.clone(), "it is not said how the sender proves who it is");
            self.report.add(problem.help("Add `auth: { bearer: { secret: … } }`, or another way."));
            return None;
        };
        let ways = Fields::open(&mut self.report, node, "`auth`", AUTH_KEYS)?;
        let given: Vec<&Entry> = ways.iter().collect();
        match given.as_slice() {
            [way] => self.way(way),
            [] => {
                let problem = Problem::new(ways.span.clone(), "it is not said how the sender proves who it is");
                self.report.add(problem.help(format!("Give exactly one of {}.", list(AUTH_KEYS))));
                None
            }
            [first, second, ..] => {
                let message = format!("the sender proves who it is in two ways, `{}` and `{}`", first.key, second.key);
                let problem = Problem::new(second.key_span.clone(), message);
                self.report.add(problem.related(first.key_span.clone(), "the first is here"));
                None
            }
        }
    }

    fn way(&mut self, entry: &Entry) -> Option<Auth> {
        let what = format!("`{}`", entry.key);
        let keys: &[&str] = match entry.key.as_str() {
            "none" => return self.nothing(&entry.value),
            "basic" => return self.basic(&entry.value, &what),
            "header" => &["name", "secret"],
            "grafana" => &["secret", "timestamp_header"],
            _ => &["secret"],
        };
        let (fields, secrets) = self.secrets(&entry.value, &what, keys)?;
        Some(match entry.key.as_str() {
            "bearer" => Auth::Bearer { secrets },
            "header" => {
                let name = fields.required(&mut self.report, "name", &what)?;
                Auth::Header { name: self.header_name(name)?, secrets }
            }
            "grafana" => {
                let timestamp_header = fields.get("timestamp_header").and_then(|node| self.header_name(node));
                Auth::Grafana { secrets, timestamp_header }
            }
            "github" => Auth::Github { secrets },
            "pagerduty" => Auth::Pagerduty { secrets },
            _ => Auth::Standard { secrets },
        })
    }

    fn nothing(&mut self, node: &Node) -> Option<Auth> {
        let is_meant = self.report.boolean(node)?;
        if !is_meant {
            self.report.add(Problem::new(node.span.clone(), "`none` is either `true` or not there"));
        }
        is_meant.then_some(Auth::None)
    }

    fn basic(&mut self, node: &Node, what: &str) -> Option<Auth> {
        let fields = Fields::open(&mut self.report, node, what, &["user", "password"])?;
        let user = fields.required(&mut self.report, "user", what).and_then(|node| self.text(node));
        let password = fields.required(&mut self.report, "password", what);
        let secrets = password.and_then(|node| self.secrets(node, "a secret", &["secret"])).map(|(_, names)| names);
        Some(Auth::Basic { user: user?, secrets: secrets? })
    }

    /// A mapping with the names of one or several secrets in it, any of which does.
    fn secrets<'n>(&mut self, node: &'n Node, what: &str, keys: &[&str]) -> Option<(Fields<'n>, Vec<String>)> {
        if let Content::Text(_) = node.content {
            let problem = Problem::new(node.span.clone(), "a secret does not stand in this file");
            self.report.add(problem.help("Name it under `secrets`, and write `{ secret: <its name> }` here."));
            return None;
        }
        let fields = Fields::open(&mut self.report, node, what, keys)?;
        let named = fields.required(&mut self.report, "secret", what)?;
        let known = self.names.secrets.clone();
        let items = self.report.one_or_many(named);
        if items.is_empty() || items.len() > MAX_SECRETS {
            self.report.add(Problem::new(named.span.clone(), format!("expected 1 to {MAX_SECRETS} secrets")));
        }
        let names: Vec<String> = items.iter().filter_map(|item| self.known(item, "secret", &known)).collect();
        for item in items.iter().filter(|item| item.as_text().is_some_and(|name| self.names.families.contains(name))) {
            let name = item.as_text().unwrap_or_default();
            let message = format!("`{name}` is a family of secrets and has no value of its own");
            self.report.add(Problem::new(item.span.clone(), message));
        }
        (names.len() == items.len() && !names.is_empty()).then_some((fields, names))
    }

    fn header_name(&mut self, node: &Node) -> Option<String> {
        let text = self.report.text(node)?;
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if text.chars().all(fits) && text.len() <= 128 {
            return Some(text.to_ascii_lowercase());
        }
        let message = format!("`{}` is not the name of a header", visible(text, MAX_QUOTED));
        self.report.add(Problem::new(node.span.clone(), message));
        None
    }

    fn topics(&mut self, node: &Node) -> Vec<String> {
        let mut topics = Vec::new();
        let items = self.report.one_or_many(node);
        if items.is_empty() {
            let problem = Problem::new(node.span.clone(), "no topic may post then");
            self.report.add(problem.help("Name at least one."));
        }
        for item in items {
            let Some(text) = self.report.text(item) else { continue };
            // arn:partition:sns:region:account:name
            let parts: Vec<&str> = text.split(':').collect();
            if parts.len() == 6 && parts[0] == "arn" && parts[2] == "sns" && parts.iter().all(|part| !part.is_empty()) {
                topics.push(text.to_owned());
                continue;
            }
            let message = format!("`{}` is not the ARN of a topic", visible(text, MAX_QUOTED));
            let help = "Write it whole, such as `arn:aws:sns:eu-west-1:123456789012:alarms`.";
            self.report.add(Problem::new(item.span.clone(), message).help(help));
        }
        topics
    }

    fn severities(&mut self, node: &Node) -> BTreeMap<String, Severity> {
        let entries = self.report.entries(node, "a mapping of words to severities").unwrap_or_default();
        let mut words = BTreeMap::new();
        for entry in entries {
            if let Some(severity) = self.report.keyword(&entry.value, SEVERITIES) {
                words.insert(entry.key.to_lowercase(), severity);
            }
        }
        words
    }

    fn workflows(&mut self, node: &Node) -> BTreeMap<String, Workflow> {
        let entries = self.report.entries(node, "a mapping of workflows by file").unwrap_or_default();
        let mut workflows = BTreeMap::new();
        for entry in entries {
            if !(entry.key.ends_with(".yml") || entry.key.ends_with(".yaml")) || entry.key.contains('/') {
                let message = format!("`{}` is not the file of a workflow", visible(&entry.key, MAX_QUOTED));
                let help = "Write its name below `.github/workflows`, such as `deploy.yml`.";
                self.report.add(Problem::new(entry.key_span.clone(), message).help(help));
            }
            if let Some(workflow) = self.workflow(entry) {
                workflows.insert(entry.key.clone(), workflow);
            }
        }
        workflows
    }

    fn workflow(&mut self, entry: &Entry) -> Option<Workflow> {
        let fields = Fields::open(&mut self.report, &entry.value, "a workflow", WORKFLOW_KEYS)?;
        let environments = self.names.environments.clone();
        let workflow = Workflow {
            failure: fields.get("failure").and_then(|node| self.report.name(node)),
            success: fields.get("success").and_then(|node| self.report.name(node)),
            environment: fields.get("environment").and_then(|node| self.known(node, "environment", &environments)),
        };
        if fields.get("failure").is_none() && fields.get("success").is_none() {
            let problem = Problem::new(entry.key_span.clone(), "the workflow becomes no alert");
            self.report.add(problem.help("Give it `failure: <name of the alert>`, `success: …`, or both."));
        }
        Some(workflow)
    }

    /// What one form alone has, and what it cannot be without.
    fn belongs(&mut self, entry: &Entry, fields: &Fields<'_>, sender: &Sender) {
        let only: [(&str, Form); 5] = [
            ("topics", Form::Sns),
            ("certificate", Form::Sns),
            ("catch_up", Form::Alertmanager),
            ("mapping", Form::Mapping),
            ("workflows", Form::Github),
        ];
        let word = |form: Form| Form::WORDS.iter().find(|(_, known)| *known == form).map_or("", |(word, _)| *word);
        for (key, form) in only {
            if let Some(found) = fields.entry(key).filter(|_| form != sender.form) {
                let message = format!("only a sender of the form `{}` has `{key}`", word(form));
                self.report.add(Problem::new(found.key_span.clone(), message));
            }
        }
        let needed = match sender.form {
            Form::Sns if sender.auth == Auth::Sns => "topics",
            Form::Mapping => "mapping",
            Form::Github => "workflows",
            _ => return,
        };
        if fields.entry(needed).is_none() {
            let message = format!("a sender of the form `{}` needs `{needed}`", word(sender.form));
            self.report.add(Problem::new(entry.key_span.clone(), message).help(format!("Add `{needed}: …`.")));
        }
    }

    // ── mappings ─────────────────────────────────────────────────────────────────────────────────────────────

    fn mapping(&mut self, node: &Node) -> Option<Mapping> {
        let fields = Fields::open(&mut self.report, node, "a mapping", &mapping_keys())?;
        fields.required(&mut self.report, "name", "a mapping");
        let each = fields.get("each").and_then(|node| self.found(node, &["body"]));
        let names: &[&str] = if fields.get("each").is_some() { &["body", "item"] } else { &["body"] };
        let mut found = BTreeMap::new();
        for field in Mapping::FIELDS {
            if let Some(expression) = fields.get(field).and_then(|node| self.found(node, names)) {
                found.insert((*field).to_owned(), expression);
            }
        }
        Some(Mapping {
            each,
            fields: found,
            status: fields.get("status").and_then(|node| self.status(node, names)),
            labels: fields.get("labels").map(|node| self.pairs(node, names)).unwrap_or_default(),
            annotations: fields.get("annotations").map(|node| self.pairs(node, names)).unwrap_or_default(),
            recurs: fields.get("recurs").and_then(|node| self.report.boolean(node)).unwrap_or(true),
        })
    }

    fn status(&mut self, node: &Node, names: &[&str]) -> Option<StatusMapping> {
        let fields = Fields::open(&mut self.report, node, "`status`", STATUS_KEYS)?;
        let value = fields.required(&mut self.report, "value", "`status`").and_then(|node| self.found(node, names));
        let resolved = fields.required(&mut self.report, "resolved", "`status`");
        Some(StatusMapping {
            value: value?,
            firing: fields.get("firing").map(|node| self.words(node)).unwrap_or_default(),
            resolved: resolved.map(|node| self.words(node)).unwrap_or_default(),
        })
    }

    /// Words of a sender, in small letters. A number or boolean stands for its text.
    fn words(&mut self, node: &Node) -> Vec<String> {
        let mut words = Vec::new();
        for item in self.report.one_or_many(node) {
            match &item.content {
                Content::Integer(number) => words.push(number.to_string()),
                Content::Boolean(value) => words.push(value.to_string()),
                _ => words.extend(self.report.text(item).map(str::to_lowercase)),
            }
        }
        words
    }

    fn pairs(&mut self, node: &Node, names: &[&str]) -> Pairs {
        let Content::Map(_) = node.content else {
            return Pairs { all: self.found(node, names), ..Pairs::default() };
        };
        let entries = self.report.entries(node, "a mapping of expressions by name").unwrap_or_default();
        let mut each = BTreeMap::new();
        for entry in entries {
            if let Some(expression) = self.found(&entry.value, names) {
                each.insert(entry.key.clone(), expression);
            }
        }
        Pairs { all: None, each }
    }

    /// An expression that sees these names.
    pub(super) fn found(&mut self, node: &Node, names: &[&str]) -> Option<String> {
        let text = self.report.text(node)?;
        if let Some(inner) = expression::scanner::whole_expression(text) {
            let problem = Problem::new(node.span.clone(), "an expression stands without `{{` and `}}`");
            self.report.add(problem.help(format!("Write `{}`.", visible(text[inner].trim(), MAX_QUOTED))));
            return None;
        }
        let references = expression::references_of_expression(text).map_err(|error| self.wrong(node, error)).ok()?;
        for reference in references {
            let root = reference.parts().next().unwrap_or_default();
            if !names.contains(&root) {
                let span = node.span_within(self.report.source, reference.range.clone());
                let problem = Problem::new(span, format!("`{}` is not defined here", visible(root, MAX_QUOTED)));
                let problem = problem.did_you_mean(root, names.iter().copied());
                self.report.add(problem.or_help(format!("Only {} can be used here.", list(names))));
            }
        }
        Some(text.to_owned())
    }

    fn wrong(&mut self, node: &Node, error: ExpressionError) {
        let span = node.span_within(self.report.source, error.range);
        let problem = Problem::new(span, error.message);
        self.report.add(match error.hint {
            Some(hint) => problem.help(hint),
            None => problem,
        });
    }
}

/// Tells every sender of GitHub's which environment a branch is deployed to, where that is one alone.
pub(super) fn know_branches(senders: &mut BTreeMap<String, Sender>, environments: &BTreeMap<String, Environment>) {
    let of = |branch: &String| {
        let mut names =
            environments.iter().filter(|(_, place)| place.branch.as_ref() == Some(branch)).map(|(name, _)| name);
        names.next().filter(|_| names.next().is_none()).cloned()
    };
    let branches = environments.values().filter_map(|place| place.branch.as_ref());
    let branches: BTreeMap<String, String> =
        branches.filter_map(|branch| Some((branch.clone(), of(branch)?))).collect();
    for sender in senders.values_mut().filter(|sender| sender.form == Form::Github) {
        sender.branches.clone_from(&branches);
    }
}

#[cfg(test)]
mod tests;
