//! The texts of alerts' events.

#![deny(clippy::wildcard_enum_match_arm)]

use super::TimelineReader;
use crate::domain::alert::Alert;
use crate::domain::incident::event::{AlertEvent, SuggestedRunbook};
use crate::domain::report::timeline::line::{Phrase, Sign, because};

/// The most alerts of one incident that are notable. In an alert storm the others are alike.
const NOTABLE_LIMIT: usize = 20;

/// The text of an alert's event.
pub(super) fn of(reader: &TimelineReader, event: &AlertEvent) -> Phrase {
    let before = reader.incident().map_or(0, |incident| incident.alerts.len());
    match event {
        AlertEvent::Fired { alert, .. } => Phrase { notable: before < NOTABLE_LIMIT, ..fired(alert) },
        AlertEvent::Repeated { times, .. } => {
            Phrase::quiet(Sign::Internal, format!("alert reported {times} more times"))
        }
        AlertEvent::Resolved { .. } => {
            let left = reader.incident().map_or(0, |incident| incident.alerts.firing().saturating_sub(1));
            let rest = if left == 0 { "none is left".to_owned() } else { format!("{left} still firing") };
            let notable = left == 0 || before <= NOTABLE_LIMIT;
            Phrase { notable, ..Phrase::notable(Sign::Incident, format!("an alert is resolved, {rest}")) }
        }
    }
}

/// The text of a proposed runbook.
pub(super) fn proposed(proposal: &SuggestedRunbook) -> Phrase {
    let SuggestedRunbook { runbook, reason, .. } = proposal;
    Phrase::notable(Sign::Question, format!("runbook {runbook} is proposed{}", because(reason)))
}

fn fired(alert: &Alert) -> Phrase {
    let value = alert.value.map(|value| format!(" ({value})")).unwrap_or_default();
    let summary = alert.summary.as_deref().map(because).unwrap_or_default();
    let labels: Vec<String> = alert.labels.iter().map(|(name, text)| format!("{name}={text}")).collect();
    let text = format!("alert {}{value}{summary}", alert.name);
    Phrase::notable(Sign::Incident, text).detail((!labels.is_empty()).then(|| labels.join(" ")))
}
