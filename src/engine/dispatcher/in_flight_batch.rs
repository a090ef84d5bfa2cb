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
    /// The report's number in the batch, and the alert's number in the report.
    pub(super) job: usize,
    pub(super) place: usize,
    pub(super) alert: Arc<Alert>,
    /// The firing, if it is known already.
    pub(super) key: Option<AlertKey>,
}

type ReportReply = oneshot::Sender<Result<Vec<Received>, String>>;

/// The result of each incident's proposal.
pub(super) type BatchResult = Vec<Result<Committed, StoreError>>;

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
    pub(super) tries: usize,
    pub(super) writing: Option<BoxFuture<'static, BatchResult>>,
}

/// The write of one incident in flight, and what is needed when it has committed.
pub(super) struct PendingUpdate {
    pub(super) slot: Slot,
    pub(super) id: IncidentId,
    pub(super) worker: Option<Worker>,
    pub(super) expected: u64,
    pub(super) keys: Vec<AlertKey>,
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
