//! The single writer of a process, on its own thread. It commits all requests that arrived while the disk was busy in
//! one transaction.
//!
//! **Invariant:** a reply follows the commit. Each append of a batch is compared alone: a conflict fails only that
//! append, a disk failure fails all, and then nothing is written.

use std::thread;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::connection::LazyConnection;
use super::error::SqliteError;
use super::error_help::damaged;
use super::log_file::FORMAT;
use super::rows;
use super::transaction::{Batch, KnownState, write_lease};
use crate::domain::core::id::IncidentId;
use crate::domain::incident::event::Recorded;
use crate::store::codec::EncodedEvent;
use crate::store::lease::{LeaseRequest, decide, released};
use crate::store::{Lease, LeaseAnswer, StoreError, Write};

/// Requests that may wait; further callers wait for a slot.
const QUEUE: usize = 1024;

/// Requests in one transaction: more would delay the first too long.
const BATCH: usize = 256;

/// Events and names in one transaction, for the same reason.
const BATCH_EVENTS: usize = 2_000;

type WriterReply<T> = oneshot::Sender<Result<T, StoreError>>;

/// The result of one write.
type AppendResult = Result<Vec<Recorded>, StoreError>;

/// Writes of one request, waiting to be committed.
struct Append {
    writes: Vec<(Write, Vec<EncodedEvent>)>,
    reply: WriterReply<Vec<AppendResult>>,
}

enum WriterJob {
    Append(Append),
    /// Whether the log can be written. All that arrive together are answered by one write.
    Check(WriterReply<()>),
    Request(WriterRequest),
}

/// A request other than an append. It runs alone, after the appends that arrived with it.
enum WriterRequest {
    AcquireLease(LeaseRequest, WriterReply<LeaseAnswer>),
    ReleaseLease(Lease, WriterReply<()>),
    Close(WriterReply<()>),
}

/// A handle to the writer thread.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    jobs: mpsc::Sender<WriterJob>,
}

impl std::fmt::Debug for WriterJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WriterJob")
    }
}

impl Writer {
    /// Starts the thread. It ends when the last handle is dropped.
    pub(super) fn start(log: LazyConnection) -> Result<Self, StoreError> {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let writer = WriterThread { log, known: KnownState::default(), generation: 0, version: 0 };
        let thread = thread::Builder::new().name("log".to_owned()).spawn(move || writer.work(queue));
        thread
            .map_err(|error| StoreError::Unavailable(format!("no thread can be started to write the log: {error}")))?;
        Ok(Self { jobs })
    }

    /// The result of each write, or one error if nothing was written.
    pub(super) async fn append(
        &self,
        writes: Vec<(Write, Vec<EncodedEvent>)>,
    ) -> Result<Vec<AppendResult>, StoreError> {
        self.send(|reply| WriterJob::Append(Append { writes, reply })).await
    }

    pub(super) async fn acquire_lease(&self, request: LeaseRequest) -> Result<LeaseAnswer, StoreError> {
        self.send(|reply| WriterJob::Request(WriterRequest::AcquireLease(request, reply))).await
    }

    pub(super) async fn release(&self, lease: Lease) -> Result<(), StoreError> {
        self.send(|reply| WriterJob::Request(WriterRequest::ReleaseLease(lease, reply))).await
    }

    pub(super) async fn check_writable(&self) -> Result<(), StoreError> {
        self.send(WriterJob::Check).await
    }

    pub(super) async fn close(&self) -> Result<(), StoreError> {
        self.send(|reply| WriterJob::Request(WriterRequest::Close(reply))).await
    }

    async fn send<T>(&self, job: impl FnOnce(WriterReply<T>) -> WriterJob) -> Result<T, StoreError> {
        let ended = || StoreError::Unavailable("the log has been closed".to_owned());
        let (reply, result) = oneshot::channel();
        self.jobs.send(job(reply)).await.map_err(|_| ended())?;
        result.await.map_err(|_| ended())?
    }
}

struct WriterThread {
    log: LazyConnection,
    /// The state of the file at `version` on the connection `generation`.
    known: KnownState,
    /// See [`LazyConnection::generation`].
    generation: u64,
    /// SQLite's `data_version`. On one connection, only writes of other processes change it.
    version: u64,
}

impl WriterThread {
    fn work(mut self, mut queue: mpsc::Receiver<WriterJob>) {
        let mut jobs = Vec::new();
        while queue.blocking_recv_many(&mut jobs, BATCH) > 0 {
            let mut appends = Vec::new();
            let (mut requests, mut checks) = (Vec::new(), Vec::new());
            for job in jobs.drain(..) {
                match job {
                    WriterJob::Append(append) => appends.push(append),
                    WriterJob::Check(reply) => checks.push(reply),
                    WriterJob::Request(request) => requests.push(request),
                }
            }
            while !appends.is_empty() {
                let batch = appends.drain(..batch_length(&appends)).collect();
                self.commit(batch);
            }
            requests.into_iter().for_each(|request| self.serve(request));
            if !checks.is_empty() {
                self.check_writable(checks);
            }
        }
    }

