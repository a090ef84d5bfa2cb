//! What a schedule produces, and what maintenance does not need.

use super::start_run;
use crate::domain::core::time::Timestamp;
use crate::domain::incident::command::{Refused, StartRequest};
use crate::domain::incident::event::{Event, IncidentEvent, RunEvent};
use crate::domain::incident::{Incident, IncidentStatus};
use crate::domain::runbook::schedule::{Occurrence, Skipped};

/// The events of a record that an occurrence opens.
pub(super) fn start(
    incident: Option<&Incident>,
    start: &StartRequest,
    occurrence: &Occurrence,
    now: Timestamp,
) -> Result<Vec<Event>, Refused> {
    let mut events = start_run(incident, start, now)?;
    for event in &mut events {
        if let Event::Run(RunEvent::Started { schedule, .. }) = event {
            *schedule = Some(Box::new(occurrence.clone()));
        }
    }
    Ok(events)
}

/// The record that still goes on says that the occurrence was skipped because of it.
pub(super) fn skip(incident: &Incident, skipped: &Skipped) -> Result<Vec<Event>, Refused> {
    if incident.status == IncidentStatus::Resolved {
        return Err(Refused::usage("it is over, so the occurrence can run"));
    }
    Ok(vec![Event::Incident(IncidentEvent::OccurrenceSkipped(skipped.clone()))])
}

/// Our no to a severity of planned work.
pub(super) fn has_no_severity() -> Refused {
    Refused::usage("maintenance has no severity: nothing is wrong")
        .hint("If something is, open an incident: `runbook start <runbook>`.")
}
