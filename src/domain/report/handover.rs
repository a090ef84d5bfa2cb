//! The hand-over: what the next person on call has to know about an incident.
//!
//! **Invariant:** every fact is from the log. Text from outside contains no line break and no Markdown.
//!
//! Not here: the complete history; see [`timeline`](super::timeline).

#![deny(clippy::wildcard_enum_match_arm)]

use std::fmt::Write as _;

use serde::Serialize;

use super::timeline::{Timeline, TimelineEntry};
use crate::domain::core::id::StepKey;
use crate::domain::core::text::one_line;
use crate::domain::core::time::{Span, Timestamp, stamp};
use crate::domain::incident::deadline::{Deadline, DeadlineStatus};
use crate::domain::incident::event::{Event, Gate, IncidentEvent, MessageEvent, Recorded, RunEvent, StepEvent};
use crate::domain::incident::message::{Message, NoticeCause};
use crate::domain::incident::step::StepStatus;
use crate::domain::incident::{Incident, IncidentStatus};
use crate::domain::report::timeline::Sign;

mod line;

pub use self::line::{HandoverLine, HandoverPiece};
use self::line::{at, text};

/// The longest line from outside, in characters.
const TEXT_LIMIT: usize = 240;
/// The longest excerpt of a message, in characters: enough to recognize it.
const EXCERPT_LIMIT: usize = 80;
/// The most lines of each section: the whole hand-over is about a page.
const LINES_LIMIT: usize = 30;

/// The hand-over of one incident.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Handover {
    pub incident: String,
    pub title: String,
    pub severity: String,
    pub environment: String,
    /// `open`, `acknowledged` or `resolved`.
    pub status: &'static str,
    pub opened_at: Timestamp,
    /// When the hand-over was written.
    pub at: Timestamp,
    pub roles: Vec<HandoverRole>,
    /// Steps that are in progress or wait, and proposed runbooks.
    pub waits: Vec<HandoverLine>,
    pub deadlines: Vec<HandoverLine>,
    /// The results of checks.
    pub known: Vec<HandoverLine>,
    /// Changes and decisions.
    pub done: Vec<HandoverLine>,
    /// Messages: delivered and pending ones.
    pub told: Vec<HandoverLine>,
    /// Notes and answers.
    pub said: Vec<HandoverLine>,
}

/// A role and its holder.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HandoverRole {
    pub role: String,
    pub person: Option<String>,
    pub since: Option<Timestamp>,
}

impl Handover {
    /// The hand-over of an incident at `now`.
    pub fn of(incident: &Incident, log: &[Recorded], now: Timestamp) -> Self {
        let timeline = Timeline::of(log);
        let lines = |wanted: &dyn Fn(&Recorded) -> bool| -> Vec<HandoverLine> {
            let pairs = log.iter().zip(&timeline.entries);
            let selected = pairs.filter(|(recorded, entry)| entry.notable && wanted(recorded));
            latest(selected.map(|(_, entry)| entry_line(entry, "")).collect())
        };
        let changes = |recorded: &Recorded| is_change(incident, recorded);
        Self {
            incident: incident.id.to_string(),
            title: one_line(&incident.title, TEXT_LIMIT),
            severity: incident.severity.to_string(),
            environment: incident.environment.clone(),
            status: match incident.status {
                IncidentStatus::Open => "open",
                IncidentStatus::Acknowledged => "acknowledged",
                IncidentStatus::Resolved => "resolved",
            },
            opened_at: incident.opened.at,
            at: now,
            roles: roles(incident),
            waits: waits(incident, now),
            deadlines: incident.deadlines.iter().map(|deadline| deadline_line(deadline, now)).collect(),
            known: lines(&|recorded| is_attempt_end(&recorded.event) && !changes(recorded)),
            done: lines(&|recorded| match category(&recorded.event) {
                Category::Result => changes(recorded),
                Category::Decision => true,
                Category::Statement | Category::Other => false,
            }),
            told: messages(incident, log, &timeline),
            said: lines(&|recorded| category(&recorded.event) == Category::Statement),
        }
    }

