//! Starting and skipping the occurrences of a schedule.

use super::start_run;
use crate::domain::core::time::Timestamp;
use crate::domain::incident::command::{Refused, StartRequest};
use crate::domain::incident::event::{Event, IncidentEvent, RunEvent};
use crate::domain::incident::{Incident, IncidentStatus};
use crate::domain::runbook::schedule::{Occurrence, Skipped};

/// The events that start the run of an occurrence.
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

/// Records that an occurrence is skipped, in the incident whose run has not ended.
pub(super) fn skip(incident: &Incident, skipped: &Skipped) -> Result<Vec<Event>, Refused> {
    if incident.status == IncidentStatus::Resolved {
        return Err(Refused::usage("it is over, so the occurrence can run"));
    }
    Ok(vec![Event::Incident(IncidentEvent::OccurrenceSkipped(skipped.clone()))])
}

/// The refusal to change the severity of maintenance, or to make an incident maintenance.
pub(super) fn refuse_maintenance_severity() -> Refused {
    Refused::usage("maintenance has no severity: nothing is wrong")
        .hint("If something is, open an incident: `runbook start <runbook>`.")
}
