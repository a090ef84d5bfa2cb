//! What a kind of action is given when it works for no step: for commands that look at hosts.

use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::session;
use super::session::Session;
use crate::actions::{Context, Progress, Secrets};
use crate::domain::config::estate::{Environment, Estate};
use crate::domain::core::id::{RunId, StepKey};
use crate::surface::cli::output::error::Result;

/// Where somebody looks.
#[derive(Debug, Default)]
pub struct Scene {
    /// The shop's directory.
    pub directory: PathBuf,
    /// The shop.
    pub estate: Estate,
    /// The environment's name; empty when it is none of the estate's.
    pub name: String,
    /// The environment.
    pub environment: Environment,
}

/// The surroundings of a look, in which these secrets may be used and are scrubbed.
pub fn context(station: &Session, scene: Scene, secrets: Secrets) -> Result<Context> {
    let Scene { directory, estate, name, environment } = scene;
    Ok(Context {
        place: (RunId(0), StepKey::main("look")),
        environment_name: name,
        environment: Arc::new(environment),
        estate: Arc::new(estate),
        clock: station.clock(),
        redactor: Arc::new(session::redactor(secrets.iter())?),
        secrets: Arc::new(secrets),
        basics: Arc::new(station.settings.basics()),
        directory,
        progress: Progress::none(),
        cancel: CancellationToken::new(),
        deadline: None,
    })
}
