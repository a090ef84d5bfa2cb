//! Turns events into the lines that stay in the terminal's scroll-back.
//!
//! It is used for live events, a replay of the log, and plain output. An event gives none, one or a few lines; a failure
//! also shows the end of the step's output. The only time used is the event's; there is no clock here.

#![deny(clippy::wildcard_enum_match_arm)]

use chrono::TimeDelta;
use serde_json::Value;

use super::step_name;
use crate::domain::core::id::{RunId, StepKey, StepPart};
use crate::domain::core::time::Timestamp;
use crate::domain::incident::event::{
    Actor, Conclusion, Event, Gate, IncidentEvent, Reconciliation, Recorded, RunEvent, RunOutcome, SkipReason,
    StepEvent, StopCause,
};
use crate::domain::incident::outcome::{Outcome, Verdict};
use crate::domain::incident::step::StepState;
use crate::domain::incident::{Illegal, Incident, extend};
use crate::surface::terminal::widgets::countdown::took;
use crate::surface::terminal::widgets::styled_text::{Signs, StyledLine, Tone};

mod incident;
mod people;

/// How many of its last output lines a failed step shows.
const TRANSCRIPT_LINES: usize = 8;

/// Turns events into lines, and folds them into the incident.
#[derive(Debug)]
pub struct Scrollback {
    signs: &'static Signs,
    incident: Option<Incident>,
    /// The phase whose heading was printed last.
    phase: Option<(RunId, String)>,
}

impl Scrollback {
    /// A scrollback before the first event.
    pub fn new(signs: &'static Signs) -> Self {
        Self { signs, incident: None, phase: None }
    }

    /// The incident after all events so far.
    pub fn incident(&self) -> Option<&Incident> {
        self.incident.as_ref()
    }

    /// Applies an event; returns the lines to print.
    pub fn apply(&mut self, recorded: &Recorded) -> Result<Vec<StyledLine>, Illegal> {
        let gate = self.gate_before(&recorded.event);
        extend(&mut self.incident, std::slice::from_ref(recorded))?;
        let Some(incident) = &self.incident else {
            return Ok(Vec::new());
        };
        let context = EventContext { signs: self.signs, incident, recorded };
        let mut lines = context.lines(gate.as_ref());
        if shows_time(&recorded.event) {
            let time = recorded.at.format("%H:%M:%S").to_string();
            let times = std::iter::once(time.as_str()).chain(std::iter::repeat("        "));
            lines = lines.into_iter().zip(times).map(|(line, time)| line.left(time)).collect();
        }
        if !lines.is_empty()
            && let Some(head) = self.phase_head(&recorded.event)
        {
            lines.splice(0..0, head);
        }
        Ok(lines)
    }

    /// The gate of the event's step before the event is applied. The event may be the answer that removes it.
    fn gate_before(&self, event: &Event) -> Option<Gate> {
        let (run, key) = crate::domain::incident::step::place(event)?;
        self.incident.as_ref()?.run(run)?.state(key)?.gate().cloned()
    }

    /// The heading of a phase, if the event belongs to another phase than the last one.
    fn phase_head(&mut self, event: &Event) -> Option<[StyledLine; 2]> {
        let (run, key) = crate::domain::incident::step::place(event)?;
        let phase = step_name::phase(self.incident.as_ref()?.run(run)?, key)?.to_owned();
        if self.phase.as_ref().is_some_and(|(old_run, old)| (*old_run, old) == (run, &phase)) {
            return None;
        }
        self.phase = Some((run, phase.clone()));
        Some([StyledLine::new(), StyledLine::new().with(Tone::Strong, &phase)])
    }
}

fn shows_time(event: &Event) -> bool {
    !matches!(
        event,
        Event::Incident(IncidentEvent::Opened { .. }) | Event::Run(RunEvent::Started { run: RunId(1), .. })
    )
}

/// One event, and the incident after it.
struct EventContext<'a> {
    signs: &'static Signs,
    incident: &'a Incident,
    recorded: &'a Recorded,
}