    /// The hand-over as Markdown.
    pub fn markdown(&self) -> String {
        let mut out = format!("# Hand-over: {} ({})\n\n", escaped(&self.title), self.incident);
        let age = Span::between(self.opened_at, self.at);
        let _ = writeln!(
            out,
            "{} in {}, {}, opened {} ({age} ago). Written {}.",
            self.severity,
            escaped(&self.environment),
            self.status,
            stamp(self.opened_at),
            stamp(self.at)
        );
        let roles: Vec<HandoverLine> = self.roles.iter().map(HandoverRole::line).collect();
        for (title, lines, none) in [
            ("What waits", &self.waits, "Nothing waits."),
            ("Who has which role", &roles, "The estate names no roles."),
            ("Deadlines", &self.deadlines, "None."),
            ("What is known", &self.known, "No check has run yet."),
            ("What was done", &self.done, "Nothing was done yet."),
            ("Who was told", &self.told, "Nobody was told yet."),
            ("What people said", &self.said, "Nobody wrote anything down."),
        ] {
            let _ = write!(out, "\n## {title}\n\n");
            if lines.is_empty() {
                let _ = writeln!(out, "{none}");
            }
            for line in lines {
                let _ = writeln!(out, "* {}", escaped(&line.to_string()));
            }
        }
        out
    }
}

impl HandoverRole {
    /// "scribe: ada, since …", or "scribe: nobody".
    pub fn line(&self) -> HandoverLine {
        HandoverLine(match (&self.person, self.since) {
            (Some(person), Some(since)) => vec![text(format!("{}: {person}, since ", self.role)), at(since)],
            _ => vec![text(format!("{}: nobody", self.role))],
        })
    }
}

fn roles(incident: &Incident) -> Vec<HandoverRole> {
    let of_estate = incident.runs.last().map(|run| run.estate.roles.keys().cloned().collect());
    let mut names: Vec<String> = of_estate.unwrap_or_default();
    names.extend(incident.roles.keys().filter(|role| !names.contains(role)).cloned().collect::<Vec<_>>());
    names
        .into_iter()
        .map(|role| {
            let holder = incident.roles.get(&role);
            HandoverRole {
                person: holder.map(|holder| holder.person.clone()),
                since: holder.map(|holder| holder.since),
                role,
            }
        })
        .collect()
}

fn waits(incident: &Incident, now: Timestamp) -> Vec<HandoverLine> {
    let mut waits: Vec<HandoverLine> = incident
        .waiting_for_person()
        .into_iter()
        .map(|(_, key, gate)| one_line(&format!("{key}: {}", asked(gate)), TEXT_LIMIT).into())
        .collect();
    for run in &incident.runs {
        let running = run.order.iter().filter(|key| *run.step_status(key) == StepStatus::Running);
        waits.extend(running.map(|key: &StepKey| format!("{key}: under way").into()));
        waits.extend(run.order.iter().filter_map(|key| timed_wait(key, run.step_status(key), now)));
    }
    for proposal in &incident.proposals {
        waits.push(
            one_line(&format!("runbook {} is proposed: {}", proposal.runbook, proposal.reason), TEXT_LIMIT).into(),
        );
    }
    waits
}

/// The line of a step that waits for a timer or for its next attempt.
fn timed_wait(key: &StepKey, status: &StepStatus, now: Timestamp) -> Option<HandoverLine> {
    if let StepStatus::Waiting(Gate::Timer { until }) = status {
        return Some(HandoverLine(vec![text(format!("{key}: waits until ")), at(*until)]));
    }
    let StepStatus::Ready { at: retry } = status else { return None };
    (*retry > now).then(|| HandoverLine(vec![text(format!("{key}: tried again ")), at(*retry)]))
}

fn asked(gate: &Gate) -> String {
    match gate {
        Gate::Ask { prompt, choices, .. } if choices.is_empty() => prompt.clone(),
        Gate::Ask { prompt, choices, .. } => format!("{prompt} ({})", choices.join(", ")),
        Gate::Manual { instruction } => format!("to be done by hand: {instruction}"),
        Gate::Approve { change, by, given, .. } => {
            let by = if by.is_empty() { "anybody".to_owned() } else { by.join(" or ") };
            let given = if given.is_empty() { String::new() } else { format!("; agreed: {}", given.join(", ")) };
            format!("agreement to {} ({} more of {by}){given}", change.what, gate.wanted())
        }
        Gate::Timer { until } => format!("until {}", stamp(*until)),
        Gate::Failure { error } => format!("failed, again or skip? {error}"),
        Gate::Unclear { detail } => format!("did it happen? {detail}"),
    }
}

fn deadline_line(deadline: &Deadline, now: Timestamp) -> HandoverLine {
    let (name, due) = (&deadline.name, at(deadline.due));
    HandoverLine(match &deadline.status {
        DeadlineStatus::Running => {
            let left = Span::between(now, deadline.due);
            vec![text(format!("{name}: due ")), due, text(format!(", in {left}"))]
        }
        DeadlineStatus::Missed => vec![text(format!("{name}: MISSED, was due ")), due],
        DeadlineStatus::Met { at: met, .. } => vec![text(format!("{name}: met ")), at(*met)],
        DeadlineStatus::MetLate { at: met, .. } => {
            vec![text(format!("{name}: done late, ")), at(*met), text("; was due "), due]
        }
        DeadlineStatus::Lifted => vec![text(format!("{name}: not asked for any more"))],
    })
}

