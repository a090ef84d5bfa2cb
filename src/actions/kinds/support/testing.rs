//! A context for tests of kinds: no estate, no secrets, the system's clock, this machine's programs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::actions::{Context, Progress, Secrets};
use crate::clock::SystemClock;
use crate::domain::config::estate::{Environment, Estate};
use crate::domain::core::id::{RunId, StepKey};
use crate::domain::redact::Redactor;

/// A context whose directory is `/tmp`.
pub fn context() -> Context {
    let base_environment = [("PATH", "/usr/bin:/bin"), ("HOME", "/nonexistent"), ("LANG", "C.UTF-8"), ("TZ", "UTC")];
    Context {
        place: (RunId(1), StepKey::main("step")),
        environment_name: "production".to_owned(),
        environment: Arc::new(Environment::default()),
        estate: Arc::new(Estate::default()),
        clock: Arc::new(SystemClock),
        secrets: Arc::new(Secrets::default()),
        redactor: Arc::new(Redactor::default()),
        base_environment: Arc::new(BTreeMap::from(
            base_environment.map(|(name, value)| (name.to_owned(), value.to_owned())),
        )),
        directory: Path::new("/tmp").to_owned(),
        progress: Progress::none(),
        cancel: CancellationToken::new(),
        deadline: None,
    }
}
