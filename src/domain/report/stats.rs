//! Statistics: what one incident took, and, in [`summary`], what many of them took.
//!
//! A [`Measure`] is a projection of one whole log, as the post-mortem is: the two share what a time means. It is a few hundred
//! bytes, so that ten thousand incidents can be compared without their logs in memory.
//!
//! **Invariant:** what the log does not say is none, never zero.
//!
//! Deliberately absent: averages. One night of eight hours hides a year of good ones; a median and a 90th percentile do not.

#![deny(clippy::wildcard_enum_match_arm)]

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::postmortem::{Milestone, measured};
use crate::domain::core::actor::Actor;
use crate::domain::core::id::IncidentId;
use crate::domain::core::severity::Severity;
use crate::domain::core::time::{Span, Timestamp};
use crate::domain::incident::event::{AlertEvent, DeadlineEvent, Event, Recorded};
use crate::domain::incident::run::Run;
use crate::domain::incident::{Incident, IncidentStatus};
use crate::domain::runbook::{DeadlineFrom, DeadlineRule};

pub mod quantile;
pub mod summary;

/// The face by which a demo that plays by itself answers: such an incident is a rehearsal.
pub const REHEARSAL: &str = "script";

/// A length of time that is measured of every incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// From when the trouble began, as the alert or who opened the incident says, to the opening.
    Detect,
    /// From the opening until a person took notice.
    Acknowledge,
    /// From the opening until stakeholders were told: the step that meets the notice deadline, else the first message.
    Notify,
    /// From the opening until the last remedy was seen to work.
    Mitigate,
    /// From the opening until the trouble was over: a person said so, or its alerts were.
    Resolve,
}

impl Phase {
    /// Every one, in the order in which they are meant to come.
    pub const ALL: [Self; 5] = [Self::Detect, Self::Acknowledge, Self::Notify, Self::Mitigate, Self::Resolve];

    /// The word for people.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Detect => "detect",
            Self::Acknowledge => "acknowledge",
            Self::Notify => "notify",
            Self::Mitigate => "mitigate",
            Self::Resolve => "resolve",
        }
    }
}

/// What a deadline asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadlineKind {
    /// A first word, or another step, within a time from the opening.
    Notify,
    /// A word again and again: each is one deadline.
    Update,
    /// That somebody takes a role.
    Role,
    /// What is due after the resolution.
    Postmortem,
}

impl DeadlineKind {
    /// Every one, in the order in which they fall due.
    pub const ALL: [Self; 4] = [Self::Notify, Self::Update, Self::Role, Self::Postmortem];

    /// The word for people.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Notify => "notify",
            Self::Update => "update",
            Self::Role => "role",
            Self::Postmortem => "post-mortem",
        }
    }

    fn of(from: DeadlineFrom, rule: Option<&DeadlineRule>) -> Self {
        match from {
            DeadlineFrom::Resolved => Self::Postmortem,
            DeadlineFrom::Opened if rule.is_some_and(|rule| rule.role.is_some()) => Self::Role,
            DeadlineFrom::Opened if rule.is_some_and(|rule| rule.repeats) => Self::Update,
            DeadlineFrom::Opened => Self::Notify,
        }
    }
}

/// How deadlines ended. One that is no longer asked for stands in neither.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct DeadlineCounts {
    /// Done in time.
    pub kept: u64,
    /// Done too late, or not done when its time was over.
    pub missed: u64,
    /// Still running.
    pub running: u64,
}

impl DeadlineCounts {
    pub(crate) fn add(&mut self, other: Self) {
        self.kept += other.kept;
        self.missed += other.missed;
        self.running += other.running;
    }
}

/// What one incident took.
#[derive(Debug, Clone, PartialEq)]
pub struct Measure {
    /// Which.
    pub id: IncidentId,
    /// As it was last graded.
    pub severity: Severity,
    pub environment: String,
    /// The services that its alerts, parameters and changes name.
    pub services: BTreeSet<String>,
    /// The runbooks that ran.
    pub runbooks: BTreeSet<String>,
    /// When it was opened.
    pub opened: Timestamp,
    /// Whether it is not resolved.
    pub open: bool,
    /// The times that the log tells.
    pub times: BTreeMap<Phase, Span>,
    /// Its deadlines.
    pub deadlines: BTreeMap<DeadlineKind, DeadlineCounts>,
    /// How many alerts fired; one that was reported again is counted once.
    pub alerts: u64,
    /// How many runs there were.
    pub runs: u64,
    /// How many of them neither a person nor another run started.
    pub automatic: u64,
}

