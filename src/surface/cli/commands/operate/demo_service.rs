//! `runbook demo-service`: a hidden command that runs one small service. The demo and the tests start several.

use crate::surface::cli::context::session::Session;
use crate::surface::cli::output::error::{Failure, Result};
use crate::surface::demo::service::{self, ServiceOptions};
use crate::surface::exit::Exit;

/// Run one of the demo's services until a signal stops it
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
