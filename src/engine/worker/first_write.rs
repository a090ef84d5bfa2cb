//! The first write of an incident that an alert opens: alert, run, first intents and lease in one transaction.

use super::Worker;
use crate::domain::core::time::Timestamp;
use crate::domain::incident::Incident;
use crate::engine::commit::{Committed, Prepared, Proposal};
use crate::engine::lease::HeldLease;
use crate::engine::{Engine, EngineError};

impl Worker {
    /// A worker of an incident that a proposal opens, and what is true after it. Nothing is written yet.
    pub(in crate::engine) fn opening(
        engine: &Engine,
        mut proposal: Proposal,
        incident: Incident,
        now: Timestamp,
    ) -> Self {
        let (held, hold) = HeldLease::opening(&incident.id, &engine.parts().holder, now);
        proposal.take_lease(hold);
        Self::new(engine, held, incident, proposal)
    }

    /// What is true once it is written.
    pub(in crate::engine) fn incident(&self) -> &Incident {
        &self.incident
    }

    /// Everything to be written: what opens the incident and what follows from it, up to the first intents of a run.
    pub(in crate::engine) async fn first_write(&mut self) -> Result<Prepared, EngineError> {
        self.gather().await?;
        Ok(self.take_proposal().prepare(Some(&self.incident)))
    }

    /// The first write is durable: what it intended begins.
    pub(in crate::engine) fn begun(&mut self, committed: &Committed) {
        self.stand(committed);
        self.start_pending();
    }
}
