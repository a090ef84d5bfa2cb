//! Statistics: the response times of one incident ([`Measure`]), and those of many incidents ([`summary`]).
//!
//! A [`Measure`] is computed from one whole log, with the milestones of the post-mortem. It has a few hundred bytes, so ten
//! thousand incidents can be compared without their logs in memory.
//!
//! **Invariant:** a time that the log does not contain is absent, never zero.
//!
//! Not here: averages. One incident of eight hours distorts a year's average, but neither its median nor its 90th percentile.

#![deny(clippy::wildcard_enum_match_arm)]

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::postmortem::{Milestone, milestones_and_services};
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

/// The interface name in the events of an automatic demo. Statistics leave out an incident with such an event.
pub const DEMO_INTERFACE: &str = "script";

/// A response time that is measured for every incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// From the detection that the alert or the person who opened the incident reports, to the opening.
    Detect,
    /// From the opening to the acknowledgement.
    Acknowledge,
    /// From the opening until stakeholders were notified: the notice deadline was met, or without one, the first message arrived.
    Notify,
    /// From the opening until the last remedy was verified.
    Mitigate,
    /// From the opening until the incident was resolved, by a person or because its alerts were.
    Resolve,
}

impl Phase {
    /// All phases, in their intended order.
    pub const ALL: [Self; 5] = [Self::Detect, Self::Acknowledge, Self::Notify, Self::Mitigate, Self::Resolve];

    /// The name in tables and charts.
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

/// What a deadline requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadlineKind {
    /// A first message to stakeholders, or another step, within a time from the opening.
    Notify,
    /// Repeated updates to stakeholders; each update has a deadline.
    Update,
    /// A person takes a role.
    Role,
    /// The post-mortem is completed after the resolution.
    Postmortem,
}

impl DeadlineKind {
    /// All kinds, in the order in which they usually fall due.
    pub const ALL: [Self; 4] = [Self::Notify, Self::Update, Self::Role, Self::Postmortem];

    /// The name in tables and charts.
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

/// How many deadlines were met and missed. A lifted deadline is not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct DeadlineCounts {
    /// Done in time.
    #[serde(rename = "kept")]
    pub met: u64,
    /// Done too late, or not at all.
    pub missed: u64,
    /// Not over yet.
    pub running: u64,
}

impl DeadlineCounts {
    pub(crate) fn add(&mut self, other: Self) {
        self.met += other.met;
        self.missed += other.missed;
        self.running += other.running;
    }
}

/// The measurements of one incident.
#[derive(Debug, Clone, PartialEq)]
pub struct Measure {
    pub id: IncidentId,
    /// The latest severity.
    pub severity: Severity,
    pub environment: String,
    /// The services that its alerts, parameters and changes name.
    pub services: BTreeSet<String>,
    /// The runbooks that ran.
    pub runbooks: BTreeSet<String>,
    pub opened: Timestamp,
    /// Whether it is unresolved.
    pub open: bool,
    /// The times that the log contains.
    pub times: BTreeMap<Phase, Span>,
    pub deadlines: BTreeMap<DeadlineKind, DeadlineCounts>,
    /// How many alerts fired; a repeated alert is counted once.
    pub alerts: u64,
    pub runs: u64,
    /// How many runs were started by neither a person nor another run.
    pub automatic: u64,
}

impl Measure {
    /// The measurements of an incident and its whole log; none for an automatic demo.
    pub fn of(incident: &Incident, log: &[Recorded]) -> Option<Self> {
        let is_of_demo = |by: &Actor| matches!(by, Actor::Person { via, .. } if via == DEMO_INTERFACE);
        if log.iter().any(|recorded| is_of_demo(&recorded.by)) {
            return None;
        }
        let (milestones, named) = milestones_and_services(incident, log);
        Some(Self {
            id: incident.id.clone(),
            severity: incident.severity,
            environment: incident.environment.clone(),
            services: named.into_iter().chain(alerted_services(log)).collect(),
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
fn alerted_services(log: &[Recorded]) -> impl Iterator<Item = String> {
    log.iter().filter_map(|recorded| {
        let Event::Alert(AlertEvent::Fired { alert, .. }) = &recorded.event else { return None };
        alert.service.clone()
    })
}

fn is_automatic(run: &Run) -> bool {
    run.parent.is_none() && !matches!(run.by, Actor::Person { .. })
}

/// The time between two milestones; none when the log lacks one of them, or has them in the wrong order because the clock was
/// set back. Without a reported detection, the time to detect is unknown.
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

/// A deadline that is set at this point of the log.
#[derive(Debug, Clone, Copy)]
struct RunningDeadline {
    kind: DeadlineKind,
    due: Timestamp,
    missed: bool,
}

fn of_deadline(recorded: &Recorded) -> Option<&DeadlineEvent> {
    if let Event::Deadline(event) = &recorded.event { Some(event) } else { None }
}

/// Counts the deadlines in the log. A repeating deadline counts each time it was set.
fn deadlines(log: &[Recorded]) -> BTreeMap<DeadlineKind, DeadlineCounts> {
    let mut counted: BTreeMap<DeadlineKind, DeadlineCounts> = BTreeMap::new();
    let mut running: BTreeMap<&str, RunningDeadline> = BTreeMap::new();
    for event in log.iter().filter_map(of_deadline) {
        match event {
            DeadlineEvent::Set { name, from, due, rule, .. } => {
                let kind = DeadlineKind::of(*from, rule.as_deref());
                running.insert(name, RunningDeadline { kind, due: *due, missed: false });
            }
            DeadlineEvent::Missed { name } => {
                if let Some(deadline) = running.get_mut(name.as_str()).filter(|deadline| !deadline.missed) {
                    deadline.missed = true;
                    counted.entry(deadline.kind).or_default().missed += 1;
                }
            }
            DeadlineEvent::Met { name, met_at, .. } => {
                // A recorded miss is already counted; being met late does not change it.
                if let Some(deadline) = running.remove(name.as_str()).filter(|deadline| !deadline.missed) {
                    let counts = counted.entry(deadline.kind).or_default();
                    *(if *met_at <= deadline.due { &mut counts.met } else { &mut counts.missed }) += 1;
                }
            }
            DeadlineEvent::Lifted { name } => drop(running.remove(name.as_str())),
            DeadlineEvent::Warned { .. } => {}
        }
    }
    for deadline in running.values().filter(|deadline| !deadline.missed) {
        counted.entry(deadline.kind).or_default().running += 1;
    }
    counted
}

#[cfg(test)]
mod tests;
