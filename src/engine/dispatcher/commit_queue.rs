//! The batches that are being written to the log. While one is written, the next is prepared.
//!
//! Batches commit in submission order. Their actions start, and their senders get a response, only after the commit.
//!
//! **Invariant:** an incident is in at most one batch in flight, so no decision is based on state that may not become durable.
//! An alert for an incident in flight waits until that batch has committed, and is decided before any later alert.

use std::collections::{BTreeSet, VecDeque};
use std::future::{pending, ready};
use std::sync::atomic::Ordering;

use futures_util::future::{BoxFuture, poll_immediate};

use super::DispatcherTask;
use super::in_flight_batch::{BatchItem, BatchResult, InFlightBatch, PendingUpdate};
use crate::domain::core::id::IncidentId;
use crate::engine::Engine;
use crate::engine::commit::{CONFLICT_LIMIT, Committed, PreparedWrite};
use crate::store::StoreError;

/// The most batches in flight: one is being written, and one waits behind it.
const IN_FLIGHT_LIMIT: usize = 2;

/// The result of the oldest batch in flight. Waits for ever if there is none.
pub(super) async fn next_commit(in_flight: &mut VecDeque<InFlightBatch>) -> BatchResult {
    match in_flight.front_mut().and_then(|batch| batch.writing.as_mut()) {
        Some(writing) => writing.await,
        None => pending().await,
    }
}

/// Passes a batch to the store at once, without waiting for the result.
async fn submit_writes(engine: Engine, batch: Vec<PreparedWrite>) -> BoxFuture<'static, BatchResult> {
    let mut writing: BoxFuture<'static, BatchResult> = Box::pin(engine.commit_all(batch));
    match poll_immediate(&mut writing).await {
        Some(written) => Box::pin(ready(written)),
        None => writing,
    }
}

impl DispatcherTask {
    /// Whether another batch may be prepared. Postponed alerts have to be decided first.
    pub(super) fn has_capacity(&self) -> bool {
        self.in_flight.len() < IN_FLIGHT_LIMIT && self.in_flight.iter().all(|batch| batch.postponed.is_empty())
    }

    /// Submits a batch to the store. If there is nothing to write, sends the replies at once.
    pub(super) async fn submit(&mut self, mut batch: InFlightBatch, writes: Vec<PreparedWrite>) {
        if batch.updates.is_empty() && batch.postponed.is_empty() {
            return batch.send_replies();
        }
        self.metrics.batches.fetch_add(u64::from(!writes.is_empty()), Ordering::Relaxed);
        let engine = self.engine.clone();
        batch.writing =
            Some(if writes.is_empty() { Box::pin(ready(Vec::new())) } else { submit_writes(engine, writes).await });
        self.in_flight.push_back(batch);
    }

    /// Handles the end of the oldest batch's write: starts workers for durable updates. Returns the batch, if some of its
    /// alerts have to be decided again.
    pub(super) async fn committed(&mut self, written: BatchResult) -> Option<(InFlightBatch, Vec<BatchItem>)> {
        let mut batch = self.in_flight.pop_front()?;
        let mut undecided = Vec::new();
        let mut behind = BTreeSet::new();
        for (update, written) in std::mem::take(&mut batch.updates).into_iter().zip(written) {
            self.incidents.mark_written(update.slot);
            match written {
                Ok(committed) => self.update_committed(update, &committed),
                Err(error) => undecided.extend(self.update_failed(update, error, &mut batch, &mut behind)),
            }
        }
        self.read_again(behind).await;
        undecided.append(&mut batch.postponed);
        batch.tries += 1;
        if undecided.is_empty() {
            batch.send_replies();
            return None;
        }
        if batch.tries > CONFLICT_LIMIT {
            let error = format!("{CONFLICT_LIMIT} conflicts with other processes; send the alerts again");
            undecided.iter().for_each(|item| batch.fail(item.report, &error));
            batch.send_replies();
            return None;
        }
        Some((batch, undecided))
    }

    /// Handles an incident's write that is durable.
    fn update_committed(&mut self, update: PendingUpdate, committed: &Committed) {
        let PendingUpdate { slot, id, worker, expected, .. } = update;
        self.metrics.opened.fetch_add(u64::from(expected == 0), Ordering::Relaxed);
        let Some(mut worker) = worker else { return };
        if let Some(live) = self.incidents.get_mut(slot) {
            live.incident = worker.incident().clone();
        }
        worker.first_write_committed(committed);
        self.supervise(slot, id, worker);
    }

    /// Handles an incident's write that failed. Returns the alerts to decide again.
    fn update_failed(
        &mut self,
        update: PendingUpdate,
        error: StoreError,
        batch: &mut InFlightBatch,
        behind: &mut BTreeSet<IncidentId>,
    ) -> Vec<BatchItem> {
        let PendingUpdate { slot, id, expected, keys, items, .. } = update;
        if expected > 0 {
            keys.iter().for_each(|key| self.incidents.forget(slot, key));
            behind.insert(id);
        } else {
            self.incidents.remove(slot);
        }
        match error {
            StoreError::Conflict { .. } => items,
            StoreError::Taken { incident, .. } => {
                behind.insert(incident);
                items
            }
            error => {
                self.metrics.refused.fetch_add(1, Ordering::Relaxed);
                items.iter().for_each(|item| batch.fail(item.report, &error.to_string()));
                Vec::new()
            }
        }
    }

    /// Reloads incidents whose indexed state differs from the log.
    async fn read_again(&mut self, behind: BTreeSet<IncidentId>) {
        for id in behind {
            if self.read(&id).await.is_some() {
                continue;
            }
            // State that was not written must not stay in the index.
            if let Some(slot) = self.incidents.slot(&id) {
                self.incidents.remove(slot);
                self.read_version = None;
            }
        }
    }
}
