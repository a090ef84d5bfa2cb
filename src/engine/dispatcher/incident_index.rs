//! The index of live incidents: their folded state, found by firing, by recurring alert and by group. All of it comes from the
//! log.
//!
//! **Invariant:** an incident whose state may differ from its log is in flight or stale. It gets no worker.

#![deny(clippy::wildcard_enum_match_arm)]

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::domain::alert::{Alert, AlertKey, AlertStatus};
use crate::domain::core::id::IncidentId;
use crate::domain::core::severity::Severity;
use crate::domain::core::time::{Span, Timestamp};
use crate::domain::incident::due::{due, is_live, wake_after, wake_at};
use crate::domain::incident::event::{AlertEvent, Event, Recorded};
use crate::domain::incident::{Incident, IncidentStatus, fold};

/// The key of an incident in the index.
pub(super) type Slot = u32;

/// Back-off before an incident that made no progress is checked again.
const PAUSE: Span = Span::seconds(5);

#[derive(Debug, Default)]
pub(super) struct IncidentIndex {
    live: HashMap<Slot, LiveIncident>,
    slots: HashMap<IncidentId, Slot>,
    groups: HashMap<String, Slot>,
    firings: HashMap<AlertKey, Firing>,
    senders: BTreeSet<Arc<str>>,
    /// The last firing of each recurring alert, by the alert's identity.
    recurring: HashMap<AlertKey, Recurring>,
    /// Incidents that may have changed since their last check.
    unchecked: BTreeSet<Slot>,
    /// Incidents that need a worker, most severe first, then oldest.
    waiting: BTreeSet<WakePriority>,
    /// When to check idle incidents again.
    timers: BTreeSet<(Timestamp, Slot)>,
    /// The number of firing alerts at the last check of each incident.
    firing: usize,
    last_slot: Slot,
}

/// Most severe first, then oldest.
type WakePriority = (Severity, Timestamp, Slot);

#[derive(Debug)]
pub(super) struct LiveIncident {
    pub(super) incident: Incident,
    pub(super) has_worker: bool,
    pub(super) stale: bool,
    /// Whether its state includes events that are still being written.
    in_flight: bool,
    /// No worker starts before this instant: after an error, or while another process holds the lease.
    not_before: Option<Timestamp>,
    /// The number of the last event when a worker stopped.
    seq_at_stop: u64,
    /// Its entry in `timers`.
    timer: Option<Timestamp>,
    /// Its firing alerts at the last check.
    firing: usize,
    /// Its entry in `waiting`, whose severity may be out of date.
    waiting: Option<WakePriority>,
}

/// A firing of a live incident.
#[derive(Debug, Clone)]
pub(super) struct Firing {
    pub(super) slot: Slot,
    sender: Arc<str>,
    /// Repetitions since the last recorded one.
    pub(super) unrecorded: u32,
}

#[derive(Debug, Clone, Copy)]
struct Recurring {
    key: AlertKey,
    ended_at: Option<Timestamp>,
    firing: bool,
}

impl IncidentIndex {
    /// The number of live incidents.
    pub(super) fn len(&self) -> usize {
        self.live.len()
    }

    /// The number of firing alerts.
    pub(super) fn firing(&self) -> usize {
        self.firing
    }

