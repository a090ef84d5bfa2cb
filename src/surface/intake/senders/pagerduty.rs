//! PagerDuty webhooks, version 3: an incident was triggered, reopened or resolved.
//!
//! A reopened incident keeps its id, so the alert [recurs](crate::domain::alert::Alert::recurs).
//!
//! Acknowledgements and notes are ignored: an alert continues to fire when its PagerDuty incident is acknowledged.

use crate::domain::alert::{Alert, AlertStatus};
use crate::domain::config::sender::Sender;
use crate::domain::core::severity::Severity;
use crate::domain::core::text::one_line;
use crate::domain::core::time::Timestamp;
use crate::surface::intake::parse::field_reader;
use crate::surface::intake::parse::field_reader::Object;
use crate::surface::intake::parse::lenient_json;
use crate::surface::intake::{ParsedBody, SenderInput, alerts};

/// The events that change the status of an alert.
const EVENTS: [(&str, AlertStatus); 3] = [
    ("incident.triggered", AlertStatus::Firing),
    ("incident.reopened", AlertStatus::Firing),
    ("incident.resolved", AlertStatus::Resolved),
];

pub(crate) fn read(input: &SenderInput<'_>) -> Result<ParsedBody, String> {
    let body = lenient_json::json(input.post.body)?;
    let mut event = Object::new(&body.value)?.object("event");
    let kind = event.text("event_type").ok_or("it has no `event.event_type`")?;
    let Some((_, status)) = EVENTS.iter().find(|(event, _)| *event == kind) else {
        let reason = format!("`{}` does not change the status of an alert", one_line(&kind, 80));
        return Ok(ParsedBody::Ignored(reason));
    };
    let at = event.instant("occurred_at");
    let mut data = event.object("data");
    let alert = incident(input.sender, &mut data, *status, at)?;
    let warnings = data.warnings.into_iter().chain(event.warnings).chain(body.warning).collect();
    Ok(alerts(vec![Alert { warnings, ..alert }]))
}

/// The alert for the incident of an event.
fn incident(
    sender: &Sender,
    data: &mut Object<'_>,
    status: AlertStatus,
    at: Option<Timestamp>,
) -> Result<Alert, String> {
    let title = data.text("title");
    let service = data.object("service").text("summary");
    let is_firing = status == AlertStatus::Firing;
    let labels = [("urgency", data.text("urgency")), ("incident_key", data.text("incident_key"))];
    Ok(Alert {
        firing: data.text("id").ok_or("it has no `event.data.id`")?,
        recurs: true,
        status,
        name: title.clone().unwrap_or_else(|| "pagerduty_incident".to_owned()),
        summary: title,
        severity: severity(sender, data),
        starts_at: at.filter(|_| is_firing),
        ends_at: at.filter(|_| !is_firing),
        link: field_reader::link(data.text("html_url")),
        service,
        labels: labels.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect(),
        ..Alert::default()
    })
}

/// The priority if the account uses priorities, otherwise the urgency.
fn severity(sender: &Sender, data: &mut Object<'_>) -> Option<Severity> {
    let priority = data.object("priority").text("summary").and_then(|name| sender.severity(&name));
    priority.or_else(|| match data.text("urgency")?.as_str() {
        "high" => Some(sender.severity("high").unwrap_or(Severity::P2)),
        _ => Some(Severity::P3),
    })
}
