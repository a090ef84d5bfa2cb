//! The log in an SQLite file, shared by any number of processes. Each has two connections.
//!
//! A dedicated thread writes; blocking tasks read. So no runtime thread waits for the disk. Nothing is cached: each
//! call sees what other processes wrote before it.
//!
//! **Invariant:** an append is atomic and returns after it is on disk (`synchronous=FULL`).
//!
//! **Invariant:** a damaged file is an error, never a shorter or different log. Data outside the hash chain has its own
//! checksums, and each stream's head names its last event.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use rusqlite::{Connection, params};

use super::chained_stream::{ChainWalk, check, report};
use super::codec::prepare;
use super::lease::{LeaseRequest, is_released};
use super::{Audit, EventStore, Lease, LeaseAnswer, StoreError, StreamSummary, UniqueName, Write};
use crate::domain::core::id::IncidentId;
use crate::domain::core::time::Timestamp;
use crate::domain::incident::event::Recorded;
use crate::sync::lock;

mod connection;
mod error;
mod error_help;
mod file_watch;
mod log_file;
mod rows;
mod shared_file;
mod transaction;
mod wal_check;
mod writer;

use self::connection::LazyConnection;
use self::error::SqliteError;
use self::rows::StreamRow;
use self::writer::Writer;

/// Files up to this size, in bytes, are checked for damage when they are opened; that takes a few milliseconds. In
/// larger files, damage is found by reads and by [`EventStore::inspect`].
const CHECKED_AT_OPENING: u64 = 8 * 1024 * 1024;

/// The log in a file. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Sqlite {
    path: PathBuf,
    reader: Arc<Mutex<LazyConnection>>,
    writer: Writer,
}

impl Sqlite {
    /// Opens the log at `path`. Creates it and its directory if missing.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref().to_owned();
        blocking(move || log_file::create_if_missing(&path).and_then(|()| Self::opened(path))).await
    }

    /// Opens the log at `path`; fails if it does not exist.
    pub async fn open_existing(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref().to_owned();
        blocking(move || Self::opened(path)).await
    }

    fn opened(path: PathBuf) -> Result<Self, StoreError> {
        let file = log_file::open_checked(&path)?;
        wal_check::check(&path)?;
        let mut reader = LazyConnection::reader(&path, file.identity());
        let size = file.size().map_err(|error| error_help::io_refusal(&path, &error))?;
        if size <= CHECKED_AT_OPENING {
            reader.query(|log| check_structure(log, "PRAGMA quick_check(1)"))?;
        } else {
            reader.query(|_| Ok(()))?;
        }
        let writer = Writer::start(LazyConnection::writer(&path, file.identity()))?;
        Ok(Self { path, reader: Arc::new(Mutex::new(reader)), writer })
    }

    /// Closes both connections. The last process to close checkpoints the WAL.
    pub async fn close(self) -> Result<(), StoreError> {
        self.with_reader(LazyConnection::close).await?;
        self.writer.close().await
    }

    /// Runs a query on a consistent snapshot of the log.
    async fn query<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, SqliteError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.with_reader(|reader| reader.query(query)).await
    }

    async fn with_reader<T: Send + 'static>(
        &self,
        query: impl FnOnce(&mut LazyConnection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let reader = Arc::clone(&self.reader);
        // A query that panics has written nothing, so the lock may be used after a panic.
        blocking(move || query(&mut lock(&reader))).await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(StoreError::Unavailable(format!("reading the log has stopped: {error}"))))
}

#[async_trait]
impl EventStore for Sqlite {
    async fn write(&self, mut write: Write) -> Result<Vec<Recorded>, StoreError> {
        let prepared = prepare(&mut write)?;
        let mut results = self.writer.append(vec![(write, prepared)]).await?;
        results.pop().unwrap_or_else(|| Err(StoreError::Unavailable("the log did not answer".to_owned())))
    }

