//! A batch of reports that is being written: the replies to its senders, its writes, and the alerts to decide afterwards.

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
    /// The position of the report in the batch.
    pub(super) report: usize,
    /// The position of the alert in the report.
    pub(super) position: usize,
    pub(super) alert: Arc<Alert>,
    /// The firing, if it is already known.
    pub(super) key: Option<AlertKey>,
}

type ReportReply = oneshot::Sender<Result<Vec<Received>, String>>;

/// The result of each incident's proposal.
pub(super) type BatchResult = Vec<Result<Committed, StoreError>>;

/// A batch being written.
#[derive(Default)]
pub(super) struct InFlightBatch {
    replies: Vec<ReportReply>,
    /// The results of each report's alerts, if they are known.
    received: Vec<Vec<Option<Received>>>,
    /// The first error of each report that failed.
    errors: HashMap<usize, String>,
    pub(super) updates: Vec<PendingUpdate>,
    /// Alerts to decide when this batch has committed.
    pub(super) postponed: Vec<BatchItem>,
    /// How often its alerts were decided.
    pub(super) tries: usize,
    pub(super) writing: Option<BoxFuture<'static, BatchResult>>,
}

/// The data that is needed when the write of one incident has ended.
pub(super) struct PendingUpdate {
    pub(super) slot: Slot,
    pub(super) id: IncidentId,
    /// The worker of a new incident.
    pub(super) worker: Option<Worker>,
    /// The number of the last event before the write; 0 for a new incident.
    pub(super) expected: u64,
    /// The firings that the write registers.
    pub(super) keys: Vec<AlertKey>,
    pub(super) items: Vec<BatchItem>,
}

impl InFlightBatch {
    /// Adds a report with this many alerts.
    pub(super) fn add_reply(&mut self, reply: ReportReply, alerts: usize) {
        self.replies.push(reply);
        self.received.push(vec![None; alerts]);
    }

    /// Sets the result of one alert.
    pub(super) fn set_received(&mut self, report: usize, position: usize, received: Received) {
        self.received[report][position] = Some(received);
    }

    /// Marks a report as failed. The first error counts.
    pub(super) fn fail(&mut self, report: usize, error: &str) {
        self.errors.entry(report).or_insert_with(|| error.to_owned());
    }

    /// Sends the responses to all reports.
    pub(super) fn send_replies(mut self) {
        for (report, (reply, received)) in self.replies.into_iter().zip(self.received).enumerate() {
            let received = received.into_iter().flatten().collect();
            // A sender that has disconnected reports again.
            let _ = reply.send(self.errors.remove(&report).map_or(Ok(received), Err));
        }
    }
}
