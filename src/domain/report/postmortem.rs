//! The post-mortem: the facts of an incident, gathered from its log, and the draft that is rendered from them.
//!
//! Only facts are filled in, each with the number of its event; what needs judgement is `TODO` with a question, for a
//! person. What a person has written is kept when the draft is made again: see [`three_way_merge`].
//!
//! **Invariant:** the same log and template give the same bytes: there is no clock here, no map without an order, and
//! `PostmortemWritten` leaves no trace in a draft, so that a draft can be made again from the log up to that event.
//!
//! Deliberately absent: the file; that is the engine's archive.

use chrono::TimeDelta;
use serde::{Serialize, Serializer};

use super::timeline::{Timeline, TimelineEntry};
use crate::domain::core::text::one_line;
use crate::domain::core::time::{Span, Timestamp, stamp};
use crate::domain::incident::deadline::{Deadline, DeadlineStatus};
use crate::domain::incident::event::{Actor, Recorded};
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

/// When a post-mortem is due after the resolution, unless a deadline in the log says otherwise.
const DUE_AFTER: Span = Span::seconds(24 * 60 * 60);

/// The longest slug in a file's name, in bytes: names stay readable in a listing.
const SLUG_LIMIT: usize = 48;

/// The facts of an incident, as a template sees them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Postmortem {
    /// The incident's id.
    pub id: String,
    /// A few words.
    pub title: String,
    /// `P1` to `P4`.
    pub severity: String,
    pub environment: String,
    /// `draft` until a person says that it is complete.
    pub status: &'static str,
    /// Who opened it.
    pub opened_by: String,
    /// When it was opened.
    pub opened: Moment,
    /// Who said that it is over, and in which words.
    pub resolution: Option<Resolution>,
    /// How long it was open.
    pub lasted: Option<Length>,
    /// When the post-mortem is due; none as long as the incident is open.
    pub due: Option<Moment>,
    /// How long after the resolution that is, as a runbook says, else a day.
    pub due_after: Length,
    /// The runs, in order.
    pub runs: Vec<RunFacts>,
    /// The services of the estate that parameters and changes name, in alphabetical order.
    pub services: Vec<String>,
    /// Detection, acknowledgement, notice, mitigation, resolution, in this order.
    pub milestones: Vec<Milestone>,
    /// The first notice, measured against its deadline.
    pub notice: Option<Notice>,
    /// Every deadline.
    pub deadlines: Vec<DeadlineFacts>,
    /// What happened, for a reader in a hurry.
    pub timeline: Vec<TimelineRow>,
    /// What every reading found.
    pub findings: Vec<CheckedFact>,
    /// What was changed.
    pub changes: Vec<ChangeFact>,
    /// Who was told, and who was not.
    pub messages: Vec<MessageFact>,
    /// Every line of the timeline that says no.
    pub failures: Vec<TimelineRow>,
    /// Facts to think about under "what went well".
    pub well: Vec<String>,
    /// Facts to think about under "what went badly".
    pub badly: Vec<String>,
    /// Who took part.
    pub people: Vec<Participant>,
}

/// An instant with the event that says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    pub at: Timestamp,
    /// The event's number, where one says so.
    pub seq: Option<u64>,
}

impl Moment {
    /// The instant of an event.
    pub fn of(seq: u64, at: Timestamp) -> Self {
        Self { at, seq: Some(seq) }
    }

    fn mark(mark: &ActorStamp) -> Self {
        Self::of(mark.seq, mark.at)
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
    /// Who said so.
    pub by: String,
    /// When.
    pub at: Moment,
    /// In which words.
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

/// Whether a deadline was met, in the words that a template reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum DeadlineState {
    /// It is not over.
    #[serde(rename = "running")]
    Running,
    /// What it asks for was done in time.
    #[serde(rename = "met")]
    Met,
    /// What it asks for was done too late.
    #[serde(rename = "met late")]
    MetLate,
    /// What it asks for was not done.
    #[serde(rename = "missed")]
    Missed,
    /// Nothing is asked for any more.
    #[serde(rename = "not asked for any more")]
    Lifted,
}

/// How a deadline stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeadlineFacts {
    pub name: String,
    /// `opened` or `resolved`.
    pub from: &'static str,
    /// When it is missed.
    pub due: Moment,
    /// Whether it was met.
    pub state: DeadlineState,
    /// When what it asks for was done.
    pub met: Option<Moment>,
    /// How long before or after it was due that was.
    pub margin: Option<Length>,
}

