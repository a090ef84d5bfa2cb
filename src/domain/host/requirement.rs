//! The requirements of the configuration on the host, and the results of checking them.
//!
//! [`Needs`] lists every unit, secret, path, program and repository of the estate and the runbooks, with its users.
//! [`CheckResult`] is the result of one check. A text that refers to a step, or to a parameter without a default, is skipped,
//! because its value is known only during a run.
//!
//! Not here: the checks; see `engine::inspect::doctor`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};

use super::unit_permission;
use super::unit_permission::Grant;
use crate::domain::config::estate::{Environment, Estate};
use crate::domain::config::kind_schema::{KindForm, Shape};
use crate::domain::core::glob_name::{is_unit_pattern, suffixed};
use crate::domain::runbook::{Action, Runbook};
use crate::domain::template::expression;
use crate::domain::template::values::plain;

mod path;

/// The subject area of a check, in the order of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// The runbooks and the estate.
    Runbooks,
    /// The name and the clock of the host.
    Host,
    /// The free space for the log and post-mortems.
    Disk,
    Log,
    Units,
    /// The permissions of the account on units.
    Rights,
    /// The health endpoints.
    Health,
    /// The repositories and their remotes.
    Git,
    /// The tokens of Slack and their permissions.
    Slack,
    /// The authentication of senders of alerts.
    Senders,
    Secrets,
    /// Files and directories.
    Paths,
    Programs,
}

impl Topic {
    /// The heading, which is the name in JSON too.
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

/// The state of a checked subject, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// A step of a runbook will fail on it.
    Wrong,
    /// A person has to decide: it may be intended, or it could not be checked.
    Doubtful,
    Fine,
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckResult {
    pub topic: Topic,
    /// What was checked: `shop-gateway.service`.
    pub subject: String,
    pub state: CheckState,
    /// What the check found.
    pub found: String,
    /// The command that repairs it; always given for [`CheckState::Wrong`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

impl CheckResult {
    /// A result without a problem.
    pub fn fine(topic: Topic, subject: impl Into<String>, found: impl Into<String>) -> Self {
        Self { topic, subject: subject.into(), state: CheckState::Fine, found: found.into(), mend: None }
    }

    /// A result that a person has to judge.
    pub fn doubtful(topic: Topic, subject: impl Into<String>, found: impl Into<String>) -> Self {
        Self { state: CheckState::Doubtful, ..Self::fine(topic, subject, found) }
    }

    /// A problem, and the command that repairs it.
    pub fn wrong(topic: Topic, subject: impl Into<String>, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { state: CheckState::Wrong, ..Self::fine(topic, subject, found) }.remedy(mend)
    }

    /// The same result with a command that repairs it.
    #[must_use]
    pub fn remedy(self, command: impl Into<String>) -> Self {
        Self { mend: Some(command.into()), ..self }
    }
}

/// The users of a required thing: `service gateway`, `runbook p1`.
pub type Users = BTreeSet<String>;

/// The requirements of an environment and its runbooks, each with its users.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Full names of units, without patterns.
    pub units: BTreeMap<String, Users>,
    /// Secrets whose value is used. Other secrets of the estate are only redacted.
    pub secrets: BTreeMap<String, Users>,
    /// Files and directories that must exist.
    pub paths: BTreeMap<String, Users>,
    /// Absolute paths among the arguments of programs. They need not exist, because a program may create them.
    pub arguments: BTreeMap<String, Users>,
    /// Programs, by path or by name.
    pub programs: BTreeMap<String, Users>,
    /// The paths and programs that are used on this machine, even if the environment's host is another one.
    pub here: BTreeMap<String, Users>,
    /// Directories of work trees.
    pub repositories: BTreeMap<String, Users>,
    /// Permissions on units.
    pub grant: Grant,
}

impl Needs {
    /// The requirements of the estate, of one of its environments, and of the runbooks that may run there.
    pub fn of(estate: &Estate, name: &str, runbooks: &[&Runbook], forms: &[&KindForm]) -> Self {
        let may_run =
            |runbook: &&&Runbook| runbook.environments.is_empty() || runbook.environments.iter().any(|e| e == name);
        let runbooks: Vec<&Runbook> = runbooks.iter().filter(may_run).copied().collect();
        let mut needs = Self { grant: Grant::of(runbooks.iter().copied(), estate), ..Self::default() };
        needs.add_estate(estate);
        if let Some(environment) = estate.environments.get(name) {
            needs.add_environment(name, environment);
            for runbook in runbooks {
                needs.add_runbook(runbook, &scope(estate, name, environment, runbook), forms);
            }
        }
        needs
    }

    /// Whether a path is only an argument of a program.
    pub fn is_argument_alone(&self, path: &str) -> bool {
        !self.paths.contains_key(path) && !self.repositories.contains_key(path)
    }

    /// Whether one of the users needs this path or program on the environment's host.
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

/// The values that the texts of a runbook can refer to before a run.
fn scope(estate: &Estate, name: &str, environment: &Environment, runbook: &Runbook) -> minijinja::Value {
    let defaults = runbook.params.iter().filter_map(|param| Some((param.name.clone(), param.default.clone()?)));
    let mut with_name = json!(environment);
    with_name["name"] = json!(name);
    let params: serde_json::Map<String, Value> = defaults.collect();
    plain(&json!({
        "environment": with_name, "estate": estate, "services": estate.services, "datastores": estate.datastores,
        "params": params,
    }))
}

/// Adds the requirements of one action.
struct Reader<'a> {
    needs: &'a mut Needs,
    scope: &'a minijinja::Value,
    user: &'a str,
    /// Whether the action is done on this machine, even if the environment's host is another one.
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
        self.paths_and_programs(action);
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
        if let Some(unit) = self.known(text).filter(|unit| !is_unit_pattern(unit)) {
            // A step may name a service in place of its unit, which the estate has added already.
            let is_service = self.needs.units.values().flatten().any(|user| *user == format!("service {unit}"));
            if !is_service {
                note(&mut self.needs.units, &suffixed(unit), self.user);
            }
        }
    }

    /// The value of a text, if it is known before a run and not empty.
    fn known(&self, text: &str) -> Option<String> {
        let rendered = match expression::is_template(text) {
            true => expression::render_text(text, self.scope).ok()?,
            false => text.to_owned(),
        };
        Some(rendered).filter(|rendered| !rendered.trim().is_empty())
    }

    /// As [`known`](Self::known), with each element of an expression that gives a list.
    fn known_values(&self, text: &str) -> Vec<String> {
        match expression::render(text, self.scope) {
            Ok(Value::Array(items)) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => self.known(text).into_iter().collect(),
        }
    }
}

/// Adds a user of something.
fn note(into: &mut BTreeMap<String, Users>, name: &str, user: &str) {
    into.entry(name.to_owned()).or_default().insert(user.to_owned());
}

#[cfg(test)]
mod tests;
