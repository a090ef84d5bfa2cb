//! The post-mortem: the facts of an incident from its log, and the draft that is rendered from them.
//!
//! The draft contains facts, each with the number of its event, and `TODO` with a question where a person has to judge. A later
//! draft preserves what a person has written: see [`three_way_merge`].
//!
//! **Invariant:** the same log and template give the same bytes. `PostmortemWritten` does not change a draft, so an earlier draft
//! can be rendered again from the log up to that event.
//!
//! Not here: reading and writing the file, which the engine does.

use chrono::TimeDelta;
use serde::{Serialize, Serializer};

use super::timeline::{Timeline, TimelineEntry};
use crate::domain::core::text::one_line;
use crate::domain::core::time::{Span, Timestamp, stamp};
use crate::domain::incident::deadline::{Deadline, DeadlineStatus};
use crate::domain::incident::event::{Actor, Recorded};
use crate::domain::incident::run::Run;
use crate::domain::incident::{ActorStamp, Incident};
use crate::domain::report::timeline::Sign;
use crate::domain::runbook::DeadlineFrom;

mod attempt;
mod facts;
mod markdown;
mod milestone;
mod participant;
mod sample;
mod template;
mod template_check;
pub mod three_way_merge;

pub use self::facts::{ChangeFact, CheckedFact, MessageFact, Verification};
pub use self::milestone::{Milestone, Notice};
pub use self::participant::Participant;
pub use self::template::{Template, TemplateError, render};
pub use self::template_check::check;
pub use self::three_way_merge::{Merged, merge};

/// How long after the resolution a post-mortem is due, unless the log has a deadline for it.
const DUE_AFTER: Span = Span::seconds(24 * 60 * 60);

/// The longest slug in a file's name, in bytes.
const SLUG_LIMIT: usize = 48;

/// The facts of an incident, as a template sees them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Postmortem {
    pub id: String,
    pub title: String,
    /// `P1` to `P4`, or `Maintenance`.
    pub severity: String,
    pub environment: String,
    /// `draft`, or `complete` when a person has completed it.
    pub status: &'static str,
    pub opened_by: String,
    pub opened: Moment,
    pub resolution: Option<Resolution>,
    /// The time from the opening to the resolution.
    pub lasted: Option<Length>,
    /// When the post-mortem is due; none until the incident is resolved.
    pub due: Option<Moment>,
    /// How long after the resolution it is due.
    pub due_after: Length,
    /// The runs, in the order of their numbers.
    pub runs: Vec<RunFacts>,
    /// The services of the estate that parameters and changes name, in alphabetical order.
    pub services: Vec<String>,
    /// Detection, opening, acknowledgement, notice, mitigation and resolution, in this order.
    pub milestones: Vec<Milestone>,
    /// The first notice, compared with its deadline.
    pub notice: Option<Notice>,
    pub deadlines: Vec<DeadlineFacts>,
    /// The notable entries of the timeline.
    pub timeline: Vec<TimelineRow>,
    /// The results of checks.
    pub findings: Vec<CheckedFact>,
    pub changes: Vec<ChangeFact>,
    /// The results of deliveries.
    pub messages: Vec<MessageFact>,
    /// The notable failures of the timeline.
    pub failures: Vec<TimelineRow>,
    /// Facts to consider under "what went well".
    pub well: Vec<String>,
    /// Facts to consider under "what went badly".
    pub badly: Vec<String>,
    pub people: Vec<Participant>,
}

/// An instant, with the number of its event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    pub at: Timestamp,
    /// The event's number; none for an instant that is no event, such as a due date.
    pub seq: Option<u64>,
}

impl Moment {
    /// The instant of an event.
    pub fn of(seq: u64, at: Timestamp) -> Self {
        Self { at, seq: Some(seq) }
    }

    fn of_stamp(stamp: &ActorStamp) -> Self {
        Self::of(stamp.seq, stamp.at)
    }
}

/// In a template: `stamp` (`2026-11-22T03:04:05Z`), `date`, `clock` (`03:04:05`) and `event`.
impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = serde_json::json!({
            "stamp": stamp(self.at),
            "date": self.at.format("%Y-%m-%d").to_string(),
            "clock": self.at.format("%H:%M:%S").to_string(),
            "event": self.seq,
        });
        fields.serialize(serializer)
    }
}

/// A length of time; in a template it reads `11m 2s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Length(pub Span);

