//! The index of live incidents: folded state, looked up by firing, by recurring alert and by group.
//!
//! Everything here is read from the log; an incident leaves the index when it is over.
//!
//! **Invariant:** an incident that may be behind its log is marked stale, and is read again before any decision.

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

/// Where an incident stands in the incidents.
pub(super) type Slot = u32;

/// How long an incident is left alone that could not be gone on with: the disk or the file may be mended meanwhile.
const PAUSE: Span = Span::seconds(5);

/// The live incidents.
#[derive(Debug, Default)]
pub(super) struct IncidentIndex {
    live: HashMap<Slot, LiveIncident>,
    slots: HashMap<IncidentId, Slot>,
    groups: HashMap<String, Slot>,
    firings: HashMap<AlertKey, Firing>,
    senders: BTreeSet<Arc<str>>,
    /// What fires or fired last under a name that comes back.
    recurring: HashMap<AlertKey, Recurring>,
    /// Incidents of which something may have changed since they were looked at.
    restless: BTreeSet<Slot>,
    /// Incidents that owe something and wait for somebody to work on them, the worst and oldest first.
    waiting: BTreeSet<WakePriority>,
    /// When incidents that rest are to be looked at again.
    timers: BTreeSet<(Timestamp, Slot)>,
    /// How many alerts fire, as far as was looked.
    firing: usize,
    next: Slot,
}

/// Whose turn it is: the worst first, then the oldest.
type WakePriority = (Severity, Timestamp, Slot);

/// One live incident.
#[derive(Debug)]
pub(super) struct LiveIncident {
    pub(super) incident: Incident,
    /// Whether somebody of this process works on it.
    pub(super) at_work: bool,
    pub(super) stale: bool,
    /// Whether what is kept of it is ahead of its log by what is being written.
    on_its_way: bool,
    /// Not to be worked on before, after a failure or while another process holds it.
    not_before: Option<Timestamp>,
    /// The last event at which it was worked on to its rest.
    rested: u64,
    /// Its entry among the timers.
    timer: Option<Timestamp>,
    /// How many of its alerts are counted as firing.
    firing: usize,
    /// Its place among those that wait: its severity may have changed since.
    turn: Option<WakePriority>,
}

/// One firing of a live incident.
#[derive(Debug, Clone)]
pub(super) struct Firing {
    pub(super) slot: Slot,
    /// Who sends it.
    sender: Arc<str>,
    /// How often it was repeated since that was recorded last.
    pub(super) unrecorded: u32,
}

#[derive(Debug, Clone, Copy)]
struct Recurring {
    key: AlertKey,
    ended_at: Option<Timestamp>,
    firing: bool,
}

