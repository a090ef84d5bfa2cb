//! The write path: the only code that turns decisions into stored events.
//!
//! A decision becomes a [`Proposal`]: each event is redacted and folded into the state, so that an event that is illegal in
//! that state is never stored. A commit checks the limits of one append, appends with compare-and-swap, and publishes the
//! stored events to the subscribers of this process. Commands, the scheduler, the dispatcher and the worker propose
//! different events, and react differently when another writer was first:
//!
//! | | proposal | state folded into | another writer was first |
//! |---|---|---|---|
//! | command | one decision | the cached fold | decides again, at most [`CONFLICT_LIMIT`] times |
//! | scheduler | one decision and the name of the occurrence | a copy of the index's incident | leaves it to the other |
//! | dispatcher | the alerts of a batch, with their names | the index's incident | decides the batch's alerts again |
//! | worker | everything due, with a lease when it opens the incident | the worker's incident | reads again, repeats results |
//!
//! **Invariant:** an event is published only after the store has returned it.
//!
//! Not here: leases. The worker checks its lease before and after a commit.

use std::sync::Arc;

use super::subscription::Hint;
use super::{Engine, EngineError};
use crate::domain::core::id::IncidentId;
use crate::domain::core::time::Timestamp;
use crate::domain::incident::Incident;
use crate::domain::incident::command::Refused;
use crate::domain::incident::event::Recorded;
use crate::store::{StoreError, Write};

pub(super) use self::proposal::{Decision, PreparedWrite, Proposal};

mod limits;
mod proposal;
#[cfg(test)]
mod tests;

/// The most decisions of a command, and the most repetitions of a batch of alerts, when another writer is first each time.
pub(super) const CONFLICT_LIMIT: usize = 50;

/// Events that are stored and published.
#[derive(Debug, Clone)]
pub(super) struct Committed(Arc<[Recorded]>);

impl Committed {
    /// The events with their numbers.
    pub(super) fn events(&self) -> &[Recorded] {
        &self.0
    }

    /// The number of the last event, if there is one.
    pub(super) fn last_seq(&self) -> Option<u64> {
        self.0.last().map(|last| last.seq)
    }
}

impl Engine {
    /// Appends to one incident and publishes what was appended.
    pub(super) async fn commit(&self, prepared: PreparedWrite) -> Result<Committed, StoreError> {
        let write = limits::checked(prepared.into_write())?;
        let incident = write.incident.clone();
        let stored = self.parts.store.write(write).await?;
        Ok(self.publish(&incident, stored))
    }

    /// Appends to many incidents, in one transaction if the store supports it, and publishes the events. The results have the
    /// order of the proposals. A proposal that fails does not affect the others.
    pub(super) async fn commit_all(self, prepared: Vec<PreparedWrite>) -> Vec<Result<Committed, StoreError>> {
        let mut checked = Vec::with_capacity(prepared.len());
        let mut writes: Vec<Write> = Vec::with_capacity(prepared.len());
        for prepared in prepared {
            checked.push(limits::checked(prepared.into_write()).map(|write| {
                let incident = write.incident.clone();
                writes.push(write);
                incident
            }));
        }
        let mut stored = self.parts.store.write_all(writes).await.into_iter();
        let missing = || Err(StoreError::Unavailable("the log did not answer".to_owned()));
        let mut result = |incident| Ok(self.publish(&incident, stored.next().unwrap_or_else(missing)?));
        checked.into_iter().map(|checked| checked.and_then(&mut result)).collect()
    }

    /// Decides on the current state and commits. Decides again after a conflict. Returns the new state, and the second value
    /// that `decide` returned.
    pub(super) async fn decide_and_commit<T>(
        &self,
        incident: &IncidentId,
        names: &[String],
        decide: impl Fn(Option<&Incident>, Timestamp) -> Result<(Decision, T), Refused>,
    ) -> Result<(Option<Incident>, T), EngineError> {
        for _ in 1..CONFLICT_LIMIT {
            match self.decide_and_commit_once(incident, names, &decide).await {
                Err(EngineError::Store(StoreError::Conflict { .. })) => {}
                ended => return ended,
            }
        }
        self.decide_and_commit_once(incident, names, &decide).await
    }

    async fn decide_and_commit_once<T>(
        &self,
        incident: &IncidentId,
        names: &[String],
        decide: &impl Fn(Option<&Incident>, Timestamp) -> Result<(Decision, T), Refused>,
    ) -> Result<(Option<Incident>, T), EngineError> {
        let mut state = self.current_state(incident).await?;
        let (decision, rest) = decide(state.as_ref(), self.parts.clock.now())?;
        let mut proposal = Proposal::on(incident, state.as_ref());
        proposal.add(&self.parts.redactor, decision, &mut state)?;
        names.iter().for_each(|name| proposal.register_name(name.clone()));
        self.commit(proposal.prepare(state.as_ref())).await?;
        state.iter().for_each(|state| self.fold_cache.put(state));
        Ok((state, rest))
    }

    fn publish(&self, incident: &IncidentId, stored: Vec<Recorded>) -> Committed {
        let committed = Committed(stored.into());
        self.publisher.publish(incident, Hint::Appended(Arc::clone(&committed.0)));
        committed
    }
}
