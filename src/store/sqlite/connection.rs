//! One SQLite connection: opened and checked on first use, dropped after an SQLite error.
//!
//! All calls block on the disk, so they run on threads that may block.
//!
//! **Invariant:** a connection is never used again after an SQLite error, so no unfinished transaction remains.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::error::SqliteError;
use super::error_help::{fault, io_refusal};
use super::file_watch::FileWatch;
use super::log_file::{APPLICATION_ID, Extent, FORMAT, PAGE_SIZE, SCHEMA, open_checked};
use super::shared_file::{Database, FileIdentity, SharedFile, is_still};
use crate::store::StoreError;

/// How long to wait for the lock of another process: longer than any transaction takes on a slow disk.
const BUSY: Duration = Duration::from_secs(10);

/// SQLite's page cache for reading, in KiB. A fold reads each page once, so more memory would not help.
const READER_CACHE_KIB: u32 = 512;

/// The page cache for writing, in KiB. In an alert storm, one batch touches the pages of a hundred streams and as many
/// names again and again.
const WRITER_CACHE_KIB: u32 = 4 * 1024;

/// Pages in the WAL that trigger a checkpoint. Each checkpoint copies every event once. More pages would slow a start
/// after a crash, which reads the whole WAL.
const WAL_PAGES: u32 = 1_000;

/// Size of the WAL after a checkpoint, in bytes. Growing the file again would cost every commit a second write, of
/// file-system metadata.
pub(super) const WAL_SIZE_LIMIT: u32 = (WAL_PAGES + WAL_PAGES / 10) * (PAGE_SIZE + FRAME_HEADER);

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
    usage: Use,
    connection: Option<Database>,
    /// Increases when the connection is dropped.
    generation: u64,
    /// Knows the file that was at `path` when the log was opened.
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
        Self { path: path.to_owned(), usage, connection: None, generation: 0, watch: FileWatch::new(path, file) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Identifies the connection of the next query or change, if that succeeds. SQLite's `data_version` is comparable
    /// only on one connection.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Runs a query on a consistent snapshot of the log.
    pub(super) fn query<T>(
        &mut self,
        query: impl FnOnce(&Connection) -> Result<T, SqliteError>,
    ) -> Result<T, StoreError> {
        self.within(TransactionBehavior::Deferred, query)
    }

    /// Runs a change under the write lock, atomically and durably. After an error of the commit, or of the checks that
    /// follow it, the change may be in the file; a new read shows it.
    pub(super) fn change<T>(
        &mut self,
        change: impl FnOnce(&Connection) -> Result<T, SqliteError>,
    ) -> Result<T, StoreError> {
        self.check_files()?;
        self.open()?;
        let Self { connection, watch, .. } = self;
        let connection = connection.as_mut().expect("it was opened above");
        let changed = transact(connection, TransactionBehavior::Immediate, |connection| {
            watch.check_wal_before_write()?;
            change(connection)
        });
        let changed = self.explained(changed)?;
        self.watch.check_wal_after_write()?;
        self.check_files()?;
        Ok(changed)
    }

    /// Checks that what is written is written to the log at `path`. Closes nothing: when SQLite closes its last connection
    /// it deletes the WAL.
    fn check_files(&mut self) -> Result<(), StoreError> {
        let stamp = match self.watch.check_paths() {
            Ok(None) => return Ok(()),
            Ok(Some(stamp)) => stamp,
            Err(error) => return Err(self.save_wal().unwrap_or(error)),
        };
        let file = open_checked(&self.path)?;
        let extent = Extent::of(&file).map_err(|error| io_refusal(&self.path, &error))?;
        if self.watch.has_witnesses() {
            let another = connect(&self.path, file, Use::Reading);
            let confirmed = another.and_then(|another| self.watch.confirm(&another, extent));
            confirmed.map_err(|error| error.explained(&self.path))?;
        }
        self.open()?;
        let Some(connection) = &self.connection else { return Ok(()) };
        let remembered = self.watch.remember(connection, stamp, extent);
        self.explained(remembered)
    }

    /// Moves the events of a WAL that was removed into the database file, so that they survive the end of the process.
    /// Returns the error that says so.
    fn save_wal(&mut self) -> Option<StoreError> {
        let connection = self.connection.as_ref().filter(|_| self.watch.lacks_only_wal())?;
        let checkpoint = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
        });
        let (busy, frames, moved) = checkpoint.ok()?;
        (busy == 0 && frames == moved).then(|| {
            StoreError::Unavailable(format!(
                "the `-wal` of `{}` was removed or moved while it is open; its events were saved in the database file, and \
                 nothing more is recorded until it is back, or every `runbook` that uses the log was stopped and started",
                self.path.display()
            ))
        })
    }

    /// Runs a query outside a transaction, for values that are not contents of the log.
    pub(super) fn query_without_transaction<T>(
        &mut self,
        query: impl FnOnce(&Connection) -> Result<T, SqliteError>,
    ) -> Result<T, StoreError> {
        let result = query(self.open()?);
        self.explained(result)
    }

    fn within<T>(
        &mut self,
        behavior: TransactionBehavior,
        work: impl FnOnce(&Connection) -> Result<T, SqliteError>,
    ) -> Result<T, StoreError> {
        let done = transact(self.open()?, behavior, work);
        self.explained(done)
    }

    /// Closes the connection. The last one to close checkpoints the WAL.
    pub(super) fn close(&mut self) -> Result<(), StoreError> {
        match self.disconnect() {
            None => Ok(()),
            Some(connection) => connection.close().map_err(|error| fault(&self.path, &error)),
        }
    }

    /// Explains an error, and drops the connection after an SQLite error.
    fn explained<T>(&mut self, result: Result<T, SqliteError>) -> Result<T, StoreError> {
        result.map_err(|error| {
            if matches!(error, SqliteError::Sql(_)) {
                self.disconnect();
            }
            error.explained(&self.path)
        })
    }

    fn disconnect(&mut self) -> Option<Database> {
        self.generation += 1;
        self.watch.disconnected();
        self.connection.take()
    }

    fn open(&mut self) -> Result<&mut Database, StoreError> {
        if self.connection.is_none() {
            // Check the file first. SQLite would create a missing file, and recover one of another program.
            is_still(&self.path, self.watch.database())?;
            let file = open_checked(&self.path)?;
            let opened = connect(&self.path, file, self.usage);
            self.connection = Some(self.explained(opened)?);
        }
        Ok(self.connection.as_mut().expect("it was opened above"))
    }
}

