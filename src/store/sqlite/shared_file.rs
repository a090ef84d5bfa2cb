//! The only module that opens a database file: one descriptor per file and process, shared by all who need one.
//!
//! POSIX drops every lock that a process holds on a file when the process closes any descriptor of that file, and SQLite's
//! locks are of this kind. Without them another SQLite program believes that nobody else uses the file. When it closes,
//! it deletes the journal, and with it events that were acknowledged. See <https://www.sqlite.org/howtocorrupt.html>.
//!
//! **Invariant:** a descriptor that was opened here is closed only while this process has no connection to that file. So
//! a [`Database`] holds the shared descriptor from before SQLite opens the file until after SQLite has closed it.
//! **Invariant:** descriptors are opened and closed under one mutex, so that none is closed after a new connection began.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use rusqlite::{Connection, OpenFlags};

use super::error::SqliteError;
use super::error_help::io_refusal;
use crate::store::StoreError;
use crate::sync::lock;

/// Which file this is, whatever its name: device and inode.
pub(super) type Identity = (u64, u64);

/// What this process has open.
static OPEN: Mutex<Open> = Mutex::new(Open { files: BTreeMap::new(), unidentified: Vec::new() });

struct Open {
    files: BTreeMap<Identity, Shared>,
    /// Descriptors whose file is unknown, since `fstat` failed. They stay open: closing one could drop locks.
    unidentified: Vec<File>,
}

struct Shared {
    /// Usually one. A path that was replaced while it was opened can lead to a file that is open already; the second
    /// descriptor then has to stay open as long as the first.
    descriptors: Vec<Arc<File>>,
    holders: usize,
}

impl Open {
    fn lock() -> MutexGuard<'static, Self> {
        // No step below leaves the tables half changed when it panics.
        lock(&OPEN)
    }

    /// Takes over a descriptor for a new holder.
    fn take(&mut self, file: File) -> io::Result<SharedFile> {
        let identity = match file.metadata() {
            Ok(found) => identity(&found),
            Err(error) => {
                self.unidentified.push(file);
                return Err(error);
            }
        };
        let shared = self.files.entry(identity).or_insert(Shared { descriptors: Vec::new(), holders: 0 });
        shared.descriptors.push(Arc::new(file));
        shared.holders += 1;
        Ok(SharedFile { identity })
    }
}

/// A holder of a file's shared descriptor. The descriptor is closed when the last holder is dropped.
#[derive(Debug)]
pub(super) struct SharedFile {
    identity: Identity,
}

impl SharedFile {
    /// Opens the file at `path` for reading, or joins those who have it open.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut open = Open::lock();
        let identity = identity(&fs::metadata(path)?);
        if let Some(shared) = open.files.get_mut(&identity) {
            shared.holders += 1;
            return Ok(Self { identity });
        }
        open.take(File::open(path)?)
    }

    /// Creates a file with this mode; there must be none at `path`.
    pub(super) fn create(path: &Path, mode: u32) -> io::Result<Self> {
        let mut open = Open::lock();
        open.take(OpenOptions::new().read(true).write(true).create_new(true).mode(mode).open(path)?)
    }

    /// Which file this is.
    pub(super) fn identity(&self) -> Identity {
        self.identity
    }

    /// Fills the buffer from the start of the file.
    pub(super) fn read_start(&self, buffer: &mut [u8]) -> io::Result<()> {
        self.with(|file| file.read_exact_at(buffer, 0))
    }

    /// The size in bytes.
    pub(super) fn size(&self) -> io::Result<u64> {
        self.with(|file| Ok(file.metadata()?.len()))
    }

    /// Waits until the disk has everything that was written to the file.
    pub(super) fn sync_all(&self) -> io::Result<()> {
        self.with(File::sync_all)
    }

    /// Uses the descriptor outside of the mutex, since a disk may be slow. `self` keeps it open meanwhile.
    fn with<T>(&self, work: impl FnOnce(&File) -> io::Result<T>) -> io::Result<T> {
        let file = Arc::clone(&Open::lock().files[&self.identity].descriptors[0]);
        work(&file)
    }
}

