//! What an alert does to an incident: open it, join it, count a repetition, or resolve a firing.
//!
//! Which incident an alert belongs to and which runbook handles it is decided before ([`crate::domain::runbook::trigger`],
//! [`crate::domain::config::alert_policy`]); here that is checked against the state of the incident.
//!
//! **Invariant:** a firing is never lost. Where its runbook cannot start, the incident says so and the notice is sent.
//! **Invariant:** one firing has one `AlertFired`, in whatever order its reports arrive.

use std::sync::Arc;

use serde_json::Value;

use super::start_run;
use crate::domain::alert::AlertStatus;
use crate::domain::core::time::{Span, Timestamp};
use crate::domain::incident::alert_set::ALERT_LIMIT;
use crate::domain::incident::command::{AlertPlan, AlertReport, AlertResponse, Refused, StartRequest};
use crate::domain::incident::event::{AlertEvent, Event, IncidentEvent, SuggestedRunbook};
use crate::domain::incident::{Incident, IncidentStatus};

/// The parameter of the notice that says which runbook a person may start, and why it did not start by itself.
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
        // What is over stays over: a firing that is reported late is the same firing once more.
        (Some(_), Some(_), _) => Ok(vec![Event::Alert(AlertEvent::Repeated { key: report.key, times: report.times })]),
        // The end of something that never began here.
        (_, None, AlertStatus::Resolved) | (None, Some(_), _) => Ok(Vec::new()),
    }
}

fn planned(report: &AlertReport) -> Result<&AlertPlan, Refused> {
    report.plan.as_ref().ok_or_else(|| Refused::usage("nothing says what is to be done about this alert"))
}

fn open(report: &AlertReport, plan: &AlertPlan, now: Timestamp) -> Vec<Event> {
    let alert = &report.alert;
    let runbook = match &plan.answer {
        AlertResponse::Start(start) | AlertResponse::Propose { start, .. } => Some(&start.runbook),
        AlertResponse::Notice => None,
    };
    let words = || alert.summary.clone().unwrap_or_else(|| alert.name.clone());
    let opened = Event::Incident(IncidentEvent::Opened {
        id: report.incident.clone(),
        title: runbook.map_or_else(words, |runbook| runbook.title.clone()),
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

/// What is done about a firing that is new to the incident.
fn respond(incident: Option<&Incident>, plan: &AlertPlan, now: Timestamp) -> Vec<Event> {
    let (start, proposed) = match &plan.answer {
        AlertResponse::Notice => return notice(incident, plan, None, now),
        AlertResponse::Start(start) => (start, None),
        AlertResponse::Propose { start, reason } => (start, Some(reason.clone())),
    };
    if incident.is_some_and(|incident| is_answered(incident, &start.runbook.id, plan.cool_down, now)) {
        return Vec::new();
    }
    let reason = match proposed {
        Some(reason) => reason,
        None => match begun(incident, start, now) {
            Ok(events) => return events,
            Err(refused) => refused.to_string(),
        },
    };
    let id = &start.runbook.id;
    let words = format!("`{id}`: {reason}. Type `runbook start {id} --incident {}`.", start.incident);
    let proposal = Event::Incident(IncidentEvent::RunProposed(SuggestedRunbook {
        runbook: id.clone(),
        params: start.params.clone(),
        reason,
    }));
    std::iter::once(proposal).chain(notice(incident, plan, Some(words), now)).collect()
}

/// Whether a runbook runs in the incident already, has run a short while ago, or is proposed.
pub fn is_answered(incident: &Incident, runbook: &str, cool_down: Span, now: Timestamp) -> bool {
    let recent = |ended: Option<Timestamp>| ended.is_none_or(|ended| now < cool_down.after(ended));
    incident.runs.iter().any(|run| run.runbook.id == runbook && recent(run.ended_at))
        || incident.proposals.iter().any(|proposal| proposal.runbook == runbook)
}

/// The events of a run, without those of an incident's opening: this one's were made from the alert.
fn begun(incident: Option<&Incident>, start: &StartRequest, now: Timestamp) -> Result<Vec<Event>, Refused> {
    let events = start_run(incident, start, now)?;
    Ok(events.into_iter().filter(|event| !matches!(event, Event::Incident(IncidentEvent::Opened { .. }))).collect())
}

/// The run that tells people of an alert that nothing else is done about.
fn notice(incident: Option<&Incident>, plan: &AlertPlan, proposal: Option<String>, now: Timestamp) -> Vec<Event> {
    let Some(start) = &plan.notice else { return Vec::new() };
    let mut start = (**start).clone();
    if let Some(words) = proposal {
        start.params.insert(PROPOSAL.to_owned(), Value::String(words));
    }
    // The notice takes these parameters by construction; were it refused, the incident is there all the same.
    begun(incident, &start, now).unwrap_or_default()
}