impl IncidentIndex {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.live.len()
    }

    /// How many alerts fire.
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

    /// Every incident with its last event.
    pub(super) fn ids(&self) -> Vec<IncidentId> {
        self.slots.keys().cloned().collect()
    }

    /// Puts an incident in whose log was read.
    pub(super) fn put(&mut self, log: &[Recorded]) -> Option<Slot> {
        let incident = fold(log).ok().flatten()?;
        let slot = self.enter(incident);
        log.iter().for_each(|recorded| self.index(slot, &recorded.event));
        Some(slot)
    }

    /// Puts an incident in that is about to be opened, or in place of what is known of it.
    pub(super) fn enter(&mut self, incident: Incident) -> Slot {
        let slot = self.slots.get(&incident.id).copied().unwrap_or_else(|| {
            self.next += 1;
            self.next
        });
        self.slots.insert(incident.id.clone(), slot);
        if let Some(group) = &incident.group {
            let newer = self.groups.get(group).and_then(|other| self.live.get(other));
            if newer.is_none_or(|other| other.incident.opened.at <= incident.opened.at) {
                self.groups.insert(group.clone(), slot);
            }
        }
        let fresh = LiveIncident {
            incident,
            at_work: false,
            stale: false,
            on_its_way: false,
            not_before: None,
            rested: 0,
            timer: None,
            firing: 0,
            turn: None,
        };
        let live = match self.live.remove(&slot) {
            Some(live) => LiveIncident { incident: fresh.incident, stale: false, rested: 0, ..live },
            None => fresh,
        };
        self.live.insert(slot, live);
        self.restless.insert(slot);
        slot
    }

    /// Remembers the firing that an event speaks of.
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

    /// One text for all firings of a sender.
    fn sender(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.senders.get(name) {
            return Arc::clone(known);
        }
        let fresh: Arc<str> = name.into();
        self.senders.insert(Arc::clone(&fresh));
        fresh
    }

    /// What of a sender fires.
    pub(super) fn firing_at(&self, sender: &str) -> Vec<AlertKey> {
        let theirs = self.firings.iter().filter(|(_, firing)| &*firing.sender == sender);
        let fires = |(key, firing): &(&AlertKey, &Firing)| {
            let state = self.live.get(&firing.slot).and_then(|live| live.incident.alerts.state(key));
            state.is_some_and(|state| state.status == AlertStatus::Firing)
        };
        theirs.filter(fires).map(|(key, _)| *key).collect()
    }

    /// The name of the firing that an alert speaks of. Where its sender's own name comes back with every firing, it is the
    /// one that fires, or a new one.
    pub(super) fn key_of(&self, alert: &Alert) -> AlertKey {
        let last = if alert.recurs { self.recurring.get(&alert.identity()) } else { None };
        let Some(last) = last else { return alert.key() };
        let late = last.ended_at.is_some_and(|ended| alert.starts_at.is_some_and(|starts| starts <= ended));
        match alert.status {
            AlertStatus::Resolved => last.key,
            AlertStatus::Firing if last.firing || late => last.key,
            AlertStatus::Firing => alert.key(),
        }
    }

    /// The incident of a group that still gathers alerts.
    pub(super) fn gathering(&self, group: &str, window: Span, now: Timestamp) -> Option<Slot> {
        let slot = *self.groups.get(group)?;
        let incident = &self.live.get(&slot)?.incident;
        let recent = incident.alerts.fired_at().is_some_and(|fired| now < window.after(fired));
        let open = incident.status != IncidentStatus::Resolved;
        let room = incident.alerts.len() < crate::domain::incident::alert_set::ALERT_LIMIT;
        (open && recent && room).then_some(slot)
    }

    /// The newest incident in which a runbook goes on in an environment.
    pub(super) fn running_incident(&self, runbook: &str, environment: &str) -> Option<&Incident> {
        let open = self.live.values().map(|live| &live.incident).filter(|incident| {
            incident.environment == environment
                && incident.status != IncidentStatus::Resolved
                && incident.runs.iter().any(|run| run.runbook.id == runbook)
        });
        open.max_by_key(|incident| incident.opened.at)
    }

    /// Takes in what this process has written to an incident.
    pub(super) fn follow(&mut self, id: &IncidentId, events: &[Recorded]) {
        let Some(slot) = self.slot(id) else { return };
        let Some(live) = self.live.get_mut(&slot) else { return };
        let known = live.incident.seq;
        let fresh = events.partition_point(|recorded| recorded.seq <= known);
        let fresh = &events[fresh..];
        if fresh.is_empty() {
            return;
        }
        if fresh.iter().any(|recorded| live.incident.apply(recorded).is_err()) {
            live.stale = true;
        }
        self.restless.insert(slot);
        fresh.iter().for_each(|recorded| self.index(slot, &recorded.event));
    }

    /// Unlearns a firing of an incident: it was not written.
    pub(super) fn forget(&mut self, slot: Slot, key: &AlertKey) {
        if self.firings.get(key).is_some_and(|firing| firing.slot == slot) {
            self.firings.remove(key);
            self.recurring.retain(|_, recurring| recurring.key != *key);
        }
    }

    /// Lets an incident go.
    pub(super) fn remove(&mut self, slot: Slot) {
        let Some(live) = self.live.remove(&slot) else { return };
        self.slots.remove(&live.incident.id);
        self.restless.remove(&slot);
        if let Some(turn) = &live.turn {
            self.waiting.remove(turn);
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

    /// At most `room` incidents that are to be worked on at `now`, the worst first, and P1 up to `kept`; what is over is
    /// let go on the way.
    /// Each incident is looked at once for each time that something of it may have changed, however many wait.
    pub(super) fn needing_worker(&mut self, now: Timestamp, room: usize, kept: usize) -> Vec<Slot> {
        while let Some((at, slot)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, slot));
            self.restless.insert(slot);
        }
        for slot in std::mem::take(&mut self.restless) {
            self.look(slot, now);
        }
        let mut slots = Vec::new();
        while let Some((severity, ..)) = self.waiting.first() {
            if slots.len() >= if *severity == Severity::P1 { kept.max(room) } else { room } {
                break;
            }
            slots.extend(self.waiting.pop_first().map(|(_, _, slot)| slot));
        }
        slots
    }

    /// Whether one incident is to be worked on, rests until a time, or is over.
    fn look(&mut self, slot: Slot, now: Timestamp) {
        let Some(live) = self.live.get_mut(&slot) else { return };
        let turn = (live.incident.severity, live.incident.opened.at, slot);
        if let Some(turn) = live.turn.take() {
            self.waiting.remove(&turn);
        }
        if let Some(at) = live.timer.take() {
            self.timers.remove(&(at, slot));
        }
        let firing = live.incident.alerts.firing();
        self.firing = self.firing + firing - std::mem::replace(&mut live.firing, firing);
        if live.at_work || live.stale || live.on_its_way {
            return;
        }
        live.not_before = live.not_before.filter(|at| *at > now);
        if live.not_before.is_none() {
            if !due(&live.incident, now).is_empty() {
                self.waiting.insert(turn);
                live.turn = Some(turn);
                return;
            }
            if !is_live(&live.incident) {
                return self.remove(slot);
            }
            if live.wake_at().is_some_and(|at| at <= now) {
                // Its time has come and nothing is owed: whoever waits here must not turn in circles.
                live.not_before = Some(live.paused(PAUSE, now));
            }
        }
        live.timer = live.wake_at();
        self.timers.extend(live.timer.map(|at| (at, slot)));
    }

    /// What is kept of it is ahead of its log from now on.
    pub(super) fn mark_in_flight(&mut self, slot: Slot) {
        if let Some(live) = self.live.get_mut(&slot) {
            live.on_its_way = true;
        }
    }

    pub(super) fn is_in_flight(&self, slot: Slot) -> bool {
        self.live.get(&slot).is_some_and(|live| live.on_its_way)
    }

    /// What was ahead of its log is in it, or is known not to be.
    pub(super) fn mark_committed(&mut self, slot: Slot) {
        if let Some(live) = self.live.get_mut(&slot) {
            live.on_its_way = false;
            self.restless.insert(slot);
        }
    }

    /// Somebody works on it.
    pub(super) fn taken(&mut self, slot: Slot) {
        if let Some(live) = self.live.get_mut(&slot) {
            live.at_work = true;
            live.not_before = None;
        }
    }

    /// Nobody of this process works on it any more.
    pub(super) fn mark_idle(&mut self, slot: Slot, not_before: Option<Timestamp>, now: Timestamp) {
        let Some(live) = self.live.get_mut(&slot) else { return };
        live.at_work = false;
        // What was worked on to its rest and still owes something cannot be gone on with at once.
        let stuck = live.rested == live.incident.seq && not_before.is_none();
        live.rested = live.incident.seq;
        live.not_before = if stuck { Some(live.paused(PAUSE, now)) } else { not_before };
        self.restless.insert(slot);
    }

    /// When to look again.
    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        self.timers.first().map(|(at, _)| *at)
    }
}

impl LiveIncident {
    /// The end of a pause: never later than the next instant at which something else may be owed, such as a deadline.
    pub(super) fn paused(&self, pause: Span, now: Timestamp) -> Timestamp {
        let end = pause.after(now);
        wake_after(&self.incident, now).map_or(end, |next| next.min(end))
    }

    /// When to look at it again: what is owed and put off is not left until something else is.
    fn wake_at(&self) -> Option<Timestamp> {
        self.not_before.or_else(|| wake_at(&self.incident))
    }
}
