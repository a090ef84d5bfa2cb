//! `runbook demo-service`: the hidden service that the demo and the tests start many of.

use crate::surface::cli::context::session::Session;
use crate::surface::cli::output::error::{Failure, Result};
use crate::surface::demo::service::{self, ServiceOptions};
use crate::surface::exit::Exit;

/// Serves as one of the demo's services, until it is told to stop
#[derive(Debug, clap::Args)]
pub struct DemoService {
    #[command(flatten)]
    options: ServiceOptions,
}

impl DemoService {
    /// Runs the service.
    pub fn run(self, session: &Session) -> Result {
        session.runtime()?.block_on(service::serve(self.options)).map_err(|error| Failure::error(error.to_string()))?;
        Ok(Exit::DONE)
    }
}
