//! The incident that was folded last, so that the next look at it in this process reads only what was added since.
//!
//! Deliberately absent: more than one. Whoever works on many keeps them where the work is done.
//!
//! **Invariant:** what stands here was folded from events that are durable, and a look reads on behind the last of them,
//! which the store compares with the one that it holds.

use std::sync::Mutex;

use crate::domain::core::id::IncidentId;
use crate::domain::incident::Incident;
use crate::sync::lock;

/// The incident that was folded last.
#[derive(Debug, Default)]
pub(super) struct FoldCache(Mutex<Option<Incident>>);

impl FoldCache {
    /// The incident as it was when it was folded last.
    pub(super) fn get(&self, id: &IncidentId) -> Option<Incident> {
        let known = lock(&self.0);
        known.as_ref().filter(|incident| incident.id == *id).cloned()
    }

    /// Remembers it in place of the one before.
    pub(super) fn keep(&self, incident: &Incident) {
        *lock(&self.0) = Some(incident.clone());
    }
}
