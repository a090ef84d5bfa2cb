//! Routes a batch of alerts to incidents and prepares the resulting writes.
//!
//! **Invariant:** the indexed state of an incident is ahead of its log only while its batch is written
//! ([`super::commit_queue`]). When the write fails, the incident is read again, or removed if it is new.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::alert_routing::RoutingRequest;
use super::in_flight_batch::{BatchItem, InFlightBatch, PendingUpdate};
use super::incident_index::{Firing, Slot};
use super::{DispatcherTask, Received, ReportJob};
use crate::domain::alert::{Alert, AlertKey, AlertStatus};
use crate::domain::config::estate::Estate;
use crate::domain::core::id::IncidentId;
use crate::domain::core::time::Timestamp;
use crate::domain::incident::command::{AlertReport, Command, Request};
use crate::domain::incident::decide::decide;
use crate::domain::incident::event::Actor;
use crate::engine::EngineError;
use crate::engine::commit::{Decision, PreparedWrite, Proposal};
use crate::engine::worker::Worker;
use crate::store::StoreError;

/// Repetitions of a firing are recorded as soon as they are more than a tenth of the recorded ones.
const UNRECORDED_PART: u32 = 10;

/// The events of one incident, and the alerts that they come from.
struct Addition {
    proposal: Proposal,
    items: Vec<BatchItem>,
}

impl Addition {
    fn new(proposal: Proposal) -> Self {
        Self { proposal, items: Vec::new() }
    }
}

/// Whether an alert was decided.
enum Added {
    Received(Received),
    /// Its incident is in flight in another batch.
    Postponed(BatchItem),
}

impl DispatcherTask {
    /// Decides a batch of reports.
    pub(super) async fn route_alerts(&mut self, jobs: Vec<ReportJob>) {
        let (mut batch, mut items) = (InFlightBatch::default(), Vec::new());
        for (report, ReportJob { alerts, complete_for, reply }) in jobs.into_iter().enumerate() {
            let over = complete_for.map(|sender| self.no_longer_firing(&sender, &alerts)).unwrap_or_default();
            let keyed = alerts.into_iter().map(|alert| (alert, None)).chain(over);
            let before = items.len();
            items.extend(keyed.enumerate().map(|(position, (alert, key))| BatchItem {
                report,
                position,
                alert: Arc::new(alert),
                key,
            }));
            batch.add_reply(reply, items.len() - before);
        }
        self.prepare_batch(batch, items).await;
    }

    /// A resolved alert for each firing of a sender that is missing from its list of all firing alerts.
    fn no_longer_firing(&self, sender: &str, firing: &[Alert]) -> Vec<(Alert, Option<AlertKey>)> {
        let still: BTreeSet<AlertKey> = firing.iter().map(|alert| self.incidents.key_of(alert)).collect();
        let over = self.incidents.firing_at(sender).into_iter().filter(|key| !still.contains(key));
        let ended = || Alert { sender: sender.to_owned(), status: AlertStatus::Resolved, ..Alert::default() };
        over.map(|key| (ended(), Some(key))).collect()
    }

    /// Decides alerts and submits the resulting writes.
    pub(super) async fn prepare_batch(&mut self, mut batch: InFlightBatch, items: Vec<BatchItem>) {
        let now = self.now();
        let mut additions = BTreeMap::new();
        let engine = self.engine.clone();
        let Ok(estate) = &engine.parts().catalog.estate().content else {
            items.iter().for_each(|item| batch.fail(item.report, "the estate has problems"));
            return batch.send_replies();
        };
        for item in items {
            let (report, position) = (item.report, item.position);
            match self.add(item, estate, now, &mut additions) {
                Ok(Added::Received(received)) => batch.set_received(report, position, received),
                Ok(Added::Postponed(item)) => batch.postponed.push(item),
                Err(error) => batch.fail(report, &error.to_string()),
            }
        }
        let mut writes = Vec::new();
        for (slot, addition) in additions {
            match self.prepare_update(slot, addition, now).await {
                Ok((update, prepared)) => {
                    self.incidents.mark_in_flight(slot);
                    batch.updates.push(update);
                    writes.push(prepared);
                }
                Err((items, error)) => {
                    self.incidents.remove(slot);
                    items.iter().for_each(|item| batch.fail(item.report, &error.to_string()));
                }
            }
        }
        self.submit(batch, writes).await;
    }

