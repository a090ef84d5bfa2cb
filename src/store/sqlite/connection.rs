//! One SQLite connection: opened and checked on first use, dropped after an SQLite error.
//!
//! All calls block on the disk, so they run on threads that may block. The reader and the writer decide what is asked.
//!
//! **Invariant:** a connection is never used again after an SQLite error, so no half-done transaction remains.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::error::SqliteError;
use super::error_help::fault;
use super::file_watch::FileWatch;
use super::log_file::{APPLICATION_ID, FORMAT, PAGE_SIZE, SCHEMA, examined};
use super::shared_file::{Database, FileIdentity, SharedFile, is_still};
use crate::store::StoreError;

/// Wait for another process's lock: longer than any of our transactions takes on a slow disk.
const BUSY: Duration = Duration::from_secs(10);

/// SQLite's page cache for reading, in KiB. A fold reads each page once, so more memory would be idle.
const READER_CACHE_KIB: u32 = 512;

/// The page cache for writing, in KiB. In an alert storm, one batch touches the pages of a hundred streams and as many
/// names again and again.
const WRITER_CACHE_KIB: u32 = 4 * 1024;

/// Pages in the WAL that trigger a checkpoint. Each checkpoint copies every event once. More pages would slow a start
/// after a crash, which reads the whole WAL.
const JOURNAL_PAGES: u32 = 1_000;

/// Bytes of the WAL that are kept after a checkpoint. Growing the file again would cost every commit a second write, of
/// file-system metadata.
pub(super) const JOURNAL_KEPT: u32 = (JOURNAL_PAGES + JOURNAL_PAGES / 10) * (PAGE_SIZE + FRAME_HEADER);

/// Bytes before each page in the WAL, from <https://www.sqlite.org/fileformat2.html>.
const FRAME_HEADER: u32 = 24;

/// Prepared statements that are cached; there are fewer.
const STATEMENTS: usize = 32;

#[derive(Debug, Clone, Copy)]
enum Use {
    Reading,
    Writing,
}

/// A connection that opens on first use.
#[derive(Debug)]
pub(super) struct LazyConnection {
    path: PathBuf,
    /// The file that was at `path` when the log was opened.
    file: FileIdentity,
    usage: Use,
    connection: Option<Database>,
    watch: FileWatch,
}

impl LazyConnection {
    pub(super) fn reader(path: &Path, file: FileIdentity) -> Self {
        Self::new(path, file, Use::Reading)
    }

    pub(super) fn writer(path: &Path, file: FileIdentity) -> Self {
        Self::new(path, file, Use::Writing)
    }

    fn new(path: &Path, file: FileIdentity, usage: Use) -> Self {
        Self { path: path.to_owned(), file, usage, connection: None, watch: FileWatch::new(path, file) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Runs a query on a consistent snapshot of the log.
    pub(super) fn ask<T>(
        &mut self,
        question: impl FnOnce(&Connection) -> Result<T, SqliteError>,
    ) -> Result<T, StoreError> {
        self.within(TransactionBehavior::Deferred, question)
    }

    /// Runs a change under the write lock, atomically and durably. After an error it is unknown whether the change is in
    /// a file; it is not if the error came before the commit.
    pub(super) fn change<T>(
        &mut self,
        change: impl FnOnce(&Connection) -> Result<T, SqliteError>,
    ) -> Result<T, StoreError> {
        self.check_files()?;
        let changed = self.within(TransactionBehavior::Immediate, change)?;
        self.check_files()?;
        Ok(changed)
    }

    /// Checks that what is written is written to the log at `path`. Closes nothing: when SQLite closes its last connection
    /// it deletes the WAL.
    fn check_files(&mut self) -> Result<(), StoreError> {
        let Some(stamp) = self.watch.check_paths()? else { return Ok(()) };
        if self.watch.has_witnesses() {
            let another = connect(&self.path, examined(&self.path)?, Use::Reading);
            let confirmed = another.and_then(|another| self.watch.confirm(&another));
            confirmed.map_err(|error| error.worded(&self.path))?;
        }
        self.open()?;
        let Some(connection) = &self.connection else { return Ok(()) };
        let remembered = self.watch.remember(connection, stamp);
        self.worded(remembered)
    }

    /// Runs a query outside a transaction; it is not about the log's contents.
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
            // Dropping the transaction rolls it back.
            let done = work(&transaction)?;
            transaction.commit()?;
            Ok(done)
        });
        self.worded(done)
    }

    /// Closes the connection. The last one to close checkpoints the WAL.
    pub(super) fn close(&mut self) -> Result<(), StoreError> {
        match self.disconnect() {
            None => Ok(()),
            Some(connection) => connection.close().map_err(|error| fault(&self.path, &error)),
        }
    }

    fn worded<T>(&mut self, answer: Result<T, SqliteError>) -> Result<T, StoreError> {
        answer.map_err(|trouble| {
            if matches!(trouble, SqliteError::Sql(_)) {
                self.disconnect();
            }
            trouble.worded(&self.path)
        })
    }

    fn disconnect(&mut self) -> Option<Database> {
        self.watch.disconnected();
        self.connection.take()
    }

    fn open(&mut self) -> Result<&mut Database, StoreError> {
        if self.connection.is_none() {
            // Check the file first: SQLite would create a missing one, or repair another program's.
            is_still(&self.path, self.file)?;
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
    // `cell_size_check` detects a damaged page when it is read. An untrusted schema must not call functions. On macOS,
    // `fsync` alone does not reach the disk.
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

/// SQL without comments, pragmas and white space, for comparison.
fn without_comments(sql: &str) -> String {
    let lines = sql.lines().filter(|line| !line.starts_with("--") && !line.starts_with("PRAGMA"));
    lines.flat_map(str::split_whitespace).collect::<String>().replace(';', "")
}
