//! The commands to a step, and whether the step's state allows them.
//!
//! **Invariant:** [`decide`](super::decide) and [`super::target_lookup`] use the same check, so a command that is suggested
//! passes the check of the step's state.

use crate::domain::core::id::{StepKey, StepPart};
use crate::domain::incident::Incident;
use crate::domain::incident::command::Refused;
use crate::domain::incident::event::{Conclusion, Gate};
use crate::domain::incident::run::{Run, RunStatus};
use crate::domain::incident::step::StepStatus;
use crate::domain::incident::template_scope;

/// A command to a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StepVerb {
    /// Answer a question, confirm work by hand, or confirm that an unclear attempt happened.
    Answer,
    Approve,
    Deny,
    Retry,
    Skip,
    /// Run the step's undo.
    Undo,
}

impl StepVerb {
    /// The command's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Approve => "approve",
            Self::Deny => "deny",
            Self::Retry => "retry",
            Self::Skip => "skip",
            Self::Undo => "undo",
        }
    }

    /// The arguments after the step, for an example.
    pub(super) const fn arguments(self) -> &'static str {
        match self {
            Self::Answer => " <answer>",
            Self::Deny | Self::Skip => " <reason>",
            Self::Approve | Self::Retry | Self::Undo => "",
        }
    }

    /// Checks whether the step's state allows the command.
    ///
    /// # Errors
    /// It does not; the refusal says why.
    pub(super) fn check(self, incident: &Incident, run: &Run, key: &StepKey) -> Result<(), Refused> {
        match self {
            Self::Answer => answer(incident, run, key),
            Self::Approve | Self::Deny => change(incident, run, key),
            Self::Retry => retry(incident, run, key),
            Self::Skip => skip(incident, run, key),
            Self::Undo => undo(incident, run, key),
        }
    }
}

fn answer(incident: &Incident, run: &Run, key: &StepKey) -> Result<(), Refused> {
    let (id, typed) = (&incident.id, incident.reference(run.id, key));
    let word = typed.shell_word();
    match run.state(key).and_then(|state| state.gate()) {
        Some(Gate::Ask { .. } | Gate::Manual { .. } | Gate::Unclear { .. }) => Ok(()),
        Some(Gate::Approve { .. }) => Err(Refused::usage(format!("`{typed}` waits for agreement, not for an answer"))
            .hint(format!("Type `runbook approve {id} {word}` or `runbook deny {id} {word} <reason>`."))),
        Some(Gate::Failure { .. }) => Err(Refused::usage(format!("`{typed}` has failed: it waits for a decision"))
            .hint(format!("Type `runbook retry {id} {word}` or `runbook skip {id} {word} <reason>`."))),
        Some(Gate::Timer { .. }) | None => Err(Refused::usage(format!("`{typed}` has no open question"))
            .hint(format!("See what waits: `runbook watch {id}`."))),
    }
}

fn change(incident: &Incident, run: &Run, key: &StepKey) -> Result<(), Refused> {
    if let Some(Gate::Approve { .. }) = run.state(key).and_then(|state| state.gate()) {
        return Ok(());
    }
    let typed = incident.reference(run.id, key);
    Err(Refused::usage(format!("`{typed}` does not wait for agreement"))
        .hint(format!("See what waits: `runbook watch {}`.", incident.id)))
}

fn retry(incident: &Incident, run: &Run, key: &StepKey) -> Result<(), Refused> {
    let open = run.status == RunStatus::Running || key.part == StepPart::Undo;
    // The conclusion of an expanded group comes from its members, which are retried instead.
    let is_group = run.runbook.step(&key.id).is_some_and(|step| step.is_group(key));
    match run.step_status(key) {
        StepStatus::Waiting(Gate::Failure { .. } | Gate::Unclear { .. }) => Ok(()),
        StepStatus::Concluded(Conclusion::Tolerated | Conclusion::Failed)
            if open && key.part == StepPart::Main && !run.has_left(key) && !is_group =>
        {
            Ok(())
        }
        _ => Err(Refused::usage(format!("`{}` cannot be retried", incident.reference(run.id, key)))
            .hint(format!("See its state: `runbook timeline {}`.", incident.id))),
    }
}

fn skip(incident: &Incident, run: &Run, key: &StepKey) -> Result<(), Refused> {
    let status = run.step_status(key);
    let skippable = matches!(status, StepStatus::Pending | StepStatus::Ready { .. } | StepStatus::Waiting(_));
    if skippable && (!run.is_over() || key.part == StepPart::Undo) {
        return Ok(());
    }
    let (typed, status) = (incident.reference(run.id, key), template_scope::status(status));
    Err(Refused::usage(format!("`{typed}` cannot be skipped: its status is `{status}`"))
        .hint(format!("See its state: `runbook timeline {}`.", incident.id)))
}

fn undo(incident: &Incident, run: &Run, key: &StepKey) -> Result<(), Refused> {
    let (id, typed) = (&incident.id, incident.reference(run.id, key));
    if run.runbook.step(&key.id).is_none_or(|step| step.undo.is_none()) {
        return Err(Refused::usage(format!("`{typed}` has no undo"))
            .hint(format!("Undo it by hand, and record that: `runbook note {id} <text>`.")));
    }
    if let Some(undoing) = run.state(&key.part(StepPart::Undo)) {
        let ended = undoing.conclusion().is_some();
        let message = if ended { "was undone already; a step is undone once" } else { "is being undone already" };
        return Err(
            Refused::usage(format!("`{typed}` {message}")).hint(format!("See its state: `runbook timeline {id}`."))
        );
    }
    if !run.has_attempted(key) {
        return Err(Refused::usage(format!("`{typed}` has changed nothing")));
    }
    Ok(())
}
