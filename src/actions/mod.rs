//! Actions: the [`Kind`] trait, and the [`Context`] that an action gets. Each kind has one file under [`kinds`].
//!
//! A kind declares its YAML as a [`KindForm`], and as an [`EffectClass`] whether it may be repeated. It writes no event and
//! uses no incident and no other kind.
//!
//! **Invariant:** an action that fails returns an [`Outcome`], never an `Err`: `perform` cannot fail.

pub mod kinds;
pub mod transport;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

pub use self::kinds::{KINDS, forms, kind};
use crate::clock::SharedClock;
use crate::domain::config::estate::{Environment, Estate, Host};
use crate::domain::config::kind_schema::KindForm;
use crate::domain::core::effect::EffectClass;
use crate::domain::core::id::{RunId, StepKey};
use crate::domain::core::time::Timestamp;
use crate::domain::incident::outcome::Outcome;
use crate::domain::incident::plan::PlannedChange;
use crate::domain::redact::Redactor;

/// A short description of a spec that still holds templates: `redis delete {{ … }}`.
fn as_written(form: &KindForm, spec: &Value) -> String {
    let verb = form.verbs.iter().find_map(|verb| Some((verb.field.name, spec.get(verb.field.name)?)));
    match verb {
        Some((verb, Value::String(object))) => format!("{} {verb} {object}", form.name),
        Some((verb, _)) => format!("{} {verb}", form.name),
        None => form.name.to_owned(),
    }
}

/// The effect of a spec's verb; [`EffectClass::Once`] without a verb.
fn effect_of_verb(form: &KindForm, spec: &Value) -> EffectClass {
    let verb = form.verbs.iter().find(|verb| spec.get(verb.field.name).is_some());
    verb.map_or(EffectClass::Once, |verb| verb.effect)
}

/// A kind of action, which a key of a step's YAML selects.
#[async_trait]
pub trait Kind: Send + Sync {
    /// The YAML it takes, its outputs and its documentation.
    fn form(&self) -> &'static KindForm;

    /// What a person sees before they approve the change: what, where, and how to undo it. `why` comes from the
    /// runbook.
    fn describe(&self, spec: &Value) -> PlannedChange;

    /// The state before the change, as far as [`Kind::reconcile`] needs it. Recorded with the intent.
    async fn observe(&self, _spec: &Value, _context: &Context) -> Value {
        Value::Null
    }

    /// Performs the action once. The engine enforces the deadline and the number of attempts.
    async fn perform(&self, spec: &Value, context: &Context) -> Outcome;

    /// Whether an interrupted attempt happened. `before` is what [`Kind::observe`] returned.
    async fn reconcile(&self, _spec: &Value, _before: &Value, _context: &Context) -> Reconciled {
        Reconciled::CannotTell("this kind cannot check whether it happened".to_owned())
    }
}

/// The result of checking whether an interrupted attempt happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Reconciled {
    /// It happened, with this outcome.
    Happened(Outcome),
    /// It did not happen and may be done again; the text is the evidence.
    DidNotHappen(String),
    /// It is unknown whether it happened; the text is the reason.
    CannotTell(String),
}

/// The input of an action besides its spec.
#[derive(Debug, Clone)]
pub struct Context {
    /// The run and the step that the action belongs to.
    pub place: (RunId, StepKey),
    pub environment_name: String,
    pub environment: Arc<Environment>,
    /// The estate as the run started with it.
    pub estate: Arc<Estate>,
    pub clock: SharedClock,
    pub secrets: Arc<Secrets>,
    /// Redacts secrets in everything that leaves the action.
    pub redactor: Arc<Redactor>,
    /// The environment variables that every child process gets: PATH, HOME, LANG, TZ.
    pub base_environment: Arc<BTreeMap<String, String>>,
    /// The project directory, the base of relative paths.
    pub directory: PathBuf,
    /// Live output lines for viewers; never recorded.
    pub progress: Progress,
    /// Cancelled when the action has to stop.
    pub cancel: CancellationToken,
    /// The instant when the engine drops the action. A kind may stop earlier, to return a better error.
    pub deadline: Option<Timestamp>,
}

