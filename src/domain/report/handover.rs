//! The hand-over: what somebody who comes on duty has to know, from the log alone.
//!
//! **Invariant:** nothing stands here that the log does not hold, and foreign text breaks no line and no Markdown.
//!
//! Deliberately absent: the whole story; that is the timeline's.

#![deny(clippy::wildcard_enum_match_arm)]

use std::fmt::Write as _;

use serde::Serialize;

use super::timeline::{Timeline, TimelineEntry};
use crate::domain::core::id::StepKey;
use crate::domain::core::text::one_line;
use crate::domain::core::time::{Span, Timestamp, stamp};
use crate::domain::incident::deadline::DeadlineStatus;
use crate::domain::incident::event::{Event, Gate, IncidentEvent, MessageEvent, Recorded, RunEvent, StepEvent};
use crate::domain::incident::message::{Message, NoticeCause};
use crate::domain::incident::step::StepStatus;
use crate::domain::incident::{Incident, IncidentStatus};
use crate::domain::report::timeline::Sign;

mod line;

pub use self::line::{HandoverLine, HandoverPiece};
use self::line::{at, text};

/// The longest line of another's words, in characters.
const TEXT_LIMIT: usize = 240;
/// The most characters of a message: enough to know which one it was.
const GIST: usize = 80;
/// The most lines of each part: who comes on duty reads a page, and the timeline has the rest.
const LINES: usize = 30;

/// What somebody who comes on duty has to know.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Handover {
    pub incident: String,
    /// A few words.
    pub title: String,
    /// How bad.
    pub severity: String,
    pub environment: String,
    /// `open`, `acknowledged` or `resolved`.
    pub status: &'static str,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When this was written.
    pub at: Timestamp,
    /// Who has which role.
    pub roles: Vec<HandoverRole>,
    /// What waits, for a person or a time.
    pub waits: Vec<HandoverLine>,
    /// What must be done by when, or was.
    pub deadlines: Vec<HandoverLine>,
    /// What was found.
    pub known: Vec<HandoverLine>,
    /// What was done.
    pub done: Vec<HandoverLine>,
    /// Who was told, and who was not yet.
    pub told: Vec<HandoverLine>,
    /// What people said.
    pub said: Vec<HandoverLine>,
}

/// Somebody with a role.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HandoverRole {
    /// The role.
    pub role: String,
    /// Who; none when nobody.
    pub person: Option<String>,
    /// Since when.
    pub since: Option<Timestamp>,
}

impl Handover {
    /// The hand-over of an incident at `now`.
    pub fn of(incident: &Incident, log: &[Recorded], now: Timestamp) -> Self {
        let timeline = Timeline::of(log);
        let lines = |wanted: &dyn Fn(&Recorded, Sign) -> bool| -> Vec<HandoverLine> {
            let both = log.iter().zip(&timeline.entries);
            let kept = both.filter(|(recorded, entry)| entry.notable && wanted(recorded, entry.sign));
            let line = |at, said: String| HandoverLine(vec![HandoverPiece::Clock(at), text(said)]);
            latest(kept.map(|(_, entry)| line(entry.at, format!(" {}: {}", entry.who, entry.text))).collect())
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
            known: lines(&|recorded, _| is_end(&recorded.event) && !changes(recorded)),
            done: lines(&|recorded, _| match deed(&recorded.event) {
                Deed::Change => changes(recorded),
                Deed::Decision => true,
                Deed::Nothing | Deed::Words => false,
            }),
            told: notified(incident, log, &timeline),
            said: lines(&|recorded, _| deed(&recorded.event) == Deed::Words),
        }
    }

    /// As Markdown.
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
            ("What is known", &self.known, "Nothing was looked at yet."),
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
    /// "scribe: ada, since …", or that nobody is.
    pub fn line(&self) -> HandoverLine {
        HandoverLine(match (&self.person, self.since) {
            (Some(person), Some(since)) => vec![text(format!("{}: {person}, since ", self.role)), at(since)],
            _ => vec![text(format!("{}: nobody", self.role))],
        })
    }
}

fn roles(incident: &Incident) -> Vec<HandoverRole> {
    let known = incident.runs.last().map(|run| run.estate.roles.keys().cloned().collect()).unwrap_or_default();
    let mut names: Vec<String> = known;
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
        let under_way = run.order.iter().filter(|key| *run.standing(key) == StepStatus::Running);
        waits.extend(under_way.map(|key: &StepKey| format!("{key}: under way").into()));
        waits.extend(run.order.iter().filter_map(|key| timed(key, run.standing(key), now)));
    }
    for proposal in &incident.proposals {
        waits.push(
            one_line(&format!("runbook {} is proposed: {}", proposal.runbook, proposal.reason), TEXT_LIMIT).into(),
        );
    }
    waits
}

