//! The people who took part in an incident, and their actions.

#![deny(clippy::wildcard_enum_match_arm)]

use serde::Serialize;

use super::facts::NAME_LIMIT;
use crate::domain::core::text::one_line;
use crate::domain::incident::event::{
    Actor, Event, IncidentEvent, MessageEvent, Recorded, RoleEvent, RunEvent, StepEvent,
};

/// A person who took part.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Participant {
    pub name: String,
    /// What the person did, such as `approved 2×`.
    pub deeds: Vec<String>,
}

/// The people who took part, in the order of their first event.
pub(super) fn participants(log: &[Recorded]) -> Vec<Participant> {
    let mut people: Vec<(String, Vec<(&'static str, u32)>)> = Vec::new();
    for recorded in log {
        let Actor::Person { name, .. } = &recorded.by else { continue };
        let name = one_line(name, NAME_LIMIT);
        let at = people.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
            people.push((name, Vec::new()));
            people.len() - 1
        });
        let Some(action) = action(&recorded.event) else { continue };
        match people[at].1.iter_mut().find(|(known, _)| *known == action) {
            Some((_, count)) => *count += 1,
            None => people[at].1.push((action, 1)),
        }
    }
    let times =
        |(action, count): (&str, u32)| if count > 1 { format!("{action} {count}×") } else { action.to_owned() };
    people
        .into_iter()
        .map(|(name, actions)| Participant { name, deeds: actions.into_iter().map(times).collect() })
        .collect()
}

/// What a person did by an event; none for an event that is no action of a person.
fn action(event: &Event) -> Option<&'static str> {
    match event {
        Event::Incident(event) => incident_action(event),
        Event::Step(event) => step_action(event),
        Event::Run(RunEvent::Stopping { .. }) => Some("stopped a run"),
        Event::Role(RoleEvent::Taken { .. }) => Some("took or gave a role"),
        Event::Role(RoleEvent::ApprovalRefused(_)) => Some("was refused"),
        Event::Message(MessageEvent::NoticeOwed { .. }) => Some("told stakeholders"),
        Event::Run(RunEvent::Started { .. } | RunEvent::Ended { .. })
        | Event::Role(RoleEvent::Released { .. })
        | Event::Message(MessageEvent::Notified { .. } | MessageEvent::NotifyFailed { .. } | MessageEvent::Posted(_))
        | Event::Alert(_)
        | Event::Deadline(_) => None,
    }
}

fn incident_action(event: &IncidentEvent) -> Option<&'static str> {
    Some(match event {
        IncidentEvent::Opened { .. } => "opened it",
        IncidentEvent::Acknowledged => "acknowledged it",
        IncidentEvent::NoteAdded { .. } => "took notes",
        IncidentEvent::Resolved { .. } => "resolved it",
        IncidentEvent::PostmortemCompleted => "completed the post-mortem",
        IncidentEvent::SeverityChanged(_) => "changed the severity",
        IncidentEvent::RunProposed(_)
        | IncidentEvent::OccurrenceSkipped(_)
        | IncidentEvent::PostmortemWritten { .. }
        | IncidentEvent::ReportWritten { .. } => return None,
    })
}

fn step_action(event: &StepEvent) -> Option<&'static str> {
    Some(match event {
        StepEvent::Answered { .. } => "answered",
        StepEvent::Approved { .. } => "approved",
        StepEvent::Denied { .. } => "denied",
        StepEvent::Skipped { .. } => "skipped",
        StepEvent::RetryScheduled { .. } => "tried again",
        StepEvent::UndoRequested { .. } => "took back",
        StepEvent::Expanded { .. }
        | StepEvent::Asked { .. }
        | StepEvent::Started { .. }
        | StepEvent::Ended { .. }
        | StepEvent::Reconciled { .. }
        | StepEvent::Concluded { .. } => return None,
    })
}
