//! The dispatcher: one long-lived task that ingests alerts, starts scheduled runs and supervises a worker per live incident.
//!
//! Reports that arrive while the disk is busy are decided together and written in one transaction: the alert, the run that it
//! starts and the first intents of that run. Senders get a response once their report is durable. The dispatcher also
//! supervises every other live incident: it starts a worker for what is due, wakes up at the next deadline, and stays idle
//! while only a person can continue.
//!
//! **Invariant:** a report is acknowledged only when the log holds it. Otherwise the sender gets the error, and may report again
//! without harm.
//!
//! **Invariant:** the dispatcher holds nothing that the log does not, except the number of repetitions since the last recorded one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::subscription::{Hint, POLL};
use super::{Engine, EngineError, Stop};
use crate::domain::alert::Alert;
use crate::domain::core::id::IncidentId;
use crate::domain::core::time::Timestamp;

use self::commit_queue::{InFlightBatch, next_commit};
use self::incident_index::IncidentIndex;
use self::scheduler::Scheduler;

mod alert_batch;
mod alert_routing;
mod commit_queue;
mod fallback_runbook;
mod incident_index;
mod scheduler;
mod supervise;

/// Reports that may wait; further senders wait for a slot.
const QUEUE: usize = 1_024;

/// Reports decided together: more would delay the first too long.
const BATCH: usize = 256;

/// Workers at the same time. Each may run several programs, perhaps on a host that is overloaded already. Other
/// incidents wait, most severe first.
pub const WORKER_LIMIT: usize = 16;

/// Additional workers for P1 incidents. So a P1 never waits for less severe ones, even if all of them wait for a
/// channel that does not answer.
pub const P1_WORKER_RESERVE: usize = 16;

/// What the dispatcher needs besides the engine.
pub struct DispatcherConfig {
    /// 32 random bits, for incident ids.
    pub chance: fn() -> u32,
    /// Called with every incident to be opened, before its first event is durable.
    pub opening: Box<dyn Fn(&IncidentId) + Send + Sync>,
    /// Whether an incident that another process opened belongs to this project.
    pub is_ours: Box<dyn Fn(&IncidentId) -> bool + Send>,
    /// The file that records since when schedules are active. Without it, only this process knows.
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
    /// It resolved a firing that is not known here.
    Unheard,
}

/// Counters for monitoring, updated by the dispatcher.
#[derive(Debug, Default)]
pub struct DispatcherMetrics {
    pub live: AtomicU64,
    pub at_work: AtomicU64,
    /// Incidents opened by alerts.
    pub opened: AtomicU64,
    pub firing: AtomicU64,
    /// Transactions in which alerts were written.
    pub batches: AtomicU64,
    /// Incident writes that failed because the log could not be written.
    pub refused: AtomicU64,
}

struct ReportJob {
    alerts: Vec<Alert>,
    /// If set, `alerts` is the complete list of this sender's firing alerts. Its other firings are resolved.
    whole_of: Option<String>,
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
        f.write_str("Job")
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
        let (jobs, queue) = mpsc::channel(QUEUE);
        let metrics = Arc::new(DispatcherMetrics::default());
        let mut task = DispatcherTask {
            hints: engine.publisher.listen(),
            incidents: IncidentIndex::default(),
            in_flight: VecDeque::new(),
            scheduler: Scheduler::new(config.schedules.as_deref()),
            workers: JoinSet::new(),
            seen: None,
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
    /// Why they are not durable. Reporting them again is harmless.
    pub async fn report(&self, alerts: Vec<Alert>) -> Result<Vec<Received>, String> {
        self.ask(alerts, None).await
    }

    /// Reports the complete list of a sender's firing alerts. Its other firings are resolved.
    ///
    /// # Errors
    /// As [`Dispatcher::report`].
    pub async fn now_firing(&self, sender: &str, alerts: Vec<Alert>) -> Result<Vec<Received>, String> {
        self.ask(alerts, Some(sender.to_owned())).await
    }

    async fn ask(&self, alerts: Vec<Alert>, whole_of: Option<String>) -> Result<Vec<Received>, String> {
        let (reply, answer) = oneshot::channel();
        let ended = || "nobody is on duty any more".to_owned();
        self.jobs.send(ReportJob { alerts, whole_of, reply }).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }

    /// The dispatcher's counters, for monitoring.
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
    workers: JoinSet<(IncidentId, Result<Stop, EngineError>)>,
    /// The store's version when other processes' writes were last read.
    seen: Option<u64>,
    metrics: Arc<DispatcherMetrics>,
    stop: CancellationToken,
}

impl DispatcherTask {
    async fn serve(mut self, mut queue: mpsc::Receiver<ReportJob>) {
        let mut jobs = Vec::new();
        let stop = self.stop.clone();
        let clock = Arc::clone(&self.engine.parts().clock);
        let mut look_at = clock.now();
        loop {
            self.engine.refresh();
            self.run_schedules().await;
            self.start_workers().await;
            let next = [self.incidents.wake_at(), self.scheduler.wake_at()].into_iter().flatten().min();
            let next = next.unwrap_or(Timestamp::MAX_UTC).max(clock.now());
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                written = next_commit(&mut self.in_flight) => self.committed(written).await,
                count = queue.recv_many(&mut jobs, BATCH), if self.has_capacity() => {
                    if count == 0 { break }
                    if count > 1 || !self.in_flight.is_empty() {
                        // Other senders that are about to report share the transaction.
                        tokio::task::yield_now().await;
                    }
                    while jobs.len() < BATCH && let Ok(job) = queue.try_recv() { jobs.push(job) }
                    self.engine.refresh();
                    self.route_alerts(std::mem::take(&mut jobs)).await;
                }
                Some(ended) = self.workers.join_next(), if !self.workers.is_empty() => self.worker_ended(ended),
                hint = self.hints.recv() => {
                    self.follow_hint(hint);
                    self.follow_remaining_hints();
                }
                () = clock.sleep_until(next.min(look_at)) => {}
            }
            if clock.now() >= look_at {
                if let Err(error) = self.read_live_incidents().await {
                    tracing::warn!(%error, "the log cannot be looked through");
                }
                look_at = crate::domain::core::time::Span(POLL).after(clock.now());
            }
        }
        while !self.in_flight.is_empty() {
            let written = next_commit(&mut self.in_flight).await;
            self.committed(written).await;
        }
        // All workers share this token, and detach.
        stop.cancel();
        while self.workers.join_next().await.is_some() {}
    }

    /// Applies what this process wrote to the index.
    fn follow_hint(&mut self, hint: Result<(IncidentId, Hint), broadcast::error::RecvError>) {
        match hint {
            Ok((id, Hint::Appended(events))) => self.incidents.follow(&id, &events),
            Ok((_, Hint::Line(..))) => {}
            // Missed events are read with the live incidents.
            Err(_) => self.seen = None,
        }
    }

    /// Handles the hints that have queued up.
    fn follow_remaining_hints(&mut self) {
        loop {
            match self.hints.try_recv() {
                Ok(told) => self.follow_hint(Ok(told)),
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

    fn count(&self) {
        self.metrics.live.store(self.incidents.len() as u64, Ordering::Relaxed);
        self.metrics.at_work.store(self.workers.len() as u64, Ordering::Relaxed);
        self.metrics.firing.store(self.incidents.firing() as u64, Ordering::Relaxed);
    }
}
