//! What a kind of action is given when it works for no step: for commands that look at this host.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::failure::Result;
use super::secrets;
use super::shop::Shop;
use super::station::{self, Station};
use crate::actions::{Context, Progress};
use crate::domain::estate::{Environment, Estate};
use crate::domain::id::{RunId, StepKey};

/// The surroundings of an environment, with every secret that can be read.
pub fn context(
    station: &Station,
    shop: &Shop,
    estate: &Estate,
    name: &str,
    environment: Environment,
) -> Result<Context> {
    let values = secrets::read(estate, &shop.directory, &station.settings.environment);
    Ok(Context {
        place: (RunId(0), StepKey::main("look")),
        environment_name: name.to_owned(),
        environment: Arc::new(environment),
        estate: Arc::new(estate.clone()),
        clock: station.clock(),
        redactor: Arc::new(station::redactor(values.iter())?),
        secrets: Arc::new(values),
        basics: Arc::new(station.settings.basics()),
        directory: shop.directory.clone(),
        progress: Progress::none(),
        cancel: CancellationToken::new(),
        deadline: None,
    })
}
