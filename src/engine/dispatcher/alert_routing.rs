//! Alert routing: the group of an alert, the runbook that handles it, and the runbook's parameters.

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
use crate::domain::incident::decide::alert::is_already_handled;
use crate::domain::incident::event::Mode;
use crate::domain::runbook::Runbook;
use crate::domain::runbook::trigger;
use crate::domain::runbook::trigger::Choice;

/// The severity of an alert if neither a runbook nor its sender sets one.
const DEFAULT_SEVERITY: Severity = Severity::P4;

/// A firing to route.
pub(super) struct RoutingRequest<'a> {
    pub(super) alert: &'a Alert,
    pub(super) key: AlertKey,
    pub(super) place: &'a AlertPlacement,
    /// The id of its incident.
    pub(super) id: &'a IncidentId,
    /// The state of its incident, unless it is new.
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
    pub(super) fn plan(&self, request: &RoutingRequest<'_>, estate: &Estate, now: Timestamp) -> AlertPlan {
        let policy = &estate.alerts;
        let response = self.response(request, estate, now);
        // People already know of an incident that exists.
        let needs_notice = request.incident.is_none() || response != AlertResponse::Notice;
        let notice = needs_notice.then(|| {
            let (runbook, params) = fallback_runbook::of(request.alert, &policy.notify);
            Box::new(StartRequest { params, ..start(request, estate, &runbook, String::new()) })
        });
        AlertPlan {
            environment: request.place.environment.clone(),
            group: request.place.group.clone(),
            severity: request.alert.severity.unwrap_or(DEFAULT_SEVERITY),
            response,
            notice,
            cool_down: policy.cool_down,
        }
    }

    fn response(&self, request: &RoutingRequest<'_>, estate: &Estate, now: Timestamp) -> AlertResponse {
        if self.all_runbooks_started(request, estate, now) {
            return AlertResponse::Notice;
        }
        let catalog = &self.engine.parts().catalog;
        let Some(Choice { runbook, params, asks }) = trigger::choose(request.alert, catalog.valid_runbooks()).choice
        else {
            return AlertResponse::Notice;
        };
        let digest = catalog.file(&runbook.id).map(|file| file.digest.clone()).unwrap_or_default();
        let start = Box::new(StartRequest { params, ..start(request, estate, runbook, digest) });
        match asks {
            None => AlertResponse::Start(start),
            Some(reason) => AlertResponse::Propose { start, reason },
        }
    }

    /// Whether every runbook for such alerts has already been started in the incident. In an alert storm that is true for
    /// almost every alert, so that no triggers are evaluated.
    fn all_runbooks_started(&self, request: &RoutingRequest<'_>, estate: &Estate, now: Timestamp) -> bool {
        let Some(incident) = request.incident.filter(|_| request.alert.runbook.is_none()) else { return false };
        let runbooks = self.engine.parts().catalog.valid_runbooks();
        let mut matching = runbooks.filter(|runbook| trigger::is_for_alert(runbook, &request.alert.name));
        matching.all(|runbook| is_already_handled(incident, &runbook.id, estate.alerts.cool_down, now))
    }
}

fn start(request: &RoutingRequest<'_>, estate: &Estate, runbook: &Runbook, digest: String) -> StartRequest {
    StartRequest {
        incident: request.id.clone(),
        runbook: runbook.clone(),
        digest,
        estate: estate.clone(),
        environment: request.place.environment.clone(),
        params: serde_json::Map::new(),
        mode: Mode::Unattended,
        detected_at: None,
        title: None,
        parent: None,
        alert: Some(request.key),
    }
}
