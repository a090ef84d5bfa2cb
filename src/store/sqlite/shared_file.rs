//! Opens all database files: one descriptor per file and process, shared by its users.
//!
//! POSIX drops all locks of a process on a file when the process closes any descriptor of that file. SQLite uses such
//! locks. Without them another SQLite program would believe it is alone and delete the WAL when it closes, with
//! acknowledged events in it. See <https://www.sqlite.org/howtocorrupt.html>.
//!
//! **Invariant:** a descriptor is closed only while this process has no connection to its file. A [`Database`] holds it
//! until SQLite has closed the file. One mutex covers opening and closing.

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

/// Identifies a file whatever its name: device and inode.
pub(super) type FileIdentity = (u64, u64);

/// The files that this process has open.
static REGISTRY: Mutex<FileRegistry> = Mutex::new(FileRegistry { files: BTreeMap::new(), unidentified: Vec::new() });

struct FileRegistry {
    files: BTreeMap<FileIdentity, SharedEntry>,
    /// Descriptors whose file is unknown because `fstat` failed. They stay open: closing one could drop locks.
    unidentified: Vec<File>,
}

struct SharedEntry {
    /// Usually one. If a path is replaced while it is opened, it can lead to a file that is open already. The second
    /// descriptor then stays open as long as the first.
    descriptors: Vec<Arc<File>>,
    holders: usize,
}

impl FileRegistry {
    fn lock() -> MutexGuard<'static, Self> {
        // No code below leaves the tables half changed when it panics.
        lock(&REGISTRY)
    }

    /// Registers a new descriptor and returns its first holder.
    fn take(&mut self, file: File) -> io::Result<SharedFile> {
        let identity = match file.metadata() {
            Ok(found) => identity(&found),
            Err(error) => {
                self.unidentified.push(file);
                return Err(error);
            }
        };
        let shared = self.files.entry(identity).or_insert(SharedEntry { descriptors: Vec::new(), holders: 0 });
        shared.descriptors.push(Arc::new(file));
        shared.holders += 1;
        Ok(SharedFile { identity })
    }
}

/// A holder of a file's shared descriptor. The last holder closes the descriptor on drop.
#[derive(Debug)]
pub(super) struct SharedFile {
    identity: FileIdentity,
}

impl SharedFile {
    /// Opens the file at `path` for reading, or shares the descriptor that is open.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut registry = FileRegistry::lock();
        let identity = identity(&fs::metadata(path)?);
        if let Some(shared) = registry.files.get_mut(&identity) {
            shared.holders += 1;
            return Ok(Self { identity });
        }
        registry.take(File::open(path)?)
    }

    /// Creates a file with this mode; fails if `path` exists.
    pub(super) fn create(path: &Path, mode: u32) -> io::Result<Self> {
        let mut registry = FileRegistry::lock();
        registry.take(OpenOptions::new().read(true).write(true).create_new(true).mode(mode).open(path)?)
    }

    pub(super) fn identity(&self) -> FileIdentity {
        self.identity
    }

    /// Fills the buffer from the start of the file.
    pub(super) fn read_start(&self, buffer: &mut [u8]) -> io::Result<()> {
        self.with(|file| file.read_exact_at(buffer, 0))
    }

    pub(super) fn size(&self) -> io::Result<u64> {
        self.with(|file| Ok(file.metadata()?.len()))
    }

    pub(super) fn sync_all(&self) -> io::Result<()> {
        self.with(File::sync_all)
    }

    /// Uses the descriptor outside the mutex, since a disk may be slow. `self` keeps it open.
    fn with<T>(&self, work: impl FnOnce(&File) -> io::Result<T>) -> io::Result<T> {
        let file = Arc::clone(&FileRegistry::lock().files[&self.identity].descriptors[0]);
        work(&file)
    }
}

impl Drop for SharedFile {
    fn drop(&mut self) {
        let mut registry = FileRegistry::lock();
        let Some(shared) = registry.files.get_mut(&self.identity) else { return };
        shared.holders -= 1;
        if shared.holders == 0 {
            // Closes the descriptors under the mutex, so nothing can open the file at the same time.
            registry.files.remove(&self.identity);
        }
    }
}

/// A connection to a database file. All connections of the program are opened here.
#[derive(Debug)]
pub(super) struct Database {
    // Drop order matters: SQLite closes the file before the shared descriptor is released.
    connection: Connection,
    file: SharedFile,
}

impl Database {
    /// Lets SQLite open the file at `path`, which must be `file`.
    pub(super) fn open(path: &Path, file: SharedFile, flags: OpenFlags) -> Result<Self, SqliteError> {
        let database = Self { connection: Connection::open_with_flags(path, flags)?, file };
        // Closing a connection to the wrong file here is safe: it holds no lock yet.
        is_still(path, database.file.identity)?;
        Ok(database)
    }

    /// Closes the connection. The last one to close checkpoints the WAL.
    pub(super) fn close(self) -> rusqlite::Result<()> {
        let Self { connection, file } = self;
        connection.close().map_err(|(connection, error)| {
            drop(connection);
            // A connection that SQLite refuses to close keeps its locks, so the shared descriptor stays open too.
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

/// Checks that the path still names the opened file. Nothing is written to a file that was removed or replaced.
pub(super) fn is_still(path: &Path, opened: FileIdentity) -> Result<(), StoreError> {
    let found = fs::metadata(path).map_err(|error| io_refusal(path, &error))?;
    if identity(&found) == opened {
        return Ok(());
    }
    Err(StoreError::Unavailable(format!("`{}` is another file than the one that was opened", path.display())))
}

pub(super) fn identity(file: &fs::Metadata) -> FileIdentity {
    (file.dev(), file.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptors(of: FileIdentity) -> usize {
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
        assert!(!FileRegistry::lock().files.contains_key(&file));
    }

    /// Simulates a path that is replaced between `stat` and `open` by a file that is open already.
    #[test]
    fn a_second_descriptor_of_an_open_file_is_closed_with_the_first() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        let first = SharedFile::create(&path, 0o600).unwrap();
        let second = FileRegistry::lock().take(File::open(&path).unwrap()).unwrap();
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
