//! An incident: the state that its stream of events folds to.

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

/// How an incident stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IncidentStatus {
    /// Nobody has taken notice.
    Open,
    /// A person has.
    Acknowledged,
    /// The trouble is over.
    Resolved,
}

/// Who did something, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActorStamp {
    pub at: Timestamp,
    /// Who.
    pub by: Actor,
    /// The event that says so.
    pub seq: u64,
}

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

/// A message that reached a channel: further ones go into its thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thread {
    /// Where it went, as the channel names it.
    pub place: Option<String>,
    /// The message's id there.
    pub message: Option<String>,
}

/// The post-mortem draft, or the report of maintenance, that was written last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostmortemDraft {
    /// Where.
    pub path: String,
    /// The digest of it as generated.
    pub digest: String,
    /// The event that says so.
    pub seq: u64,
}

/// An incident.
#[derive(Debug, Clone, PartialEq)]
pub struct Incident {
    /// Its id.
    pub id: IncidentId,
    /// A few words.
    pub title: String,
    /// How bad.
    pub severity: Severity,
    pub environment: String,
    /// How it stands.
    pub status: IncidentStatus,
    /// Who opened it, and when.
    pub opened: ActorStamp,
    /// When the trouble was first noticed, when that was earlier.
    pub detected_at: Option<Timestamp>,
    /// Who took notice first.
    pub acknowledged: Option<ActorStamp>,
    /// Who said that it is over.
    pub resolved: Option<ActorStamp>,
    /// The words it was resolved with.
    pub resolution: Option<String>,
    /// What must be done by when.
    pub deadlines: Vec<Deadline>,
    /// Its runs, in order: run 1 is first.
    pub runs: Vec<Run>,
    /// The first message in each channel, by the channel's name.
    pub threads: BTreeMap<String, Thread>,
    /// Where what it shows of itself was posted.
    pub posts: BTreeMap<PostSubject, SlackPost>,
    /// Every message that is or was owed.
    pub messages: BTreeMap<MessageId, Message>,
    /// When stakeholders were told last, by the channel that it was for.
    pub told: BTreeMap<String, Timestamp>,
    /// Who has which role.
    pub roles: BTreeMap<String, Holder>,
    /// How often somebody was refused who wanted to agree to a change.
    pub refusals: u32,
    /// The group of alerts that it gathers.
    pub group: Option<String>,
    /// Its alerts.
    pub alerts: Alerts,
    /// Runbooks that a person may start, and that did not start by themselves.
    pub proposals: Vec<SuggestedRunbook>,
    /// The post-mortem draft, or the report of maintenance.
    pub draft: Option<PostmortemDraft>,
    /// Who said that the post-mortem is complete.
    pub completed: Option<ActorStamp>,
    /// The last event's number.
    pub seq: u64,
    /// When the last event was recorded.
    pub at: Timestamp,
    /// The last event that a post-mortem would show.
    pub material: u64,
}

/// A log that cannot have been written by us.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("event {seq} ({event}) does not fit: {reason}")]
pub struct Illegal {
    pub seq: u64,
    /// What kind of event.
    pub event: String,
    /// Why it cannot be.
    pub reason: String,
}

impl Incident {
    /// The incident that its first event opens.
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
            opened: mark(recorded),
            detected_at: *detected_at,
            acknowledged: None,
            resolved: None,
            resolution: None,
            deadlines: Vec::new(),
            runs: Vec::new(),
            threads: BTreeMap::new(),
            posts: BTreeMap::new(),
            messages: BTreeMap::new(),
            told: BTreeMap::new(),
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

    /// Whether it is the record of planned work, and nothing is wrong.
    pub fn is_maintenance(&self) -> bool {
        self.severity == Severity::Maintenance
    }

    /// The run by its number.
    pub fn run(&self, id: RunId) -> Option<&Run> {
        self.runs.get((id.0 as usize).checked_sub(1)?)
    }

    /// The runs that are not over.
    pub fn live_runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(|run| !run.is_over())
    }

    /// Every gate that a person must open, with its run.
    pub fn waiting_for_person(&self) -> Vec<(RunId, &StepKey, &event::Gate)> {
        self.runs
            .iter()
            .flat_map(|run| run.gates().map(move |(key, gate)| (run.id, key, gate)))
            .filter(|(_, _, gate)| gate.needs_person())
            .collect()
    }
}

/// What is true: the incident that a whole log adds up to, none for an empty one.
///
/// The log was written by [`self::decide`] and the engine; a log that does not fold is damaged.
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

/// Applies events to an incident that may not exist yet.
pub fn extend(incident: &mut Option<Incident>, events: &[Recorded]) -> Result<(), Illegal> {
    for recorded in events {
        match incident {
            None => *incident = Some(Incident::open(recorded)?),
            Some(incident) => incident.apply(recorded)?,
        }
    }
    Ok(())
}

fn mark(recorded: &Recorded) -> ActorStamp {
    ActorStamp { at: recorded.at, by: recorded.by.clone(), seq: recorded.seq }
}

fn illegal(recorded: &Recorded, reason: &str) -> Illegal {
    Illegal { seq: recorded.seq, event: name(&recorded.event), reason: reason.to_owned() }
}

/// The event's `type`, as it stands in the log.
pub fn name(event: &Event) -> String {
    serde_json::to_value(event)
        .ok()
        .and_then(|value| value.get("type").and_then(|name| name.as_str().map(str::to_owned)))
        .unwrap_or_default()
}