/// The delivered messages, then the pending ones.
fn messages(incident: &Incident, log: &[Recorded], timeline: &Timeline) -> Vec<HandoverLine> {
    let delivered =
        log.iter().zip(&timeline.entries).filter(|(_, entry)| entry.notable && entry.sign == Sign::Delivered);
    let line = |(recorded, entry): (&Recorded, &TimelineEntry)| {
        let message = delivered_message(incident, &recorded.event);
        entry_line(entry, &message.map(|message| format!(": {}", excerpt(message))).unwrap_or_default())
    };
    let mut lines = latest(delivered.map(line).collect());
    for message in incident.messages.values().filter(|message| !message.withdrawn) {
        lines.extend(message.open().map(|target| format!("NOT YET {target}: {}", excerpt(message)).into()));
    }
    lines
}

/// The line of a timeline entry, with `suffix` after its text.
fn entry_line(entry: &TimelineEntry, suffix: &str) -> HandoverLine {
    HandoverLine(vec![HandoverPiece::Clock(entry.at), text(format!(" {}: {}{suffix}", entry.who, entry.text))])
}

fn delivered_message<'a>(incident: &'a Incident, event: &Event) -> Option<&'a Message> {
    let Event::Message(MessageEvent::Notified { delivery, .. }) = event else { return None };
    incident.messages.get(&delivery.message()?)
}

/// The beginning of a message, without the headline that an update begins with.
fn excerpt(message: &Message) -> String {
    let update = message.text.split_once('\n').filter(|_| message.cause == Some(NoticeCause::Update));
    one_line(update.map_or(message.text.as_str(), |(_, text)| text), EXCERPT_LIMIT)
}

fn is_attempt_end(event: &Event) -> bool {
    matches!(event, Event::Step(StepEvent::Ended { .. }))
}

/// The category of an event in a hand-over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Category {
    /// The result of an attempt.
    Result,
    /// A decision of a person or of the engine.
    Decision,
    /// A note or an answer.
    Statement,
    /// An event of another section, or of none.
    Other,
}

fn category(event: &Event) -> Category {
    match event {
        Event::Step(event) => category_of_step(event),
        Event::Run(RunEvent::Started { .. } | RunEvent::Ended { .. } | RunEvent::Stopping { .. }) => Category::Decision,
        Event::Incident(IncidentEvent::NoteAdded { .. }) => Category::Statement,
        Event::Incident(
            IncidentEvent::Opened { .. }
            | IncidentEvent::Acknowledged
            | IncidentEvent::SeverityChanged(_)
            | IncidentEvent::RunProposed(_)
            | IncidentEvent::OccurrenceSkipped(_)
            | IncidentEvent::Resolved { .. }
            | IncidentEvent::PostmortemWritten { .. }
            | IncidentEvent::ReportWritten { .. }
            | IncidentEvent::PostmortemCompleted,
        )
        | Event::Alert(_)
        | Event::Deadline(_)
        | Event::Role(_)
        | Event::Message(_) => Category::Other,
    }
}

fn category_of_step(event: &StepEvent) -> Category {
    match event {
        StepEvent::Ended { .. } | StepEvent::Reconciled { .. } => Category::Result,
        StepEvent::Approved { .. } | StepEvent::Denied { .. } | StepEvent::Skipped { .. } => Category::Decision,
        StepEvent::Answered { .. } => Category::Statement,
        StepEvent::Expanded { .. }
        | StepEvent::Asked { .. }
        | StepEvent::Started { .. }
        | StepEvent::RetryScheduled { .. }
        | StepEvent::Concluded { .. }
        | StepEvent::UndoRequested { .. } => Category::Other,
    }
}

/// Whether an event belongs to a step whose latest attempt changes something; a message is no change.
fn is_change(incident: &Incident, recorded: &Recorded) -> bool {
    let place = super::timeline::place(&recorded.event);
    let attempt = place.and_then(|(run, key)| incident.run(run)?.state(&key)?.attempt.clone());
    attempt.is_some_and(|attempt| attempt.action.effect.changes() && !attempt.action.is_message())
}

/// The last [`LINES_LIMIT`] lines, after a line that counts the others.
fn latest(mut lines: Vec<HandoverLine>) -> Vec<HandoverLine> {
    if lines.len() > LINES_LIMIT {
        let more = lines.len() - LINES_LIMIT;
        lines.drain(..more);
        lines.insert(0, format!("({more} earlier ones are in the timeline)").into());
    }
    lines
}

/// Escapes the characters that have a meaning for Markdown within a line.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' | '|' | '~') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
