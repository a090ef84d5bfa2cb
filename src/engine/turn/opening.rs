//! An incident that an alert opens: the alert, the run and the first intents are one write, with the claim on it.

use super::Worker;
use crate::domain::event::{Actor, Event, Recorded};
use crate::domain::id::IncidentId;
use crate::domain::incident::{Incident, extend, fold};
use crate::domain::time::Timestamp;
use crate::engine::claim::Held;
use crate::engine::{Engine, EngineError, recorded};
use crate::store::{Draft, Write};

impl Worker {
    /// A worker of an incident that these events open. Nothing is written yet.
    pub(in crate::engine) fn opening(
        engine: &Engine,
        id: &IncidentId,
        by: &Actor,
        events: Vec<Event>,
        now: Timestamp,
    ) -> Result<Self, EngineError> {
        let draft = |event| Draft { at: now, by: by.clone(), event: engine.scrubbed(event) };
        let drafts: Vec<Draft> = events.into_iter().map(draft).collect();
        let foreseen: Vec<Recorded> = (1..).zip(&drafts).map(|(seq, draft)| recorded(seq, draft)).collect();
        let incident = fold(&foreseen)?.ok_or_else(|| EngineError::NotFound(id.to_string()))?;
        let (held, hold) = Held::opening(id, &engine.parts().holder, now);
        Ok(Self { hold: Some(hold), drafts, ..Self::new(engine, held, incident) })
    }

    /// More of the same: another alert of a body that belongs to the incident.
    pub(in crate::engine) fn add(&mut self, by: &Actor, events: Vec<Event>, now: Timestamp) -> Result<(), EngineError> {
        for event in events {
            let draft = Draft { at: now, by: by.clone(), event: self.engine.scrubbed(event) };
            let next = recorded(self.incident.seq + 1, &draft);
            self.incident.apply(&next)?;
            self.drafts.push(draft);
        }
        Ok(())
    }

    /// What is true once it is written.
    pub(in crate::engine) fn incident(&self) -> &Incident {
        &self.incident
    }

    /// Everything to be written, with names that are given; with `follow`, what follows from it as well: the first
    /// intents of its run.
    pub(in crate::engine) async fn first_write(
        &mut self,
        keys: Vec<String>,
        follow: bool,
    ) -> Result<Write, EngineError> {
        self.keys = keys;
        if follow {
            self.gather().await?;
        } else {
            // Whoever works on it later takes a claim of its own.
            self.hold = None;
        }
        Ok(self.write())
    }

    /// The first write is durable: what it intended begins.
    pub(in crate::engine) fn begun(&mut self, written: Vec<Recorded>) {
        self.stand(written);
        self.launch();
    }
}

/// Applies events to an incident that is kept beside its log.
pub(in crate::engine) fn follow(incident: Incident, events: &[Recorded]) -> Result<Option<Incident>, EngineError> {
    let mut incident = Some(incident);
    extend(&mut incident, events)?;
    Ok(incident)
}