    async fn write_all(&self, writes: Vec<Write>) -> Vec<Result<Vec<Recorded>, StoreError>> {
        let mut results = Vec::with_capacity(writes.len());
        let mut appends = Vec::with_capacity(writes.len());
        for mut write in writes {
            let prepared = prepare(&mut write).map(|prepared| appends.push((write, prepared)));
            results.push(prepared.map(|()| Vec::new()));
        }
        let mut written = match self.writer.append(appends).await {
            Ok(written) => written.into_iter(),
            Err(error) => return results.into_iter().map(|result| result.and(Err(error.copy()))).collect(),
        };
        for result in results.iter_mut().filter(|result| result.is_ok()) {
            if let Some(written) = written.next() {
                *result = written;
            }
        }
        results
    }

    async fn keys(&self, prefix: &str, limit: u32) -> Result<Vec<UniqueName>, StoreError> {
        // `~` sorts after every character that a name may have.
        const KEYS: &str = "SELECT key, incident, at, seal FROM keys \
            WHERE key >= ?1 AND key < ?1 || '~' ORDER BY key DESC LIMIT ?2";
        let prefix = prefix.to_owned();
        self.query(move |log| rows::all(log, KEYS, params![prefix, limit], rows::key)).await
    }

    async fn version(&self) -> Result<u64, StoreError> {
        let version = |log: &Connection| rows::number(log, "PRAGMA data_version");
        self.with_reader(move |reader| reader.query_without_transaction(version)).await
    }

    async fn live(&self) -> Result<Vec<StreamSummary>, StoreError> {
        const LIVE: &str =
            concat!("SELECT ", rows::stream_columns!(), " FROM streams WHERE live <> 0 ORDER BY incident");
        self.query(|log| {
            rows::check_counts(log)?;
            rows::all(log, LIVE, [], |row| Ok(rows::stream(row)?.head.summary))
        })
        .await
    }

    async fn read(&self, incident: &IncidentId, after: u64) -> Result<Vec<Recorded>, StoreError> {
        let incident = incident.clone();
        self.query(move |log| {
            let stream = find_stream(log, &incident)?;
            let found = stream.as_ref().map(|stream| rows::places(log, stream, after)).transpose()?;
            let places = found.iter().flat_map(|found| &found.places);
            let rows: Vec<_> = places.map(|place| rows::event(log, *place)).collect::<Result<_, _>>()?;
            let events = check(&incident, after, stream.as_ref().map(|stream| &stream.head), &rows)?;
            match found {
                Some(found) if !found.linked => {
                    Err(SqliteError::damaged(format!("incident `{incident}`: {}", rows::UNLINKED)))
                }
                _ => Ok(events),
            }
        })
        .await
    }

    async fn seq(&self, incident: &IncidentId) -> Result<u64, StoreError> {
        let incident = incident.clone();
        self.query(move |log| Ok(find_stream(log, &incident)?.map_or(0, |stream| stream.head.summary.seq))).await
    }

    async fn incidents(&self, limit: u32, offset: u32) -> Result<Vec<StreamSummary>, StoreError> {
        // Without its `Z`, an instant with fewer decimals sorts before one with more.
        const LIST: &str = concat!(
            "SELECT ",
            rows::stream_columns!(),
            " FROM streams ORDER BY rtrim(changed_at, 'Z') DESC, incident LIMIT ?1 OFFSET ?2"
        );
        self.query(move |log| {
            rows::check_counts(log)?;
            rows::all(log, LIST, [limit, offset], |row| Ok(rows::stream(row)?.head.summary))
        })
        .await
    }

    async fn find(&self, prefix: &str, limit: u32) -> Result<Vec<IncidentId>, StoreError> {
        // `{` follows `z`, the last character that an id can have.
        const FIND: &str = concat!(
            "SELECT ",
            rows::stream_columns!(),
            " FROM streams WHERE incident >= ?1 AND incident < ?1 || '{' AND substr(incident, 1, length(?1)) = ?1 \
            ORDER BY incident LIMIT ?2"
        );
        let prefix = prefix.to_owned();
        self.query(move |log| {
            let found = rows::all(log, FIND, params![prefix, limit], |row| Ok(rows::stream(row)?.head.summary.id))?;
            if found.is_empty() {
                rows::check_all_streams(log)?;
            }
            Ok(found)
        })
        .await
    }

