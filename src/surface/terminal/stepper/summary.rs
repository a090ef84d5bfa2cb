//! The closing summary of a session: failures, changes, pending questions and deadlines.

use super::scrollback::{run_outcome, transcript};
use super::step_name;
use crate::domain::core::id::{RunId, StepKey, StepPart};
use crate::domain::core::time::Timestamp;
use crate::domain::incident::event::{Conclusion, Gate};
use crate::domain::incident::outcome::{Outcome, Verdict};
use crate::domain::incident::run::RunStatus;
use crate::domain::incident::step::StepState;
use crate::domain::incident::{Incident, IncidentStatus};
use crate::surface::terminal::widgets::countdown;
use crate::surface::terminal::widgets::countdown::took;
use crate::surface::terminal::widgets::styled_text::{Signs, StyledLine, Tone};

/// How many of its last output lines a failed step repeats.
const TRANSCRIPT_LINES: usize = 4;
/// The column where the text of a fact begins.
const FACT_INDENT: usize = 11;
/// The kind of steps that send messages. They are not listed as changes.
const MESSAGES: &str = "notify";

/// The lines of the summary.
pub fn summary(incident: &Incident, now: Timestamp, signs: &Signs) -> Vec<StyledLine> {
    let mut lines = vec![StyledLine::new(), headline(incident, now, signs)];
    lines.extend(failed(incident, signs));
    lines.extend(changed(incident, signs));
    lines.extend(waiting(incident, signs));
    for countdown in countdown::all(&incident.deadlines, now) {
        lines.push(fact("deadline", &countdown.long, countdown.tone));
    }
    if incident.status != IncidentStatus::Resolved && incident.live_runs().next().is_none() {
        lines.push(fact("still", "the incident is not resolved", Tone::Warn));
    }
    if let Some(draft) = &incident.draft {
        lines.push(fact("draft", &draft.path, Tone::Plain));
    }
    lines
}

fn headline(incident: &Incident, now: Timestamp, signs: &Signs) -> StyledLine {
    // A run started by another run counts as part of that run.
    let Some(run) = incident.runs.iter().rev().find(|run| run.parent.is_none()) else {
        return StyledLine::new().with(Tone::Strong, incident.id.as_str());
    };
    let (tone, sign, label) = match &run.status {
        RunStatus::Ended(outcome) => run_outcome(*outcome, signs),
        RunStatus::Running => (Tone::Accent, signs.running, "continues"),
        RunStatus::Stopping(_) => (Tone::Warn, signs.warning, "is stopping"),
    };
    let length = took(run.ended_at.unwrap_or(now) - run.started_at);
    let counts = counts(incident);
    StyledLine::new()
        .with(tone, &format!("{sign} "))
        .with(Tone::Strong, &format!("{}: {} {label}", run.runbook.title, run.runbook.id))
        .faint(&format!(" {} {length} {} {counts}", signs.dot, signs.dot))
        .indent(2)
}

/// Whether a step without an attempt is a group. Its members are counted, the group is not.
fn is_group(state: &StepState) -> bool {
    state.answer.is_none() && state.conclusion() == Some(Conclusion::Succeeded)
}

fn counts(incident: &Incident) -> String {
    let count = |wanted: &[Conclusion]| {
        steps(incident)
            .filter(|(_, key, state)| key.part == StepPart::Main && (state.attempt.is_some() || !is_group(state)))
            .filter(|(_, _, state)| state.conclusion().is_some_and(|is| wanted.contains(&is)))
            .count()
    };
    let mut counts = vec![format!("{} done", count(&[Conclusion::Succeeded]))];
    for (number, label) in [
        (count(&[Conclusion::Skipped]), "not needed or skipped"),
        (count(&[Conclusion::Failed, Conclusion::Tolerated]), "failed"),
        (count(&[Conclusion::Cancelled]), "cancelled"),
    ] {
        if number > 0 {
            counts.push(format!("{number} {label}"));
        }
    }
    counts.join(", ")
}

fn failed(incident: &Incident, signs: &Signs) -> Vec<StyledLine> {
    let mut lines = Vec::new();
    for (run, key, state) in steps(incident) {
        let (tone, meaning) = match state.conclusion() {
            Some(Conclusion::Failed) => (Tone::Bad, ""),
            Some(Conclusion::Tolerated) => (Tone::Warn, "tolerated: "),
            _ => continue,
        };
        let reason =
            state.outcome.as_ref().filter(|outcome| !outcome.is_success()).map(|outcome| outcome.summary.clone());
        let reason = reason.or_else(|| state.reason.clone()).unwrap_or_default();
        let text = format!("{meaning}{} {} {reason}", step_name::name(incident, run, key), signs.dot);
        lines.push(fact("failed", &text, tone));
        let output = state.outcome.as_deref().map(Outcome::extra_transcript).unwrap_or_default();
        lines.extend(transcript(output, TRANSCRIPT_LINES, FACT_INDENT, signs));
    }
    lines
}

/// Every attempt that changed something, or may have changed something.
fn changed(incident: &Incident, signs: &Signs) -> Vec<StyledLine> {
    let changes = steps(incident).filter_map(|(run, key, state)| {
        let action = &state.attempt.as_ref()?.action;
        if !action.effect.changes() || action.kind == MESSAGES {
            return None;
        }
        let name = step_name::name(incident, run, key);
        Some(match state.outcome.as_ref() {
            Some(outcome) if outcome.is_success() => {
                fact("changed", &format!("{name} {} {}", signs.dot, outcome.summary), Tone::Plain)
            }
            Some(outcome) if outcome.verdict != Verdict::Unknown => {
                fact("tried", &format!("{name} {} {}", signs.dot, outcome.summary), Tone::Warn)
            }
            _ => fact("unclear", &format!("{name} {} unknown whether it happened", signs.dot), Tone::Bad),
        })
    });
    changes.collect()
}

fn waiting(incident: &Incident, signs: &Signs) -> Vec<StyledLine> {
    incident
        .waiting_for_person()
        .into_iter()
        .map(|(run, key, gate)| {
            let name = step_name::name(incident, run, key);
            fact("waiting", &format!("{key} {} {}", signs.dot, question(gate, &name)), Tone::Warn)
        })
        .collect()
}

/// The question of a gate.
pub fn question(gate: &Gate, name: &str) -> String {
    match gate {
        Gate::Ask { prompt, choices, .. } if choices.is_empty() => prompt.clone(),
        Gate::Ask { prompt, choices, suggest, .. } => {
            let suggest = suggest.as_ref().map(|suggest| format!("; suggested: {suggest}")).unwrap_or_default();
            format!("{prompt} ({}{suggest})", choices.join(", "))
        }
        Gate::Manual { instruction } => format!("by hand: {instruction}"),
        Gate::Approve { change, .. } => format!("approve: {}", change.what),
        Gate::Timer { .. } => name.to_owned(),
        Gate::Failure { error } => format!("{name} failed: {error}; retry, skip or cancel"),
        Gate::Unclear { detail } => format!("{name}: did it happen? {detail}"),
    }
}

fn steps(incident: &Incident) -> impl Iterator<Item = (RunId, &StepKey, &StepState)> {
    incident.runs.iter().flat_map(|run| run.order.iter().filter_map(move |key| Some((run.id, key, run.state(key)?))))
}

fn fact(label: &str, text: &str, tone: Tone) -> StyledLine {
    StyledLine::new().faint(&format!("  {label:<8} ")).with(tone, text).indent(FACT_INDENT)
}