    pub(super) fn slot(&self, id: &IncidentId) -> Option<Slot> {
        self.slots.get(id).copied()
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&LiveIncident> {
        self.live.get(&slot)
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut LiveIncident> {
        self.live.get_mut(&slot)
    }

    pub(super) fn firing_of(&mut self, key: &AlertKey) -> Option<&mut Firing> {
        self.firings.get_mut(key)
    }

    pub(super) fn ids(&self) -> Vec<IncidentId> {
        self.slots.keys().cloned().collect()
    }

    /// Adds or replaces an incident from its whole log. `None` if the log is damaged.
    pub(super) fn put(&mut self, log: &[Recorded]) -> Option<Slot> {
        let incident = fold(log).ok().flatten()?;
        let slot = self.insert(incident);
        log.iter().for_each(|recorded| self.index(slot, &recorded.event));
        Some(slot)
    }

    /// Adds a new incident, or replaces the state of a known one.
    pub(super) fn insert(&mut self, incident: Incident) -> Slot {
        let slot = self.slots.get(&incident.id).copied().unwrap_or_else(|| {
            self.last_slot += 1;
            self.last_slot
        });
        self.slots.insert(incident.id.clone(), slot);
        if let Some(group) = &incident.group {
            let other = self.groups.get(group).and_then(|other| self.live.get(other));
            if other.is_none_or(|other| other.incident.opened.at <= incident.opened.at) {
                self.groups.insert(group.clone(), slot);
            }
        }
        let live = match self.live.remove(&slot) {
            Some(live) => LiveIncident { incident, stale: false, seq_at_stop: 0, ..live },
            None => LiveIncident::new(incident),
        };
        self.live.insert(slot, live);
        self.unchecked.insert(slot);
        slot
    }

    /// Indexes the firing in an event.
    pub(super) fn index(&mut self, slot: Slot, event: &Event) {
        match event {
            Event::Alert(AlertEvent::Fired { key, alert }) => {
                let sender = self.sender(&alert.sender);
                self.firings.entry(*key).or_insert(Firing { slot, sender, unrecorded: 0 });
                if alert.recurs {
                    let recurring = Recurring { key: *key, ended_at: None, firing: true };
                    self.recurring.insert(alert.identity(), recurring);
                }
            }
            Event::Alert(AlertEvent::Resolved { key, ends_at, .. }) => {
                if let Some(recurring) = self.recurring.values_mut().find(|recurring| recurring.key == *key) {
                    recurring.firing = false;
                    recurring.ended_at = *ends_at;
                }
            }
            Event::Alert(AlertEvent::Repeated { .. })
            | Event::Incident(_)
            | Event::Deadline(_)
            | Event::Role(_)
            | Event::Message(_)
            | Event::Run(_)
            | Event::Step(_) => {}
        }
    }

    /// Shares one string among all firings of a sender.
    fn sender(&mut self, name: &str) -> Arc<str> {
        if let Some(shared) = self.senders.get(name) {
            return Arc::clone(shared);
        }
        let shared: Arc<str> = name.into();
        self.senders.insert(Arc::clone(&shared));
        shared
    }

    /// The firing alerts of a sender.
    pub(super) fn firing_at(&self, sender: &str) -> Vec<AlertKey> {
        let of_sender = self.firings.iter().filter(|(_, firing)| &*firing.sender == sender);
        let is_firing = |(key, firing): &(&AlertKey, &Firing)| {
            let state = self.live.get(&firing.slot).and_then(|live| live.incident.alerts.state(key));
            state.is_some_and(|state| state.status == AlertStatus::Firing)
        };
        of_sender.filter(is_firing).map(|(key, _)| *key).collect()
    }

    /// The key of an alert's firing. An alert that recurs under one name gets the key of its last firing while that lasts.
    pub(super) fn key_of(&self, alert: &Alert) -> AlertKey {
        let last = if alert.recurs { self.recurring.get(&alert.identity()) } else { None };
        let Some(last) = last else { return alert.key() };
        // An alert that arrives late started before the last firing ended, and belongs to it.
        let late = last.ended_at.is_some_and(|ended| alert.starts_at.is_some_and(|starts| starts <= ended));
        match alert.status {
            AlertStatus::Resolved => last.key,
            AlertStatus::Firing if last.firing || late => last.key,
            AlertStatus::Firing => alert.key(),
        }
    }

    /// The incident of a group, if it still accepts alerts: unresolved, with a recent alert, and not full.
    pub(super) fn accepting_incident(&self, group: &str, window: Span, now: Timestamp) -> Option<Slot> {
        let slot = *self.groups.get(group)?;
        let incident = &self.live.get(&slot)?.incident;
        let recent = incident.alerts.fired_at().is_some_and(|fired| now < window.after(fired));
        let open = incident.status != IncidentStatus::Resolved;
        let has_capacity = incident.alerts.len() < crate::domain::incident::alert_set::ALERT_LIMIT;
        (open && recent && has_capacity).then_some(slot)
    }

    /// The newest unresolved incident of an environment with a run of this runbook.
    pub(super) fn running_incident(&self, runbook: &str, environment: &str) -> Option<&Incident> {
        let open = self.live.values().map(|live| &live.incident).filter(|incident| {
            incident.environment == environment
                && incident.status != IncidentStatus::Resolved
                && incident.runs.iter().any(|run| run.runbook.id == runbook)
        });
        open.max_by_key(|incident| incident.opened.at)
    }

    /// Applies events that this process wrote to an incident.
    pub(super) fn follow(&mut self, id: &IncidentId, events: &[Recorded]) {
        let Some(slot) = self.slot(id) else { return };
        let Some(live) = self.live.get_mut(&slot) else { return };
        let indexed = live.incident.seq;
        let new = &events[events.partition_point(|recorded| recorded.seq <= indexed)..];
        if new.is_empty() {
            return;
        }
        if new.iter().any(|recorded| live.incident.apply(recorded).is_err()) {
            live.stale = true;
        }
        self.unchecked.insert(slot);
        new.iter().for_each(|recorded| self.index(slot, &recorded.event));
    }

    /// Removes a firing whose write failed.
    pub(super) fn forget(&mut self, slot: Slot, key: &AlertKey) {
        if self.firings.get(key).is_some_and(|firing| firing.slot == slot) {
            self.firings.remove(key);
            self.recurring.retain(|_, recurring| recurring.key != *key);
        }
    }

    pub(super) fn remove(&mut self, slot: Slot) {
        let Some(live) = self.live.remove(&slot) else { return };
        self.slots.remove(&live.incident.id);
        self.unchecked.remove(&slot);
        if let Some(entry) = &live.waiting {
            self.waiting.remove(entry);
        }
        if let Some(at) = live.timer {
            self.timers.remove(&(at, slot));
        }
        self.firing -= live.firing;
        if let Some(group) = &live.incident.group
            && self.groups.get(group) == Some(&slot)
        {
            self.groups.remove(group);
        }
        for (key, _) in live.incident.alerts.keys() {
            self.firings.remove(key);
        }
        let firings = &self.firings;
        self.recurring.retain(|_, recurring| firings.contains_key(&recurring.key));
    }

    /// The incidents that need a worker at `now`, most severe first: at most `capacity`, and P1 incidents up to `p1_capacity`.
    /// Removes incidents that are over. Only incidents that may have changed are checked, however many wait.
    pub(super) fn needing_worker(&mut self, now: Timestamp, capacity: usize, p1_capacity: usize) -> Vec<Slot> {
        while let Some((at, slot)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, slot));
            self.unchecked.insert(slot);
        }
        for slot in std::mem::take(&mut self.unchecked) {
            self.check(slot, now);
        }
        let mut slots = Vec::new();
        while let Some((severity, ..)) = self.waiting.first() {
            if slots.len() >= if *severity == Severity::P1 { p1_capacity.max(capacity) } else { capacity } {
                break;
            }
            slots.extend(self.waiting.pop_first().map(|(_, _, slot)| slot));
        }
        slots
    }

