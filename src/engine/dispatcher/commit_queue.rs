//! Batches being written to the log. While one is written, the next is prepared.
//!
//! Batches commit in submission order; only then do their actions start and their senders get a response.
//!
//! **Invariant:** an incident is in one batch at a time, so no decision rests on state that may not become durable. Work for
//! an incident in flight waits until its batch has committed, and runs before anything that arrived later.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::future::{pending, ready};
use std::sync::atomic::Ordering;

use futures_util::future::{BoxFuture, poll_immediate};
use tokio::sync::oneshot;

use super::alert_batch::{BatchItem, key_of};
use super::incident_index::Slot;
use super::{DispatcherTask, Received};
use crate::domain::core::id::IncidentId;
use crate::engine::Engine;
use crate::engine::commit::{CONFLICT_LIMIT, Committed, PreparedWrite};
use crate::engine::worker::Worker;
use crate::store::StoreError;

/// Batches in flight: one being written, and one queued behind it.
const AT_ONCE: usize = 2;

type ReportReply = oneshot::Sender<Result<Vec<Received>, String>>;

/// The result of each incident's proposal.
type BatchResult = Vec<Result<Committed, StoreError>>;

/// A batch being written.
#[derive(Default)]
pub(super) struct InFlightBatch {
    replies: Vec<ReportReply>,
    /// The responses to each report, as far as they are known.
    received: Vec<Vec<Option<Received>>>,
    trouble: HashMap<usize, String>,
    pub(super) postings: Vec<PendingUpdate>,
    /// Alerts to decide when this batch has committed.
    pub(super) later: Vec<BatchItem>,
    tries: usize,
    writing: Option<BoxFuture<'static, BatchResult>>,
}

/// The write of one incident in flight, and what is needed when it has committed.
pub(super) struct PendingUpdate {
    pub(super) slot: Slot,
    pub(super) id: IncidentId,
    pub(super) worker: Option<Worker>,
    pub(super) expected: u64,
    pub(super) keys: Vec<String>,
    pub(super) items: Vec<BatchItem>,
}

impl InFlightBatch {
    /// Adds a report with this many alerts.
    pub(super) fn add_reply(&mut self, reply: ReportReply, alerts: usize) {
        self.replies.push(reply);
        self.received.push(vec![None; alerts]);
    }

    pub(super) fn answers(&mut self, job: usize, place: usize, received: Received) {
        self.received[job][place] = Some(received);
    }

    /// Marks a report as failed. The first reason counts.
    pub(super) fn fail(&mut self, job: usize, why: &str) {
        self.trouble.entry(job).or_insert_with(|| why.to_owned());
    }

    /// Sends the responses to all reports.
    pub(super) fn send_replies(mut self) {
        for (job, (reply, received)) in self.replies.into_iter().zip(self.received).enumerate() {
            let received = received.into_iter().flatten().collect();
            // A sender that is gone reports again.
            let _ = reply.send(self.trouble.remove(&job).map_or(Ok(received), Err));
        }
    }
}

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
    /// Whether another batch fits, and no postponed alerts have to be decided first.
    pub(super) fn has_capacity(&self) -> bool {
        self.in_flight.len() < AT_ONCE && self.in_flight.iter().all(|batch| batch.later.is_empty())
    }

    /// Submits a batch to the store. If there is nothing to write, sends the replies at once.
    pub(super) async fn submit(&mut self, mut batch: InFlightBatch, batch: Vec<PreparedWrite>) {
        if batch.postings.is_empty() && batch.later.is_empty() {
            return batch.send_replies();
        }
        self.metrics.batches.fetch_add(u64::from(!batch.is_empty()), Ordering::Relaxed);
        let engine = self.engine.clone();
        batch.writing =
            Some(if batch.is_empty() { Box::pin(ready(Vec::new())) } else { submit_writes(engine, batch).await });
        self.in_flight.push_back(batch);
    }

    /// The oldest batch has committed: continues its incidents, and decides failed writes and postponed alerts again.
    pub(super) async fn committed(&mut self, written: BatchResult) {
        let Some(mut batch) = self.in_flight.pop_front() else { return };
        let mut again = Vec::new();
        let mut behind = BTreeSet::new();
        for (posting, written) in std::mem::take(&mut batch.postings).into_iter().zip(written) {
            self.incidents.mark_committed(posting.slot);
            match written {
                Ok(committed) => self.mark_committed(posting, &committed),
                Err(error) => again.extend(self.conflicted(posting, error, &mut batch, &mut behind)),
            }
        }
        self.read_again(behind, &again, &mut batch).await;
        again.append(&mut batch.later);
        batch.tries += 1;
        if again.is_empty() {
            return batch.send_replies();
        }
        if batch.tries > CONFLICT_LIMIT {
            again.iter().for_each(|item| batch.fail(item.job, "the log was never at rest"));
            return batch.send_replies();
        }
        self.prepare_batch(batch, again).await;
    }

    /// Handles an incident's write that is durable.
    fn mark_committed(&mut self, posting: PendingUpdate, committed: &Committed) {
        let PendingUpdate { slot, id, worker, expected, .. } = posting;
        self.metrics.opened.fetch_add(u64::from(expected == 0), Ordering::Relaxed);
        let Some(mut worker) = worker else { return };
        if let Some(live) = self.incidents.get_mut(slot) {
            live.incident = worker.incident().clone();
        }
        worker.begun(committed);
        self.supervise(slot, id, worker);
    }

    /// Handles an incident's write that failed. Returns the alerts to decide again.
    fn conflicted(
        &mut self,
        posting: PendingUpdate,
        error: StoreError,
        batch: &mut InFlightBatch,
        behind: &mut BTreeSet<IncidentId>,
    ) -> Vec<BatchItem> {
        let PendingUpdate { slot, id, expected, keys, items, .. } = posting;
        if expected > 0 {
            keys.iter().filter_map(|key| key_of(key)).for_each(|key| self.incidents.forget(slot, &key));
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
                items.iter().for_each(|item| batch.fail(item.job, &error.to_string()));
                Vec::new()
            }
        }
    }

    /// Reloads incidents whose indexed state differs from the log.
    async fn read_again(&mut self, behind: BTreeSet<IncidentId>, again: &[BatchItem], batch: &mut InFlightBatch) {
        for id in behind {
            match self.read(&id).await {
                Ok(Some(_)) => continue,
                Ok(None) => {}
                Err(error) => again.iter().for_each(|item| batch.fail(item.job, &error.to_string())),
            }
            // State that was not written must not stay in the index.
            if let Some(slot) = self.incidents.slot(&id) {
                self.incidents.remove(slot);
                self.seen = None;
            }
        }
    }
}
