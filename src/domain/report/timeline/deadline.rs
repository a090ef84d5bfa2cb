//! The texts of deadlines' events.

#![deny(clippy::wildcard_enum_match_arm)]

use super::TimelineReader;
use crate::domain::core::time::{Span, Timestamp, stamp};
use crate::domain::incident::event::DeadlineEvent;
use crate::domain::report::timeline::line::{Phrase, Sign};
use crate::domain::runbook::DeadlineFrom;

/// A miss that is recorded later than this gets a detail that says so.
const RECORDING_TOLERANCE: Span = Span::seconds(1);

/// The text of a deadline's event.
pub(super) fn of(reader: &TimelineReader, event: &DeadlineEvent, at: Timestamp) -> Phrase {
    let due = |name: &str| {
        let deadlines = reader.incident().map(|incident| incident.deadlines.as_slice()).unwrap_or_default();
        deadlines.iter().find(|deadline| deadline.name == name).map(|deadline| deadline.due)
    };
    match event {
        DeadlineEvent::Set { name, due, from, .. } => {
            let from = match from {
                DeadlineFrom::Opened => "opening",
                DeadlineFrom::Resolved => "resolution",
            };
            let text = format!("deadline {name} is {}", stamp(*due));
            Phrase::quiet(Sign::Deadline, text).detail(format!("{} from {from}", Span::between(at, *due)))
        }
        DeadlineEvent::Warned { name } => {
            let left = due(name).map(|due| format!(", {} left", Span::between(at, due)));
            Phrase::notable(Sign::Deadline, format!("deadline {name} comes near{}", left.unwrap_or_default()))
        }
        DeadlineEvent::Met { name, met_at, step } => {
            let margin = due(name).map(|due| margin(*met_at, due)).unwrap_or_default();
            let detail = step.as_ref().map(|step| format!("by {step}"));
            Phrase::notable(Sign::Deadline, format!("deadline {name} met{margin}")).detail(detail)
        }
        DeadlineEvent::Missed { name } => {
            // No worker was running at that time.
            let late = due(name).filter(|due| at > RECORDING_TOLERANCE.after(*due));
            let late =
                late.map(|due| format!("it was {}, and is noticed {} later", stamp(due), Span::between(due, at)));
            Phrase::notable(Sign::Deadline, format!("deadline {name} missed")).detail(late)
        }
        DeadlineEvent::Lifted { name } => Phrase::quiet(
            Sign::Deadline,
            format!("deadline {name} is not asked for any more, since the incident is resolved"),
        ),
    }
}

/// `, 11m 2s to spare` or `, 11m 2s late`.
fn margin(at: Timestamp, due: Timestamp) -> String {
    if at <= due {
        format!(", {} to spare", Span::between(at, due))
    } else {
        format!(", {} late", Span::between(due, at))
    }
}
