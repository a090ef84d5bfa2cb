//! `runbook approve`.

use crate::domain::core::id::StepKey;
use crate::domain::incident::command::Request;
use crate::surface::cli::context::args::{Going, IncidentArg, key};
use crate::surface::cli::context::session::Session;
use crate::surface::cli::follow::submit;
use crate::surface::cli::output::error::Result;

/// Agrees to a change that a run waits to make
///
/// With `--digest`, only to exactly the change that was shown: when it
/// has become another one since, nothing happens.
///
/// Examples:
///   runbook approve lusab-fidok
///   runbook approve lusab-fidok rollback --digest 3f1c0a9e8b7d
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Approve {
    #[command(flatten)]
    target: IncidentArg,
    /// The step; not needed when only one change waits
    #[arg(value_name = "STEP", value_parser = key)]
    step: Option<StepKey>,
    /// The digest of the change that was shown, or its first 8 or more letters
    #[arg(long, value_name = "DIGEST")]
    digest: Option<String>,
    #[command(flatten)]
    going: Going,
}

impl Approve {
    /// Approves the change and continues.
    pub fn run(self, session: &Session) -> Result {
        let request = Request::Approve { step: self.step, digest: self.digest };
        submit::then_go_on(session, &self.target, &self.going, "agreed", request)
    }
}
