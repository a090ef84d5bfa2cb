//! Host requirements derived from the configuration, and the result of checking them.
//!
//! [`Needs`] lists every unit, secret, path, program and repository that the estate or a runbook names, with who names it.
//! [`CheckResult`] is one line of the answer.
//!
//! Not here: the checks themselves, and values that are known only during a run: a text that refers to a step or to a parameter
//! without a default is skipped.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};

use super::unit_permission;
use super::unit_permission::Grant;
use crate::domain::config::estate::{Environment, Estate};
use crate::domain::config::kind_schema::{KindForm, Shape};
use crate::domain::core::glob_name::suffixed;
use crate::domain::runbook::{Action, Runbook};
use crate::domain::template::expression;
use crate::domain::template::values::plain;

mod path;

/// What a line is about, in the order in which people read them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// The files of the shop.
    Runbooks,
    /// The host itself: its name and its clock.
    Host,
    /// Room where the log and post-mortems lie.
    Disk,
    /// The log.
    Log,
    /// Units of systemd.
    Units,
    /// What the account may do to units.
    Rights,
    /// Health addresses.
    Health,
    /// Repositories and their remotes.
    Git,
    /// Slack's tokens and what they may do.
    Slack,
    /// What senders of alerts prove themselves with.
    Senders,
    /// Secrets.
    Secrets,
    /// Files and directories.
    Paths,
    /// Programs.
    Programs,
}

impl Topic {
    /// The heading.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Runbooks => "runbooks",
            Self::Host => "host",
            Self::Disk => "disk",
            Self::Log => "log",
            Self::Units => "units",
            Self::Rights => "rights",
            Self::Health => "health",
            Self::Git => "git",
            Self::Slack => "slack",
            Self::Senders => "senders",
            Self::Secrets => "secrets",
            Self::Paths => "paths",
            Self::Programs => "programs",
        }
    }
}

/// How it is with one thing, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// A runbook will fail on it.
    Wrong,
    /// Somebody should look: it may be meant so, or it cannot be told.
    Doubtful,
    /// As it should be.
    Fine,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckResult {
    /// What it is about.
    pub topic: Topic,
    /// Which: `shop-gateway.service`.
    pub subject: String,
    /// How it is.
    pub state: CheckState,
    /// What was found.
    pub found: String,
    /// The command that mends it; always there when it is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

impl CheckResult {
    /// It is as it should be.
    pub fn fine(topic: Topic, subject: impl Into<String>, found: impl Into<String>) -> Self {
        Self { topic, subject: subject.into(), state: CheckState::Fine, found: found.into(), mend: None }
    }

    /// Somebody should look.
    pub fn doubtful(topic: Topic, subject: impl Into<String>, found: impl Into<String>) -> Self {
        Self { state: CheckState::Doubtful, ..Self::fine(topic, subject, found) }
    }

    /// It is wrong, and this command mends it.
    pub fn wrong(topic: Topic, subject: impl Into<String>, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { state: CheckState::Wrong, ..Self::fine(topic, subject, found) }.remedy(mend)
    }

    /// The same with a command to type.
    #[must_use]
    pub fn remedy(self, command: impl Into<String>) -> Self {
        Self { mend: Some(command.into()), ..self }
    }
}

/// Who names a thing: `service gateway`, `runbook p1`.
pub type Users = BTreeSet<String>;

/// Everything that is named, by name, with who names it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Whole units; patterns are not among them.
    pub units: BTreeMap<String, Users>,
    /// Secrets that something needs to work; others are listed to be scrubbed only.
    pub secrets: BTreeMap<String, Users>,
    /// Files and directories that have to be there.
    pub paths: BTreeMap<String, Users>,
    /// Absolute paths that are handed to programs, which may be there to make them.
    pub arguments: BTreeMap<String, Users>,
    /// Programs, by path or by name.
    pub programs: BTreeMap<String, Users>,
    /// Of the paths and programs those that are meant on this machine, whichever host the environment is on.
    pub here: BTreeMap<String, Users>,
    /// Work trees.
    pub repositories: BTreeMap<String, Users>,
    /// What is done to units.
    pub grant: Grant,
}

