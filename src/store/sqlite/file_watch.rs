//! Checks that the log's paths still lead to the files that SQLite has open, before and after each write.
//!
//! A log that is removed, moved or replaced while it is open would take events that nobody reads again. SQLite itself
//! does not notice a removed WAL, nor a file that is overwritten in place.
//!
//! **Invariant:** no write is acknowledged while the path of the database file or of its WAL leads to another file.
//!
//! Not noticed: a database file that is overwritten in place by a copy that is as long and holds the [`Witness`] events, and
//! a WAL that is overwritten in place by one as long or with another header.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::error::SqliteError;
use super::error_help::io_refusal;
use super::log_file::{Extent, with_suffix};
use super::rows;
use super::shared_file::{FileIdentity, identity};
use super::wal_check::{self, WalHeader};
use crate::store::StoreError;
use crate::store::hash_chain::Hash;

/// Remembered events: the last one at each of so many checkpoints. A checkpoint moves older events from the WAL into the
/// database file.
const WITNESSES: usize = 4;

/// How often the WAL is read before its header counts as gone.
const ATTEMPTS: u32 = 5;

/// Where the descriptors of this process are listed (proc(5)).
const DESCRIPTORS: &str = "/proc/self/fd";

/// An event that the log held when the database file last changed.
#[derive(Debug)]
struct Witness {
    place: u64,
    hash: Hash,
}

/// Changes with the content of the database file: seconds and nanoseconds of the last change, and the size.
type Stamp = (i64, i64, u64);

/// The WAL as it was at the last write. Until SQLite begins the WAL again, with another header, it never gets shorter.
#[derive(Debug, Clone, Copy)]
struct WalState {
    size: u64,
    header: WalHeader,
}

/// The files that this process writes to.
#[derive(Debug)]
pub(super) struct FileWatch {
    path: PathBuf,
    wal_path: PathBuf,
    database: FileIdentity,
    /// Known from the first write of a connection.
    wal: Option<FileIdentity>,
    wal_state: Option<WalState>,
    /// Of the content that was confirmed last.
    confirmed: Option<(Stamp, Extent)>,
    witnesses: VecDeque<Witness>,
}

impl FileWatch {
    /// Watches the file at `path`, which is `database`.
    pub(super) fn new(path: &Path, database: FileIdentity) -> Self {
        Self {
            path: path.to_owned(),
            wal_path: with_suffix(path, "-wal"),
            database,
            wal: None,
            wal_state: None,
            confirmed: None,
            witnesses: VecDeque::new(),
        }
    }

    pub(super) fn database(&self) -> FileIdentity {
        self.database
    }

    /// Without a connection, SQLite may delete the WAL and create another.
    pub(super) fn disconnected(&mut self) {
        (self.wal, self.wal_state) = (None, None);
    }

    /// Checks where the paths lead. Returns the stamp of a database file whose content is not confirmed yet.
    pub(super) fn check_paths(&mut self) -> Result<Option<Stamp>, StoreError> {
        let found = fs::metadata(&self.path).map_err(|error| gone(&self.path, &error))?;
        if identity(&found) != self.database {
            return Err(replaced(&self.path));
        }
        self.check_wal_path()?;
        let stamp = (found.mtime(), found.mtime_nsec(), found.size());
        let is_confirmed = self.confirmed.is_some_and(|(confirmed, _)| confirmed == stamp);
        Ok((!is_confirmed || self.witnesses.is_empty()).then_some(stamp))
    }

    fn check_wal_path(&mut self) -> Result<(), StoreError> {
        match (self.wal, fs::metadata(&self.wal_path)) {
            // SQLite creates it with the first write of a connection.
            (None, Err(_)) => Ok(()),
            (None, Ok(found)) => {
                self.wal = Some(identity(&found)).filter(|found| is_open(*found));
                Ok(())
            }
            (Some(wal), Ok(found)) if identity(&found) == wal => Ok(()),
            (Some(_), Ok(_)) => Err(replaced(&self.wal_path)),
            (Some(_), Err(error)) => Err(gone(&self.wal_path, &error)),
        }
    }

    /// Whether the WAL alone is missing. SQLite has it open, so that its events can still be moved into the database file.
    pub(super) fn lacks_only_wal(&self) -> bool {
        let is_database = fs::metadata(&self.path).is_ok_and(|found| identity(&found) == self.database);
        is_database && self.wal.is_some() && matches!(self.wal_path.try_exists(), Ok(false))
    }

