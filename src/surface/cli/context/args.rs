//! Arguments that many commands share: the incident, the step, and `--detach`.

use crate::domain::incident::command::target::StepReference;

/// The incident that a command changes; it must be named.
#[derive(Debug, Clone, clap::Args)]
pub struct IncidentArg {
    /// The incident: its id, the beginning of its id, or `last`
    #[arg(value_name = "INCIDENT")]
    pub incident: String,
}

/// The incident that a command reads.
#[derive(Debug, Clone, clap::Args)]
pub struct ReadTarget {
    /// The incident: its id, or the beginning of its id [default: the most recently changed]
    #[arg(value_name = "INCIDENT")]
    pub incident: Option<String>,
}

/// The step that a command changes; it must be named.
#[derive(Debug, Clone, clap::Args)]
pub struct StepArg {
    /// The step, such as `rollback` or `restart[2]`; `2:rollback` is the step of run 2
    #[arg(value_name = "STEP", value_parser = reference)]
    pub step: StepReference,
}

/// Whether a command returns at once after it has changed an incident.
#[derive(Debug, Clone, clap::Args)]
pub struct DetachArg {
    /// Return at once, without continuing the run
    #[arg(long)]
    pub detach: bool,
}

/// Parses a step reference.
pub fn reference(typed: &str) -> Result<StepReference, String> {
    typed.parse()
}
