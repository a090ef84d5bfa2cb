//! Where the log lives: one append-only stream an incident, one file a backend.
//!
//! The store knows nothing of what events mean: it keeps bytes in order, chained by hash, and says
//! `Conflict` to whoever comes second.
//!
//! **Invariant:** `append` is all or nothing and durable when it returns; event `n` of a stream is written once.

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

/// One write: all of it or nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Write {
    /// The stream.
    pub incident: IncidentId,
    /// The number that the writer believes to be the last; 0 for a new stream.
    pub expected: u64,
    /// What is appended.
    pub drafts: Vec<NewEvent>,
    /// Names that are given to this incident with the events, each of which nobody may have been given before.
    pub keys: Vec<String>,
    /// The claim that a new stream begins with.
    pub claim: Option<InitialLease>,
    /// Whether anything may be owed afterwards without a further event: such streams are found by [`EventStore::live`].
    pub live: bool,
}

/// Who holds a new stream from its first event on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitialLease {
    /// The holder.
    pub holder: String,
    /// Until when.
    pub until: Timestamp,
}

/// A name that was given to an incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UniqueName {
    /// The name.
    pub key: String,
    /// Whose it is.
    pub incident: IncidentId,
    /// When it was given.
    pub at: Timestamp,
}

impl Write {
    /// Events after number `expected` and nothing else, in a stream of which something may still be owed.
    pub fn of(incident: &IncidentId, expected: u64, drafts: Vec<NewEvent>) -> Self {
        Self { incident: incident.clone(), expected, drafts, keys: Vec::new(), claim: None, live: true }
    }
}

/// One line of the list of incidents, kept by the store beside the stream so that listing folds nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The incident.
    pub id: IncidentId,
    /// Its last event's number.
    pub seq: u64,
    /// When the first event was recorded.
    pub opened_at: Timestamp,
    /// When the last event was recorded.
    pub changed_at: Timestamp,
    /// Whether its last writer said that something may still be owed.
    pub live: bool,
}

/// The right to work on an incident for a while. It saves work; `append`'s comparison is what keeps order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The incident.
    pub incident: IncidentId,
    /// Who holds it: unique to the process.
    pub holder: String,
    /// Higher by one with every new holder.
    pub epoch: u64,
    /// When it lapses unless it is renewed.
    pub expires_at: Timestamp,
}

/// What a claim attempt meets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseAnswer {
    /// It is ours.
    Held(Lease),
    /// Somebody else's is still good.
    Taken(Lease),
}

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else was first: read and decide again.
    #[error("event {expected} was to follow, but the stream is at {actual}")]
    Conflict {
        /// The sequence number that the caller believed to be the last.
        expected: u64,
        /// The one that is.
        actual: u64,
    },
    /// A name that was to be given is somebody's already: nothing was written.
    #[error("`{key}` is incident `{incident}`'s already")]
    Taken {
        /// The name.
        key: String,
        /// Whose it is.
        incident: IncidentId,
    },
    /// The log was changed behind our back, or the file is damaged.
    #[error("the log is damaged: {0}")]
    Damaged(String),
    /// Full, locked, or not permitted: nothing was written.
    #[error("the log cannot be written or read: {0}")]
    Unavailable(String),
    /// Something outside is larger than we take.
    #[error("{0}")]
    TooLarge(String),
}

impl StoreError {
    /// The same error once more: one trouble of the disk is the answer to everybody whose write it was.
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::Conflict { expected, actual } => Self::Conflict { expected: *expected, actual: *actual },
            Self::Taken { key, incident } => Self::Taken { key: key.clone(), incident: incident.clone() },
            Self::Damaged(why) => Self::Damaged(why.clone()),
            Self::Unavailable(why) => Self::Unavailable(why.clone()),
            Self::TooLarge(why) => Self::TooLarge(why.clone()),
        }
    }
}

/// Where a stream's chain stands or breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// The incident.
    pub incident: IncidentId,
    /// How many events were read.
    pub events: u64,
    /// The hash of the last good event, in hex.
    pub head: String,
    /// The first event that does not fit, and why.
    pub broken: Option<(u64, String)>,
}

/// A place for logs.
#[async_trait]
pub trait EventStore: std::fmt::Debug + Send + Sync {
    /// Appends events, gives names and takes a claim, all of it or nothing; returns the events with their numbers.
    async fn write(&self, write: Write) -> Result<Vec<Recorded>, StoreError>;

    /// Writes to many streams, each for itself, and says of each in their order what became of it. In one transaction where
    /// the backend can.
    async fn write_all(&self, writes: Vec<Write>) -> Vec<Result<Vec<Recorded>, StoreError>> {
        let mut answers = Vec::with_capacity(writes.len());
        for write in writes {
            answers.push(self.write(write).await);
        }
        answers
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

    /// The names that begin with `prefix`, the last in their order first, at most `limit`.
    async fn keys(&self, prefix: &str, limit: u32) -> Result<Vec<UniqueName>, StoreError>;

    /// A number that is another one when anything may have been written since, by whomever. Cheap.
    async fn version(&self) -> Result<u64, StoreError>;

    /// The incidents of which something may still be owed, in the order of their ids.
    async fn live(&self) -> Result<Vec<Summary>, StoreError>;

    /// The events after number `after`, in order; the chain is checked on the way.
    async fn read(&self, incident: &IncidentId, after: u64) -> Result<Vec<Recorded>, StoreError>;

    /// The number of the last event; 0 when there is none. Cheap: a waiting worker asks several times a second.
    async fn seq(&self, incident: &IncidentId) -> Result<u64, StoreError>;

    /// The incidents, the one changed last first, `limit` of them after skipping `offset`.
    async fn incidents(&self, limit: u32, offset: u32) -> Result<Vec<Summary>, StoreError>;

    /// The incidents whose id begins with `prefix`, at most `limit`.
    async fn find(&self, prefix: &str, limit: u32) -> Result<Vec<IncidentId>, StoreError>;

    /// Takes or renews the claim on an incident until `until`, unless somebody else's is still good at `now`.
    /// A holder in `gone` counts as lapsed: the caller knows that its process has ended.
    async fn claim(
        &self,
        incident: &IncidentId,
        holder: &str,
        gone: Option<&str>,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<LeaseAnswer, StoreError>;

    /// The claim on an incident, lapsed or not.
    async fn lease(&self, incident: &IncidentId) -> Result<Option<Lease>, StoreError>;

    /// Gives a claim back; nothing happens when it is no longer ours.
    async fn release(&self, claim: &Lease) -> Result<(), StoreError>;

    /// Reads a whole stream from its bytes and says where the chain breaks.
    async fn audit(&self, incident: &IncidentId) -> Result<Audit, StoreError>;

    /// Looks through the whole place for damage outside the streams, such as a stream that nothing leads to.
    async fn inspect(&self) -> Result<(), StoreError>;
}