impl Drop for SharedFile {
    fn drop(&mut self) {
        let mut open = Open::lock();
        let Some(shared) = open.files.get_mut(&self.identity) else { return };
        shared.holders -= 1;
        if shared.holders == 0 {
            // Closes the descriptors, while nobody can begin to open the file.
            open.files.remove(&self.identity);
        }
    }
}

/// A connection to a database file. Every connection of the program is opened here.
#[derive(Debug)]
pub(super) struct Database {
    // Fields are dropped in this order: SQLite closes the file before the shared descriptor is released.
    connection: Connection,
    file: SharedFile,
}

impl Database {
    /// Lets SQLite open the file at `path`, which has to be `file`.
    pub(super) fn open(path: &Path, file: SharedFile, flags: OpenFlags) -> Result<Self, SqliteError> {
        let database = Self { connection: Connection::open_with_flags(path, flags)?, file };
        // SQLite takes its first lock at the first statement, so a connection to another file has none to lose.
        is_still(path, database.file.identity)?;
        Ok(database)
    }

    /// Closes the connection; the last one to close folds the journal into the file.
    pub(super) fn close(self) -> rusqlite::Result<()> {
        let Self { connection, file } = self;
        connection.close().map_err(|(connection, error)| {
            drop(connection);
            // A connection that SQLite refuses to close keeps its locks, so the shared descriptor stays open, too.
            std::mem::forget(file);
            error
        })
    }
}

impl Deref for Database {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for Database {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

/// Checks that the path still names the file that was opened: one that was removed or replaced is no place to write to.
pub(super) fn is_still(path: &Path, opened: Identity) -> Result<(), StoreError> {
    let found = fs::metadata(path).map_err(|error| io_refusal(path, &error))?;
    if identity(&found) == opened {
        return Ok(());
    }
    Err(StoreError::Unavailable(format!("`{}` is another file than the one that was opened", path.display())))
}

fn identity(file: &fs::Metadata) -> Identity {
    (file.dev(), file.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many descriptors of a file this process has.
    fn descriptors(of: Identity) -> usize {
        let open = fs::read_dir("/proc/self/fd").unwrap().flatten();
        open.filter_map(|entry| fs::metadata(entry.path()).ok()).filter(|found| identity(found) == of).count()
    }

    #[test]
    fn holders_share_one_descriptor_and_the_last_closes_it() {
        let directory = tempfile::tempdir().unwrap();
        let (path, other) = (directory.path().join("a"), directory.path().join("b"));
        let first = SharedFile::create(&path, 0o600).unwrap();
        fs::hard_link(&path, &other).unwrap();
        let (second, third) = (SharedFile::open(&path).unwrap(), SharedFile::open(&other).unwrap());
        let file = first.identity();
        assert_eq!((second.identity(), third.identity()), (file, file));
        assert_eq!(descriptors(file), 1);
        drop((first, second));
        assert_eq!(descriptors(file), 1);
        drop(third);
        assert_eq!(descriptors(file), 0);
        assert!(!Open::lock().files.contains_key(&file));
    }

    /// What happens when a path is replaced between `stat` and `open` by a file that is open already.
    #[test]
    fn a_second_descriptor_of_an_open_file_is_closed_with_the_first() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        let first = SharedFile::create(&path, 0o600).unwrap();
        let second = Open::lock().take(File::open(&path).unwrap()).unwrap();
        let file = first.identity();
        drop(second);
        assert_eq!(descriptors(file), 2);
        drop(first);
        assert_eq!(descriptors(file), 0);
    }

    #[test]
    fn a_connection_to_another_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let (path, other) = (directory.path().join("a"), directory.path().join("b"));
        let file = SharedFile::create(&path, 0o600).unwrap();
        SharedFile::create(&other, 0o600).unwrap();
        fs::rename(&other, &path).unwrap();
        let opened = Database::open(&path, file, OpenFlags::SQLITE_OPEN_READ_WRITE).map(drop);
        assert!(matches!(opened, Err(SqliteError::Refused(StoreError::Unavailable(_)))), "{opened:?}");
    }
}
