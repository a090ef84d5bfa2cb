//! The report of an alert: it opens an incident, joins one, counts a repetition, or resolves the alert.
//!
//! The incident and the runbook are chosen before, by [`crate::domain::runbook::trigger`] and
//! [`crate::domain::config::alert_policy`]. Here the choice is checked against the incident's state.
//!
//! **Invariant:** no alert is lost. If its runbook cannot start, the incident records why, and the notice is sent.
//! **Invariant:** one alert has one `AlertFired`, in whatever order its reports arrive.

use std::sync::Arc;

use serde_json::Value;

use super::start_run;
use crate::domain::alert::AlertStatus;
use crate::domain::core::time::{Span, Timestamp};
use crate::domain::incident::alert_set::ALERT_LIMIT;
use crate::domain::incident::command::{AlertPlan, AlertReport, AlertResponse, Refused, StartRequest};
use crate::domain::incident::event::{AlertEvent, Event, IncidentEvent, SuggestedRunbook};
use crate::domain::incident::{Incident, IncidentStatus};

/// The notice's parameter with the runbook that a person may start, and the reason why it did not start automatically.
pub const PROPOSAL: &str = "proposal";

pub(super) fn decide(incident: Option<&Incident>, report: &AlertReport, now: Timestamp) -> Result<Vec<Event>, Refused> {
    let known = incident.and_then(|incident| incident.alerts.state(&report.key));
    match (incident, known.map(|state| state.status), report.alert.status) {
        (None, _, AlertStatus::Firing) => Ok(open(report, planned(report)?, now)),
        (Some(incident), None, AlertStatus::Firing) => join(incident, report, planned(report)?, now),
        (Some(_), Some(AlertStatus::Firing), AlertStatus::Resolved) => Ok(vec![Event::Alert(AlertEvent::Resolved {
            key: report.key,
            ends_at: report.alert.ends_at,
            quiet_until: report.resolve_after.after(now),
        })]),
        // A late report does not reopen a resolved alert.
        (Some(_), Some(_), _) => Ok(vec![Event::Alert(AlertEvent::Repeated { key: report.key, times: report.times })]),
        // The end of an alert that is not in the incident.
        (_, None, AlertStatus::Resolved) | (None, Some(_), _) => Ok(Vec::new()),
    }
}

fn planned(report: &AlertReport) -> Result<&AlertPlan, Refused> {
    report.plan.as_ref().ok_or_else(|| Refused::usage("no response to this alert is planned"))
}

fn open(report: &AlertReport, plan: &AlertPlan, now: Timestamp) -> Vec<Event> {
    let alert = &report.alert;
    let runbook = match &plan.response {
        AlertResponse::Start(start) | AlertResponse::Propose { start, .. } => Some(&start.runbook),
        AlertResponse::Notice => None,
    };
    let title = || alert.summary.clone().unwrap_or_else(|| alert.name.clone());
    let opened = Event::Incident(IncidentEvent::Opened {
        id: report.incident.clone(),
        title: runbook.map_or_else(title, |runbook| runbook.title.clone()),
        severity: runbook.map_or(plan.severity, |runbook| runbook.severity),
        environment: plan.environment.clone(),
        detected_at: alert.starts_at.filter(|at| *at <= now),
        group: Some(plan.group.clone()),
    });
    let response = respond(None, plan, now);
    std::iter::once(opened).chain([fired(report)]).chain(response).collect()
}

fn join(incident: &Incident, report: &AlertReport, plan: &AlertPlan, now: Timestamp) -> Result<Vec<Event>, Refused> {
    if incident.status == IncidentStatus::Resolved {
        return Err(Refused::usage("the incident is resolved"));
    }
    if incident.alerts.len() >= ALERT_LIMIT {
        return Err(Refused::usage(format!("the incident has {ALERT_LIMIT} alerts already")));
    }
    Ok(std::iter::once(fired(report)).chain(respond(Some(incident), plan, now)).collect())
}

fn fired(report: &AlertReport) -> Event {
    Event::Alert(AlertEvent::Fired { key: report.key, alert: Arc::clone(&report.alert) })
}

/// The events of the response to a new alert.
fn respond(incident: Option<&Incident>, plan: &AlertPlan, now: Timestamp) -> Vec<Event> {
    let (start, proposed_because) = match &plan.response {
        AlertResponse::Notice => return notice(incident, plan, None, now),
        AlertResponse::Start(start) => (start, None),
        AlertResponse::Propose { start, reason } => (start, Some(reason.clone())),
    };
    if incident.is_some_and(|incident| is_already_handled(incident, &start.runbook.id, plan.cool_down, now)) {
        return Vec::new();
    }
    let reason = match proposed_because {
        Some(reason) => reason,
        None => match start_events(incident, start, now) {
            Ok(events) => return events,
            Err(refused) => refused.to_string(),
        },
    };
    let id = &start.runbook.id;
    let text = format!("`{id}`: {reason}. Type `runbook start {id} --incident {}`.", start.incident);
    let proposal = Event::Incident(IncidentEvent::RunProposed(SuggestedRunbook {
        runbook: id.clone(),
        params: start.params.clone(),
        reason,
    }));
    std::iter::once(proposal).chain(notice(incident, plan, Some(text), now)).collect()
}

/// Whether the runbook is already running or proposed in the incident, or ended within the cool-down.
pub fn is_already_handled(incident: &Incident, runbook: &str, cool_down: Span, now: Timestamp) -> bool {
    let is_recent = |ended: Option<Timestamp>| ended.is_none_or(|ended| now < cool_down.after(ended));
    incident.runs.iter().any(|run| run.runbook.id == runbook && is_recent(run.ended_at))
        || incident.proposals.iter().any(|proposal| proposal.runbook == runbook)
}

/// The events that start a run, without an opening: the alert has opened the incident.
fn start_events(incident: Option<&Incident>, start: &StartRequest, now: Timestamp) -> Result<Vec<Event>, Refused> {
    let events = start_run(incident, start, now)?;
    Ok(events.into_iter().filter(|event| !matches!(event, Event::Incident(IncidentEvent::Opened { .. }))).collect())
}

/// The events of the run that notifies people of an alert.
fn notice(incident: Option<&Incident>, plan: &AlertPlan, proposal: Option<String>, now: Timestamp) -> Vec<Event> {
    let Some(start) = &plan.notice else { return Vec::new() };
    let mut start = (**start).clone();
    if let Some(text) = proposal {
        start.params.insert(PROPOSAL.to_owned(), Value::String(text));
    }
    // The built-in runbook has these parameters. Even if it were refused, the incident is recorded.
    start_events(incident, &start, now).unwrap_or_default()
}
