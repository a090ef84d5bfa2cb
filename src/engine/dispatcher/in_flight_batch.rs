//! A batch of reports between the decision and the log: who waits for an answer, what is written, what is decided afterwards.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use super::Received;
use super::incident_index::Slot;
use crate::domain::alert::{Alert, AlertKey};
use crate::domain::core::id::IncidentId;
use crate::engine::commit::Committed;
use crate::engine::worker::Worker;
use crate::store::StoreError;

/// One alert of one report.
pub(super) struct BatchItem {
    /// The report, as its number in the batch, and which of its alerts this is.
    pub(super) job: usize,
    pub(super) place: usize,
    pub(super) alert: Arc<Alert>,
    /// The firing that it speaks of, where that is known without looking at it.
    pub(super) key: Option<AlertKey>,
}

type ReportReply = oneshot::Sender<Result<Vec<Received>, String>>;

/// What became of each incident's proposal.
pub(super) type BatchResult = Vec<Result<Committed, StoreError>>;

/// A batch on its way.
#[derive(Default)]
pub(super) struct InFlightBatch {
    replies: Vec<ReportReply>,
    /// The answers to each report, as far as they are known.
    received: Vec<Vec<Option<Received>>>,
    trouble: HashMap<usize, String>,
    pub(super) postings: Vec<PendingUpdate>,
    /// What is decided when this has landed.
    pub(super) later: Vec<BatchItem>,
    pub(super) tries: usize,
    pub(super) writing: Option<BoxFuture<'static, BatchResult>>,
}

/// An addition to an incident on its way: what is needed of it afterwards.
pub(super) struct PendingUpdate {
    pub(super) slot: Slot,
    pub(super) id: IncidentId,
    pub(super) worker: Option<Worker>,
    pub(super) expected: u64,
    pub(super) keys: Vec<AlertKey>,
    pub(super) items: Vec<BatchItem>,
}

impl InFlightBatch {
    /// Takes up a report of so many alerts.
    pub(super) fn add_reply(&mut self, reply: ReportReply, alerts: usize) {
        self.replies.push(reply);
        self.received.push(vec![None; alerts]);
    }

    pub(super) fn answers(&mut self, job: usize, place: usize, received: Received) {
        self.received[job][place] = Some(received);
    }

    /// Why a report cannot be answered with success; the first reason counts.
    pub(super) fn fail(&mut self, job: usize, why: &str) {
        self.trouble.entry(job).or_insert_with(|| why.to_owned());
    }

    /// Answers every report.
    pub(super) fn send_replies(mut self) {
        for (job, (reply, received)) in self.replies.into_iter().zip(self.received).enumerate() {
            let received = received.into_iter().flatten().collect();
            // Whoever has gone away reports again.
            let _ = reply.send(self.trouble.remove(&job).map_or(Ok(received), Err));
        }
    }
}
