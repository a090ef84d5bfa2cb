//! Runs one kind of action with the context that the engine would give it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use runbook::actions::{Context, Progress, Reconciled, Secrets, kind};
use runbook::clock::SystemClock;
use runbook::domain::config::estate::Estate;
use runbook::domain::core::id::{RunId, StepKey};
use runbook::domain::core::time::Span;
use runbook::domain::incident::outcome::Outcome;
use runbook::domain::redact::Redactor;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// The context of a kind.
pub struct KindHarness {
    /// A test may change it.
    pub context: Context,
}

impl KindHarness {
    /// In `production` of an estate with this environment and these services, in JSON as in `estate.yaml`.
    pub fn new(environment: Value, services: Value) -> Self {
        Self::of(json!({
            "estate": "Pakashop", "environments": { "production": environment }, "services": services,
        }))
    }

    /// In `production` of an estate with these datastores only.
    pub fn with_datastores(datastores: Value) -> Self {
        Self::of(json!({ "estate": "Pakashop", "environments": { "production": {} }, "datastores": datastores }))
    }

    /// In `production` of this estate.
    pub fn of(estate: Value) -> Self {
        let estate: Estate = serde_json::from_value(estate).expect("an estate");
        Self {
            context: Context {
                place: (RunId(1), StepKey::main("step")),
                environment_name: "production".to_owned(),
                environment: Arc::new(estate.environments["production"].clone()),
                estate: Arc::new(estate),
                clock: Arc::new(SystemClock),
                secrets: Arc::new(Secrets::default()),
                redactor: Arc::new(Redactor::default()),
                base_environment: Arc::new(BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())])),
                directory: Path::new("/").to_owned(),
                progress: Progress::none(),
                cancel: CancellationToken::new(),
                deadline: None,
            },
        }
    }

    /// With these secrets.
    pub fn with_secrets(mut self, secrets: &[(&str, &str)]) -> Self {
        let values = secrets.iter().map(|(name, value)| ((*name).to_owned(), Ok((*value).to_owned().into())));
        self.context.secrets = Arc::new(Secrets::new(values.collect()));
        self
    }

    /// With a deadline in this many seconds.
    pub fn within(mut self, seconds: u64) -> Self {
        self.context.deadline = Some(Span::seconds(seconds).after(self.context.clock.now()));
        self
    }

    pub async fn perform(&self, name: &str, spec: Value) -> Outcome {
        kind(name).expect("the kind is in the list").perform(&spec, &self.context).await
    }

    pub async fn observe(&self, name: &str, spec: Value) -> Value {
        kind(name).expect("the kind is in the list").observe(&spec, &self.context).await
    }

    pub async fn reconcile(&self, name: &str, spec: Value, before: &Value) -> Reconciled {
        kind(name).expect("the kind is in the list").reconcile(&spec, before, &self.context).await
    }
}
