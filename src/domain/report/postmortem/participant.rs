//! People who took part in an incident, and what each of them did.

#![deny(clippy::wildcard_enum_match_arm)]

use serde::Serialize;

use super::facts::NAME_LIMIT;
use crate::domain::core::text::one_line;
use crate::domain::incident::event::{
    Actor, Event, IncidentEvent, MessageEvent, Recorded, RoleEvent, RunEvent, StepEvent,
};

/// Somebody who took part.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Participant {
    /// Who.
    pub name: String,
    /// What they did, such as `approved 2`.
    pub deeds: Vec<String>,
}

/// Who took part, in the order of their first deed.
pub(super) fn people(log: &[Recorded]) -> Vec<Participant> {
    let mut people: Vec<(String, Vec<(&'static str, u32)>)> = Vec::new();
    for recorded in log {
        let Actor::Person { name, .. } = &recorded.by else { continue };
        let name = one_line(name, NAME_LIMIT);
        let at = people.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
            people.push((name, Vec::new()));
            people.len() - 1
        });
        let Some(deed) = deed(&recorded.event) else { continue };
        match people[at].1.iter_mut().find(|(known, _)| *known == deed) {
            Some((_, count)) => *count += 1,
            None => people[at].1.push((deed, 1)),
        }
    }
    let times = |(deed, count): (&str, u32)| if count > 1 { format!("{deed} {count}×") } else { deed.to_owned() };
    people
        .into_iter()
        .map(|(name, deeds)| Participant { name, deeds: deeds.into_iter().map(times).collect() })
        .collect()
}

fn deed(event: &Event) -> Option<&'static str> {
    match event {
        Event::Incident(event) => deed_to_incident(event),
        Event::Step(event) => deed_to_step(event),
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

fn deed_to_incident(event: &IncidentEvent) -> Option<&'static str> {
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

fn deed_to_step(event: &StepEvent) -> Option<&'static str> {
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
