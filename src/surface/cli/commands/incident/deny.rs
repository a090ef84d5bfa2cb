//! `runbook deny`: denies a change.

use crate::domain::incident::command::Request;
use crate::domain::incident::command::target::StepReference;
use crate::domain::incident::decide::step_verb::StepVerb;
use crate::surface::cli::context::args::{DetachArg, IncidentArg, reference};
use crate::surface::cli::context::session::Session;
use crate::surface::cli::follow::submit;
use crate::surface::cli::output::error::{Failure, Result};

/// Deny a change that a run waits to make
///
/// The step is skipped, and the run continues without it.
///
/// Examples:
///   runbook deny lusab-fidok 'the merge is innocent'
///   runbook deny lusab-fidok rollback 'the merge is innocent'
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, allow_missing_positional = true)]
pub struct Deny {
    #[command(flatten)]
    target: IncidentArg,
    /// The step; not needed if only one change waits. `2:rollback` is the step of run 2
    #[arg(value_name = "STEP", value_parser = reference)]
    step: Option<StepReference>,
    /// The reason, in a few words
    #[arg(value_name = "REASON", required = true)]
    reason: String,
    #[command(flatten)]
    detach: DetachArg,
}

impl Deny {
    /// Denies the change and continues.
    pub fn run(self, session: &Session) -> Result {
        if self.step.is_none() {
            self.check_reason(session)?;
        }
        let step = (StepVerb::Deny, self.step.as_ref());
        let deny = |target| Request::Deny { target, reason: self.reason };
        submit::step_and_continue(session, &self.target, &self.detach, step, "denied", deny)
    }

    /// Refuses a reason that names a waiting step: the person meant the step and forgot the reason.
    fn check_reason(&self, session: &Session) -> Result<()> {
        let Ok(step) = self.reason.parse::<StepReference>() else { return Ok(()) };
        let open_engine = session.open_read_only()?;
        let id = open_engine.find(Some(&self.target.incident))?;
        let is_waiting =
            open_engine.incident(&id)?.waiting_for_person().iter().any(|(run, key, _)| step.matches(*run, key));
        if is_waiting {
            let typed = session.command(&format!("deny {id} {} 'why not'", step.shell_word()));
            return Err(Failure::usage("the reason is missing").hint(format!("Type `{typed}`.")));
        }
        Ok(())
    }
}
