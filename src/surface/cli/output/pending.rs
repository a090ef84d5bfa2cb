//! The pending questions of an incident, with the commands that answer them.
//!
//! **Invariant:** a printed command can be pasted into a shell, because foreign text in it is quoted.

use std::fmt::Write as _;

use serde::Serialize;

use super::table::single_line;
use crate::domain::core::id::{RunId, StepKey};
use crate::domain::core::text::{printable, shell_word};
use crate::domain::incident::command::target::StepReference;
use crate::domain::incident::decide::HAPPENED;
use crate::domain::incident::event::Gate;
use crate::domain::incident::{Incident, IncidentStatus};

/// Maximum number of choices for which a command is printed.
const CHOICES_SHOWN: usize = 8;
/// How many characters of a digest are printed, enough to distinguish two changes.
const DIGEST_SHOWN: usize = 12;

/// One pending question.
#[derive(Debug, Serialize)]
pub struct PendingItem<'a> {
    pub run: RunId,
    pub step: &'a StepKey,
    /// The step as a person types it.
    #[serde(skip)]
    pub reference: StepReference,
    #[serde(flatten)]
    pub gate: &'a Gate,
    /// The commands that answer it.
    pub commands: Vec<String>,
}

/// All pending questions. `program` is `runbook` with the flags to repeat.
pub fn of<'a>(incident: &'a Incident, program: &str) -> Vec<PendingItem<'a>> {
    let one = |(run, step, gate)| {
        let reference = incident.reference(run, step);
        PendingItem { run, step, gate, commands: commands(incident, &reference, gate, program), reference }
    };
    incident.waiting_for_person().into_iter().map(one).collect()
}

/// A runbook that a person may start.
#[derive(Debug, Serialize)]
pub struct Proposed<'a> {
    pub runbook: &'a str,
    /// Why it did not start automatically.
    pub reason: &'a str,
    /// The command that starts it.
    pub command: String,
}

/// The runbooks that a person may start because of an alert.
pub fn proposed<'a>(incident: &'a Incident, program: &str) -> Vec<Proposed<'a>> {
    let open = incident.proposals.iter().filter(|_| incident.status != IncidentStatus::Resolved);
    open.map(|proposal| Proposed {
        runbook: &proposal.runbook,
        reason: &proposal.reason,
        command: format!("{program} start {} --incident {}", proposal.runbook, incident.id),
    })
    .collect()
}

/// The proposed runbooks as text.
pub fn render_proposed(proposed: &[Proposed<'_>]) -> String {
    let mut out = String::new();
    for one in proposed {
        let _ = writeln!(out, "proposed: {} · {}", one.runbook, single_line(one.reason));
        let _ = writeln!(out, "  {}", printable(&one.command));
    }
    out
}

fn commands(incident: &Incident, step: &StepReference, gate: &Gate, program: &str) -> Vec<String> {
    let id = &incident.id;
    let step = step.shell_word();
    let command = |verb: &str, rest: &str| format!("{program} {verb} {id} {step}{rest}");
    let after_failure =
        || [command("retry", ""), command("skip", " 'why not'"), format!("{program} cancel {id} 'why'")];
    match gate {
        Gate::Ask { choices, many: true, .. } if !choices.is_empty() => {
            let all: Vec<&str> = choices.iter().map(String::as_str).collect();
            vec![command("answer", &format!(" {}", shell_word(&all.join(","))))]
        }
        Gate::Ask { choices, .. } if !choices.is_empty() => choices
            .iter()
            .take(CHOICES_SHOWN)
            .map(|choice| command("answer", &format!(" {}", shell_word(choice))))
            .collect(),
        Gate::Ask { .. } => vec![command("answer", " 'your answer'")],
        Gate::Manual { .. } => vec![command("answer", " done")],
        Gate::Approve { digest, .. } => {
            let prefix = digest.get(..DIGEST_SHOWN).unwrap_or(digest);
            vec![command("approve", &format!(" --digest {}", shell_word(prefix))), command("deny", " 'why not'")]
        }
        Gate::Timer { .. } => Vec::new(),
        Gate::Failure { .. } => after_failure().into(),
        Gate::Unclear { .. } => {
            let mut commands = vec![command("answer", &format!(" {HAPPENED}"))];
            commands.extend(after_failure());
            commands
        }
    }
}

/// The pending questions as text.
pub fn render(waiting: &[PendingItem<'_>]) -> String {
    let mut out = String::new();
    for one in waiting {
        let question = question(one.gate);
        let mut lines = question.lines().map(str::to_owned).chain(details(one.gate));
        let _ = writeln!(out, "waiting: {} · {}", one.reference, single_line(&lines.next().unwrap_or_default()));
        for line in lines {
            let _ = writeln!(out, "    {}", single_line(&line));
        }
        for command in &one.commands {
            let _ = writeln!(out, "  {}", printable(command));
        }
    }
    out
}

/// The question of a gate. A prompt or an instruction may have several lines.
pub fn question(gate: &Gate) -> String {
    match gate {
        Gate::Ask { prompt, .. } => prompt.clone(),
        Gate::Manual { instruction } => format!("to be done by hand: {instruction}"),
        Gate::Approve { change, .. } => format!("agreement to: {}", change.what),
        Gate::Timer { until } => format!("until {}", crate::domain::core::time::stamp(*until)),
        Gate::Failure { error } => format!("failed: {error}"),
        Gate::Unclear { detail } => format!("unknown whether it happened: {detail}"),
    }
}

fn details(gate: &Gate) -> Vec<String> {
    match gate {
        Gate::Ask { suggest: Some(suggest), .. } => vec![format!("suggested: {suggest}")],
        Gate::Approve { by, change, count, given, expires_at, not_requester, .. } => {
            let mut lines = vec![format!("where: {}", change.place)];
            lines.extend(change.why.iter().map(|why| format!("why: {why}")));
            lines.extend(change.undo.iter().map(|undo| format!("undo: {undo}")));
            if !by.is_empty() {
                lines.push(format!("by: {}", by.join(" or ")));
            }
            if *not_requester {
                lines.push("not by the person who started the run".to_owned());
            }
            if *count > 1 {
                let given = if given.is_empty() { "nobody".to_owned() } else { given.join(", ") };
                lines.push(format!("{count} people must approve; so far: {given}"));
            }
            lines.extend(expires_at.map(|at| format!("until: {}", crate::domain::core::time::stamp(at))));
            lines
        }
        _ => Vec::new(),
    }
}
