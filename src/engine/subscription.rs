//! Subscriptions to an incident: durable events of every process, and live output of the steps that this process runs.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::{EngineError, Parts};
use crate::clock;
use crate::domain::core::id::{IncidentId, RunId, StepKey};
use crate::domain::incident::event::Recorded;

/// How often the store is polled for events of other processes.
pub const POLL: Duration = Duration::from_millis(250);
/// How many updates a slow subscriber may be behind before it misses live lines. It never misses events.
const BACKLOG: usize = 1_024;

/// One update of a subscription.
#[derive(Debug, Clone, PartialEq)]
pub enum IncidentUpdate {
    /// Durable events, in order.
    Events(Vec<Recorded>),
    /// A line that a running step has printed, redacted. It is not recorded, and only the process that runs the step gets it.
    Line {
        /// The run.
        run: RunId,
        /// The step.
        step: StepKey,
        /// The line, which may hold control characters.
        text: String,
    },
}

/// A notification within this process.
#[derive(Debug, Clone)]
pub(super) enum Hint {
    /// These consecutive events are durable.
    Appended(Arc<[Recorded]>),
    /// A step has printed a line.
    Line(RunId, StepKey, String),
}

/// Notifies the subscribers of this process. Other processes poll the store.
#[derive(Debug)]
pub(super) struct Publisher {
    hints: broadcast::Sender<(IncidentId, Hint)>,
}

impl Publisher {
    pub(super) fn new() -> Self {
        Self { hints: broadcast::Sender::new(BACKLOG) }
    }

    pub(super) fn publish(&self, incident: &IncidentId, hint: Hint) {
        // The only error is that there is no subscriber.
        let _ = self.hints.send((incident.clone(), hint));
    }

    pub(super) fn listen(&self) -> broadcast::Receiver<(IncidentId, Hint)> {
        self.hints.subscribe()
    }
}

/// The updates of one incident: those of this process at once, those of others within [`POLL`].
#[derive(Debug)]
pub struct Subscription {
    parts: Arc<Parts>,
    incident: IncidentId,
    after: u64,
    hints: broadcast::Receiver<(IncidentId, Hint)>,
    /// Whether the store may have events that were not delivered.
    stale: bool,
}

impl Subscription {
    pub(super) fn new(parts: Arc<Parts>, publisher: &Publisher, incident: IncidentId, after: u64) -> Self {
        Self { parts, incident, after, hints: publisher.listen(), stale: true }
    }

    /// Waits for the next update. Cancel-safe.
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
            if let Some(update) = self.follow_hint().await {
                return Ok(update);
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
            // Happens only when the engine has been dropped.
            Err(RecvError::Closed) => clock::sleep(&*self.parts.clock, POLL).await,
        }
        None
    }
}