impl Length {
    fn between(from: Timestamp, to: Timestamp) -> Self {
        Self(Span::between(from, to))
    }
}

impl std::fmt::Display for Length {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Length {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// How the incident was resolved.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Resolution {
    pub by: String,
    pub at: Moment,
    /// The summary that was given with it.
    pub words: Option<String>,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunFacts {
    /// Its number.
    pub number: u32,
    /// The runbook's id.
    pub runbook: String,
    /// The runbook's title.
    pub title: String,
    /// The beginning of the digest of the runbook's text.
    pub digest: String,
}

/// Whether a deadline was met, with the texts that a template reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum DeadlineState {
    #[serde(rename = "running")]
    Running,
    #[serde(rename = "met")]
    Met,
    #[serde(rename = "met late")]
    MetLate,
    #[serde(rename = "missed")]
    Missed,
    /// It no longer applies, because the incident was resolved.
    #[serde(rename = "not asked for any more")]
    Lifted,
}

/// A deadline and its state.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeadlineFacts {
    pub name: String,
    /// `opened` or `resolved`.
    pub from: &'static str,
    pub due: Moment,
    pub state: DeadlineState,
    /// When it was met, in time or late.
    pub met: Option<Moment>,
    /// The time between `met` and `due`.
    pub margin: Option<Length>,
}

/// A line of the timeline.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TimelineRow {
    pub at: Moment,
    /// Whether its date differs from that of the line before; for the first line, from that of the opening.
    pub new_day: bool,
    pub who: String,
    pub text: String,
}

impl Postmortem {
    /// The facts of an incident and its whole log.
    pub fn of(incident: &Incident, log: &[Recorded]) -> Self {
        let timeline = Timeline::of(log);
        let attempts = attempt::gather(log);
        let changes = facts::changes(incident, log, &attempts);
        let milestones = milestone::of(incident, log, &attempts, &changes);
        let mut facts = Self {
            id: incident.id.to_string(),
            title: one_line(&incident.title, facts::TEXT_LIMIT),
            severity: incident.severity.to_string(),
            environment: one_line(&incident.environment, facts::TEXT_LIMIT),
            status: if incident.completed.is_some() { "complete" } else { "draft" },
            opened_by: who(&incident.opened.by),
            opened: Moment::of_stamp(&incident.opened),
            resolution: incident.resolved.as_ref().map(|resolved| resolution(incident, resolved)),
            lasted: incident.resolved.as_ref().map(|resolved| Length::between(incident.opened.at, resolved.at)),
            due: due(incident),
            due_after: Length(due_after(incident)),
            runs: incident.runs.iter().map(run_facts).collect(),
            services: facts::services(incident, &attempts),
            notice: milestone::notice(incident, &milestones),
            milestones,
            deadlines: incident.deadlines.iter().map(deadline_facts).collect(),
            timeline: lines(timeline.notable(), incident.opened.at),
            findings: facts::findings(incident, &attempts),
            changes,
            messages: facts::messages(log),
            failures: lines(timeline.entries.iter().filter(|entry| is_failure(entry)), incident.opened.at),
            well: Vec::new(),
            badly: Vec::new(),
            people: participant::participants(log),
        };
        (facts.well, facts.badly) = facts::well_and_badly(&facts);
        facts
    }
}

/// The milestones of an incident and the services concerned, for statistics.
pub fn milestones_and_services(incident: &Incident, log: &[Recorded]) -> (Vec<Milestone>, Vec<String>) {
    let attempts = attempt::gather(log);
    let changes = facts::changes(incident, log, &attempts);
    (milestone::of(incident, log, &attempts, &changes), facts::services(incident, &attempts))
}

/// The file's name: `<date of opening>-<id>-<slug of the title>.md`.
///
/// **Invariant:** it contains only lower-case letters, digits, `-`, `_` and one `.`, whatever the title contains.
pub fn file_name(incident: &Incident) -> String {
    let date = incident.opened.at.format("%Y-%m-%d");
    let slug = slug(&incident.title);
    let dash = if slug.is_empty() { "" } else { "-" };
    format!("{date}-{}{dash}{slug}.md", incident.id)
}

