//! A proposal: events that were decided for one incident and are not stored yet.
//!
//! **Invariant:** every event of a proposal is redacted and then folded into the state, in order. So the state equals a fold
//! of the log after the write.

use std::slice;

use serde_json::Value;

use crate::domain::core::id::IncidentId;
use crate::domain::core::time::Timestamp;
use crate::domain::incident::due::is_live;
use crate::domain::incident::event::{Actor, Event, Recorded};
use crate::domain::incident::{Illegal, Incident, extend};
use crate::domain::redact::Redactor;
use crate::store::{InitialLease, NewEvent, Write};

/// Decided events, their author and their time.
#[derive(Debug)]
pub(in crate::engine) struct Decision<E = Vec<Event>> {
    pub(in crate::engine) by: Actor,
    pub(in crate::engine) at: Timestamp,
    pub(in crate::engine) events: E,
}

/// A state that events can be folded into.
pub(in crate::engine) trait FoldedState {
    /// Folds one event into the state.
    fn fold(&mut self, event: &Recorded) -> Result<(), Illegal>;
}

impl FoldedState for Incident {
    fn fold(&mut self, event: &Recorded) -> Result<(), Illegal> {
        self.apply(event)
    }
}

impl FoldedState for Option<Incident> {
    fn fold(&mut self, event: &Recorded) -> Result<(), Illegal> {
        extend(self, slice::from_ref(event))
    }
}

/// Events that were decided for one incident and are not stored yet, with the unique names that they register.
#[derive(Debug)]
pub(in crate::engine) struct Proposal {
    incident: IncidentId,
    /// The number of the last stored event; 0 for a new incident.
    expected: u64,
    drafts: Vec<NewEvent>,
    names: Vec<String>,
    lease: Option<InitialLease>,
}

/// A proposal that is complete.
#[derive(Debug)]
pub(in crate::engine) struct PreparedWrite(Write);

impl Proposal {
    /// An empty proposal whose events will follow event `expected`, the last stored one.
    pub(in crate::engine) fn after(incident: &IncidentId, expected: u64) -> Self {
        Self { incident: incident.clone(), expected, drafts: Vec::new(), names: Vec::new(), lease: None }
    }

    /// An empty proposal whose events will follow a state that is stored.
    pub(in crate::engine) fn on(incident: &IncidentId, state: Option<&Incident>) -> Self {
        Self::after(incident, state.map_or(0, |state| state.seq))
    }

    /// The number of the last stored event; 0 for a new incident.
    pub(in crate::engine) fn expected(&self) -> u64 {
        self.expected
    }

    pub(in crate::engine) fn is_empty(&self) -> bool {
        self.drafts.is_empty()
    }

    pub(in crate::engine) fn events(&self) -> impl Iterator<Item = &Event> {
        self.drafts.iter().map(NewEvent::event)
    }

    /// The unique names that are registered with the events.
    pub(in crate::engine) fn names(&self) -> &[String] {
        &self.names
    }

    /// Redacts the decided events, folds them into the state and adds them. Returns the added events.
    ///
    /// # Errors
    /// When an event is illegal in its state. Then no event of the decision is added, and the caller must discard the state.
    pub(in crate::engine) fn add(
        &mut self,
        redactor: &Redactor,
        decision: Decision<impl IntoIterator<Item = Event>>,
        state: &mut impl FoldedState,
    ) -> Result<&[NewEvent], Illegal> {
        let before = self.drafts.len();
        for event in decision.events {
            let draft = redact_draft(redactor, NewEvent::new(decision.at, decision.by.clone(), event));
            let folded = state.fold(&numbered(self.expected + self.drafts.len() as u64 + 1, &draft));
            folded.inspect_err(|_| self.drafts.truncate(before))?;
            self.drafts.push(draft);
        }
        Ok(&self.drafts[before..])
    }

    /// Registers a unique name for the incident with the events. The store refuses a name that is already registered.
    pub(in crate::engine) fn register_name(&mut self, name: String) {
        self.names.push(name);
    }

    /// Takes the lease of a new incident with its first events.
    pub(in crate::engine) fn take_lease(&mut self, lease: InitialLease) {
        self.lease = Some(lease);
    }

    /// Completes the proposal. `state` is the state after its events: the store records whether the incident is live.
    pub(in crate::engine) fn prepare(self, state: Option<&Incident>) -> PreparedWrite {
        let Self { incident, expected, drafts, names, lease } = self;
        let live = state.is_none_or(is_live);
        PreparedWrite(Write { incident, expected, drafts, keys: names, lease, live })
    }
}

impl PreparedWrite {
    pub(super) fn into_write(self) -> Write {
        self.0
    }
}

fn numbered(seq: u64, draft: &NewEvent) -> Recorded {
    Recorded { seq, at: draft.at(), by: draft.by().clone(), event: draft.event().clone() }
}

/// The draft with its secrets replaced.
fn redact_draft(redactor: &Redactor, mut draft: NewEvent) -> NewEvent {
    // Most events hold no secret. Decoding an event costs more than encoding it, so only events whose bytes may hold a
    // secret are decoded.
    if redactor.is_empty() || draft.json().is_some_and(|json| !redactor.may_find_in(json.as_bytes())) {
        return draft;
    }
    match redact_event(redactor, draft.event()) {
        Some(event) => NewEvent::new(draft.at(), draft.by().clone(), event),
        None => draft,
    }
}

/// The event with its secrets replaced; none when it has no secret.
fn redact_event(redactor: &Redactor, event: &Event) -> Option<Event> {
    let mut value = serde_json::to_value(event).ok().filter(|value| redactor.finds_in(value))?;
    redact_part(redactor, &mut value, "");
    serde_json::from_value(value).ok()
}

/// Replaces the secrets in the part of an event at a JSON pointer. If the event could not be read without a replaced value,
/// each child of the part is redacted separately. So only a secret that equals a keyword of the log, such as `succeeded`, stays.
fn redact_part(redactor: &Redactor, event: &mut Value, pointer: &str) {
    let Some(part) = event.pointer_mut(pointer).filter(|part| redactor.finds_in(part)) else { return };
    let before = part.clone();
    redactor.scrub_value(part);
    if serde_json::from_value::<Event>(event.clone()).is_ok() {
        return;
    }
    let children: Vec<String> = match &before {
        Value::Array(items) => (0..items.len()).map(|index| index.to_string()).collect(),
        Value::Object(fields) => fields.keys().map(|key| key.replace('~', "~0").replace('/', "~1")).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    event.pointer_mut(pointer).into_iter().for_each(|part| *part = before.clone());
    for child in children {
        redact_part(redactor, event, &format!("{pointer}/{child}"));
    }
}
