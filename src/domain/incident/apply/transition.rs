//! The transition table of an incident's status, and which events change the post-mortem.

#![deny(clippy::wildcard_enum_match_arm)]

use crate::domain::incident::IncidentStatus;
use crate::domain::incident::event::{AlertEvent, Event, IncidentEvent, MessageEvent, RunEvent};

/// The status of an incident after `event`; none if the event is illegal in `status`.
pub(super) fn next(status: IncidentStatus, event: &Event) -> Option<IncidentStatus> {
    let accepted = match event {
        Event::Incident(event) => return of_incident(status, event),
        // In a resolved incident no alert fires and no run starts.
        Event::Alert(AlertEvent::Fired { .. }) | Event::Run(RunEvent::Started { .. }) => {
            status != IncidentStatus::Resolved
        }
        Event::Alert(AlertEvent::Repeated { .. } | AlertEvent::Resolved { .. })
        | Event::Run(RunEvent::Stopping { .. } | RunEvent::Ended { .. })
        | Event::Deadline(_)
        | Event::Role(_)
        | Event::Message(_)
        | Event::Step(_) => true,
    };
    accepted.then_some(status)
}

#[rustfmt::skip]
fn of_incident(status: IncidentStatus, event: &IncidentEvent) -> Option<IncidentStatus> {
    use IncidentStatus::{Acknowledged, Open, Resolved};
    Some(match (status, event) {
        (Open,                IncidentEvent::Acknowledged)        => Acknowledged,
        (Open | Acknowledged, IncidentEvent::Resolved { .. })     => Resolved,
        (Resolved,            IncidentEvent::PostmortemCompleted) => Resolved,
        (_, IncidentEvent::NoteAdded { .. } | IncidentEvent::PostmortemWritten { .. } | IncidentEvent::ReportWritten { .. }) => status,
        (Open | Acknowledged, IncidentEvent::RunProposed(_) | IncidentEvent::OccurrenceSkipped(_) | IncidentEvent::SeverityChanged(_)) => status,
        (Resolved, IncidentEvent::RunProposed(_) | IncidentEvent::OccurrenceSkipped(_) | IncidentEvent::SeverityChanged(_) | IncidentEvent::Resolved { .. })
        | (Acknowledged | Resolved, IncidentEvent::Acknowledged)
        | (Open | Acknowledged, IncidentEvent::PostmortemCompleted)
        | (_, IncidentEvent::Opened { .. }) => return None,
    })
}

/// Whether the event changes the text of a post-mortem or report.
pub(super) const fn is_material(event: &Event) -> bool {
    match event {
        Event::Incident(IncidentEvent::PostmortemWritten { .. } | IncidentEvent::ReportWritten { .. })
        | Event::Alert(AlertEvent::Repeated { .. })
        | Event::Message(MessageEvent::Posted(_)) => false,
        Event::Incident(
            IncidentEvent::Opened { .. }
            | IncidentEvent::Acknowledged
            | IncidentEvent::NoteAdded { .. }
            | IncidentEvent::SeverityChanged(_)
            | IncidentEvent::RunProposed(_)
            | IncidentEvent::OccurrenceSkipped(_)
            | IncidentEvent::Resolved { .. }
            | IncidentEvent::PostmortemCompleted,
        )
        | Event::Alert(AlertEvent::Fired { .. } | AlertEvent::Resolved { .. })
        | Event::Message(
            MessageEvent::NoticeOwed { .. } | MessageEvent::Notified { .. } | MessageEvent::NotifyFailed { .. },
        )
        | Event::Deadline(_)
        | Event::Role(_)
        | Event::Run(_)
        | Event::Step(_) => true,
    }
}
