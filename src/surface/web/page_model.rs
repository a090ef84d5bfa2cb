//! The content of an incident's page: a pure function of the incident, its log and its post-mortem draft.
//!
//! Not here: the layout, which is in `page.html`.

use serde::{Serialize, Serializer};

use super::markdown;
use crate::domain::core::time::{Span, Timestamp, stamp};
use crate::domain::incident::deadline::{Deadline, DeadlineStatus};
use crate::domain::incident::event::Recorded;
use crate::domain::incident::{ActorStamp, Incident, IncidentStatus};
use crate::domain::redact::Redactor;
use crate::domain::report::handover::Handover;
use crate::domain::report::headline;
use crate::domain::report::timeline::Sign;
use crate::domain::report::timeline::{Timeline, TimelineEntry};

/// The most lines of the timeline: the most recent ones. More are too long for a phone.
const LINES: usize = 500;

/// How often a browser reloads the page of a live incident, in seconds.
const REFRESH: u32 = 30;

#[derive(Debug, Serialize)]
pub(super) struct PageModel {
    id: String,
    title: String,
    severity: String,
    state: &'static str,
    tone: PageTone,
    next: String,
    environment: String,
    estate: String,
    opened: Instant,
    opened_by: String,
    acknowledged: Option<PageAction>,
    resolved: Option<PageAction>,
    resolution: Option<String>,
    completed: Option<PageAction>,
    waits: Vec<String>,
    deadlines: Vec<PageDeadline>,
    roles: Vec<PageRole>,
    notified: Vec<String>,
    days: Vec<Day>,
    /// The number of earlier lines, which are left out.
    earlier: usize,
    draft: Option<PageDraft>,
    live: bool,
    refresh: u32,
    made: Instant,
}

/// The meaning of a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum PageTone {
    Bad,
    Wait,
    Hand,
    Good,
    Plain,
}

/// An instant in the format of the log.
#[derive(Debug, Clone, Copy)]
struct Instant(Timestamp);

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&stamp(self.0))
    }
}

#[derive(Debug, Serialize)]
struct PageAction {
    by: String,
    at: Instant,
}

#[derive(Debug, Serialize)]
struct PageDeadline {
    name: String,
    tone: PageTone,
    status: String,
    due: Instant,
    at: Option<Instant>,
}

#[derive(Debug, Serialize)]
struct PageRole {
    role: String,
    person: Option<String>,
    since: Option<Instant>,
}

#[derive(Debug, Serialize)]
struct Day {
    date: String,
    lines: Vec<PageLine>,
}

#[derive(Debug, Serialize)]
struct PageLine {
    at: Instant,
    clock: String,
    who: String,
    tone: PageTone,
    text: String,
    detail: Option<String>,
}

#[derive(Debug, Serialize)]
struct PageDraft {
    path: String,
    /// Sanitised HTML, inserted without escaping.
    html: String,
}

impl PageModel {
    /// The page at `now`. `draft` is the text of the post-mortem draft, if there is one.
    pub(super) fn of(incident: &Incident, log: &[Recorded], draft: Option<&str>, now: Timestamp) -> Self {
        let handover = Handover::of(incident, log, now);
        let timeline = Timeline::of(log);
        let notable: Vec<&TimelineEntry> = timeline.notable().collect();
        let earlier = notable.len().saturating_sub(LINES);
        let action = |mark: &ActorStamp| PageAction { by: mark.by.name().to_owned(), at: Instant(mark.at) };
        Self {
            id: incident.id.to_string(),
            title: handover.title,
            severity: handover.severity,
            state: headline::state(incident),
            tone: tone(incident),
            next: headline::next(incident),
            environment: handover.environment,
            estate: incident.runs.last().map(|run| run.estate.estate.clone()).unwrap_or_default(),
            opened: Instant(incident.opened.at),
            opened_by: incident.opened.by.name().to_owned(),
            acknowledged: incident.acknowledged.as_ref().map(action),
            resolved: incident.resolved.as_ref().map(action),
            resolution: incident.resolution.clone(),
            completed: incident.completed.as_ref().map(action),
            waits: handover.waits.iter().map(ToString::to_string).collect(),
            deadlines: incident.deadlines.iter().map(|deadline| PageDeadline::of(deadline, now)).collect(),
            roles: handover.roles.into_iter().map(PageRole::of).collect(),
            notified: handover.told.iter().map(ToString::to_string).collect(),
            days: days(&notable[earlier..]),
            earlier,
            draft: draft.and_then(|text| PageDraft::of(incident, text)),
            live: incident.status != IncidentStatus::Resolved || incident.completed.is_none(),
            refresh: REFRESH,
            made: Instant(now),
        }
    }
}

