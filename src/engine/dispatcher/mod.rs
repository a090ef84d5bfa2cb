//! The dispatcher: one long-lived task that ingests alerts, starts scheduled runs and supervises a worker per live incident.
//!
//! Reports that arrive while the disk is busy are decided together and written in one transaction: the alert, the run that it
//! starts and the first intents of that run. Senders get a response once their report is durable. The dispatcher also
//! supervises every other live incident: it starts a worker when something is due, and none while only a person can continue.
//!
//! **Invariant:** a report is acknowledged only when it is in the log. Otherwise the sender gets an error, and can report again
//! without harm.
//!
//! **Invariant:** everything that the dispatcher has in memory can be read from the log, except the repetitions of a firing that
//! are not recorded yet.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::subscription::{Hint, POLL};
use super::{Engine, EngineError};
use crate::domain::alert::Alert;
use crate::domain::core::id::IncidentId;
use crate::domain::core::time::Timestamp;

use self::commit_queue::next_commit;
use self::in_flight_batch::{BatchResult, InFlightBatch};
use self::incident_index::IncidentIndex;
use self::scheduler::Scheduler;
use self::supervise::WorkerEnd;

mod alert_batch;
mod alert_routing;
mod commit_queue;
mod fallback_runbook;
mod in_flight_batch;
mod incident_index;
mod scheduler;
mod supervise;

/// The most reports in the queue. When it is full, senders wait.
const QUEUE_LIMIT: usize = 1_024;

/// The most reports in one batch: more would delay the first too long.
const BATCH_LIMIT: usize = 256;

/// The most workers at the same time. Each may run several programs, perhaps on a host that is already overloaded. Other
/// incidents wait, most severe first.
pub const WORKER_LIMIT: usize = 16;

/// Additional workers for P1 incidents. A P1 incident does not wait for less severe ones, even if all of these wait for a
/// channel that does not answer, as long as at most 16 P1 incidents need a worker.
pub const P1_WORKER_RESERVE: usize = 16;

/// The configuration and the callbacks of the dispatcher.
pub struct DispatcherConfig {
    /// 32 random bits, for incident ids.
    pub random_bits: fn() -> u32,
    /// Called for every incident that is about to be opened, before its first event is durable.
    pub before_open: Box<dyn Fn(&IncidentId) + Send + Sync>,
    /// Whether an incident that another process opened belongs to this project.
    pub is_ours: Box<dyn Fn(&IncidentId) -> bool + Send>,
    /// The file that records since when schedules are active. Without it, that is forgotten when the process ends.
    pub schedules: Option<std::path::PathBuf>,
}

/// The result of one alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Received {
    /// It opened an incident.
    Opened(IncidentId),
    /// It joined an incident.
    Joined(IncidentId),
    /// It repeated a known firing.
    Repeated(IncidentId),
    /// It resolved a firing.
    Resolved(IncidentId),
    /// It resolved a firing that is not in the log.
    Unheard,
}

/// Metrics for monitoring, updated by the dispatcher.
#[derive(Debug, Default)]
pub struct DispatcherMetrics {
    /// Live incidents.
    pub live: AtomicU64,
    /// Workers, and so incidents that are worked on.
    pub at_work: AtomicU64,
    /// Incidents opened by alerts.
    pub opened: AtomicU64,
    /// Firing alerts of live incidents.
    pub firing: AtomicU64,
    /// Transactions in which alerts were written.
    pub batches: AtomicU64,
    /// Incident writes that failed for any reason but a conflict.
    pub refused: AtomicU64,
}

struct ReportJob {
    alerts: Vec<Alert>,
    /// If set, `alerts` is the complete list of this sender's firing alerts, and its other firings are resolved.
    complete_for: Option<String>,
    reply: oneshot::Sender<Result<Vec<Received>, String>>,
}

/// A handle to the dispatcher; clones share it.
#[derive(Debug, Clone)]
pub struct Dispatcher {
    jobs: mpsc::Sender<ReportJob>,
    metrics: Arc<DispatcherMetrics>,
}

impl std::fmt::Debug for ReportJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReportJob")
    }
}

impl Dispatcher {
    /// Starts the dispatcher after reading every live incident. It ends when `stop` is cancelled, after its workers
    /// have detached.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn begin(
        engine: Engine,
        config: DispatcherConfig,
        stop: CancellationToken,
    ) -> Result<(Self, JoinHandle<()>), EngineError> {
        let (jobs, queue) = mpsc::channel(QUEUE_LIMIT);
        let metrics = Arc::new(DispatcherMetrics::default());
        let mut task = DispatcherTask {
            hints: engine.publisher.listen(),
            incidents: IncidentIndex::default(),
            in_flight: VecDeque::new(),
            scheduler: Scheduler::new(config.schedules.as_deref()),
            workers: JoinSet::new(),
            read_version: None,
            metrics: Arc::clone(&metrics),
            stop,
            engine,
            config,
        };
        task.read_live_incidents().await?;
        task.run_schedules().await;
        let task = tokio::spawn(task.serve(queue));
        Ok((Self { jobs, metrics }, task))
    }

    /// Reports alerts. Returns the result of each in order, once they are durable.
    ///
    /// # Errors
    /// The reason why they are not durable. The caller can report them again.
    pub async fn report(&self, alerts: Vec<Alert>) -> Result<Vec<Received>, String> {
        self.send_report(alerts, None).await
    }

    /// Reports the complete list of a sender's firing alerts. Its other firings are resolved.
    ///
    /// # Errors
    /// As [`Dispatcher::report`].
    pub async fn report_all_firing(&self, sender: &str, alerts: Vec<Alert>) -> Result<Vec<Received>, String> {
        self.send_report(alerts, Some(sender.to_owned())).await
    }

    async fn send_report(&self, alerts: Vec<Alert>, complete_for: Option<String>) -> Result<Vec<Received>, String> {
        let (reply, answer) = oneshot::channel();
        let ended = || "the dispatcher has stopped".to_owned();
        self.jobs.send(ReportJob { alerts, complete_for, reply }).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }

    /// The dispatcher's metrics, for monitoring.
    pub fn metrics(&self) -> &DispatcherMetrics {
        &self.metrics
    }
}