    /// Checks the WAL under the write lock, before a write.
    pub(super) fn check_wal_before_write(&mut self) -> Result<(), StoreError> {
        let (size, header) = self.read_wal()?;
        if size == 0 {
            // A checkpoint by another program may have emptied it. If not, the check after the write finds out.
            return Ok(());
        }
        let header = header.filter(wal_check::is_header);
        let header = header.ok_or_else(|| overwritten(&self.wal_path, "its header is gone"))?;
        if self.wal_state.is_some_and(|last| header == last.header && size < last.size) {
            return Err(overwritten(&self.wal_path, "it is shorter than it was"));
        }
        self.wal_state = Some(WalState { size, header });
        Ok(())
    }

    /// Checks after a write that the WAL has a header. Reads it again if it has none, since another process may be
    /// emptying or beginning it.
    pub(super) fn check_wal_after_write(&mut self) -> Result<(), StoreError> {
        for _ in 0..ATTEMPTS {
            let (size, header) = self.read_wal()?;
            if size == 0 {
                return Ok(());
            }
            let Some(header) = header.filter(wal_check::is_header) else { continue };
            // The size of a WAL with another header is not remembered: another process may be about to shorten it.
            if let Some(last) = self.wal_state.as_mut().filter(|last| last.header == header) {
                last.size = last.size.max(size);
            }
            return Ok(());
        }
        Err(overwritten(&self.wal_path, "its header is gone"))
    }

    fn read_wal(&self) -> Result<(u64, Option<WalHeader>), StoreError> {
        let refusal = |error| io_refusal(&self.wal_path, &error);
        let header = wal_check::read_header(&self.wal_path).map_err(refusal)?;
        let size = fs::metadata(&self.wal_path).map_or(0, |found| found.size());
        Ok((size, header))
    }

    /// Whether there are events to confirm.
    pub(super) fn has_witnesses(&self) -> bool {
        !self.witnesses.is_empty()
    }

    /// Checks the content by another connection, which has nothing in its cache.
    pub(super) fn confirm(&self, another: &Connection, extent: Extent) -> Result<(), SqliteError> {
        let shorter = |(_, last): (Stamp, Extent)| extent.size < last.size || extent.pages < last.pages;
        if self.confirmed.is_some_and(shorter) {
            return Err(SqliteError::Refused(overwritten(&self.path, "it is shorter than it was")));
        }
        for Witness { place, hash } in &self.witnesses {
            if rows::event_hash(another, *place)? != Some(*hash) {
                let why = format!("event {place} of the log is no longer in it");
                return Err(SqliteError::Refused(overwritten(&self.path, &why)));
            }
        }
        Ok(())
    }

    /// Remembers the last event of the confirmed content.
    pub(super) fn remember(
        &mut self,
        connection: &Connection,
        stamp: Stamp,
        extent: Extent,
    ) -> Result<(), SqliteError> {
        let last = rows::last_event(connection)?;
        self.witnesses.extend(last.map(|(place, hash)| Witness { place, hash }));
        if self.witnesses.len() > WITNESSES {
            self.witnesses.pop_front();
        }
        self.confirmed = Some((stamp, extent));
        Ok(())
    }
}

/// Whether this process has the file open.
fn is_open(file: FileIdentity) -> bool {
    let Ok(descriptors) = fs::read_dir(DESCRIPTORS) else { return false };
    descriptors.flatten().filter_map(|entry| fs::metadata(entry.path()).ok()).any(|found| identity(&found) == file)
}

fn gone(path: &Path, error: &io::Error) -> StoreError {
    if error.kind() != io::ErrorKind::NotFound {
        return io_refusal(path, error);
    }
    StoreError::Unavailable(format!(
        "`{}` was removed or moved while it is open; nothing is recorded until the same file is back at this path",
        path.display()
    ))
}

fn replaced(path: &Path) -> StoreError {
    StoreError::Unavailable(format!(
        "`{}` is another file than the one that is open; nothing is recorded until the first file is back at this path. To \
         go on with the other file, restart every `runbook` that uses it",
        path.display()
    ))
}

fn overwritten(path: &Path, why: &str) -> StoreError {
    StoreError::Unavailable(format!(
        "`{}` was overwritten while it is open: {why}; nothing is recorded. Stop every `runbook` that uses it, keep a copy \
         of the database file and of its `-wal`, and restore a backup",
        path.display()
    ))
}