    async fn acquire_lease(
        &self,
        incident: &IncidentId,
        holder: &str,
        gone: Option<&str>,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<LeaseAnswer, StoreError> {
        let (holder, gone) = (holder.to_owned(), gone.map(str::to_owned));
        self.writer.acquire_lease(LeaseRequest { incident: incident.clone(), holder, gone, now, until }).await
    }

    async fn lease(&self, incident: &IncidentId) -> Result<Option<Lease>, StoreError> {
        let incident = incident.clone();
        let lease = self.query(move |log| writer::read_lease(log, &incident)).await?;
        Ok(lease.filter(|lease| !is_released(lease)))
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        self.writer.release(lease.clone()).await
    }

    async fn audit(&self, incident: &IncidentId) -> Result<Audit, StoreError> {
        let incident = incident.clone();
        self.query(move |log| {
            let stream = find_stream(log, &incident)?;
            let mut walk = ChainWalk::new(&incident);
            let broken = match &stream {
                Some(stream) => check_events(log, stream, &mut walk)?,
                None => None,
            };
            let broken = broken.or_else(|| walk.check_end(stream.as_ref().map(|stream| &stream.head)).err());
            Ok(report(&walk, broken))
        })
        .await
    }

    async fn check_writable(&self) -> Result<(), StoreError> {
        self.writer.check_writable().await
    }

    async fn inspect(&self) -> Result<(), StoreError> {
        const EVENTS: &str = "SELECT count(*) FROM events";
        const NAMES: &str = "SELECT key, incident, at, seal FROM keys ORDER BY key";
        let path = self.path.clone();
        blocking(move || log_file::open_checked(&path).and_then(|_file| wal_check::check(&path))).await?;
        self.query(|log| {
            check_structure(log, "PRAGMA integrity_check(1)")?;
            let (events, place) = (rows::number(log, EVENTS)?, rows::last_numbers(log)?.place);
            if events != place {
                return Err(SqliteError::damaged(format!("there should be {place} events, but there are {events}")));
            }
            rows::all(log, NAMES, [], |row| rows::key(row).map(drop))?;
            rows::check_all_streams(log)
        })
        .await
    }
}

/// The stream of an incident. If there is none, checks that no stream is lost.
fn find_stream(log: &Connection, incident: &IncidentId) -> Result<Option<StreamRow>, SqliteError> {
    let stream = rows::stream_of(log, incident)?;
    if stream.is_none() {
        rows::check_all_streams(log)?;
    }
    Ok(stream)
}

/// Checks the events of a stream one by one, so that a long stream is never in memory as a whole. Returns where it
/// breaks.
fn check_events(
    log: &Connection,
    stream: &StreamRow,
    walk: &mut ChainWalk<'_>,
) -> Result<Option<(u64, String)>, SqliteError> {
    let found = rows::places(log, stream, 0)?;
    for place in &found.places {
        if let Err(broken) = walk.check_row(&rows::event(log, *place)?) {
            return Ok(Some(broken));
        }
    }
    let whole = walk.check_end(Some(&stream.head)).is_ok();
    Ok((whole && !found.linked).then(|| (stream.head.summary.seq, rows::UNLINKED.to_owned())))
}

/// Lets SQLite check the structure of the file.
fn check_structure(log: &Connection, pragma: &str) -> Result<(), SqliteError> {
    let verdict: String = log.query_row(pragma, [], |row| row.get(0))?;
    if verdict == "ok" { Ok(()) } else { Err(SqliteError::damaged(verdict.replace('\n', " "))) }
}