/// The task behind [`Dispatcher`].
struct DispatcherTask {
    engine: Engine,
    config: DispatcherConfig,
    incidents: IncidentIndex,
    scheduler: Scheduler,
    hints: broadcast::Receiver<(IncidentId, Hint)>,
    /// Batches being written, oldest first.
    in_flight: VecDeque<InFlightBatch>,
    workers: JoinSet<WorkerEnd>,
    /// The store's version when the events of other processes were last read.
    read_version: Option<u64>,
    metrics: Arc<DispatcherMetrics>,
    stop: CancellationToken,
}

impl DispatcherTask {
    async fn serve(mut self, mut queue: mpsc::Receiver<ReportJob>) {
        let mut jobs = Vec::new();
        let stop = self.stop.clone();
        let clock = Arc::clone(&self.engine.parts().clock);
        let mut poll_at = clock.now();
        loop {
            self.engine.refresh();
            self.run_schedules().await;
            self.start_workers().await;
            let next = [self.incidents.wake_at(), self.scheduler.wake_at()].into_iter().flatten().min();
            let next = next.unwrap_or(Timestamp::MAX_UTC).max(clock.now());
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                written = next_commit(&mut self.in_flight) => self.batch_written(written).await,
                count = queue.recv_many(&mut jobs, BATCH_LIMIT), if self.has_capacity() => {
                    if count == 0 { break }
                    if count > 1 || !self.in_flight.is_empty() {
                        // Lets other senders report, so that they share the transaction.
                        tokio::task::yield_now().await;
                    }
                    while jobs.len() < BATCH_LIMIT && let Ok(job) = queue.try_recv() { jobs.push(job) }
                    self.engine.refresh();
                    self.route_alerts(std::mem::take(&mut jobs)).await;
                }
                // A worker catches its panics, so that the task always returns.
                Some(Ok(end)) = self.workers.join_next(), if !self.workers.is_empty() => self.worker_ended(end),
                hint = self.hints.recv() => {
                    self.follow_hint(hint);
                    self.follow_remaining_hints();
                }
                () = clock.sleep_until(next.min(poll_at)) => {}
            }
            if clock.now() >= poll_at {
                if let Err(error) = self.read_live_incidents().await {
                    tracing::warn!(%error, "the log cannot be read");
                }
                poll_at = crate::domain::core::time::Span(POLL).after(clock.now());
            }
        }
        while !self.in_flight.is_empty() {
            let written = next_commit(&mut self.in_flight).await;
            self.batch_written(written).await;
        }
        // All workers share this token, and detach.
        stop.cancel();
        while self.workers.join_next().await.is_some() {}
    }

    /// Handles the end of the oldest batch's write. Alerts whose write conflicted are decided again.
    async fn batch_written(&mut self, written: BatchResult) {
        if let Some((batch, undecided)) = self.committed(written).await {
            self.prepare_batch(batch, undecided).await;
        }
    }

    /// Applies events that this process has written to the index.
    fn follow_hint(&mut self, hint: Result<(IncidentId, Hint), broadcast::error::RecvError>) {
        match hint {
            Ok((id, Hint::Appended(events))) => self.incidents.follow(&id, &events),
            Ok((_, Hint::Line(..))) => {}
            // Some hints were lost: the next poll reads the events from the log.
            Err(_) => self.read_version = None,
        }
    }

    /// Handles the hints that have queued up.
    fn follow_remaining_hints(&mut self) {
        loop {
            match self.hints.try_recv() {
                Ok(hint) => self.follow_hint(Ok(hint)),
                Err(broadcast::error::TryRecvError::Lagged(missed)) => {
                    self.follow_hint(Err(broadcast::error::RecvError::Lagged(missed)));
                }
                Err(_) => break,
            }
        }
    }

    fn now(&self) -> Timestamp {
        self.engine.parts().clock.now()
    }

    fn update_metrics(&self) {
        self.metrics.live.store(self.incidents.len() as u64, Ordering::Relaxed);
        self.metrics.at_work.store(self.workers.len() as u64, Ordering::Relaxed);
        self.metrics.firing.store(self.incidents.firing() as u64, Ordering::Relaxed);
    }
}