fn transact<T>(
    connection: &mut Database,
    behavior: TransactionBehavior,
    work: impl FnOnce(&Connection) -> Result<T, SqliteError>,
) -> Result<T, SqliteError> {
    let transaction = connection.transaction_with_behavior(behavior)?;
    // Dropping the transaction rolls it back.
    let done = work(&transaction)?;
    transaction.commit()?;
    Ok(done)
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
         PRAGMA cell_size_check = ON; PRAGMA cache_size = -{cache}; PRAGMA wal_autocheckpoint = {WAL_PAGES}; \
         PRAGMA journal_size_limit = {WAL_SIZE_LIMIT};"
    ))?;
    check_format(&connection)?;
    Ok(connection)
}

/// Refuses a database whose tables are not exactly those of the format.
fn check_format(connection: &Connection) -> Result<(), SqliteError> {
    const IDENTITY: &str = "SELECT (SELECT application_id FROM pragma_application_id), \
        (SELECT user_version FROM pragma_user_version), (SELECT journal_mode FROM pragma_journal_mode), \
        (SELECT group_concat(sql, ';' ORDER BY rowid) FROM sqlite_schema WHERE sql IS NOT NULL)";
    let found = connection.query_row(IDENTITY, [], |row| {
        Ok((row.get::<_, u32>(0)?, row.get::<_, u32>(1)?, row.get::<_, String>(2)?, row.get::<_, Option<String>>(3)?))
    });
    let (application, format, journal, schema) = found?;
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
