//! How a step touches the world: one file a kind, and the list of them.
//!
//! A kind declares the YAML it takes as a [`KindForm`] and how often it may happen as an
//! [`EffectClass`](crate::domain::core::effect::EffectClass). It writes no event, knows no incident and no other kind.
//!
//! **Invariant:** what the world refuses is an [`Outcome`], never an `Err`: `perform` cannot fail.

pub mod error;
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
use crate::domain::core::id::{RunId, StepKey};
use crate::domain::core::time::Timestamp;
use crate::domain::incident::outcome::Outcome;
use crate::domain::incident::plan::PlannedChange;
use crate::domain::redact::Redactor;

/// What a kind is asked for, of a spec in which something is only known when the step runs: `redis delete {{ … }}`.
fn as_written(form: &KindForm, spec: &Value) -> String {
    let verb = form.verbs.iter().find_map(|verb| Some((verb.field.name, spec.get(verb.field.name)?)));
    match verb {
        Some((verb, Value::String(object))) => format!("{} {verb} {object}", form.name),
        Some((verb, _)) => format!("{} {verb}", form.name),
        None => form.name.to_owned(),
    }
}

/// A sort of action.
#[async_trait]
pub trait Kind: Send + Sync {
    /// What it is and takes.
    fn form(&self) -> &'static KindForm;

    /// What a person is told before it is done: what, where, and how to undo it; `why` is the runbook's.
    fn describe(&self, spec: &Value) -> PlannedChange;

    /// What the world looks like before, as far as [`Kind::reconcile`] needs it. Recorded with the intent.
    async fn observe(&self, _spec: &Value, _context: &Context) -> Value {
        Value::Null
    }

    /// Does it.
    async fn perform(&self, spec: &Value, context: &Context) -> Outcome;

    /// Whether an attempt that was cut off has happened. `before` is what [`Kind::observe`] saw.
    async fn reconcile(&self, _spec: &Value, _before: &Value, _context: &Context) -> Reconciled {
        Reconciled::CannotTell("this kind cannot look whether it happened".to_owned())
    }
}

/// What a look at the world says of an attempt that was cut off.
#[derive(Debug, Clone, PartialEq)]
pub enum Reconciled {
    /// It happened, and ended so.
    Happened(Outcome),
    /// It did not happen, and may be done again; how that is known.
    DidNotHappen(String),
    /// It cannot be told; what is known.
    CannotTell(String),
}

/// What an action is given besides its spec.
#[derive(Debug, Clone)]
pub struct Context {
    /// The run and step that it is done for.
    pub place: (RunId, StepKey),
    /// The environment's name.
    pub environment_name: String,
    /// The environment.
    pub environment: Arc<Environment>,
    /// The run's copy of the estate.
    pub estate: Arc<Estate>,
    /// Where `now` comes from.
    pub clock: SharedClock,
    /// The values of secrets.
    pub secrets: Arc<Secrets>,
    /// What scrubs them from everything that leaves the action.
    pub redactor: Arc<Redactor>,
    /// The environment variables that every child gets: PATH, HOME, LANG, TZ.
    pub basics: Arc<BTreeMap<String, String>>,
    /// The directory that relative paths are relative to: the shop's.
    pub directory: PathBuf,
    /// Live lines for whoever watches; never recorded.
    pub progress: Progress,
    /// Ended when the action has to stop.
    pub cancel: CancellationToken,
    /// When its time is over. The engine drops the action then; a kind may give up earlier with a better word.
    pub deadline: Option<Timestamp>,
}

impl Context {
    /// A path on the environment's host: what is relative is relative to the shop's directory on this machine, and to
    /// the account's own directory on another.
    pub fn there(&self, path: impl AsRef<std::path::Path>) -> PathBuf {
        match &self.environment.host {
            // Joined with nothing, a path would end in a slash.
            Host::Local if path.as_ref().as_os_str().is_empty() => self.directory.clone(),
            Host::Local => self.directory.join(path),
            Host::Ssh(_) => path.as_ref().to_owned(),
        }
    }
}

/// Where live lines go.
#[derive(Clone)]
pub struct Progress(Arc<dyn Fn(&str) + Send + Sync>);

impl Progress {
    /// A sink that calls `line` for every line, already redacted.
    pub fn new(line: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(line))
    }

    /// A sink that nobody watches.
    pub fn none() -> Self {
        Self::new(|_| {})
    }

    /// Tells a line. The caller has redacted it.
    pub fn line(&self, line: &str) {
        (self.0)(line);
    }
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Progress")
    }
}

/// The values of the estate's secrets, read when the engine starts.
#[derive(Default)]
pub struct Secrets(BTreeMap<String, Result<secrecy::SecretString, String>>);

impl Secrets {
    /// Secrets by name; a secret that could not be read holds why.
    pub fn new(values: BTreeMap<String, Result<secrecy::SecretString, String>>) -> Self {
        Self(values)
    }

    /// The value of a secret; else a sentence that says why there is none.
    pub fn get(&self, name: &str) -> Result<&secrecy::SecretString, String> {
        match self.0.get(name) {
            Some(Ok(value)) => Ok(value),
            Some(Err(reason)) => Err(format!("secret `{name}`: {reason}")),
            None => Err(format!("secret `{name}` is not in the estate")),
        }
    }

    /// These, and those of others whose names are not among them.
    #[must_use]
    pub fn and_older(mut self, older: &Self) -> Self {
        for (name, value) in &older.0 {
            self.0.entry(name.clone()).or_insert_with(|| value.clone());
        }
        self
    }

    /// Every secret that was read, with its name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &secrecy::SecretString)> {
        self.0.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_ref().ok()?)))
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A text that may be a secret: `"text"` or `{secret: name}`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(untagged)]
pub enum SecretText {
    /// Plain text.
    Plain(String),
    /// A secret of the estate, by name.
    Secret(crate::domain::core::secret_ref::SecretRef),
}

impl SecretText {
    /// The text, the secret's value put in.
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
    fn a_step_that_is_not_filled_in_yet_is_described_as_it_is_written() {
        for (kind, spec, what) in [
            ("redis", serde_json::json!({"keys": "*", "idle_over": "{{ x }}"}), "redis keys *"),
            ("postgres", serde_json::json!({"terminate": "{{ x }}"}), "postgres terminate {{ x }}"),
        ] {
            assert_eq!(super::kind(kind).unwrap().describe(&spec).what, what);
        }
    }

    #[test]
    fn no_output_hides_behind_a_field_that_every_step_has() {
        for form in forms() {
            for output in form.outputs {
                let hidden = crate::domain::runbook::scope_names::STEP_FIELDS.contains(&output.name);
                assert!(!hidden, "`{}` of `{}` could not be reached", output.name, form.name);
            }
        }
    }
}
