//! One connection: opened when it is first needed, checked, and given up at the first error.
//!
//! What is asked over it is the business of its two users, the reader and the writer. Everything here waits for the disk,
//! so it is called on threads that may.
//!
//! **Invariant:** a connection on which something has failed is never used again, so no half-done transaction is left.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::error::SqliteError;
use super::error_help::fault;
use super::log_file::{APPLICATION_ID, FORMAT, PAGE_SIZE, SCHEMA, examined};
use super::shared_file::{Database, SharedFile};
use crate::store::StoreError;

/// How long to wait for a lock of another process: longer than any transaction of ours takes on a slow disk.
const BUSY: Duration = Duration::from_secs(10);

/// SQLite's page cache for reading, in KiB: a fold reads each page once, so that more would only be idle memory.
const READER_CACHE_KIB: u32 = 512;

/// For writing: a batch of a storm touches the pages of a hundred streams and of as many names, again and again.
const WRITER_CACHE_KIB: u32 = 4 * 1024;

/// The journal is folded into the file when it has this many pages. In a storm every event is copied once for it, and the
/// ends of streams as often as it is done; more would make a start after a crash slow, which reads it whole.
const JOURNAL_PAGES: u32 = 1_000;

/// The largest journal that is kept after a checkpoint, in bytes: all of those pages, so that it does not have to be made
/// longer again, which would cost every commit another write of what the file system knows of it.
pub(super) const JOURNAL_KEPT: u32 = (JOURNAL_PAGES + JOURNAL_PAGES / 10) * (PAGE_SIZE + FRAME_HEADER);

/// What stands before each page in the journal, in bytes, from <https://www.sqlite.org/fileformat2.html>.
const FRAME_HEADER: u32 = 24;

/// Statements that are kept prepared: more than there are.
const STATEMENTS: usize = 32;

/// What a connection is for.
#[derive(Debug, Clone, Copy)]
enum Use {
    Reading,
    Writing,
}

/// A connection that may not be open yet.
#[derive(Debug)]
pub(super) struct LazyConnection {
    path: PathBuf,
    usage: Use,
    connection: Option<Database>,
}

impl LazyConnection {
    /// For reading.
    pub(super) fn reader(path: &Path) -> Self {
        Self { path: path.to_owned(), usage: Use::Reading, connection: None }
    }

    /// For writing.
    pub(super) fn writer(path: &Path) -> Self {
        Self { path: path.to_owned(), usage: Use::Writing, connection: None }
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Asks something, of a log as it is at one moment.
    pub(super) fn ask<T>(
        &mut self,
        question: impl FnOnce(&Connection) -> Result<T, SqliteError>,
    ) -> Result<T, StoreError> {
        self.within(TransactionBehavior::Deferred, question)
    }

    /// Changes something under the lock for writing: all of it, durably, or nothing.
    pub(super) fn change<T>(
        &mut self,
        change: impl FnOnce(&Connection) -> Result<T, SqliteError>,
    ) -> Result<T, StoreError> {
        self.within(TransactionBehavior::Immediate, change)
    }

    /// Asks something that is not about the log's contents, and outside of a transaction.
    pub(super) fn beside<T>(
        &mut self,
        question: impl FnOnce(&Connection) -> Result<T, SqliteError>,
    ) -> Result<T, StoreError> {
        let answer = question(self.open()?);
        self.worded(answer)
    }

    fn within<T>(
        &mut self,
        behavior: TransactionBehavior,
        work: impl FnOnce(&Connection) -> Result<T, SqliteError>,
    ) -> Result<T, StoreError> {
        let connection = self.open()?;
        let done = connection.transaction_with_behavior(behavior).map_err(SqliteError::Sql).and_then(|transaction| {
            // What fails is rolled back when the transaction is dropped.
            let done = work(&transaction)?;
            transaction.commit()?;
            Ok(done)
        });
        self.worded(done)
    }

    /// Closes the connection; the last one to close folds the journal into the file.
    pub(super) fn close(&mut self) -> Result<(), StoreError> {
        match self.connection.take() {
            None => Ok(()),
            Some(connection) => connection.close().map_err(|error| fault(&self.path, &error)),
        }
    }

    fn worded<T>(&mut self, answer: Result<T, SqliteError>) -> Result<T, StoreError> {
        answer.map_err(|trouble| {
            if matches!(trouble, SqliteError::Sql(_)) {
                self.connection = None;
            }
            trouble.worded(&self.path)
        })
    }

    fn open(&mut self) -> Result<&mut Database, StoreError> {
        if self.connection.is_none() {
            // The file is looked at before SQLite is, which would make an empty one or repair another's.
            let file = examined(&self.path)?;
            let opened = connect(&self.path, file, self.usage);
            self.connection = Some(self.worded(opened)?);
        }
        Ok(self.connection.as_mut().expect("it was opened above"))
    }
}

fn connect(path: &Path, file: SharedFile, usage: Use) -> Result<Database, SqliteError> {
    let (access, cache) = match usage {
        Use::Reading => (OpenFlags::SQLITE_OPEN_READ_ONLY, READER_CACHE_KIB),
        Use::Writing => (OpenFlags::SQLITE_OPEN_READ_WRITE, WRITER_CACHE_KIB),
    };
    let connection = Database::open(path, file, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Damaged pages are noticed when they are read, not when they are believed. A schema that somebody tampered with must
    // not call functions. On macOS, `fsync` alone does not reach the disk.
    connection.execute_batch(&format!(
        "PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; \
         PRAGMA cell_size_check = ON; PRAGMA cache_size = -{cache}; PRAGMA wal_autocheckpoint = {JOURNAL_PAGES}; \
         PRAGMA journal_size_limit = {JOURNAL_KEPT};"
    ))?;
    recognise(&connection)?;
    Ok(connection)
}

/// Refuses a database whose tables are not exactly those of the format.
fn recognise(connection: &Connection) -> Result<(), SqliteError> {
    const IDENTITY: &str = "SELECT (SELECT application_id FROM pragma_application_id), \
        (SELECT user_version FROM pragma_user_version), (SELECT journal_mode FROM pragma_journal_mode), \
        (SELECT group_concat(sql, ';' ORDER BY rowid) FROM sqlite_schema WHERE sql IS NOT NULL)";
    let identity = connection.query_row(IDENTITY, [], |row| {
        Ok((row.get::<_, u32>(0)?, row.get::<_, u32>(1)?, row.get::<_, String>(2)?, row.get::<_, Option<String>>(3)?))
    });
    let (application, format, journal, schema) = identity?;
    if application != APPLICATION_ID || format != FORMAT {
        return Err(SqliteError::damaged("the file has changed while it was opened"));
    }
    if journal != "wal" {
        return Err(SqliteError::damaged(format!("the journal is in mode `{journal}` instead of `wal`")));
    }
    if without_comments(&schema.unwrap_or_default()) != without_comments(SCHEMA) {
        return Err(SqliteError::damaged("the tables are not those of a log"));
    }
    Ok(())
}

/// SQL without comments, pragmas and the space between words, for comparison.
fn without_comments(sql: &str) -> String {
    let lines = sql.lines().filter(|line| !line.starts_with("--") && !line.starts_with("PRAGMA"));
    lines.flat_map(str::split_whitespace).collect::<String>().replace(';', "")
}
