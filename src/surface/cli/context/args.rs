//! The incident and the step of a command, as arguments that many commands share.

use crate::domain::incident::command::target::StepReference;

/// The incident to change: it has to be named.
#[derive(Debug, Clone, clap::Args)]
pub struct IncidentArg {
    /// The incident: its id, how that begins, or `last`
    #[arg(value_name = "INCIDENT")]
    pub incident: String,
}

/// The incident to look at.
#[derive(Debug, Clone, clap::Args)]
pub struct ReadTarget {
    /// The incident: its id, or how that begins [default: the one changed last]
    #[arg(value_name = "INCIDENT")]
    pub incident: Option<String>,
}

/// A step that has to be named.
#[derive(Debug, Clone, clap::Args)]
pub struct StepArg {
    /// The step, such as `rollback` or `restart[2]`; `2:rollback` is the one of run 2
    #[arg(value_name = "STEP", value_parser = reference)]
    pub step: StepReference,
}

/// Whether a command that has changed an incident goes on with it.
#[derive(Debug, Clone, clap::Args)]
pub struct Going {
    /// Does not go on with the run afterwards
    #[arg(long)]
    pub detach: bool,
}

/// A step as it was typed.
pub fn reference(typed: &str) -> Result<StepReference, String> {
    typed.parse()
}
