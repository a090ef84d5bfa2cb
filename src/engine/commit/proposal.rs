//! A proposal: events that were decided for one incident and are not stored yet.
//!
//! **Invariant:** every event of a proposal is redacted, and was folded into a state that ends with the event before it. An
//! event is folded as it will be stored, so that the state equals a fold of the log.

use std::slice;

use serde_json::Value;

use crate::domain::core::id::IncidentId;
use crate::domain::core::time::Timestamp;
use crate::domain::incident::due::is_live;
use crate::domain::incident::event::{Actor, Event, Recorded};
use crate::domain::incident::{Illegal, Incident, extend};
use crate::domain::redact::Redactor;
use crate::store::{InitialLease, NewEvent, Write};

/// What somebody decided: the events, who or what they come from, and when.
#[derive(Debug)]
pub(in crate::engine) struct Decision<E = Vec<Event>> {
    pub(in crate::engine) by: Actor,
    pub(in crate::engine) at: Timestamp,
    pub(in crate::engine) events: E,
}

/// A state that events are folded into.
pub(in crate::engine) trait FoldedState {
    /// Folds one event in.
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

/// Events that were decided for one incident and are not stored yet, with the names that they give it.
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
    /// A proposal without events, to follow on the last stored event.
    pub(in crate::engine) fn after(incident: &IncidentId, expected: u64) -> Self {
        Self { incident: incident.clone(), expected, drafts: Vec::new(), names: Vec::new(), lease: None }
    }

    /// A proposal without events, to follow on a state whose events are all stored.
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

    /// The names that the incident is given.
    pub(in crate::engine) fn names(&self) -> &[String] {
        &self.names
    }

    /// Adds what was decided, redacted, and folds it into the state; the events as they were added.
    ///
    /// # Errors
    /// The first event that does not follow. None of the decision is added then, and the state is to be thrown away.
    pub(in crate::engine) fn add(
        &mut self,
        redactor: &Redactor,
        decision: Decision<impl IntoIterator<Item = Event>>,
        state: &mut impl FoldedState,
    ) -> Result<&[NewEvent], Illegal> {
        let before = self.drafts.len();
        for event in decision.events {
            let draft = redacted(redactor, NewEvent::new(decision.at, decision.by.clone(), event));
            let folded = state.fold(&numbered(self.expected + self.drafts.len() as u64 + 1, &draft));
            folded.inspect_err(|_| self.drafts.truncate(before))?;
            self.drafts.push(draft);
        }
        Ok(&self.drafts[before..])
    }

    /// Gives the incident a name with the events: the store refuses a name that was given before.
    pub(in crate::engine) fn give_name(&mut self, name: String) {
        self.names.push(name);
    }

    /// Takes the lease on a new incident with its first events.
    pub(in crate::engine) fn take_lease(&mut self, lease: InitialLease) {
        self.lease = Some(lease);
    }

    /// The proposal with what the store needs to know of the state that it leads to.
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

/// The draft with every secret replaced.
fn redacted(redactor: &Redactor, mut draft: NewEvent) -> NewEvent {
    // Most events hold no secret. Decoding an event costs more than encoding it, so only events whose bytes may hold a
    // secret are decoded.
    if redactor.is_empty() || draft.json().is_some_and(|json| !redactor.may_find_in(json.as_bytes())) {
        return draft;
    }
    match scrubbed(redactor, draft.event()) {
        Some(event) => NewEvent::new(draft.at(), draft.by().clone(), event),
        None => draft,
    }
}

/// The event without the secrets in it; none when there are none.
fn scrubbed(redactor: &Redactor, event: &Event) -> Option<Event> {
    let mut value = serde_json::to_value(event).ok().filter(|value| redactor.finds_in(value))?;
    scrub_part(redactor, &mut value, "");
    serde_json::from_value(value).ok()
}

/// Scrubs the part of an event at a JSON pointer. A secret that is a word of the log itself, such as `succeeded`, stays:
/// without that word the event could not be read. So a part that cannot be scrubbed as a whole is scrubbed piece by piece.
fn scrub_part(redactor: &Redactor, event: &mut Value, pointer: &str) {
    let Some(part) = event.pointer_mut(pointer).filter(|part| redactor.finds_in(part)) else { return };
    let before = part.clone();
    redactor.scrub_value(part);
    if serde_json::from_value::<Event>(event.clone()).is_ok() {
        return;
    }
    let steps: Vec<String> = match &before {
        Value::Array(items) => (0..items.len()).map(|index| index.to_string()).collect(),
        Value::Object(fields) => fields.keys().map(|key| key.replace('~', "~0").replace('/', "~1")).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    event.pointer_mut(pointer).into_iter().for_each(|part| *part = before.clone());
    for step in steps {
        scrub_part(redactor, event, &format!("{pointer}/{step}"));
    }
}