    /// Decides one alert and adds the resulting events.
    fn add(
        &mut self,
        mut item: BatchItem,
        estate: &Estate,
        now: Timestamp,
        additions: &mut BTreeMap<Slot, Addition>,
    ) -> Result<Added, EngineError> {
        // Clones only an alert that is decided again; any other is not shared yet.
        let alert = Arc::make_mut(&mut item.alert);
        if alert.recurs && alert.starts_at.is_none() && alert.is_firing() {
            alert.starts_at = Some(now);
        }
        let key = item.key.unwrap_or_else(|| self.incidents.key_of(alert));
        if let Some(firing) = self.incidents.firing_of(&key).cloned() {
            return self.add_known_firing(item, key, firing, estate, now, additions);
        }
        if alert.status == AlertStatus::Resolved {
            return Ok(Added::Received(Received::Unheard));
        }
        let place = self.placed(alert, estate);
        let open = self.incidents.accepting_incident(&place.group, estate.alerts.window, now);
        if open.is_some_and(|slot| self.incidents.is_in_flight(slot)) {
            return Ok(Added::Postponed(item));
        }
        let incident = open.and_then(|slot| self.incidents.get(slot)).map(|live| &live.incident);
        let id =
            incident.map_or_else(|| IncidentId::from_bits((self.config.random_bits)()), |incident| incident.id.clone());
        let request = RoutingRequest { alert, key, place: &place, id: &id, incident };
        let plan = Some(self.plan(&request, estate, now));
        let report = AlertReport {
            incident: id.clone(),
            key,
            alert: Arc::clone(&item.alert),
            times: 1,
            resolve_after: estate.alerts.resolve_after,
            plan,
        };
        let slot = self.apply(open, item, report, now, additions)?;
        if let Some(addition) = additions.get_mut(&slot) {
            addition.proposal.register_name(name_of(&key));
        }
        Ok(Added::Received(if open.is_some() { Received::Joined(id) } else { Received::Opened(id) }))
    }

    /// Handles an alert of a known firing: resolves or repeats the firing.
    fn add_known_firing(
        &mut self,
        item: BatchItem,
        key: AlertKey,
        firing: Firing,
        estate: &Estate,
        now: Timestamp,
        additions: &mut BTreeMap<Slot, Addition>,
    ) -> Result<Added, EngineError> {
        if self.incidents.is_in_flight(firing.slot) {
            return Ok(Added::Postponed(item));
        }
        let Some(live) = self.incidents.get(firing.slot) else { return Ok(Added::Received(Received::Unheard)) };
        let id = live.incident.id.clone();
        let state = live.incident.alerts.state(&key);
        let ends = item.alert.status == AlertStatus::Resolved
            && state.is_some_and(|state| state.status == AlertStatus::Firing);
        let times = firing.unrecorded + 1;
        if !ends && times <= state.map_or(0, |state| state.repeats) / UNRECORDED_PART {
            if let Some(firing) = self.incidents.firing_of(&key) {
                firing.unrecorded = times;
            }
            // If the firing itself is in this batch, this alert shares the result of its write.
            if let Some(addition) = additions.get_mut(&firing.slot) {
                addition.items.push(item);
            }
            return Ok(Added::Received(Received::Repeated(id)));
        }
        let resolve_after = estate.alerts.resolve_after;
        let report =
            AlertReport { incident: id.clone(), key, alert: Arc::clone(&item.alert), times, resolve_after, plan: None };
        self.apply(Some(firing.slot), item, report, now, additions)?;
        if let Some(firing) = self.incidents.firing_of(&key).filter(|_| !ends) {
            firing.unrecorded = 0;
        }
        Ok(Added::Received(if ends { Received::Resolved(id) } else { Received::Repeated(id) }))
    }

