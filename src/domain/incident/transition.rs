//! What an incident becomes by an event: the table, and which events a draft would show.

use super::IncidentStatus;
use crate::domain::incident::event::Event;

/// The table: what an incident in `status` becomes by `event`; none when it refuses it.
#[rustfmt::skip]
pub(super) fn next(status: IncidentStatus, event: &Event) -> Option<IncidentStatus> {
    use IncidentStatus::{Acknowledged, Open, Resolved};
    Some(match (status, event) {
        (Open,                Event::Acknowledged)        => Acknowledged,
        (Open | Acknowledged, Event::Resolved { .. })     => Resolved,
        (Resolved,            Event::PostmortemCompleted) => Resolved,
        (_, Event::NoteAdded { .. } | Event::PostmortemWritten { .. }
            | Event::DeadlineSet { .. } | Event::DeadlineWarned { .. } | Event::DeadlineMet { .. } | Event::DeadlineMissed { .. }
            | Event::RunStopping { .. } | Event::RunEnded { .. } | Event::StepSkipped { .. } | Event::StepExpanded { .. }
            | Event::Asked { .. } | Event::Answered { .. } | Event::Approved { .. } | Event::Denied { .. }
            | Event::StepStarted { .. } | Event::StepEnded { .. } | Event::Reconciled { .. } | Event::RetryScheduled { .. }
            | Event::StepConcluded { .. } | Event::UndoRequested { .. } | Event::Notified { .. } | Event::NotifyFailed { .. }
            | Event::DeadlineLifted { .. } | Event::RoleTaken { .. } | Event::RoleReleased { .. } | Event::ApprovalRefused { .. } | Event::NoticeOwed { .. } | Event::Posted(_)
            | Event::AlertRepeated { .. } | Event::AlertResolved { .. } | Event::ReportWritten { .. }) => status,
        (Open | Acknowledged, Event::RunStarted { .. } | Event::RunProposed { .. } | Event::OccurrenceSkipped(_) | Event::AlertFired { .. } | Event::SeverityChanged(_)) => status,
        (Resolved, Event::RunStarted { .. } | Event::RunProposed { .. } | Event::OccurrenceSkipped(_) | Event::AlertFired { .. } | Event::Resolved { .. } | Event::SeverityChanged(_))
        | (Acknowledged | Resolved, Event::Acknowledged)
        | (Open | Acknowledged, Event::PostmortemCompleted)
        | (_, Event::IncidentOpened { .. }) => return None,
    })
}

/// Whether a post-mortem or a report would say something else after this event.
pub(super) const fn is_material(event: &Event) -> bool {
    !matches!(
        event,
        Event::PostmortemWritten { .. } | Event::ReportWritten { .. } | Event::AlertRepeated { .. } | Event::Posted(_)
    )
}