impl EventContext<'_> {
    fn lines(&self, gate: Option<&Gate>) -> Vec<StyledLine> {
        match &self.recorded.event {
            Event::Incident(event) => self.incident_lines(event),
            Event::Alert(event) => self.alert_lines(event),
            Event::Deadline(event) => self.deadline_lines(event),
            Event::Role(_) | Event::Message(_) => people::lines(self),
            Event::Run(event) => self.run_lines(event),
            Event::Step(event) => self.step_lines(event, gate),
        }
    }

    fn run_lines(&self, event: &RunEvent) -> Vec<StyledLine> {
        match event {
            RunEvent::Started { run, runbook, parent, .. } => {
                self.run_started(*run, &runbook.id, &runbook.title, parent.is_some())
            }
            RunEvent::Stopping { cause, .. } => self.stopping(cause),
            RunEvent::Ended { run, outcome } => self.run_ended(*run, *outcome),
        }
    }

    fn step_lines(&self, event: &StepEvent, gate: Option<&Gate>) -> Vec<StyledLine> {
        let (run, key) = event.place();
        match event {
            StepEvent::Skipped { reason, .. } => self.skipped(run, key, reason),
            StepEvent::Answered { answer, .. } => self.answered(run, key, answer, gate),
            StepEvent::Approved { .. } => self.approved(run, key, gate),
            StepEvent::Denied { reason, .. } => {
                let by = format!(" {} denied by {}: {reason}", self.signs.dot, self.who());
                vec![self.step(Tone::Warn, self.signs.skipped, run, key).faint(&by)]
            }
            StepEvent::Ended { outcome, .. } => self.ended(run, key, outcome),
            StepEvent::Reconciled { finding, .. } => self.reconciled(run, key, finding),
            StepEvent::RetryScheduled { at, .. } => self.retry(run, key, *at),
            StepEvent::Concluded { conclusion, reason, .. } => self.concluded(run, key, *conclusion, reason.as_deref()),
            StepEvent::UndoRequested { .. } => {
                let text = format!("{} requested {}", self.who(), self.name(run, key));
                self.simple_line(Tone::Accent, self.signs.person, &text)
            }
            // A started step and an open question are shown in the live region.
            StepEvent::Started { .. } | StepEvent::Expanded { .. } | StepEvent::Asked { .. } => Vec::new(),
        }
    }

    fn reconciled(&self, run: RunId, key: &StepKey, finding: &Reconciliation) -> Vec<StyledLine> {
        match finding {
            Reconciliation::Happened(outcome) => self.ended(run, key, outcome),
            Reconciliation::DidNotHappen { detail } => {
                let text = format!(" {} was interrupted and did not happen: {detail}", self.signs.dot);
                vec![self.step(Tone::Warn, self.signs.again, run, key).faint(&text)]
            }
            Reconciliation::CannotTell { detail } => {
                let text = format!(" {} was interrupted; unknown whether it happened: {detail}", self.signs.dot);
                vec![self.step(Tone::Bad, self.signs.warning, run, key).plain(&text)]
            }
        }
    }

    fn run_started(&self, run: RunId, id: &str, title: &str, is_child: bool) -> Vec<StyledLine> {
        let summary = self.incident.run(run).and_then(|run| run.runbook.summary.as_deref()).unwrap_or_default();
        if is_child {
            let text = format!(" {} runbook {id}, run {run}", self.signs.dot);
            return vec![self.head(Tone::Accent, self.signs.run).with(Tone::Strong, title).faint(&text).indent(2)];
        }
        match (run, summary) {
            (RunId(1), "") => Vec::new(),
            (RunId(1), summary) => vec![StyledLine::new().plain(&format!("  {summary}")).indent(2)],
            _ => vec![
                self.head(Tone::Accent, self.signs.run)
                    .with(Tone::Strong, title)
                    .faint(&format!(" {} runbook {id}", self.signs.dot)),
            ],
        }
    }

    fn stopping(&self, cause: &StopCause) -> Vec<StyledLine> {
        match cause {
            StopCause::Cancelled { reason } => {
                self.simple_line(Tone::Warn, self.signs.warning, &format!("stopped by {}: {reason}", self.who()))
            }
            StopCause::StepFailed { .. } => self.simple_line(Tone::Bad, self.signs.failed, "the run stops here"),
        }
    }

    fn run_ended(&self, id: RunId, outcome: RunOutcome) -> Vec<StyledLine> {
        // The closing summary reports the end of the first run in more detail.
        if id == RunId(1) {
            return Vec::new();
        }
        let Some(run) = self.incident.run(id) else { return Vec::new() };
        let (tone, sign, label) = run_outcome(outcome, self.signs);
        let length = took(self.recorded.at - run.started_at);
        let text = format!("{}: {} {label}", run.runbook.title, run.runbook.id);
        vec![self.head(tone, sign).plain(&text).indent(2).right(Tone::Faint, &length)]
    }

    fn skipped(&self, run: RunId, key: &StepKey, reason: &SkipReason) -> Vec<StyledLine> {
        let line = self.head(Tone::Faint, self.signs.skipped).faint(&self.name(run, key)).indent(2);
        vec![match reason {
            SkipReason::Condition { .. } => line.faint(&format!(" {} not needed", self.signs.dot)),
            SkipReason::AlertResolved => line.faint(&format!(" {} every alert is resolved", self.signs.dot)),
            SkipReason::Person { reason } => {
                line.faint(&format!(" {} skipped by {}: {reason}", self.signs.dot, self.who()))
            }
        }]
    }

    fn answered(&self, run: RunId, key: &StepKey, answer: &Value, gate: Option<&Gate>) -> Vec<StyledLine> {
        let length = self.state(run, key).map(|state| took(self.recorded.at - state.begun_at)).unwrap_or_default();
        let line = match gate {
            Some(Gate::Timer { .. }) => self.step(Tone::Good, self.signs.done, run, key).faint(" is over"),
            Some(Gate::Ask { prompt, .. }) => self.head(Tone::Good, self.signs.done).plain(prompt).indent(2),
            _ => self.step(Tone::Good, self.signs.done, run, key),
        };
        let line = match answer_text(answer) {
            Some(text) => line.plain(&format!(" {} ", self.signs.arrow)).with(Tone::Strong, &text),
            None => line,
        };
        let by = match &self.recorded.by {
            Actor::Person { name, .. } => format!(" {} {name}", self.signs.dot),
            Actor::Engine | Actor::Sender { .. } => String::new(),
        };
        vec![line.faint(&by).right(Tone::Faint, &length)]
    }

    fn approved(&self, run: RunId, key: &StepKey, gate: Option<&Gate>) -> Vec<StyledLine> {
        let what = match gate {
            Some(Gate::Approve { change, .. }) => change.what.clone(),
            _ => self.name(run, key),
        };
        let by = format!("{} agreed to: ", self.who());
        vec![self.head(Tone::Accent, self.signs.person).faint(&by).plain(&what).indent(2)]
    }

    fn ended(&self, run: RunId, key: &StepKey, outcome: &Outcome) -> Vec<StyledLine> {
        let state = self.state(run, key);
        let started = state.and_then(|state| state.attempt.as_ref()).map(|attempt| attempt.started_at);
        let length = started.map(|at| took(self.recorded.at - at)).unwrap_or_default();
        if outcome.is_success() {
            let line = self.step(Tone::Good, self.signs.done, run, key);
            return vec![self.summary(line, &outcome.summary).right(Tone::Faint, &length)];
        }
        let cancelled = outcome.verdict == Verdict::Cancelled;
        let sign = if cancelled { self.signs.skipped } else { self.signs.failed };
        let mut line = self.head(Tone::Bad, sign).with(Tone::Bad, &self.name(run, key)).indent(2);
        line = line.plain(&format!(" {} {}", self.signs.dot, outcome.summary));
        if let Some(attempts) = state.map(|state| state.attempts).filter(|attempts| *attempts > 1) {
            line = line.faint(&format!(" {} attempt {attempts}", self.signs.dot));
        }
        let mut lines = vec![line.right(Tone::Faint, &length)];
        lines.extend(transcript(outcome.extra_transcript(), TRANSCRIPT_LINES, 2, self.signs));
        lines
    }

    fn retry(&self, run: RunId, key: &StepKey, at: Timestamp) -> Vec<StyledLine> {
        let wait = at - self.recorded.at;
        let when = if wait > TimeDelta::zero() { format!(" in {}", took(wait)) } else { String::new() };
        let who = match &self.recorded.by {
            Actor::Person { name, .. } => format!(" {} {name}", self.signs.dot),
            Actor::Engine | Actor::Sender { .. } => String::new(),
        };
        vec![self.step(Tone::Warn, self.signs.again, run, key).faint(&format!(" {} again{when}{who}", self.signs.dot))]
    }

    /// The line for a failure's consequence. A success was printed when its attempt ended.
    fn concluded(&self, run: RunId, key: &StepKey, conclusion: Conclusion, reason: Option<&str>) -> Vec<StyledLine> {
        let (tone, sign, meaning) = match conclusion {
            Conclusion::Succeeded | Conclusion::Skipped => return Vec::new(),
            Conclusion::Tolerated => (Tone::Warn, self.signs.warning, "failed; the run goes on"),
            Conclusion::Failed => (Tone::Bad, self.signs.failed, "failed"),
            Conclusion::Cancelled => (Tone::Faint, self.signs.skipped, "cancelled"),
        };
        // A failed check was printed when it ended, and the conclusion of its step follows.
        if key.part == StepPart::Verify {
            return Vec::new();
        }
        let printed =
            self.state(run, key).and_then(|state| state.outcome.as_ref()).map(|outcome| outcome.summary.as_str());
        let line = self.step(tone, sign, run, key).plain(&format!(" {meaning}"));
        let reason = reason.filter(|reason| printed != Some(reason));
        vec![match reason {
            Some(reason) => line.plain(&format!(" {} {reason}", self.signs.dot)),
            None => line,
        }]
    }

    fn summary(&self, line: StyledLine, summary: &str) -> StyledLine {
        if summary.is_empty() { line } else { line.faint(&format!(" {} {summary}", self.signs.dot)) }
    }

    fn head(&self, tone: Tone, sign: &str) -> StyledLine {
        StyledLine::new().with(tone, sign).plain(" ")
    }

    fn simple_line(&self, tone: Tone, sign: &str, text: &str) -> Vec<StyledLine> {
        let text_tone = if tone == Tone::Bad || tone == Tone::Warn { tone } else { Tone::Plain };
        vec![self.head(tone, sign).with(text_tone, text).indent(2)]
    }

    fn step(&self, tone: Tone, sign: &str, run: RunId, key: &StepKey) -> StyledLine {
        self.head(tone, sign).plain(&self.name(run, key)).indent(2)
    }

    fn name(&self, run: RunId, key: &StepKey) -> String {
        step_name::name(self.incident, run, key)
    }

    fn state(&self, run: RunId, key: &StepKey) -> Option<&StepState> {
        self.incident.run(run)?.state(key)
    }

    fn who(&self) -> &str {
        self.recorded.by.name()
    }
}

/// The tone, the sign and the label for the outcome of a run.
pub fn run_outcome(outcome: RunOutcome, signs: &Signs) -> (Tone, &'static str, &'static str) {
    match outcome {
        RunOutcome::Succeeded => (Tone::Good, signs.done, "succeeded"),
        RunOutcome::Failed => (Tone::Bad, signs.failed, "failed"),
        RunOutcome::Cancelled => (Tone::Warn, signs.skipped, "was stopped"),
    }
}

/// An answer as text; none for null.
pub fn answer_text(answer: &Value) -> Option<String> {
    match answer {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => Some(items.iter().filter_map(answer_text).collect::<Vec<_>>().join(", ")),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => Some(answer.to_string()),
    }
}

/// The last `limit` lines of a step's output, each after a bar in column `indent`.
pub fn transcript(text: &str, limit: usize, indent: usize, signs: &Signs) -> Vec<StyledLine> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let skipped = lines.len().saturating_sub(limit);
    let bar = format!("{}{} ", " ".repeat(indent), signs.bar);
    lines[skipped..].iter().map(|line| StyledLine::new().faint(&bar).plain(line).hanging(&bar)).collect()
}
