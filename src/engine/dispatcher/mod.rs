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

use self::commit_queue::next_commit;
use self::in_flight_batch::{BatchResult, InFlightBatch};
use self::incident_index::IncidentIndex;
use self::scheduler::Scheduler;

mod alert_batch;
mod alert_routing;
mod commit_queue;
mod fallback_runbook;
mod in_flight_batch;
mod incident_index;
mod scheduler;
mod supervise;

/// Reports that may wait for their turn; who comes later waits for a place.
const QUEUE: usize = 1_024;

/// The most reports that are decided together: more would make the first wait for the last.
const BATCH: usize = 256;

/// Incidents that are worked on at the same time. Each may run several programs at once on a host that is in trouble
/// already; the others wait, the worst first.
pub const AT_WORK: usize = 16;

/// Incidents that are worked on besides those when they are P1: however many lesser ones wait for a channel that does not
/// answer, the worst waits for none of them.
pub const KEPT: usize = 16;

/// What the one on duty needs besides the engine.
pub struct DispatcherConfig {
    /// 32 random bits, for the ids of incidents.
    pub chance: fn() -> u32,
    /// Told of every incident that is opened, before that is durable.
    pub opening: Box<dyn Fn(&IncidentId) + Send + Sync>,
    /// Whether an incident that somebody else opened is this shop's.
    pub is_ours: Box<dyn Fn(&IncidentId) -> bool + Send>,
    /// The file that says since when schedules are in force; without one that is known to this process alone.
    pub schedules: Option<std::path::PathBuf>,
}

/// What became of one alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Received {
    /// It opened an incident.
    Opened(IncidentId),
    /// It joined one.
    Joined(IncidentId),
    /// It is known.
    Repeated(IncidentId),
    /// It marked one as resolved.
    Resolved(IncidentId),
    /// It is the end of something that never began here.
    Unheard,
}

/// What has been counted, for who watches this process.
#[derive(Debug, Default)]
pub struct DispatcherMetrics {
    /// Incidents that are live.
    pub live: AtomicU64,
    /// Incidents that are worked on.
    pub at_work: AtomicU64,
    /// Incidents that were opened by alerts.
    pub opened: AtomicU64,
    /// Alerts that fire.
    pub firing: AtomicU64,
    /// Transactions that alerts were written in.
    pub batches: AtomicU64,
    /// Times that the log could not be written.
    pub refused: AtomicU64,
}

/// What one report asks for.
struct ReportJob {
    alerts: Vec<Alert>,
    /// The sender of whom these are all that fire: what else of it is known to fire is over.
    whole_of: Option<String>,
    reply: oneshot::Sender<Result<Vec<Received>, String>>,
}

/// The door to the one on duty; clones lead to the same.
#[derive(Debug, Clone)]
pub struct Dispatcher {
    jobs: mpsc::Sender<ReportJob>,
    figures: Arc<DispatcherMetrics>,
}

impl std::fmt::Debug for ReportJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Job")
    }
}

impl Dispatcher {
    /// Takes up duty: reads every live incident, then begins. Ends when `stop` is cancelled, after what is being done
    /// has been parked.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn begin(
        engine: Engine,
        terms: DispatcherConfig,
        stop: CancellationToken,
    ) -> Result<(Self, JoinHandle<()>), EngineError> {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let figures = Arc::new(DispatcherMetrics::default());
        let mut officer = DispatcherTask {
            hints: engine.hub.listen(),
            incidents: IncidentIndex::default(),
            flights: VecDeque::new(),
            rota: Scheduler::new(terms.schedules.as_deref()),
            workers: JoinSet::new(),
            seen: None,
            figures: Arc::clone(&figures),
            stop,
            engine,
            terms,
        };
        officer.read_live_incidents().await?;
        officer.run_schedules().await;
        let task = tokio::spawn(officer.serve(queue));
        Ok((Self { jobs, figures }, task))
    }

    /// Takes alerts; what became of each, in their order, once it is durable.
    ///
    /// # Errors
    /// Why it is not durable, in words. Reporting the same again is harmless.
    pub async fn report(&self, alerts: Vec<Alert>) -> Result<Vec<Received>, String> {
        self.ask(alerts, None).await
    }

    /// Takes all that fires at a sender: what else of it is known to fire is over.
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

    /// What has been counted.
    pub fn figures(&self) -> &DispatcherMetrics {
        &self.figures
    }
}

/// The one on duty.
struct DispatcherTask {
    engine: Engine,
    terms: DispatcherConfig,
    incidents: IncidentIndex,
    rota: Scheduler,
    hints: broadcast::Receiver<(IncidentId, Hint)>,
    /// Batches of reports that are being written, in their order.
    flights: VecDeque<InFlightBatch>,
    workers: JoinSet<(IncidentId, Result<Stop, EngineError>)>,
    /// Up to where the log has been looked at for what others wrote.
    seen: Option<u64>,
    figures: Arc<DispatcherMetrics>,
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
            let next = [self.incidents.wake_at(), self.rota.wake_at()].into_iter().flatten().min();
            let next = next.unwrap_or(Timestamp::MAX_UTC).max(clock.now());
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                written = next_commit(&mut self.flights) => self.batch_written(written).await,
                count = queue.recv_many(&mut jobs, BATCH), if self.has_capacity() => {
                    if count == 0 { break }
                    if count > 1 || !self.flights.is_empty() {
                        // Whoever is about to report shares the transaction.
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
        while !self.flights.is_empty() {
            let written = next_commit(&mut self.flights).await;
            self.batch_written(written).await;
        }
        // Every worker has the same token, and parks what it does.
        stop.cancel();
        while self.workers.join_next().await.is_some() {}
    }

    /// The first batch has been written: what could not be written as it was decided is decided again.
    async fn batch_written(&mut self, written: BatchResult) {
        if let Some((flight, again)) = self.committed(written).await {
            self.prepare_batch(flight, again).await;
        }
    }

    /// Keeps what is kept of an incident in step with what this process has written.
    fn follow_hint(&mut self, hint: Result<(IncidentId, Hint), broadcast::error::RecvError>) {
        match hint {
            Ok((id, Hint::Appended(events))) => self.incidents.follow(&id, &events),
            Ok((_, Hint::Line(..))) => {}
            // What was missed is read when the log is looked through.
            Err(_) => self.seen = None,
        }
    }

    /// Hears what has been told meanwhile as well.
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
        self.figures.live.store(self.incidents.len() as u64, Ordering::Relaxed);
        self.figures.at_work.store(self.workers.len() as u64, Ordering::Relaxed);
        self.figures.firing.store(self.incidents.firing() as u64, Ordering::Relaxed);
    }
}