/// A step that a time is waited for.
fn timed(key: &StepKey, standing: &StepStatus, now: Timestamp) -> Option<HandoverLine> {
    if let StepStatus::Waiting(Gate::Timer { until }) = standing {
        return Some(HandoverLine(vec![text(format!("{key}: waits until ")), at(*until)]));
    }
    let StepStatus::Ready { at: then } = standing else { return None };
    (*then > now).then(|| HandoverLine(vec![text(format!("{key}: tried again ")), at(*then)]))
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

fn deadline_line(deadline: &crate::domain::incident::deadline::Deadline, now: Timestamp) -> HandoverLine {
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

/// Who was told what, and which messages are still owed.
fn notified(incident: &Incident, log: &[Recorded], timeline: &Timeline) -> Vec<HandoverLine> {
    let arrived = log.iter().zip(&timeline.entries).filter(|(_, entry)| entry.notable && entry.sign == Sign::Told);
    let line = |(recorded, entry): (&Recorded, &TimelineEntry)| {
        let words_of = |message| format!(": {}", gist(message));
        let what = message(incident, &recorded.event).map(words_of).unwrap_or_default();
        HandoverLine(vec![HandoverPiece::Clock(entry.at), text(format!(" {}: {}{what}", entry.who, entry.text))])
    };
    let mut told = latest(arrived.map(line).collect());
    for message in incident.messages.values().filter(|message| !message.withdrawn) {
        told.extend(message.open().map(|target| format!("NOT YET {target}: {}", gist(message)).into()));
    }
    told
}

/// The message that has arrived.
fn message<'a>(incident: &'a Incident, event: &Event) -> Option<&'a Message> {
    let Event::Message(MessageEvent::Notified { delivery, .. }) = event else { return None };
    incident.messages.get(&delivery.message()?)
}

/// What a message says, in few words: of a person's word not the line that says of which incident it is.
fn gist(message: &Message) -> String {
    let own = message.text.split_once('\n').filter(|_| message.cause == Some(NoticeCause::Update));
    one_line(own.map_or(message.text.as_str(), |(_, own)| own), GIST)
}

fn is_end(event: &Event) -> bool {
    matches!(event, Event::Step(StepEvent::Ended { .. }))
}

/// What an event is in a hand-over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    /// It is a result: something was done where the step changes something.
    Change,
    /// A person or the engine has decided.
    Decision,
    /// A person said something.
    Words,
    /// It stands elsewhere, or nowhere.
    Nothing,
}

fn deed(event: &Event) -> Deed {
    match event {
        Event::Step(event) => deed_of_step(event),
        Event::Run(RunEvent::Started { .. } | RunEvent::Ended { .. } | RunEvent::Stopping { .. }) => Deed::Decision,
        Event::Incident(IncidentEvent::NoteAdded { .. }) => Deed::Words,
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
        | Event::Message(_) => Deed::Nothing,
    }
}

fn deed_of_step(event: &StepEvent) -> Deed {
    match event {
        StepEvent::Ended { .. } | StepEvent::Reconciled { .. } => Deed::Change,
        StepEvent::Approved { .. } | StepEvent::Denied { .. } | StepEvent::Skipped { .. } => Deed::Decision,
        StepEvent::Answered { .. } => Deed::Words,
        StepEvent::Expanded { .. }
        | StepEvent::Asked { .. }
        | StepEvent::Started { .. }
        | StepEvent::RetryScheduled { .. }
        | StepEvent::Concluded { .. }
        | StepEvent::UndoRequested { .. } => Deed::Nothing,
    }
}

/// Whether an event is about a step that changes something.
fn is_change(incident: &Incident, recorded: &Recorded) -> bool {
    let place = super::timeline::place(&recorded.event);
    let attempt = place.and_then(|(run, key)| incident.run(run)?.state(&key)?.attempt.clone());
    attempt.is_some_and(|attempt| attempt.action.effect.changes() && !attempt.action.is_message())
}

/// The last of many lines, with a word on those before.
fn latest(mut lines: Vec<HandoverLine>) -> Vec<HandoverLine> {
    if lines.len() > LINES {
        let more = lines.len() - LINES;
        lines.drain(..more);
        lines.insert(0, format!("({more} earlier ones are in the timeline)").into());
    }
    lines
}

/// Text that means nothing to Markdown.
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
