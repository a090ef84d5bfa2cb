//! Alert routing: where an alert belongs, which runbook handles it, and with which parameters.

use super::DispatcherTask;
use super::fallback_runbook;
use crate::domain::alert::{Alert, AlertKey};
use crate::domain::config::alert_placement::AlertPlacement;
use crate::domain::config::estate::Estate;
use crate::domain::core::id::IncidentId;
use crate::domain::core::severity::Severity;
use crate::domain::core::time::Timestamp;
use crate::domain::incident::Incident;
use crate::domain::incident::command::{AlertPlan, AlertResponse, StartRequest};
use crate::domain::incident::decide::alert::is_answered;
use crate::domain::incident::event::Mode;
use crate::domain::runbook::Runbook;
use crate::domain::runbook::trigger;
use crate::domain::runbook::trigger::Choice;

/// The severity of an alert if neither a runbook nor its sender sets one.
const SEVERITY: Severity = Severity::P4;

/// A firing to plan for.
pub(super) struct RoutingRequest<'a> {
    pub(super) alert: &'a Alert,
    pub(super) key: AlertKey,
    pub(super) place: &'a AlertPlacement,
    /// The id of the incident it goes into, and that incident's state unless it is new.
    pub(super) id: &'a IncidentId,
    pub(super) incident: Option<&'a Incident>,
}

impl DispatcherTask {
    /// Applies the estate's policy: returns the placement, and sets the alert's environment and service.
    pub(super) fn placed(&self, alert: &mut Alert, estate: &Estate) -> AlertPlacement {
        let place = estate.alerts.place(alert, estate);
        alert.environment = Some(place.environment.clone());
        alert.service = place.service.clone().or_else(|| alert.service.take());
        place
    }

    /// Plans the response to a firing.
    pub(super) fn plan(&self, asked: &RoutingRequest<'_>, estate: &Estate, now: Timestamp) -> AlertPlan {
        let policy = &estate.alerts;
        let answer = self.answer(asked, estate, now);
        let known = asked.incident.is_some() && answer == AlertResponse::Notice;
        let notice = (!known).then(|| {
            let (runbook, params) = fallback_runbook::of(asked.alert, &policy.notify);
            Box::new(StartRequest { params, ..start(asked, estate, &runbook, String::new()) })
        });
        AlertPlan {
            environment: asked.place.environment.clone(),
            group: asked.place.group.clone(),
            severity: asked.alert.severity.unwrap_or(SEVERITY),
            response: answer,
            notice,
            cool_down: policy.cool_down,
        }
    }

    fn answer(&self, asked: &RoutingRequest<'_>, estate: &Estate, now: Timestamp) -> AlertResponse {
        if self.all_answered(asked, estate, now) {
            return AlertResponse::Notice;
        }
        let catalog = &self.engine.parts().catalog;
        let runbooks = catalog.sheets().filter_map(|(_, sheet)| sheet.content.as_ref().ok());
        let Some(Choice { runbook, params, asks }) = trigger::choose(asked.alert, runbooks).choice else {
            return AlertResponse::Notice;
        };
        let digest = catalog.sheet(&runbook.id).map(|sheet| sheet.digest.clone()).unwrap_or_default();
        let start = Box::new(StartRequest { params, ..start(asked, estate, runbook, digest) });
        match asks {
            None => AlertResponse::Start(start),
            Some(reason) => AlertResponse::Propose { start, reason },
        }
    }

    /// Whether every runbook for such alerts has been started in the incident already. In a storm that holds for almost
    /// every alert, and avoids evaluating triggers.
    fn all_answered(&self, asked: &RoutingRequest<'_>, estate: &Estate, now: Timestamp) -> bool {
        let Some(incident) = asked.incident.filter(|_| asked.alert.runbook.is_none()) else { return false };
        let runbooks = self.engine.parts().catalog.sheets().filter_map(|(_, sheet)| sheet.content.as_ref().ok());
        let mut speaking = runbooks.filter(|runbook| trigger::speaks_of(runbook, &asked.alert.name));
        speaking.all(|runbook| is_answered(incident, &runbook.id, estate.alerts.cool_down, now))
    }
}

fn start(asked: &RoutingRequest<'_>, estate: &Estate, runbook: &Runbook, digest: String) -> StartRequest {
    StartRequest {
        incident: asked.id.clone(),
        runbook: runbook.clone(),
        digest,
        estate: estate.clone(),
        environment: asked.place.environment.clone(),
        params: serde_json::Map::new(),
        mode: Mode::Unattended,
        detected_at: None,
        title: None,
        parent: None,
        alert: Some(asked.key),
    }
}