/// One line of the timeline.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TimelineRow {
    /// When.
    pub at: Moment,
    /// Whether it is on another day than the line before, or than the opening.
    pub new_day: bool,
    /// Who.
    pub who: String,
    /// What.
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
            opened: Moment::mark(&incident.opened),
            resolution: incident.resolved.as_ref().map(|mark| resolution(incident, mark)),
            lasted: incident.resolved.as_ref().map(|mark| Length::between(incident.opened.at, mark.at)),
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
            people: participant::people(log),
        };
        (facts.well, facts.badly) = facts::prompts(&facts);
        facts
    }
}

/// The milestones of an incident and the services concerned: what statistics need of a post-mortem.
pub fn measured(incident: &Incident, log: &[Recorded]) -> (Vec<Milestone>, Vec<String>) {
    let attempts = attempt::gather(log);
    let changes = facts::changes(incident, log, &attempts);
    (milestone::of(incident, log, &attempts, &changes), facts::services(incident, &attempts))
}

/// The file's name: `<date of opening>-<id>-<slug of the title>.md`.
///
/// **Invariant:** it holds only lower-case letters, digits, `-`, `_` and the one `.`, whatever the title holds.
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

/// The name of who did something.
fn who(actor: &Actor) -> String {
    one_line(actor.name(), facts::NAME_LIMIT)
}

fn resolution(incident: &Incident, mark: &ActorStamp) -> Resolution {
    let words = incident.resolution.as_deref().map(|words| one_line(words, facts::WORDS_LIMIT));
    Resolution { by: who(&mark.by), at: Moment::mark(mark), words: words.filter(|words| !words.is_empty()) }
}

fn run_facts(run: &crate::domain::incident::run::Run) -> RunFacts {
    RunFacts {
        number: run.id.0,
        runbook: run.runbook.id.clone(),
        title: one_line(&run.runbook.title, facts::TEXT_LIMIT),
        digest: run.digest.chars().filter(char::is_ascii_hexdigit).take(12).collect(),
    }
}

/// When the post-mortem is due: as the deadline in the log says, else a day after the resolution.
fn due(incident: &Incident) -> Option<Moment> {
    let resolved = incident.resolved.as_ref()?;
    let ruled = incident.deadlines.iter().find(|deadline| deadline.from == DeadlineFrom::Resolved);
    let at = ruled.map_or_else(|| DUE_AFTER.after(resolved.at), |deadline| deadline.due);
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
        margin: met.map(|at| Length(Span((deadline.due - at).abs().to_std().unwrap_or_default()))),
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

/// An entry's text, whole where it was cut, and with what stands in brackets behind it.
fn entry_text(entry: &TimelineEntry) -> String {
    match (&entry.detail, entry.sign) {
        (Some(whole), _) if entry.text.strip_suffix('…').is_some_and(|text| whole.starts_with(text)) => whole.clone(),
        (Some(detail), Sign::Words | Sign::Incident | Sign::Deadline) => format!("{} ({detail})", entry.text),
        (Some(_) | None, _) => entry.text.clone(),
    }
}

/// The signed length between two instants, as its size and whether `at` is the later.
fn margin(due: Timestamp, at: Timestamp) -> (Length, bool) {
    let left: TimeDelta = due - at;
    (Length(Span(left.abs().to_std().unwrap_or_default())), left < TimeDelta::zero())
}

#[cfg(test)]
mod tests;