    /// Decides a report and applies the events to the indexed incident.
    fn apply(
        &mut self,
        slot: Option<Slot>,
        item: BatchItem,
        report: AlertReport,
        now: Timestamp,
        additions: &mut BTreeMap<Slot, Addition>,
    ) -> Result<Slot, EngineError> {
        let by = Actor::Sender { name: report.alert.sender.clone() };
        let id = report.incident.clone();
        let incident = slot.and_then(|slot| self.incidents.get(slot)).map(|live| &live.incident);
        let command = Command { by: by.clone(), request: Request::Report(Box::new(report)) };
        let events = decide(incident, &command, now)?;
        let decision = Decision { by, at: now, events };
        match slot {
            Some(slot) => self.advance(slot, item, decision, additions).map(|()| slot),
            None => self.open(&id, item, decision, additions),
        }
    }

    /// Adds a decision to an incident's write and to its indexed state.
    fn advance(
        &mut self,
        slot: Slot,
        item: BatchItem,
        decision: Decision,
        additions: &mut BTreeMap<Slot, Addition>,
    ) -> Result<(), EngineError> {
        let Some(live) = self.incidents.get_mut(slot) else {
            return Err(EngineError::NotFound("the incident of an alert".to_owned()));
        };
        let mut new = None;
        let addition = match additions.get_mut(&slot) {
            Some(addition) => addition,
            None => new.insert(Addition::new(Proposal::on(&live.incident.id, Some(&live.incident)))),
        };
        let added = addition.proposal.add(&self.engine.parts().redactor, decision, &mut live.incident);
        let added = added.inspect_err(|_| live.stale = true)?;
        added.iter().for_each(|draft| self.incidents.index(slot, draft.event()));
        addition.items.push(item);
        if let Some(new) = new {
            additions.insert(slot, new);
        }
        Ok(())
    }

    /// Starts the write of a new incident.
    fn open(
        &mut self,
        id: &IncidentId,
        item: BatchItem,
        decision: Decision,
        additions: &mut BTreeMap<Slot, Addition>,
    ) -> Result<Slot, EngineError> {
        if self.incidents.slot(id).is_some_and(|slot| additions.contains_key(&slot)) {
            // Another new incident of this batch has the same random id.
            return Err(StoreError::Conflict { expected: 0, actual: 1 }.into());
        }
        let (mut addition, mut state) = (Addition::new(Proposal::on(id, None)), None);
        let added = addition.proposal.add(&self.engine.parts().redactor, decision, &mut state)?;
        let incident = state.ok_or_else(|| EngineError::NotFound("a new incident".to_owned()))?;
        (self.config.before_open)(id);
        let slot = self.incidents.insert(incident);
        added.iter().for_each(|draft| self.incidents.index(slot, draft.event()));
        addition.items.push(item);
        additions.insert(slot, addition);
        Ok(slot)
    }

    /// Prepares an incident's write. A new incident gets a worker, unless all workers are busy.
    async fn prepare_update(
        &mut self,
        slot: Slot,
        addition: Addition,
        now: Timestamp,
    ) -> Result<(PendingUpdate, PreparedWrite), (Vec<BatchItem>, EngineError)> {
        let Addition { proposal, items } = addition;
        let Some(live) = self.incidents.get(slot) else {
            return Err((items, EngineError::NotFound("the incident of an alert".to_owned())));
        };
        let incident = &live.incident;
        let (id, expected) = (incident.id.clone(), proposal.expected());
        let keys: Vec<AlertKey> = proposal.names().iter().filter_map(|name| key_of(name)).collect();
        if expected > 0 || self.workers.len() >= super::WORKER_LIMIT {
            let prepared = proposal.prepare(Some(incident));
            return Ok((PendingUpdate { slot, id, worker: None, expected, keys, items }, prepared));
        }
        let mut worker = Worker::opening(&self.engine, proposal, incident.clone(), now);
        match worker.first_write().await {
            Ok(prepared) => Ok((PendingUpdate { slot, id, worker: Some(worker), expected, keys, items }, prepared)),
            Err(error) => Err((items, error)),
        }
    }
}

/// Prefix of the unique names of firings.
const NAME_PREFIX: &str = "alert/";

/// The unique name of a firing, which the store registers once.
fn name_of(key: &AlertKey) -> String {
    format!("{NAME_PREFIX}{key}")
}

/// The firing of a unique name.
fn key_of(name: &str) -> Option<AlertKey> {
    name.strip_prefix(NAME_PREFIX)?.parse().ok()
}
