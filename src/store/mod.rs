//! The log: one append-only stream of events per incident. Each backend is one module.
//!
//! The store does not interpret events. It keeps their bytes in order, chained by hash, and returns `Conflict` to the
//! second of two concurrent writers.
//!
//! **Invariant:** `append` is atomic, and durable when it returns. Event `n` of a stream is written once.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::domain::core::id::IncidentId;
use crate::domain::core::time::Timestamp;
use crate::domain::incident::event::Recorded;

mod chained_stream;
mod codec;
pub mod hash_chain;
mod lease;
pub mod memory;
pub mod sqlite;

pub use self::codec::NewEvent;

/// One atomic write to a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Write {
    pub incident: IncidentId,
    /// The number of the stream's last event as the writer knows it; 0 for a new stream.
    pub expected: u64,
    pub drafts: Vec<NewEvent>,
    /// Unique names to register for this incident with the events. If one is registered already, nothing is written.
    pub keys: Vec<String>,
    /// The lease that a new stream starts with.
    pub lease: Option<InitialLease>,
    /// Whether work may become due without a further event. [`EventStore::live`] lists such streams.
    pub live: bool,
}

/// The lease of a new stream, valid from its first event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitialLease {
    pub holder: String,
    pub until: Timestamp,
}

/// A unique name registered for an incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UniqueName {
    pub key: String,
    pub incident: IncidentId,
    /// When it was registered.
    pub at: Timestamp,
}

impl Write {
    /// Appends events after number `expected` and marks the stream as live.
    pub fn of(incident: &IncidentId, expected: u64, drafts: Vec<NewEvent>) -> Self {
        Self { incident: incident.clone(), expected, drafts, keys: Vec::new(), lease: None, live: true }
    }
}

/// One entry of the list of incidents. The store keeps it beside the stream, so that listing reads no events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamSummary {
    pub id: IncidentId,
    /// The number of the last event.
    pub seq: u64,
    /// When the first event was recorded.
    pub opened_at: Timestamp,
    /// When the last event was recorded.
    pub changed_at: Timestamp,
    /// Whether work may become due without a further event.
    pub live: bool,
}

/// The right to work on an incident until it expires. Leases avoid duplicate work; only the comparison in `append`
/// guarantees order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    pub incident: IncidentId,
    /// The holder; unique to a worker of a process.
    pub holder: String,
    /// Increases by one with every new holder.
    pub epoch: u64,
    /// When it expires unless it is renewed.
    pub expires_at: Timestamp,
}

/// The result of a request for a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseAnswer {
    Held(Lease),
    /// Another holder's lease is still valid.
    Taken(Lease),
}

/// Why the store refused a request.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another writer was first: read again and decide again.
    #[error("the caller expected the stream to end at event {expected}; it ends at {actual}")]
    Conflict {
        /// The number of the last event as the caller knew it.
        expected: u64,
        /// The number of the last event in the log.
        actual: u64,
    },
    /// A unique name is registered already; nothing was written.
    #[error("`{key}` is already registered for incident `{incident}`")]
    Taken {
        key: String,
        /// The incident that has it.
        incident: IncidentId,
    },
    /// The log was changed by something else, or the file is damaged.
    #[error("the log is damaged: {0}")]
    Damaged(String),
    /// Full, locked, moved or not permitted. If the disk failed during a commit, it is unknown whether the write is in
    /// the log; a new read shows it.
    #[error("the log cannot be written or read: {0}")]
    Unavailable(String),
    /// An event or an amount that exceeds a limit, or an event that could not be read back.
    #[error("{0}")]
    TooLarge(String),
}

impl StoreError {
    /// A copy of the error, for every writer of a failed transaction.
    pub(crate) fn copy(&self) -> Self {
        match self {
            Self::Conflict { expected, actual } => Self::Conflict { expected: *expected, actual: *actual },
            Self::Taken { key, incident } => Self::Taken { key: key.clone(), incident: incident.clone() },
            Self::Damaged(why) => Self::Damaged(why.clone()),
            Self::Unavailable(why) => Self::Unavailable(why.clone()),
            Self::TooLarge(why) => Self::TooLarge(why.clone()),
        }
    }
}

/// The result of checking a stream's hash chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    pub incident: IncidentId,
    pub events: u64,
    /// Hash of the last valid event, in hexadecimal.
    pub head: String,
    /// The first invalid event and the reason.
    pub broken: Option<(u64, String)>,
}

/// A backend for the log.
#[async_trait]
pub trait EventStore: std::fmt::Debug + Send + Sync {
    /// Appends events, registers names and takes a lease, in one atomic write. Returns the events with their numbers.
    async fn write(&self, write: Write) -> Result<Vec<Recorded>, StoreError>;

    /// Performs several independent writes, in one transaction if the backend can. Returns their results in order.
    async fn write_all(&self, writes: Vec<Write>) -> Vec<Result<Vec<Recorded>, StoreError>> {
        let mut results = Vec::with_capacity(writes.len());
        for write in writes {
            results.push(self.write(write).await);
        }
        results
    }

    /// Appends events after number `expected` (0 for a new stream) and returns them with their numbers.
    async fn append(
        &self,
        incident: &IncidentId,
        expected: u64,
        drafts: Vec<NewEvent>,
    ) -> Result<Vec<Recorded>, StoreError> {
        self.write(Write::of(incident, expected, drafts)).await
    }

    /// The registered names that begin with `prefix`, in descending order, at most `limit`.
    async fn keys(&self, prefix: &str, limit: u32) -> Result<Vec<UniqueName>, StoreError>;

    /// A number that changes when any process may have written. Cheap.
    async fn version(&self) -> Result<u64, StoreError>;

    /// The incidents for which work may become due without a further event, ordered by id.
    async fn live(&self) -> Result<Vec<StreamSummary>, StoreError>;

    /// The events after number `after`, in order. Checks their hash chain.
    async fn read(&self, incident: &IncidentId, after: u64) -> Result<Vec<Recorded>, StoreError>;

    /// The number of the last event; 0 if there is none. Cheap: a waiting worker calls it several times a second.
    async fn seq(&self, incident: &IncidentId) -> Result<u64, StoreError>;

    /// The incidents, most recently changed first: `limit` of them after skipping `offset`.
    async fn incidents(&self, limit: u32, offset: u32) -> Result<Vec<StreamSummary>, StoreError>;

    /// The incidents whose id begins with `prefix`, at most `limit`.
    async fn find(&self, prefix: &str, limit: u32) -> Result<Vec<IncidentId>, StoreError>;

    /// Takes or renews the lease on an incident until `until`, unless another holder's lease is valid at `now`. The
    /// lease of the holder `gone` counts as expired: the caller knows that its process has ended.
    async fn acquire_lease(
        &self,
        incident: &IncidentId,
        holder: &str,
        gone: Option<&str>,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<LeaseAnswer, StoreError>;

    /// The lease on an incident, expired or not.
    async fn lease(&self, incident: &IncidentId) -> Result<Option<Lease>, StoreError>;

    /// Releases a lease. Does nothing if the incident has another holder now.
    async fn release(&self, lease: &Lease) -> Result<(), StoreError>;

    /// Reads a whole stream and reports where its hash chain breaks.
    async fn audit(&self, incident: &IncidentId) -> Result<Audit, StoreError>;

    /// Whether a write would be durable now. Reaches the disk and changes nothing that can be read.
    async fn check_writable(&self) -> Result<(), StoreError>;

    /// Checks the whole log for damage outside the streams, such as a lost stream.
    async fn inspect(&self) -> Result<(), StoreError>;
}
