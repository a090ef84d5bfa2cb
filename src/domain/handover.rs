//! The hand-over: what somebody who comes on duty has to know, from the log alone.
//!
//! **Invariant:** nothing stands here that the log does not hold, and foreign text breaks no line and no Markdown.
//!
//! Deliberately absent: the whole story; that is the timeline's.

use std::fmt::Write as _;

use serde::Serialize;

use super::deadline::DeadlineStatus;
use super::event::{Event, Gate, Recorded};
use super::id::StepKey;
use super::incident::{Incident, IncidentStatus};
use super::step::Standing;
use super::text::one_line;
use super::time::{Span, Timestamp, stamp};
use super::timeline::{Sign, Timeline};

/// The longest line of another's words, in characters.
const TEXT_LIMIT: usize = 240;
/// The most lines of each part: who comes on duty reads a page, and the timeline has the rest.
const LINES: usize = 30;

/// What somebody who comes on duty has to know.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Handover {
    /// The incident's id.
    pub incident: String,
    /// A few words.
    pub title: String,
    /// How bad.
    pub severity: String,
    /// Where.
    pub environment: String,
    /// `open`, `acknowledged` or `resolved`.
    pub status: &'static str,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When this was written.
    pub at: Timestamp,
    /// Who has which role.
    pub roles: Vec<Role>,
    /// What waits, for a person or a time.
    pub waits: Vec<String>,
    /// What must be done by when, or was.
    pub deadlines: Vec<String>,
    /// What was found.
    pub known: Vec<String>,
    /// What was done.
    pub done: Vec<String>,
    /// Who was told, and who was not yet.
    pub told: Vec<String>,
    /// What people said.
    pub said: Vec<String>,
}

/// Somebody with a role.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Role {
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
        let lines = |wanted: &dyn Fn(&Recorded, Sign) -> bool| -> Vec<String> {
            let both = log.iter().zip(&timeline.entries);
            let kept = both.filter(|(recorded, entry)| entry.notable && wanted(recorded, entry.sign));
            latest(kept.map(|(_, entry)| format!("{} {}: {}", clock(entry.at), entry.who, entry.text)).collect())
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
            known: lines(&|recorded, _| matches!(recorded.event, Event::StepEnded { .. }) && !changes(recorded)),
            done: lines(&|recorded, _| match &recorded.event {
                Event::StepEnded { .. } | Event::Reconciled { .. } => changes(recorded),
                Event::Approved { .. } | Event::Denied { .. } | Event::StepSkipped { .. } => true,
                Event::RunStarted { .. } | Event::RunEnded { .. } | Event::RunStopping { .. } => true,
                _ => false,
            }),
            told: told(incident, lines(&|_, sign| sign == Sign::Told)),
            said: lines(&|recorded, _| matches!(recorded.event, Event::NoteAdded { .. } | Event::Answered { .. })),
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
        let roles: Vec<String> = self.roles.iter().map(Role::line).collect();
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
                let _ = writeln!(out, "* {}", escaped(line));
            }
        }
        out
    }
}

impl Role {
    fn line(&self) -> String {
        match (&self.person, self.since) {
            (Some(person), Some(since)) => format!("{}: {person}, since {}", self.role, stamp(since)),
            _ => format!("{}: nobody", self.role),
        }
    }
}

fn roles(incident: &Incident) -> Vec<Role> {
    let known = incident.runs.last().map(|run| run.estate.roles.keys().cloned().collect()).unwrap_or_default();
    let mut names: Vec<String> = known;
    names.extend(incident.roles.keys().filter(|role| !names.contains(role)).cloned().collect::<Vec<_>>());
    names
        .into_iter()
        .map(|role| {
            let holder = incident.roles.get(&role);
            Role { person: holder.map(|holder| holder.person.clone()), since: holder.map(|holder| holder.since), role }
        })
        .collect()
}

fn waits(incident: &Incident, now: Timestamp) -> Vec<String> {
    let mut waits: Vec<String> = incident
        .waiting_for_person()
        .into_iter()
        .map(|(_, key, gate)| one_line(&format!("{key}: {}", asked(gate)), TEXT_LIMIT))
        .collect();
    for run in &incident.runs {
        let under_way = run.order.iter().filter(|key| *run.standing(key) == Standing::Running);
        waits.extend(under_way.map(|key: &StepKey| format!("{key}: under way")));
        waits.extend(run.order.iter().filter_map(|key| match run.standing(key) {
            Standing::Waiting(Gate::Timer { until }) => Some(format!("{key}: waits until {}", stamp(*until))),
            Standing::Ready { at } if *at > now => Some(format!("{key}: tried again {}", stamp(*at))),
            _ => None,
        }));
    }
    for proposal in &incident.proposals {
        waits.push(one_line(&format!("runbook {} is proposed: {}", proposal.runbook, proposal.reason), TEXT_LIMIT));
    }
    waits
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

fn deadline_line(deadline: &super::deadline::Deadline, now: Timestamp) -> String {
    let (name, due) = (&deadline.name, stamp(deadline.due));
    match &deadline.status {
        DeadlineStatus::Running => format!("{name}: due {due}, in {}", Span::between(now, deadline.due)),
        DeadlineStatus::Missed => format!("{name}: MISSED, was due {due}"),
        DeadlineStatus::Met { at, .. } => format!("{name}: met {}", stamp(*at)),
        DeadlineStatus::MetLate { at, .. } => format!("{name}: done late, {}; was due {due}", stamp(*at)),
        DeadlineStatus::Lifted => format!("{name}: not asked for any more"),
    }
}

/// Who was told, and which messages are still owed.
fn told(incident: &Incident, mut told: Vec<String>) -> Vec<String> {
    for message in incident.messages.values().filter(|message| !message.withdrawn) {
        for target in message.open() {
            let words = one_line(&message.text, 80);
            told.push(format!("NOT YET {target}: {words}"));
        }
    }
    told
}

/// Whether an event is about a step that changes something.
fn is_change(incident: &Incident, recorded: &Recorded) -> bool {
    let place = super::timeline::place(&recorded.event);
    let attempt = place.and_then(|(run, key)| incident.run(run)?.state(&key)?.attempt.clone());
    attempt.is_some_and(|attempt| attempt.action.effect.changes() && !attempt.action.is_message())
}

/// The last of many lines, with a word on those before.
fn latest(mut lines: Vec<String>) -> Vec<String> {
    if lines.len() > LINES {
        let more = lines.len() - LINES;
        lines.drain(..more);
        lines.insert(0, format!("({more} earlier ones are in the timeline)"));
    }
    lines
}

fn clock(at: Timestamp) -> String {
    at.format("%H:%M:%SZ").to_string()
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
