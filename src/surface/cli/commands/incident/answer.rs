//! `runbook answer`: answers a question.

use serde_json::Value;

use crate::domain::incident::command::Request;
use crate::domain::incident::decide::step_verb::StepVerb;
use crate::surface::cli::context::args::{DetachArg, IncidentArg, StepArg};
use crate::surface::cli::context::session::Session;
use crate::surface::cli::follow::submit;
use crate::surface::cli::output::error::Result;

/// Answer a question of a run
///
/// The answer is one of the choices, or any text if there are no choices.
/// Where several choices may be taken, type one after the other. Answer
/// `done` when you have done a manual step, and `happened` when an
/// interrupted step took effect.
///
/// Examples:
///   runbook answer lusab-fidok cause infrastructure
///   runbook answer lusab-fidok suspects gateway search
///   runbook answer lusab-fidok failover done
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Answer {
    #[command(flatten)]
    target: IncidentArg,
    #[command(flatten)]
    step: StepArg,
    /// The answer
    #[arg(value_name = "VALUE", required = true, num_args = 1.., allow_negative_numbers = true)]
    values: Vec<String>,
    #[command(flatten)]
    detach: DetachArg,
}

impl Answer {
    /// Submits the answer and continues.
    pub fn run(self, session: &Session) -> Result {
        let value = match self.values.as_slice() {
            [one] => Value::String(one.clone()),
            many => many.iter().cloned().map(Value::String).collect(),
        };
        let confirmation = format!("`{}` is answered", self.step.step);
        let step = (StepVerb::Answer, Some(&self.step.step));
        submit::step_and_continue(session, &self.target, &self.detach, step, &confirmation, |target| Request::Answer {
            target,
            value,
        })
    }
}
