//! The log in an SQLite file: two connections a process, any number of processes.
//!
//! Deliberately absent: anything kept in memory. What another process wrote a moment ago is what the next call sees.
//!
//! **Invariant:** an append returns after the disk has it (`synchronous=FULL`), and everything of it or nothing is there.
//! **Invariant:** a file that is damaged is an error and never a shorter or different log. What the hash chain does not
//! cover has a checksum of its own, and the two tables vouch for each other: the head of a stream names its last event.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use tokio::sync::Mutex;

use super::claim::{Wish, is_released};
use super::record::prepare;
use super::stream::{Head, Row, Walk, check, report};
use super::{Audit, Claim, Claiming, EventStore, Key, StoreError, Summary, Write};
use crate::domain::event::Recorded;
use crate::domain::id::IncidentId;
use crate::domain::time::Timestamp;

mod batch;
mod fault;
mod file;
mod link;
mod room;
mod row;
mod wal;
mod writer;

use link::{Link, Question};
use writer::Writer;

/// Files up to this size, in bytes, are searched for damage when they are opened: that takes a few milliseconds.
/// In larger ones damage is found where it is read, and by [`EventStore::inspect`].
const SEARCHED_AT_OPENING: u64 = 8 * 1024 * 1024;

/// Events that are read at a time: few hand-overs between threads, and 64 MiB when every event is as large as it may be.
const PAGE: u64 = 128;

/// The log in a file; clones share its connections.
#[derive(Debug, Clone)]
pub struct Sqlite {
    path: PathBuf,
    /// Which file `path` named when it was opened: device and number.
    identity: (u64, u64),
    reader: Arc<Mutex<Link>>,
    writer: Writer,
}

impl Sqlite {
    /// Opens the log at `path` and makes it, with its directory, when it is not there.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        file::make(path.as_ref()).await?;
        Self::open_existing(path).await
    }

    /// Opens the log at `path`, which must be there.
    pub async fn open_existing(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        file::examine(path)?;
        wal::examine(path)?;
        let mut reader = Link::reader(path);
        let found = std::fs::metadata(path).map_err(|error| fault::refused(path, &error))?;
        let (size, identity) = (found.len(), file::identity(&found));
        if size <= SEARCHED_AT_OPENING {
            search(&mut reader, "PRAGMA quick_check(1)").await?;
        } else {
            reader.ask(sqlx::query("SELECT 1")).await?;
        }
        let writer = Writer::start(Link::writer(path));
        Ok(Self { path: path.to_owned(), identity, reader: Arc::new(Mutex::new(reader)), writer })
    }

    /// Closes both connections, which folds the journal into the file unless another process still has it open.
    pub async fn close(self) -> Result<(), StoreError> {
        self.reader.lock().await.close().await?;
        self.writer.close().await
    }

    async fn ask(&self, question: Question) -> Result<Vec<SqliteRow>, StoreError> {
        self.reader.lock().await.ask(question).await
    }

    /// That no stream is gone, before some are listed.
    async fn count(&self) -> Result<(), StoreError> {
        let rows = self.ask(sqlx::query(row::COUNT)).await?;
        rows.first().map_or(Ok(()), |row| row::count(&self.path, row))
    }

    /// That a stream which was not found is not there.
    async fn miss(&self) -> Result<(), StoreError> {
        let rows = self.ask(sqlx::query(row::CENSUS)).await?;
        row::census(&self.path, &rows)
    }

    /// The stream's head and its rows from number `from` on, as they were at one moment; at most [`PAGE`] rows.
    async fn page(&self, incident: &IncidentId, from: u64) -> Result<(Option<Head>, Vec<Row>), StoreError> {
        const ROWS: &str = concat!(
            "SELECT ",
            row::stream_columns!(),
            " FROM streams WHERE incident = ?1 UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, NULL, ",
            row::packed_events!(),
            ", NULL FROM (SELECT place, at, body, hash FROM events \
            WHERE place >= (SELECT number << 20 FROM streams WHERE incident = ?1) + min(?2, 1048575) \
            AND place < (SELECT number + 1 << 20 FROM streams WHERE incident = ?1) ORDER BY place LIMIT ?3)"
        );
        let question = sqlx::query(ROWS).bind(incident.as_str().to_owned()).bind(signed(from)).bind(signed(PAGE));
        let mut head = None;
        let mut rows = Vec::new();
        for row in &self.ask(question).await? {
            if row.try_get_raw(row::SEAL).is_ok_and(|value| sqlx::ValueRef::is_null(&value)) {
                rows = row::events(&self.path, row)?;
            } else {
                head = Some(row::stream(&self.path, row)?.head);
            }
        }
        if head.is_none() {
            self.miss().await?;
        }
        Ok((head, rows))
    }

    async fn walk(&self, walk: &mut Walk<'_>) -> Result<Option<(u64, String)>, StoreError> {
        let incident = walk.incident().clone();
        loop {
            let (head, rows) = self.page(&incident, walk.seq() + 1).await?;
            if let Some(broken) = rows.iter().find_map(|row| walk.pass(row).err()) {
                return Ok(Some(broken));
            }
            // A page that is not full is the last, and its head belongs to the same moment.
            if (rows.len() as u64) < PAGE {
                return Ok(walk.end(head.as_ref()).err());
            }
        }
    }
}