impl Context {
    /// A path on the environment's host. The base of a relative path is the project directory on this machine, and the
    /// account's home directory on a remote host.
    pub fn there(&self, path: impl AsRef<std::path::Path>) -> PathBuf {
        match &self.environment.host {
            // Joined with nothing, a path would end in a slash.
            Host::Local if path.as_ref().as_os_str().is_empty() => self.directory.clone(),
            Host::Local => self.directory.join(path),
            Host::Ssh(_) => path.as_ref().to_owned(),
        }
    }
}

/// Receives live output lines.
#[derive(Clone)]
pub struct Progress(Arc<dyn Fn(&str) + Send + Sync>);

impl Progress {
    /// A receiver that calls `line` for every line. Lines are redacted already.
    pub fn new(line: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(line))
    }

    /// A receiver that drops every line.
    pub fn none() -> Self {
        Self::new(|_| {})
    }

    /// Reports one line. The caller has redacted it.
    pub fn line(&self, line: &str) {
        (self.0)(line);
    }
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Progress")
    }
}

/// The values of the estate's secrets, read at the start of the engine and at each reload.
#[derive(Default)]
pub struct Secrets(BTreeMap<String, Result<secrecy::SecretString, String>>);

impl Secrets {
    /// Secrets by name. A secret that could not be read holds the reason.
    pub fn new(values: BTreeMap<String, Result<secrecy::SecretString, String>>) -> Self {
        Self(values)
    }

    /// The value of a secret, or why there is none, for people.
    pub fn get(&self, name: &str) -> Result<&secrecy::SecretString, String> {
        match self.0.get(name) {
            Some(Ok(value)) => Ok(value),
            Some(Err(reason)) => Err(format!("secret `{name}`: {reason}")),
            None => Err(format!("secret `{name}` is not in the estate")),
        }
    }

    /// Why a secret has no value. `None` if it has one, or is not in the estate.
    pub fn problem(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_ref().err().map(String::as_str)
    }

    /// Adds the secrets of `older` whose names are missing here, for runs that started before a reload.
    #[must_use]
    pub fn and_older(mut self, older: &Self) -> Self {
        for (name, value) in &older.0 {
            self.0.entry(name.clone()).or_insert_with(|| value.clone());
        }
        self
    }

    /// All secrets that could be read, with their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &secrecy::SecretString)> {
        self.0.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_ref().ok()?)))
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Plain text or a reference to a secret: `"text"` or `{secret: name}`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(untagged)]
pub enum SecretText {
    Plain(String),
    Secret(crate::domain::core::secret_ref::SecretRef),
}

impl SecretText {
    /// The text, or the value of the secret.
    pub fn reveal(&self, secrets: &Secrets) -> Result<String, String> {
        use secrecy::ExposeSecret;
        match self {
            Self::Plain(text) => Ok(text.clone()),
            Self::Secret(reference) => Ok(secrets.get(&reference.secret)?.expose_secret().to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_with_templates_is_described_by_its_verb() {
        for (name, spec, what) in [
            ("redis", serde_json::json!({"keys": "*", "idle_over": "{{ x }}"}), "redis keys *"),
            ("postgres", serde_json::json!({"terminate": "{{ x }}"}), "postgres terminate {{ x }}"),
        ] {
            assert_eq!(kind(name).unwrap().describe(&spec).what, what);
        }
    }

    #[test]
    fn no_output_has_the_name_of_a_field_that_every_step_has() {
        for form in forms() {
            for output in form.outputs {
                let hidden = crate::domain::runbook::scope_names::STEP_FIELDS.contains(&output.name);
                assert!(!hidden, "`{}` of `{}` could not be reached", output.name, form.name);
            }
        }
    }
}