impl Measure {
    /// What an incident and its whole log add up to; none when it was a rehearsal.
    pub fn of(incident: &Incident, log: &[Recorded]) -> Option<Self> {
        let rehearsed = |by: &Actor| matches!(by, Actor::Person { via, .. } if via == REHEARSAL);
        if log.iter().any(|recorded| rehearsed(&recorded.by)) {
            return None;
        }
        let (milestones, named) = measured(incident, log);
        Some(Self {
            id: incident.id.clone(),
            severity: incident.severity,
            environment: incident.environment.clone(),
            services: named.into_iter().chain(alerted(log)).collect(),
            runbooks: incident.runs.iter().map(|run| run.runbook.id.clone()).collect(),
            opened: incident.opened.at,
            open: incident.status != IncidentStatus::Resolved,
            times: Phase::ALL
                .into_iter()
                .filter_map(|phase| Some((phase, time(phase, incident, &milestones)?)))
                .collect(),
            deadlines: deadlines(log),
            alerts: incident.alerts.len() as u64,
            runs: incident.runs.len() as u64,
            automatic: incident.runs.iter().filter(|run| is_automatic(run)).count() as u64,
        })
    }
}

/// The services that alerts name.
fn alerted(log: &[Recorded]) -> impl Iterator<Item = String> {
    log.iter().filter_map(|recorded| {
        let Event::Alert(AlertEvent::Fired { alert, .. }) = &recorded.event else { return None };
        alert.service.clone()
    })
}

fn is_automatic(run: &Run) -> bool {
    run.parent.is_none() && !matches!(run.by, Actor::Person { .. })
}

/// A length between two milestones; none when the log lacks one of them, or has them the wrong way round, as a clock that was
/// set back leaves them. When nobody has said when the trouble began, detection is not known.
fn time(phase: Phase, incident: &Incident, milestones: &[Milestone]) -> Option<Span> {
    let opened = incident.opened.at;
    let of = |name| Some(milestones.iter().find(|milestone| milestone.name == name)?.at?.at);
    let (from, to) = match phase {
        Phase::Detect => (incident.detected_at?, opened),
        Phase::Acknowledge => (opened, of("Acknowledged")?),
        Phase::Notify => (opened, of("Notified")?),
        Phase::Mitigate => (opened, of("Mitigated")?),
        Phase::Resolve => (opened, of("Resolved")?),
    };
    (to - from).to_std().ok().map(Span)
}

/// A deadline that was set, as far as the log has come.
#[derive(Debug, Clone, Copy)]
struct RunningDeadline {
    duty: DeadlineKind,
    due: Timestamp,
    missed: bool,
}

fn of_deadline(recorded: &Recorded) -> Option<&DeadlineEvent> {
    if let Event::Deadline(event) = &recorded.event { Some(event) } else { None }
}

/// Counts deadlines in the log, where one that repeats stands as often as it was set.
fn deadlines(log: &[Recorded]) -> BTreeMap<DeadlineKind, DeadlineCounts> {
    let mut counted: BTreeMap<DeadlineKind, DeadlineCounts> = BTreeMap::new();
    let mut running: BTreeMap<&str, RunningDeadline> = BTreeMap::new();
    for event in log.iter().filter_map(of_deadline) {
        match event {
            DeadlineEvent::Set { name, from, due, rule, .. } => {
                let duty = DeadlineKind::of(*from, rule.as_deref());
                running.insert(name, RunningDeadline { duty, due: *due, missed: false });
            }
            DeadlineEvent::Missed { name } => {
                if let Some(deadline) = running.get_mut(name.as_str()).filter(|deadline| !deadline.missed) {
                    deadline.missed = true;
                    counted.entry(deadline.duty).or_default().missed += 1;
                }
            }
            DeadlineEvent::Met { name, met_at, .. } => {
                // One that was missed before stays so, however late it was done.
                if let Some(deadline) = running.remove(name.as_str()).filter(|deadline| !deadline.missed) {
                    let kept = counted.entry(deadline.duty).or_default();
                    *(if *met_at <= deadline.due { &mut kept.kept } else { &mut kept.missed }) += 1;
                }
            }
            DeadlineEvent::Lifted { name } => drop(running.remove(name.as_str())),
            DeadlineEvent::Warned { .. } => {}
        }
    }
    for deadline in running.values().filter(|deadline| !deadline.missed) {
        counted.entry(deadline.duty).or_default().running += 1;
    }
    counted
}

#[cfg(test)]
mod tests;