#[async_trait]
impl EventStore for Sqlite {
    async fn write(&self, write: Write) -> Result<Vec<Recorded>, StoreError> {
        let prepared = prepare(&write)?;
        self.writer.append(write, prepared).await
    }

    async fn keys(&self, prefix: &str, limit: u32) -> Result<Vec<Key>, StoreError> {
        // `~` follows every character that a name may have.
        const KEYS: &str = "SELECT key, incident, at, seal FROM keys \
            WHERE key >= ?1 AND key < ?1 || '~' ORDER BY key DESC LIMIT ?2";
        let rows = self.ask(sqlx::query(KEYS).bind(prefix.to_owned()).bind(i64::from(limit))).await?;
        rows.iter().map(|row| row::key(&self.path, row)).collect()
    }

    async fn version(&self) -> Result<u64, StoreError> {
        let rows = self.ask(sqlx::query("PRAGMA data_version")).await?;
        let version = rows.first().map_or(Ok(0), |row| row.try_get::<i64, _>(0));
        let version = version.map_err(|error| fault::fault(&self.path, &error))?;
        Ok(u64::try_from(version).unwrap_or_default())
    }

    async fn live(&self) -> Result<Vec<Summary>, StoreError> {
        const LIVE: &str =
            concat!("SELECT ", row::stream_columns!(), " FROM streams WHERE live <> 0 ORDER BY incident");
        let rows = self.ask(sqlx::query(LIVE)).await?;
        self.count().await?;
        rows.iter().map(|row| row::stream(&self.path, row).map(|stream| stream.head.summary)).collect()
    }

    async fn read(&self, incident: &IncidentId, after: u64) -> Result<Vec<Recorded>, StoreError> {
        let mut rows: Vec<Row> = Vec::new();
        loop {
            let from = rows.last().map_or(after, |last| last.seq + 1);
            let (head, page) = self.page(incident, from).await?;
            let is_last = (page.len() as u64) < PAGE;
            rows.extend(page);
            // What stands in earlier pages never changes, so the head of the last belongs to them too.
            if is_last {
                return check(incident, after, head.as_ref(), &rows);
            }
        }
    }

    async fn seq(&self, incident: &IncidentId) -> Result<u64, StoreError> {
        const HEAD: &str = concat!("SELECT ", row::stream_columns!(), " FROM streams WHERE incident = ?1");
        let rows = self.ask(sqlx::query(HEAD).bind(incident.as_str().to_owned())).await?;
        match rows.first() {
            Some(row) => Ok(row::stream(&self.path, row)?.head.summary.seq),
            None => self.miss().await.map(|()| 0),
        }
    }

