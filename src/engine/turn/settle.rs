//! What actions are given, and what becomes of attempts that were cut off.

use std::sync::Arc;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{Flight, LOOK_LIMIT, Landed, Place, Worker};
use crate::actions::{Context, Progress};
use crate::domain::effect::EffectClass;
use crate::domain::event::{Event, Finding};
use crate::domain::plan::RenderedAction;
use crate::domain::time::Timestamp;
use crate::engine::feed::Hint;
use crate::engine::{EngineError, flight};

impl Worker {
    /// An attempt has begun and not ended. Ours goes on, or is told to stop; another's is settled.
    pub(super) fn settle(&mut self, place: Place, halt: bool, now: Timestamp) -> Result<(), EngineError> {
        if let Some(flight) = self.flights.get(&place) {
            if halt {
                flight.cancel.cancel();
            }
            return Ok(());
        }
        if self.launches.iter().any(|launch| launch.place == place) {
            return Ok(());
        }
        let Some(state) = self.incident.run(place.0).and_then(|run| run.state(&place.1)) else {
            return Ok(());
        };
        let (Some(begun), attempt) = (state.attempt.clone(), state.attempts) else {
            return Ok(());
        };
        let detail = match begun.action.effect {
            EffectClass::Read => "it only reads, and may be read again",
            EffectClass::Repeatable => "it may be repeated without harm",
            EffectClass::Once => return self.look_back(place, attempt, begun.action, begun.before, now),
        };
        let finding = Finding::DidNotHappen { detail: detail.to_owned() };
        self.draft(Event::Reconciled { run: place.0, step: place.1, attempt, finding }, now)
    }

    fn look_back(
        &mut self,
        place: Place,
        attempt: u32,
        action: RenderedAction,
        before: Value,
        now: Timestamp,
    ) -> Result<(), EngineError> {
        let cancel = CancellationToken::new();
        let Some(context) = self.context(&place, LOOK_LIMIT.after(now), cancel.clone()) else {
            return Ok(());
        };
        self.flights.insert(place.clone(), Flight { cancel, effect: EffectClass::Read, acting: false });
        self.tasks.spawn(async move {
            let finding = flight::reconcile(action, before, context).await;
            Landed::Settled { place, attempt, finding }
        });
        Ok(())
    }

    /// What an action is given besides its spec.
    pub(super) fn context(&self, place: &Place, deadline: Timestamp, cancel: CancellationToken) -> Option<Context> {
        let (parts, run) = (self.engine.parts(), self.incident.run(place.0)?);
        Some(Context {
            place: place.clone(),
            environment_name: self.incident.environment.clone(),
            environment: Arc::new(run.environment(&self.incident.environment)?.clone()),
            estate: Arc::clone(&run.estate),
            clock: Arc::clone(&parts.clock),
            secrets: Arc::clone(&parts.secrets),
            redactor: Arc::clone(&parts.redactor),
            basics: Arc::clone(&parts.basics),
            directory: parts.directory.clone(),
            progress: self.progress(place),
            cancel,
            deadline: Some(deadline),
        })
    }

    fn progress(&self, place: &Place) -> Progress {
        let (engine, id, place) = (self.engine.clone(), self.id.clone(), place.clone());
        Progress::new(move |line| {
            engine.hub.tell(&id, Hint::Line(place.0, place.1.clone(), line.to_owned()));
        })
    }
}