    /// Checks whether an incident needs a worker, waits for an instant, or is over.
    fn check(&mut self, slot: Slot, now: Timestamp) {
        let Some(live) = self.live.get_mut(&slot) else { return };
        if let Some(entry) = live.waiting.take() {
            self.waiting.remove(&entry);
        }
        if let Some(at) = live.timer.take() {
            self.timers.remove(&(at, slot));
        }
        let firing = live.incident.alerts.firing();
        self.firing = self.firing + firing - std::mem::replace(&mut live.firing, firing);
        if live.has_worker || live.stale || live.in_flight {
            return;
        }
        live.not_before = live.not_before.filter(|at| *at > now);
        if live.not_before.is_none() {
            if !due(&live.incident, now).is_empty() {
                let entry = (live.incident.severity, live.incident.opened.at, slot);
                self.waiting.insert(entry);
                live.waiting = Some(entry);
                return;
            }
            if !is_live(&live.incident) {
                return self.remove(slot);
            }
            if live.wake_at().is_some_and(|at| at <= now) {
                // The instant has passed, but nothing is due. A pause avoids a busy loop.
                live.not_before = Some(live.paused(PAUSE, now));
            }
        }
        live.timer = live.wake_at();
        self.timers.extend(live.timer.map(|at| (at, slot)));
    }

    /// Marks an incident whose state is ahead of its log.
    pub(super) fn mark_in_flight(&mut self, slot: Slot) {
        if let Some(live) = self.live.get_mut(&slot) {
            live.in_flight = true;
        }
    }

    pub(super) fn is_in_flight(&self, slot: Slot) -> bool {
        self.live.get(&slot).is_some_and(|live| live.in_flight)
    }

    /// Marks the end of an incident's write, whether it succeeded or not.
    pub(super) fn mark_written(&mut self, slot: Slot) {
        if let Some(live) = self.live.get_mut(&slot) {
            live.in_flight = false;
            self.unchecked.insert(slot);
        }
    }

    /// Marks an incident that has a worker now.
    pub(super) fn mark_busy(&mut self, slot: Slot) {
        if let Some(live) = self.live.get_mut(&slot) {
            live.has_worker = true;
            live.not_before = None;
        }
    }

    /// Marks an incident whose worker has stopped.
    pub(super) fn mark_idle(&mut self, slot: Slot, not_before: Option<Timestamp>, now: Timestamp) {
        let Some(live) = self.live.get_mut(&slot) else { return };
        live.has_worker = false;
        // The worker appended no event. Starting another at once would not help.
        let stuck = live.seq_at_stop == live.incident.seq && not_before.is_none();
        live.seq_at_stop = live.incident.seq;
        live.not_before = if stuck { Some(live.paused(PAUSE, now)) } else { not_before };
        self.unchecked.insert(slot);
    }

    /// When to check the next incident.
    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        self.timers.first().map(|(at, _)| *at)
    }
}

impl LiveIncident {
    fn new(incident: Incident) -> Self {
        Self {
            incident,
            has_worker: false,
            stale: false,
            in_flight: false,
            not_before: None,
            seq_at_stop: 0,
            timer: None,
            firing: 0,
            waiting: None,
        }
    }

    /// The end of a pause, or an earlier instant at which something else may be due, such as a deadline.
    pub(super) fn paused(&self, pause: Span, now: Timestamp) -> Timestamp {
        let end = pause.after(now);
        wake_after(&self.incident, now).map_or(end, |next| next.min(end))
    }

    /// When to check the incident again. A pause takes precedence over its deadlines.
    fn wake_at(&self) -> Option<Timestamp> {
        self.not_before.or_else(|| wake_at(&self.incident))
    }
}