    async fn incidents(&self, limit: u32, offset: u32) -> Result<Vec<Summary>, StoreError> {
        // Without its `Z`, an instant with fewer decimals sorts before one with more.
        const LIST: &str = concat!(
            "SELECT ",
            row::stream_columns!(),
            " FROM streams ORDER BY rtrim(changed_at, 'Z') DESC, incident LIMIT ?1 OFFSET ?2"
        );
        let rows = self.ask(sqlx::query(LIST).bind(i64::from(limit)).bind(i64::from(offset))).await?;
        self.count().await?;
        rows.iter().map(|row| row::stream(&self.path, row).map(|stream| stream.head.summary)).collect()
    }

    async fn find(&self, prefix: &str, limit: u32) -> Result<Vec<IncidentId>, StoreError> {
        // `{` follows `z`, the last character that an id can have.
        const FIND: &str = concat!(
            "SELECT ",
            row::stream_columns!(),
            " FROM streams WHERE incident >= ?1 AND incident < ?1 || '{' AND substr(incident, 1, length(?1)) = ?1 \
            ORDER BY incident LIMIT ?2"
        );
        let rows = self.ask(sqlx::query(FIND).bind(prefix.to_owned()).bind(i64::from(limit))).await?;
        if rows.is_empty() {
            self.miss().await?;
        }
        rows.iter().map(|row| row::stream(&self.path, row).map(|stream| stream.head.summary.id)).collect()
    }

    async fn claim(
        &self,
        incident: &IncidentId,
        holder: &str,
        gone: Option<&str>,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Claiming, StoreError> {
        // A worker that waits comes here every few seconds: on a file that was removed it would wait for ever.
        file::is_still(&self.path, self.identity)?;
        let (holder, gone) = (holder.to_owned(), gone.map(str::to_owned));
        self.writer.claim(Wish { incident: incident.clone(), holder, gone, now, until }).await
    }

    async fn claimed(&self, incident: &IncidentId) -> Result<Option<Claim>, StoreError> {
        let claim = writer::claimed(&mut *self.reader.lock().await, incident).await?;
        Ok(claim.filter(|claim| !is_released(claim)))
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        self.writer.release(claim.clone()).await
    }

    async fn audit(&self, incident: &IncidentId) -> Result<Audit, StoreError> {
        let mut walk = Walk::new(incident);
        let broken = self.walk(&mut walk).await?;
        Ok(report(&walk, broken))
    }

    async fn inspect(&self) -> Result<(), StoreError> {
        file::examine(&self.path)?;
        wal::examine(&self.path)?;
        let mut reader = self.reader.lock().await;
        search(&mut reader, "PRAGMA integrity_check(1)").await?;
        const STRAY: &str =
            "SELECT DISTINCT place >> 20 FROM events WHERE place >> 20 NOT IN (SELECT number FROM streams)";
        if !reader.ask(sqlx::query(STRAY)).await?.is_empty() {
            return Err(fault::damaged(&self.path, "there are events of an incident that is not there"));
        }
        const NAMES: &str = "SELECT key, incident, at, seal FROM keys ORDER BY key";
        for row in reader.ask(sqlx::query(NAMES)).await? {
            row::key(&self.path, &row)?;
        }
        drop(reader);
        self.miss().await
    }
}

/// Lets SQLite look through the file's structure.
async fn search(link: &mut Link, pragma: &'static str) -> Result<(), StoreError> {
    let rows = link.ask(sqlx::query(pragma)).await?;
    let verdict: String = match rows.first() {
        None => String::new(),
        Some(row) => row.try_get(0).map_err(|error| fault::fault(link.path(), &error))?,
    };
    if verdict == "ok" { Ok(()) } else { Err(fault::damaged(link.path(), &verdict.replace('\n', " "))) }
}

/// SQLite's integers are signed; ours are far below the difference, except for "no limit".
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
