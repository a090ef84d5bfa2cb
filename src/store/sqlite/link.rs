//! One connection: opened when it is first needed, checked, and given up at the first error.
//!
//! What is asked over it is the business of its two users, the reader and the writer.
//!
//! **Invariant:** a connection on which something has failed is never used again, so no half-done transaction is left.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt as _;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqliteRow, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Executor, Row, Sqlite, SqliteConnection};

use super::fault::{damaged, fault, is_unfit};
use super::file::{APPLICATION_ID, FORMAT, SCHEMA, examine};
use crate::store::StoreError;

/// How long to wait for a lock of another process: longer than any transaction of ours takes on a slow disk.
const BUSY: Duration = Duration::from_secs(10);

/// SQLite's page cache for reading, in KiB: a fold reads each page once, so that more would only be idle memory.
const READER_CACHE_KIB: u32 = 512;

/// For writing: a batch of a storm touches the pages of a hundred streams and of as many names, again and again.
const WRITER_CACHE_KIB: u32 = 4 * 1024;

/// The journal is folded into the file when it has this many pages. In a storm most pages are written by every batch: the
/// longer the journal, the fewer times each is copied. More would make a start after a crash slow, which reads it whole.
const JOURNAL_PAGES: u32 = 4_000;

/// Rows between SQLite's thread and ours: fewer hand-overs when a long stream is read.
const ROWS_AHEAD: usize = 256;

/// The largest journal that is kept after a checkpoint, in bytes: what a thousand pages come to, which is enough between
/// storms.
pub(super) const JOURNAL_KEPT: u32 = 4 * 1024 * 1024;

/// A query with its values.
pub(super) type Question = Query<'static, Sqlite, SqliteArguments>;

/// A connection that may not be open yet.
#[derive(Debug)]
pub(super) struct Link {
    path: PathBuf,
    options: SqliteConnectOptions,
    /// What the connection is told when it has been opened.
    setup: &'static str,
    connection: Option<SqliteConnection>,
}

impl Link {
    /// For reading.
    pub(super) fn reader(path: &Path) -> Self {
        Self::new(path, options(path, READER_CACHE_KIB).read_only(true), "")
    }

    /// For writing.
    pub(super) fn writer(path: &Path) -> Self {
        Self::new(path, options(path, WRITER_CACHE_KIB), super::batch::APPENDS)
    }

    fn new(path: &Path, options: SqliteConnectOptions, setup: &'static str) -> Self {
        Self { path: path.to_owned(), options, setup, connection: None }
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// All rows that the answer has.
    pub(super) async fn ask(&mut self, question: Question) -> Result<Vec<SqliteRow>, StoreError> {
        let connection = self.open().await?;
        let answer = question.fetch_all(&mut *connection).await;
        answer.map_err(|error| self.give_up(&error))
    }

    /// Does a statement that is a transaction by itself, unless a value that it compares turns out to be another; says
    /// whether it was done. Its one answer comes after the commit, so that it is handed over once.
    pub(super) async fn try_to(&mut self, statement: Question) -> Result<bool, StoreError> {
        let connection = self.open().await?;
        let done = connection.fetch_many(statement).next().await;
        match done {
            None | Some(Ok(_)) => Ok(true),
            Some(Err(error)) if is_unfit(&error) => Ok(false),
            Some(Err(error)) => Err(self.give_up(&error)),
        }
    }

    /// Closes the connection; the last one to close folds the journal into the file.
    pub(super) async fn close(&mut self) -> Result<(), StoreError> {
        match self.connection.take() {
            None => Ok(()),
            Some(connection) => connection.close().await.map_err(|error| fault(&self.path, &error)),
        }
    }

    fn give_up(&mut self, error: &sqlx::Error) -> StoreError {
        self.connection = None;
        fault(&self.path, error)
    }

    async fn open(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        if self.connection.is_none() {
            // The file is looked at before SQLite is, which would make an empty one or repair another's.
            examine(&self.path)?;
            let mut connection = self.options.connect().await.map_err(|error| fault(&self.path, &error))?;
            recognise(&self.path, &mut connection).await?;
            let told = sqlx::raw_sql(self.setup).execute(&mut connection).await;
            told.map_err(|error| fault(&self.path, &error))?;
            self.connection = Some(connection);
        }
        Ok(self.connection.as_mut().expect("it was opened above"))
    }
}

fn options(path: &Path, cache: u32) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .foreign_keys(true)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY)
        .row_buffer_size(ROWS_AHEAD)
        .pragma("cache_size", format!("-{cache}"))
        .pragma("wal_autocheckpoint", JOURNAL_PAGES.to_string())
        .pragma("journal_size_limit", JOURNAL_KEPT.to_string())
        // Damaged pages are noticed when they are read, not when they are believed.
        .pragma("cell_size_check", "ON")
        // A schema that somebody tampered with must not call functions.
        .pragma("trusted_schema", "OFF")
        // On macOS, `fsync` alone does not reach the disk.
        .pragma("fullfsync", "ON")
        .disable_statement_logging()
}

/// Refuses a database whose tables are not exactly those of the format.
async fn recognise(path: &Path, connection: &mut SqliteConnection) -> Result<(), StoreError> {
    const IDENTITY: &str = "SELECT (SELECT application_id FROM pragma_application_id), \
        (SELECT user_version FROM pragma_user_version), (SELECT journal_mode FROM pragma_journal_mode), \
        (SELECT group_concat(sql, ';' ORDER BY rowid) FROM sqlite_schema WHERE sql IS NOT NULL)";
    let row = sqlx::query(IDENTITY).fetch_one(connection).await.map_err(|error| fault(path, &error))?;
    let read = || -> Result<(u32, u32, String, String), sqlx::Error> {
        Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?))
    };
    let (application, format, journal, schema) = read().map_err(|error| fault(path, &error))?;
    if application != APPLICATION_ID || format != FORMAT {
        return Err(damaged(path, "the file has changed while it was opened"));
    }
    if journal != "wal" {
        return Err(damaged(path, &format!("the journal is in mode `{journal}` instead of `wal`")));
    }
    if bare(&schema) != bare(SCHEMA) {
        return Err(damaged(path, "the tables are not those of a log"));
    }
    Ok(())
}

/// SQL without comments, pragmas and the space between words, for comparison.
fn bare(sql: &str) -> String {
    let lines = sql.lines().filter(|line| !line.starts_with("--") && !line.starts_with("PRAGMA"));
    lines.flat_map(str::split_whitespace).collect::<String>().replace(';', "")
}