    /// Answers every check by one write.
    fn check_writable(&mut self, checks: Vec<WriterReply<()>>) {
        // It writes the first page of the file with the number that is there.
        let format = format!("PRAGMA user_version = {FORMAT}");
        let written = self.log.change(|connection| Ok(connection.execute_batch(&format)?));
        for reply in checks {
            reply_with(reply, written.as_ref().copied().map_err(StoreError::copy));
        }
    }

    fn serve(&mut self, request: WriterRequest) {
        match request {
            WriterRequest::AcquireLease(request, reply) => reply_with(reply, acquire_lease(&mut self.log, request)),
            WriterRequest::ReleaseLease(lease, reply) => reply_with(reply, release_lease(&mut self.log, &lease)),
            WriterRequest::Close(reply) => reply_with(reply, self.log.close()),
        }
    }

    fn commit(&mut self, appends: Vec<Append>) {
        let mut replies = Vec::with_capacity(appends.len());
        let mut writes = Vec::new();
        for Append { writes: more, reply } in appends {
            replies.push((reply, more.len()));
            writes.extend(more);
        }
        match self.write(writes) {
            Ok(results) => {
                let mut results = results.into_iter();
                replies
                    .into_iter()
                    .for_each(|(reply, count)| reply_with(reply, Ok(results.by_ref().take(count).collect())));
            }
            Err(error) => {
                // The known state may include events that were not written.
                self.known = KnownState::default();
                replies.into_iter().for_each(|(reply, _)| reply_with(reply, Err(error.copy())));
            }
        }
    }

    /// Commits writes in one transaction. Returns the result of each.
    fn write(&mut self, writes: Vec<(Write, Vec<EncodedEvent>)>) -> Result<Vec<AppendResult>, StoreError> {
        let Self { log, known, generation, version } = self;
        let path = log.path().to_owned();
        if *generation != log.generation() {
            (*generation, *known) = (log.generation(), KnownState::default());
        }
        log.change(|connection| {
            let now = rows::number(connection, "PRAGMA data_version")?;
            if *version != now {
                (*version, *known) = (now, KnownState::default());
            }
            let mut batch = Batch::new(connection, known);
            let mut results = Vec::with_capacity(writes.len());
            for (write, prepared) in writes {
                results.push(match batch.add(&write, prepared) {
                    Err(SqliteError::Sql(error)) => return Err(error.into()),
                    // Damage elsewhere must not block a new incident; that is when the log is needed most.
                    Err(SqliteError::Damaged(why)) => Err(damaged(&path, &why)),
                    Err(SqliteError::Refused(error)) => Err(error),
                    Ok(recorded) => Ok(recorded),
                });
            }
            batch.write()?;
            Ok(results)
        })
    }
}

/// How many appends go into the next transaction; at least one.
fn batch_length(appends: &[Append]) -> usize {
    let mut events = 0;
    let fits = |append: &&Append| {
        events += append.writes.iter().map(|(write, prepared)| prepared.len() + write.keys.len()).sum::<usize>();
        events <= BATCH_EVENTS
    };
    appends.iter().take_while(fits).count().max(1)
}

/// Sends a reply. If the caller is gone the reply is lost, but the write is durable.
fn reply_with<T>(reply: WriterReply<T>, result: Result<T, StoreError>) {
    let _ = reply.send(result);
}

fn acquire_lease(log: &mut LazyConnection, request: LeaseRequest) -> Result<LeaseAnswer, StoreError> {
    log.change(|connection| {
        let answer = decide(read_lease(connection, &request.incident)?, request);
        if let LeaseAnswer::Held(lease) = &answer {
            write_lease(connection, lease)?;
        }
        Ok(answer)
    })
}

fn release_lease(log: &mut LazyConnection, lease: &Lease) -> Result<(), StoreError> {
    log.change(|connection| {
        let current = read_lease(connection, &lease.incident)?;
        match current.filter(|current| current.holder == lease.holder && current.epoch == lease.epoch) {
            Some(_) => write_lease(connection, &released(lease)),
            None => Ok(()),
        }
    })
}

/// The recorded lease. If there is none, verifies all leases, in case the incident id of this one is damaged.
pub(super) fn read_lease(connection: &Connection, incident: &IncidentId) -> Result<Option<Lease>, SqliteError> {
    const ONE: &str = "SELECT incident, holder, epoch, expires_at, seal FROM claims WHERE incident = ?1";
    const ALL: &str = "SELECT incident, holder, epoch, expires_at, seal FROM claims";
    let found = rows::one(connection, ONE, [incident.as_str()], rows::lease)?;
    if found.is_none() {
        rows::all(connection, ALL, [], rows::lease)?;
    }
    Ok(found)
}
