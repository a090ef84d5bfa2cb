//! Subscriptions to an incident: durable events from the store, and live lines from this process.

use std::time::Duration;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::{EngineError, Parts};
use crate::clock;
use crate::domain::core::id::{IncidentId, RunId, StepKey};
use crate::domain::incident::event::Recorded;
use std::sync::Arc;

/// How often the store is asked for what other processes have written.
pub const POLL: Duration = Duration::from_millis(250);
/// How many live lines a slow face may be behind before it misses some; events are never missed.
const BACKLOG: usize = 1_024;

/// What a face hears of an incident.
#[derive(Debug, Clone, PartialEq)]
pub enum IncidentUpdate {
    /// Events that are durable, in order.
    Events(Vec<Recorded>),
    /// A line that a running step has printed, redacted; never recorded. Only heard in the process that runs it.
    Line {
        /// The run.
        run: RunId,
        /// The step.
        step: StepKey,
        /// The line, not yet made printable.
        text: String,
    },
}

/// What is told within this process.
#[derive(Debug, Clone)]
pub(super) enum Hint {
    /// These are durable, and follow on one another.
    Appended(Arc<[Recorded]>),
    /// A step has printed a line.
    Line(RunId, StepKey, String),
}

/// Tells the faces and workers of this process; others find out by asking the store.
#[derive(Debug)]
pub(super) struct Publisher {
    hints: broadcast::Sender<(IncidentId, Hint)>,
}

impl Publisher {
    pub(super) fn new() -> Self {
        Self { hints: broadcast::Sender::new(BACKLOG) }
    }

    pub(super) fn publish(&self, incident: &IncidentId, hint: Hint) {
        // Nobody listening is fine.
        let _ = self.hints.send((incident.clone(), hint));
    }

    pub(super) fn listen(&self) -> broadcast::Receiver<(IncidentId, Hint)> {
        self.hints.subscribe()
    }
}

/// The news of one incident: from this process at once, from others within a quarter of a second.
#[derive(Debug)]
pub struct Subscription {
    parts: Arc<Parts>,
    incident: IncidentId,
    after: u64,
    hints: broadcast::Receiver<(IncidentId, Hint)>,
    stale: bool,
}

impl Subscription {
    pub(super) fn new(parts: Arc<Parts>, publisher: &Publisher, incident: IncidentId, after: u64) -> Self {
        Self { parts, incident, after, hints: publisher.listen(), stale: true }
    }

    /// Waits for the next news. Cancel-safe.
    pub async fn next(&mut self) -> Result<IncidentUpdate, EngineError> {
        loop {
            if self.stale {
                if self.parts.store.seq(&self.incident).await? > self.after {
                    let events = self.parts.store.read(&self.incident, self.after).await?;
                    self.after = events.last().map_or(self.after, |last| last.seq);
                    return Ok(IncidentUpdate::Events(events));
                }
                self.stale = false;
            }
            if let Some(news) = self.follow_hint().await {
                return Ok(news);
            }
        }
    }

    async fn follow_hint(&mut self) -> Option<IncidentUpdate> {
        let hint = tokio::select! {
            hint = self.hints.recv() => hint,
            () = clock::sleep(&*self.parts.clock, POLL) => Err(RecvError::Lagged(0)),
        };
        match hint {
            Ok((incident, Hint::Line(run, step, text))) if incident == self.incident => {
                return Some(IncidentUpdate::Line { run, step, text });
            }
            Ok((incident, _)) if incident != self.incident => {}
            // Events that follow directly on the last delivered one need not be read from the store.
            Ok((_, Hint::Appended(events))) if events.first().is_some_and(|first| first.seq == self.after + 1) => {
                self.after = events.last().map_or(self.after, |last| last.seq);
                return Some(IncidentUpdate::Events(events.to_vec()));
            }
            Ok((_, Hint::Appended(events))) if events.last().is_some_and(|last| last.seq <= self.after) => {}
            Ok(_) | Err(RecvError::Lagged(_)) => self.stale = true,
            // The hub lives as long as the engine, which the face holds.
            Err(RecvError::Closed) => clock::sleep(&*self.parts.clock, POLL).await,
        }
        None
    }
}