fn slug(title: &str) -> String {
    let mut slug = String::new();
    for word in title.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
        let dash = usize::from(!slug.is_empty());
        if slug.len() + dash + word.len() > SLUG_LIMIT {
            if slug.is_empty() {
                slug.push_str(&word[..SLUG_LIMIT].to_ascii_lowercase());
            }
            break;
        }
        if dash == 1 {
            slug.push('-');
        }
        slug.push_str(&word.to_ascii_lowercase());
    }
    slug
}

/// The name of an actor.
fn who(actor: &Actor) -> String {
    one_line(actor.name(), facts::NAME_LIMIT)
}

fn resolution(incident: &Incident, resolved: &ActorStamp) -> Resolution {
    let summary = incident.resolution.as_deref().map(|summary| one_line(summary, facts::SUMMARY_LIMIT));
    let words = summary.filter(|summary| !summary.is_empty());
    Resolution { by: who(&resolved.by), at: Moment::of_stamp(resolved), words }
}

fn run_facts(run: &Run) -> RunFacts {
    RunFacts {
        number: run.id.0,
        runbook: run.runbook.id.clone(),
        title: one_line(&run.runbook.title, facts::TEXT_LIMIT),
        digest: run.digest.chars().filter(char::is_ascii_hexdigit).take(12).collect(),
    }
}

/// When the post-mortem is due: at the deadline in the log, or without one [`DUE_AFTER`] the resolution.
fn due(incident: &Incident) -> Option<Moment> {
    let resolved = incident.resolved.as_ref()?;
    let deadline = incident.deadlines.iter().find(|deadline| deadline.from == DeadlineFrom::Resolved);
    let at = deadline.map_or_else(|| DUE_AFTER.after(resolved.at), |deadline| deadline.due);
    Some(Moment { at, seq: None })
}

fn due_after(incident: &Incident) -> Span {
    let mut rules = incident.runs.iter().flat_map(|run| &run.runbook.deadlines);
    rules.find(|rule| rule.from == DeadlineFrom::Resolved).map_or(DUE_AFTER, |rule| rule.within)
}

fn deadline_facts(deadline: &Deadline) -> DeadlineFacts {
    let (state, met) = match &deadline.status {
        DeadlineStatus::Running => (DeadlineState::Running, None),
        DeadlineStatus::Missed => (DeadlineState::Missed, None),
        DeadlineStatus::Lifted => (DeadlineState::Lifted, None),
        DeadlineStatus::Met { at, .. } => (DeadlineState::Met, Some(*at)),
        DeadlineStatus::MetLate { at, .. } => (DeadlineState::MetLate, Some(*at)),
    };
    DeadlineFacts {
        name: one_line(&deadline.name, facts::NAME_LIMIT),
        from: match deadline.from {
            DeadlineFrom::Opened => "opened",
            DeadlineFrom::Resolved => "resolved",
        },
        due: Moment { at: deadline.due, seq: None },
        state,
        met: met.map(|at| Moment { at, seq: None }),
        margin: met.map(|at| margin(deadline.due, at).0),
    }
}

fn is_failure(entry: &TimelineEntry) -> bool {
    entry.sign == Sign::Failed && entry.notable
}

fn lines<'a>(entries: impl Iterator<Item = &'a TimelineEntry>, opened: Timestamp) -> Vec<TimelineRow> {
    let mut day = opened.date_naive();
    entries
        .map(|entry| {
            let new_day = std::mem::replace(&mut day, entry.at.date_naive()) != day;
            TimelineRow {
                at: Moment::of(entry.seq, entry.at),
                new_day,
                who: entry.who.clone(),
                text: entry_text(entry),
            }
        })
        .collect()
}

/// An entry's text with its detail in brackets; a text that was cut is replaced by the whole text.
fn entry_text(entry: &TimelineEntry) -> String {
    match (&entry.detail, entry.sign) {
        (Some(whole), _) if entry.text.strip_suffix('…').is_some_and(|text| whole.starts_with(text)) => whole.clone(),
        (Some(detail), Sign::Statement | Sign::Incident | Sign::Deadline) => format!("{} ({detail})", entry.text),
        (Some(_) | None, _) => entry.text.clone(),
    }
}

/// The time between `due` and `at`, and whether `at` is later.
fn margin(due: Timestamp, at: Timestamp) -> (Length, bool) {
    let left: TimeDelta = due - at;
    (Length(Span(left.abs().to_std().unwrap_or_default())), left < TimeDelta::zero())
}

#[cfg(test)]
mod tests;
