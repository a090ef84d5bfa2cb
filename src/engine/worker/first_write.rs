//! An incident that an alert opens: the alert, the run and the first intents are one write, with the claim on it.

use super::Worker;
use crate::domain::core::id::IncidentId;
use crate::domain::core::time::Timestamp;
use crate::domain::incident::event::Recorded;
use crate::domain::incident::{Incident, fold};
use crate::engine::lease::HeldLease;
use crate::engine::{Engine, EngineError, recorded};
use crate::store::{NewEvent, Write};

impl Worker {
    /// A worker of an incident that these drafts open. Nothing is written yet.
    pub(in crate::engine) fn opening(
        engine: &Engine,
        id: &IncidentId,
        drafts: Vec<NewEvent>,
        now: Timestamp,
    ) -> Result<Self, EngineError> {
        let foreseen: Vec<Recorded> = (1..).zip(&drafts).map(|(seq, draft)| recorded(seq, draft)).collect();
        let incident = fold(&foreseen)?.ok_or_else(|| EngineError::NotFound(id.to_string()))?;
        let (held, hold) = HeldLease::opening(id, &engine.parts().holder, now);
        Ok(Self { hold: Some(hold), drafts, ..Self::new(engine, held, incident) })
    }

    /// What is true once it is written.
    pub(in crate::engine) fn incident(&self) -> &Incident {
        &self.incident
    }

    /// Everything to be written with names that are given: the drafts and what follows from them, up to the first intents
    /// of a run.
    pub(in crate::engine) async fn first_write(&mut self, keys: Vec<String>) -> Result<Write, EngineError> {
        self.keys = keys;
        self.gather().await?;
        Ok(self.write())
    }

    /// The first write is durable: what it intended begins.
    pub(in crate::engine) fn begun(&mut self, written: Vec<Recorded>) {
        self.stand(written);
        self.start_pending();
    }
}
