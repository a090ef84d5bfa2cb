//! Lines for the incident itself, its alerts and its deadlines.

#![deny(clippy::wildcard_enum_match_arm)]

use chrono::TimeDelta;

use super::{EventContext, people};
use crate::domain::core::severity::Severity;
use crate::domain::core::time::Timestamp;
use crate::domain::incident::event::{AlertEvent, DeadlineEvent, IncidentEvent, SuggestedRunbook};
use crate::surface::terminal::widgets::countdown::clock;
use crate::surface::terminal::widgets::styled_text::{StyledLine, Tone};

impl EventContext<'_> {
    pub(super) fn incident_lines(&self, event: &IncidentEvent) -> Vec<StyledLine> {
        match event {
            IncidentEvent::Opened { title, severity, environment, .. } => self.opened(title, *severity, environment),
            IncidentEvent::Acknowledged => {
                self.simple_line(Tone::Good, self.signs.person, &format!("acknowledged by {}", self.who()))
            }
            IncidentEvent::NoteAdded { text } => {
                self.simple_line(Tone::Accent, self.signs.person, &format!("{}: {text}", self.who()))
            }
            IncidentEvent::Resolved { summary } => {
                let text = summary.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
                self.simple_line(Tone::Good, self.signs.done, &format!("resolved by {}{text}", self.who()))
            }
            IncidentEvent::PostmortemWritten { path, .. } => {
                vec![self.head(Tone::Good, self.signs.done).faint(&format!("post-mortem draft: {path}")).indent(2)]
            }
            IncidentEvent::RunProposed(SuggestedRunbook { runbook, reason, .. }) => {
                self.simple_line(Tone::Accent, self.signs.person, &format!("runbook {runbook} is proposed: {reason}"))
            }
            IncidentEvent::PostmortemCompleted => self.simple_line(Tone::Good, self.signs.done, "post-mortem complete"),
            IncidentEvent::SeverityChanged(_) => people::lines(self),
            IncidentEvent::OccurrenceSkipped(_) | IncidentEvent::ReportWritten { .. } => Vec::new(),
        }
    }

    fn opened(&self, title: &str, severity: Severity, environment: &str) -> Vec<StyledLine> {
        let dot = self.signs.dot;
        let by = format!("opened by {} {}", self.who(), self.recorded.at.format("%Y-%m-%d %H:%M:%S UTC"));
        vec![
            StyledLine::new().with(Tone::Strong, &format!("{} {severity} {title}", self.signs.head)).indent(2),
            StyledLine::new().faint(&format!("  {} {dot} {environment} {dot} ", self.incident.id)).faint(&by).indent(2),
        ]
    }

    pub(super) fn alert_lines(&self, event: &AlertEvent) -> Vec<StyledLine> {
        match event {
            AlertEvent::Fired { alert, .. } => {
                let text = alert.summary.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
                self.simple_line(Tone::Bad, self.signs.warning, &format!("alert {}{text}", alert.name))
            }
            AlertEvent::Resolved { .. } => self.simple_line(Tone::Good, self.signs.done, "an alert is resolved"),
            AlertEvent::Repeated { .. } => Vec::new(),
        }
    }

    pub(super) fn deadline_lines(&self, event: &DeadlineEvent) -> Vec<StyledLine> {
        match event {
            DeadlineEvent::Warned { name } => {
                let left = self.deadline(name, |deadline| deadline - self.recorded.at);
                self.simple_line(Tone::Warn, self.signs.warning, &format!("{name} due in {left}"))
            }
            DeadlineEvent::Missed { name } => {
                self.simple_line(Tone::Bad, self.signs.failed, &format!("{name} is LATE"))
            }
            DeadlineEvent::Met { name, met_at, .. } => self.met(name, *met_at),
            DeadlineEvent::Set { .. } | DeadlineEvent::Lifted { .. } => Vec::new(),
        }
    }

    fn met(&self, name: &str, at: Timestamp) -> Vec<StyledLine> {
        let Some(deadline) = self.incident.deadlines.iter().find(|deadline| deadline.name == name) else {
            return Vec::new();
        };
        if at <= deadline.due {
            let text = format!("{name} done, {} to spare", clock(deadline.due - at));
            self.simple_line(Tone::Good, self.signs.done, &text)
        } else {
            self.simple_line(
                Tone::Warn,
                self.signs.warning,
                &format!("{name} done, LATE by {}", clock(at - deadline.due)),
            )
        }
    }

    fn deadline(&self, name: &str, length: impl Fn(Timestamp) -> TimeDelta) -> String {
        let deadline = self.incident.deadlines.iter().find(|deadline| deadline.name == name);
        deadline.map(|deadline| clock(length(deadline.due))).unwrap_or_default()
    }
}