fn tone(incident: &Incident) -> PageTone {
    match incident.status {
        IncidentStatus::Resolved => PageTone::Good,
        _ if !incident.waiting_for_person().is_empty() => PageTone::Wait,
        IncidentStatus::Open => PageTone::Bad,
        IncidentStatus::Acknowledged => PageTone::Hand,
    }
}

impl PageDeadline {
    fn of(deadline: &Deadline, now: Timestamp) -> Self {
        let (tone, status, at) = match &deadline.status {
            DeadlineStatus::Running if deadline.warned => {
                (PageTone::Wait, "at risk: ".to_owned() + &left(deadline, now), None)
            }
            DeadlineStatus::Running => (PageTone::Hand, left(deadline, now), None),
            DeadlineStatus::Missed => (PageTone::Bad, "missed".to_owned(), None),
            DeadlineStatus::Met { at, .. } => (PageTone::Good, "met".to_owned(), Some(*at)),
            DeadlineStatus::MetLate { at, .. } => (PageTone::Bad, "met late".to_owned(), Some(*at)),
            DeadlineStatus::Lifted => (PageTone::Plain, "no longer required".to_owned(), None),
        };
        Self { name: deadline.name.clone(), tone, status, due: Instant(deadline.due), at: at.map(Instant) }
    }
}

/// The time left, without seconds if it is more than two minutes.
fn left(deadline: &Deadline, now: Timestamp) -> String {
    let seconds = Span::between(now, deadline.due).0.as_secs();
    format!("{} left", Span::seconds(if seconds > 120 { seconds - seconds % 60 } else { seconds }))
}

impl PageRole {
    fn of(role: crate::domain::report::handover::HandoverRole) -> Self {
        Self { role: role.role, person: role.person, since: role.since.map(Instant) }
    }
}

/// The lines by day, most recent first.
fn days(entries: &[&TimelineEntry]) -> Vec<Day> {
    let mut days: Vec<Day> = Vec::new();
    for entry in entries.iter().rev() {
        let date = entry.at.format("%Y-%m-%d").to_string();
        if days.last().is_none_or(|day| day.date != date) {
            days.push(Day { date, lines: Vec::new() });
        }
        if let Some(day) = days.last_mut() {
            day.lines.push(PageLine::of(entry));
        }
    }
    days
}

impl PageLine {
    fn of(entry: &TimelineEntry) -> Self {
        Self {
            at: Instant(entry.at),
            clock: entry.at.format("%H:%M:%S").to_string(),
            who: entry.who.clone(),
            tone: match entry.sign {
                Sign::Failed => PageTone::Bad,
                Sign::Question | Sign::Deadline => PageTone::Wait,
                Sign::Statement | Sign::Incident => PageTone::Hand,
                Sign::Done | Sign::Delivered => PageTone::Good,
                Sign::Begun | Sign::Skipped | Sign::Internal => PageTone::Plain,
            },
            text: entry.text.clone(),
            detail: entry.detail.clone(),
        }
    }
}

impl PageDraft {
    fn of(incident: &Incident, text: &str) -> Option<Self> {
        let html = markdown::html(&Redactor::default().mask_phones(text));
        Some(Self { path: incident.draft.as_ref()?.path.clone(), html })
    }
}