impl Needs {
    /// What an environment of an estate needs, and the runbooks that may run there.
    pub fn of(estate: &Estate, name: &str, runbooks: &[&Runbook], forms: &[&KindForm]) -> Self {
        let runs =
            |runbook: &&&Runbook| runbook.environments.is_empty() || runbook.environments.iter().any(|e| e == name);
        let here: Vec<&Runbook> = runbooks.iter().filter(runs).copied().collect();
        let mut needs = Self { grant: Grant::of(here.iter().copied(), estate), ..Self::default() };
        needs.add_estate(estate);
        if let Some(environment) = estate.environments.get(name) {
            needs.add_environment(name, environment);
            for runbook in here {
                needs.add_runbook(runbook, &scope(estate, name, environment, runbook), forms);
            }
        }
        needs
    }

    /// Whether a path is handed to programs and is looked at for nothing else.
    pub fn is_argument_alone(&self, path: &str) -> bool {
        !self.paths.contains_key(path) && !self.repositories.contains_key(path)
    }

    /// Whether somebody means this path or program on the environment's host.
    pub fn is_there(&self, name: &str, users: &Users) -> bool {
        self.here.get(name).is_none_or(|here| !users.is_subset(here))
    }

    fn add_runbook(&mut self, runbook: &Runbook, scope: &minijinja::Value, forms: &[&KindForm]) {
        let user = format!("runbook {}", runbook.id);
        for action in runbook.all_steps().into_iter().flat_map(unit_permission::actions) {
            if let Some(form) = forms.iter().find(|form| form.name == action.kind) {
                let is_here = action.host.as_deref() == Some(crate::domain::config::host::LOCAL);
                let mut reader = Reader { needs: self, scope, user: &user, is_here };
                reader.action(form, action);
            }
        }
    }
}

/// What a runbook's texts can refer to before it runs.
fn scope(estate: &Estate, name: &str, environment: &Environment, runbook: &Runbook) -> minijinja::Value {
    let defaults = runbook.params.iter().filter_map(|param| Some((param.name.clone(), param.default.clone()?)));
    let mut known = json!(environment);
    known["name"] = json!(name);
    let params: serde_json::Map<String, Value> = defaults.collect();
    plain(&json!({
        "environment": known, "estate": estate, "services": estate.services, "datastores": estate.datastores,
        "params": params,
    }))
}

/// Reads the specs of one runbook.
struct Reader<'a> {
    needs: &'a mut Needs,
    scope: &'a minijinja::Value,
    user: &'a str,
    /// Whether what it does is done on this machine, whichever host the environment is on.
    is_here: bool,
}

impl Reader<'_> {
    fn action(&mut self, form: &KindForm, action: &Action) {
        let fields = form.verbs.iter().map(|verb| &verb.field).chain(form.fields);
        for field in fields {
            if let Some(value) = action.spec.get(field.name) {
                self.value(&field.shape, value);
            }
        }
        self.places(action);
    }

    fn value(&mut self, shape: &Shape, value: &Value) {
        match (shape, value) {
            (Shape::Unit, Value::String(text)) => self.unit(text),
            (Shape::Secret, Value::Object(fields)) => {
                if let Some(name) = fields.get("secret").and_then(Value::as_str) {
                    note(&mut self.needs.secrets, name, self.user);
                }
            }
            (Shape::ListOf(inner) | Shape::OneOrMany(inner), Value::Array(items)) => {
                items.iter().for_each(|item| self.value(inner, item));
            }
            (Shape::OneOrMany(inner), value) => self.value(inner, value),
            (Shape::MapOf(inner), Value::Object(fields)) => fields.values().for_each(|value| self.value(inner, value)),
            (Shape::Record(fields), Value::Object(values)) => {
                for field in *fields {
                    if let Some(value) = values.get(field.name) {
                        self.value(&field.shape, value);
                    }
                }
            }
            _ => {}
        }
    }

    fn unit(&mut self, text: &str) {
        if let Some(unit) = self.known(text).filter(|unit| !unit.contains(['*', '?', '['])) {
            // A service may be named in the place of its unit, and its unit is looked at already.
            let is_service = self.needs.units.values().flatten().any(|user| *user == format!("service {unit}"));
            if !is_service {
                note(&mut self.needs.units, &suffixed(unit), self.user);
            }
        }
    }

    /// What a text is, when that is known before a run.
    fn known(&self, text: &str) -> Option<String> {
        let known = match expression::is_template(text) {
            true => expression::render_text(text, self.scope).ok()?,
            false => text.to_owned(),
        };
        Some(known).filter(|known| !known.trim().is_empty())
    }
}

/// Writes down who needs something.
fn note(into: &mut BTreeMap<String, Users>, name: &str, user: &str) {
    into.entry(name.to_owned()).or_default().insert(user.to_owned());
}

#[cfg(test)]
mod tests;
