//! Checks that the log's paths still lead to the files that SQLite has open, before and after each write.
//!
//! A log that is removed, moved or replaced while it is open would take events that nobody reads again. SQLite itself
//! does not notice a removed WAL, nor a database file that is overwritten in place.
//!
//! **Invariant:** no write is acknowledged while the path of the database file or of its WAL leads to another file.
//!
//! Not noticed: a database file that is overwritten in place by a copy that holds the [`Witness`] events, and a WAL that
//! is overwritten in place.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::error::SqliteError;
use super::error_help::io_refusal;
use super::log_file::with_suffix;
use super::rows;
use super::shared_file::{FileIdentity, identity};
use crate::store::StoreError;
use crate::store::hash_chain::Hash;

/// Remembered events: the last one at each of so many checkpoints. A checkpoint moves older events from the WAL into the
/// database file.
const WITNESSES: usize = 4;

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

/// The files that this process writes to.
#[derive(Debug)]
pub(super) struct FileWatch {
    path: PathBuf,
    wal_path: PathBuf,
    database: FileIdentity,
    /// Known from the first write of a connection.
    wal: Option<FileIdentity>,
    /// Of the content that was confirmed last.
    confirmed: Option<Stamp>,
    witnesses: VecDeque<Witness>,
}

impl FileWatch {
    /// Watches the file at `path`, which is `database`.
    pub(super) fn new(path: &Path, database: FileIdentity) -> Self {
        let wal_path = with_suffix(path, "-wal");
        Self { path: path.to_owned(), wal_path, database, wal: None, confirmed: None, witnesses: VecDeque::new() }
    }

    pub(super) fn database(&self) -> FileIdentity {
        self.database
    }

    /// Without a connection, SQLite may delete the WAL and create another.
    pub(super) fn disconnected(&mut self) {
        self.wal = None;
    }

    /// Checks where the paths lead. Returns the stamp of a database file whose content is not confirmed yet.
    pub(super) fn check_paths(&mut self) -> Result<Option<Stamp>, StoreError> {
        let found = fs::metadata(&self.path).map_err(|error| gone(&self.path, &error))?;
        if identity(&found) != self.database {
            return Err(replaced(&self.path));
        }
        self.check_wal()?;
        let stamp = (found.mtime(), found.mtime_nsec(), found.size());
        Ok((self.confirmed != Some(stamp)).then_some(stamp))
    }

    fn check_wal(&mut self) -> Result<(), StoreError> {
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

    /// Whether there are events to confirm.
    pub(super) fn has_witnesses(&self) -> bool {
        !self.witnesses.is_empty()
    }

    /// Checks the content by another connection, which has nothing in its cache.
    pub(super) fn confirm(&self, another: &Connection) -> Result<(), SqliteError> {
        for Witness { place, hash } in &self.witnesses {
            if rows::event_hash(another, *place)? != Some(*hash) {
                return Err(SqliteError::Refused(overwritten(&self.path, *place)));
            }
        }
        Ok(())
    }

    /// Remembers the last event of the confirmed content.
    pub(super) fn remember(&mut self, connection: &Connection, stamp: Stamp) -> Result<(), SqliteError> {
        let last = rows::last_event(connection)?;
        self.witnesses.extend(last.map(|(place, hash)| Witness { place, hash }));
        if self.witnesses.len() > WITNESSES {
            self.witnesses.pop_front();
        }
        self.confirmed = Some(stamp);
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
        "`{}` is another file than the one that is open; nothing is recorded until the first file is back at this path",
        path.display()
    ))
}

fn overwritten(path: &Path, place: u64) -> StoreError {
    StoreError::Unavailable(format!(
        "`{}` was overwritten while it is open: event {place} of the log is no longer in it; nothing is recorded. Stop \
         every `runbook` that uses it, keep a copy of it and of its `-wal`, and restore a backup",
        path.display()
    ))
}
