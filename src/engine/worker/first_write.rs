//! The first write of an incident that an alert opens: the alert, the run, its first intents and the lease in one transaction.

use super::Worker;
use crate::domain::core::time::Timestamp;
use crate::domain::incident::Incident;
use crate::engine::commit::{Committed, PreparedWrite, Proposal};
use crate::engine::lease::HeldLease;
use crate::engine::{Engine, EngineError};

impl Worker {
    /// A worker for a new incident that is not written yet. `proposal` opens it, and `incident` is the state after the
    /// proposal.
    pub(in crate::engine) fn opening(
        engine: &Engine,
        mut proposal: Proposal,
        incident: Incident,
        now: Timestamp,
    ) -> Self {
        let (lease, initial) = HeldLease::opening(&incident.id, &engine.parts().holder, now);
        proposal.take_lease(initial);
        Self::new(engine, engine.publisher.listen(), lease, incident, proposal)
    }

    /// The state after the first write.
    pub(in crate::engine) fn incident(&self) -> &Incident {
        &self.incident
    }

    /// The first write: the opening of the incident and everything that follows from it, up to the first intents of a
    /// run.
    pub(in crate::engine) async fn first_write(&mut self) -> Result<PreparedWrite, EngineError> {
        self.gather().await?;
        Ok(self.take_proposal().prepare(Some(&self.incident)))
    }

    /// Starts the attempts of the first write, which is durable now.
    pub(in crate::engine) fn first_write_committed(&mut self, committed: &Committed) {
        self.mark_committed(committed);
        self.start_pending();
    }
}
