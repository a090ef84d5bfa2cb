//! The context of actions that run outside a step: commands use it to check services, journals and hosts.

use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::session;
use super::session::Session;
use crate::actions::{Context, Progress, Secrets};
use crate::domain::config::estate::{Environment, Estate};
use crate::domain::core::id::{RunId, StepKey};
use crate::surface::cli::output::error::Result;

/// The environment in which an action runs.
#[derive(Debug, Default)]
pub struct ActionTarget {
    /// The project's directory.
    pub directory: PathBuf,
    pub estate: Estate,
    /// The environment's name; empty if there is none.
    pub name: String,
    pub environment: Environment,
}

/// An action context in which these secrets can be used and are redacted.
pub fn context(session: &Session, target: ActionTarget, secrets: Secrets) -> Result<Context> {
    let ActionTarget { directory, estate, name, environment } = target;
    Ok(Context {
        place: (RunId(0), StepKey::main("check")),
        environment_name: name,
        environment: Arc::new(environment),
        estate: Arc::new(estate),
        clock: session.clock(),
        redactor: Arc::new(session::redactor(secrets.iter())?),
        secrets: Arc::new(secrets),
        base_environment: Arc::new(session.settings.base_environment()),
        directory,
        progress: Progress::none(),
        cancel: CancellationToken::new(),
        deadline: None,
    })
}
