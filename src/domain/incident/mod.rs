//! An incident: the state that is folded from its log of events.

use std::collections::BTreeMap;

use self::alert_set::Alerts;
use self::deadline::Deadline;
use self::event::{Actor, Event, IncidentEvent, Recorded, SuggestedRunbook};
use self::message::{Message, MessageId};
use self::permission::Holder;
use self::run::Run;
use self::slack_post::{PostSubject, SlackPost};
use super::core::id::{IncidentId, RunId, StepKey};
use super::core::time::Timestamp;
use crate::domain::core::severity::Severity;

pub mod alert_set;
mod apply;
pub mod auto_notice;
pub mod command;
pub mod deadline;
pub mod decide;
pub mod due;
pub mod event;
pub mod message;
pub mod outcome;
pub mod permission;
pub mod plan;
pub mod run;
pub mod slack_post;
pub mod step;
pub mod template_scope;

/// The status of an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IncidentStatus {
    /// Nobody has acknowledged it.
    Open,
    Acknowledged,
    Resolved,
}

/// Who did something, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActorStamp {
    pub at: Timestamp,
    pub by: Actor,
    /// The number of the event.
    pub seq: u64,
}

/// The first message that was delivered to a channel; later ones go into its thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thread {
    /// The place in the channel's own notation, such as Slack's `C0123456`.
    pub place: Option<String>,
    /// The message's id at that place.
    pub message: Option<String>,
}

/// The post-mortem draft, or the report of maintenance, that was written most recently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostmortemDraft {
    pub path: String,
    /// SHA-256 of the text as generated, in hex.
    pub digest: String,
    /// The number of the event.
    pub seq: u64,
}

/// An incident.
#[derive(Debug, Clone, PartialEq)]
pub struct Incident {
    pub id: IncidentId,
    pub title: String,
    pub severity: Severity,
    pub environment: String,
    pub status: IncidentStatus,
    pub opened: ActorStamp,
    /// When the problem was first noticed, if that is known and was before the opening.
    pub detected_at: Option<Timestamp>,
    pub acknowledged: Option<ActorStamp>,
    pub resolved: Option<ActorStamp>,
    /// The summary that was given with the resolution.
    pub resolution: Option<String>,
    pub deadlines: Vec<Deadline>,
    /// The runs in the order of their numbers: run 1 is first.
    pub runs: Vec<Run>,
    /// The first message in each channel, by the channel's name.
    pub threads: BTreeMap<String, Thread>,
    /// The messages that show the incident in Slack.
    pub posts: BTreeMap<PostSubject, SlackPost>,
    /// Every message that is or was pending.
    pub messages: BTreeMap<MessageId, Message>,
    /// When stakeholders were last notified, by the channel that the message was for.
    pub notified_at: BTreeMap<String, Timestamp>,
    /// The holder of each role.
    pub roles: BTreeMap<String, Holder>,
    /// How many refused approvals are recorded.
    pub refusals: u32,
    /// The alert group that the incident collects.
    pub group: Option<String>,
    pub alerts: Alerts,
    /// Runbooks that an alert suggests and a person may start.
    pub proposals: Vec<SuggestedRunbook>,
    pub draft: Option<PostmortemDraft>,
    /// Who completed the post-mortem, and when.
    pub completed: Option<ActorStamp>,
    /// The number of the last event.
    pub seq: u64,
    /// When the last event was recorded.
    pub at: Timestamp,
    /// The number of the last event that changes the post-mortem.
    pub material: u64,
}

/// An event that cannot follow the events before it: the log is damaged.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("event {seq} ({event}) does not fit: {reason}")]
pub struct Illegal {
    pub seq: u64,
    /// The event's type.
    pub event: String,
    pub reason: String,
}

impl Incident {
    /// The incident that the first event of a log opens.
    fn open(recorded: &Recorded) -> Result<Self, Illegal> {
        let Event::Incident(IncidentEvent::Opened { id, title, severity, environment, detected_at, group }) =
            &recorded.event
        else {
            return Err(illegal(recorded, "the first event opens the incident"));
        };
        if recorded.seq != 1 {
            return Err(illegal(recorded, "the first event is number 1"));
        }
        Ok(Self {
            id: id.clone(),
            title: title.clone(),
            severity: *severity,
            environment: environment.clone(),
            status: IncidentStatus::Open,
            opened: stamp(recorded),
            detected_at: *detected_at,
            acknowledged: None,
            resolved: None,
            resolution: None,
            deadlines: Vec::new(),
            runs: Vec::new(),
            threads: BTreeMap::new(),
            posts: BTreeMap::new(),
            messages: BTreeMap::new(),
            notified_at: BTreeMap::new(),
            roles: BTreeMap::new(),
            refusals: 0,
            group: group.clone(),
            alerts: Alerts::default(),
            proposals: Vec::new(),
            draft: None,
            completed: None,
            seq: 1,
            at: recorded.at,
            material: 1,
        })
    }

    /// Whether it records planned work instead of a problem.
    pub fn is_maintenance(&self) -> bool {
        self.severity == Severity::Maintenance
    }

    /// The run with this number.
    pub fn run(&self, id: RunId) -> Option<&Run> {
        self.runs.get((id.0 as usize).checked_sub(1)?)
    }

    /// The runs that have not ended.
    pub fn live_runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(|run| !run.is_over())
    }

    /// Every closed gate that a person must open, with its run and step.
    pub fn waiting_for_person(&self) -> Vec<(RunId, &StepKey, &event::Gate)> {
        self.runs
            .iter()
            .flat_map(|run| run.gates().map(move |(key, gate)| (run.id, key, gate)))
            .filter(|(_, _, gate)| gate.needs_person())
            .collect()
    }
}

/// The incident that a whole log folds to; none for an empty log.
///
/// # Errors
/// An event cannot follow the events before it: the log is damaged.
pub fn fold(log: &[Recorded]) -> Result<Option<Incident>, Illegal> {
    let Some((first, rest)) = log.split_first() else {
        return Ok(None);
    };
    let mut incident = Incident::open(first)?;
    for recorded in rest {
        incident.apply(recorded)?;
    }
    Ok(Some(incident))
}

/// Applies events to an incident; the first event opens an incident that does not exist yet.
///
/// # Errors
/// As for [`fold`]. The events before the wrong one are applied, and possibly a part of it.
pub fn extend(incident: &mut Option<Incident>, events: &[Recorded]) -> Result<(), Illegal> {
    for recorded in events {
        match incident {
            None => *incident = Some(Incident::open(recorded)?),
            Some(incident) => incident.apply(recorded)?,
        }
    }
    Ok(())
}

fn stamp(recorded: &Recorded) -> ActorStamp {
    ActorStamp { at: recorded.at, by: recorded.by.clone(), seq: recorded.seq }
}

fn illegal(recorded: &Recorded, reason: &str) -> Illegal {
    Illegal { seq: recorded.seq, event: name(&recorded.event), reason: reason.to_owned() }
}

/// The event's `type` in the log.
pub fn name(event: &Event) -> String {
    serde_json::to_value(event)
        .ok()
        .and_then(|value| value.get("type").and_then(|name| name.as_str().map(str::to_owned)))
        .unwrap_or_default()
}
