//! Creates `/run/systemd/system`, the directory by which programs detect systemd.
//!
//! A user manager refuses to start without it (`sd_booted(3)`). In a container it is missing, and root can create it.
//!
//! **Invariant:** the last process that needs the directory removes it, and only if this program created it. Each process
//! holds a shared lock on it, which ends with the process.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// The path that programs check for.
const DIRECTORY: &str = "/run/systemd/system";

/// The file in the directory that marks it as created by this program.
const MARKER: &str = ".made-by-runbook";

/// Maximum attempts to create and lock the directory while other processes remove it.
const MAX_ATTEMPTS: u32 = 100;

/// Keeps the directory in existence until it is dropped.
#[derive(Debug)]
pub struct Booted {
    lock: File,
    directory: PathBuf,
}

impl Booted {
    /// Creates the directory unless it exists.
    ///
    /// # Errors
    /// When it is missing and cannot be created; only root can.
    pub fn ensure() -> io::Result<Self> {
        Self::ensure_at(Path::new(DIRECTORY))
    }

    fn ensure_at(directory: &Path) -> io::Result<Self> {
        for _ in 0..MAX_ATTEMPTS {
            if !directory.exists() {
                match create_with_marker(directory) {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(error),
                }
            }
            let Ok(lock) = File::open(directory) else { continue };
            flock(&lock, FlockOperation::LockShared)?;
            // The directory may have been removed and created again before the lock was acquired.
            let locked = lock.metadata()?;
            if fs::metadata(directory).is_ok_and(|present| present.ino() == locked.ino()) {
                return Ok(Self { lock, directory: directory.to_owned() });
            }
        }
        Err(io::Error::other(format!("`{}` is removed as fast as it is created", directory.display())))
    }
}

/// Creates the directory under another name and renames it, so that it never exists without the marker.
fn create_with_marker(directory: &Path) -> io::Result<()> {
    let parent = directory.parent().ok_or_else(|| io::Error::other("the root directory always exists"))?;
    fs::create_dir_all(parent)?;
    let draft = parent.join(format!(".runbook-{}-{:?}", std::process::id(), std::thread::current().id()));
    fs::create_dir_all(&draft)?;
    File::create(draft.join(MARKER))?;
    // This fails if another process was first, because its directory is not empty. Then that directory is used.
    let moved = fs::rename(&draft, directory);
    if moved.is_err() {
        fs::remove_dir_all(&draft)?;
    }
    Ok(())
}

impl Drop for Booted {
    fn drop(&mut self) {
        let marker = self.directory.join(MARKER);
        // Only the last holder can turn its shared lock into an exclusive one.
        if marker.exists() && flock(&self.lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            let _ = fs::remove_file(&marker);
            // An error is ignored: the directory is not empty.
            let _ = fs::remove_dir(&self.directory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_holder_removes_the_directory() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("systemd/system");
        let first = Booted::ensure_at(&directory).unwrap();
        let second = Booted::ensure_at(&directory).unwrap();
        drop(first);
        assert!(directory.exists());
        drop(second);
        assert!(!directory.exists());
    }

    #[test]
    fn an_existing_directory_is_not_removed() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("system");
        fs::create_dir(&directory).unwrap();
        drop(Booted::ensure_at(&directory).unwrap());
        assert!(directory.exists());
    }

    #[test]
    fn the_directory_exists_while_any_holder_needs_it() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("system");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let booted = Booted::ensure_at(&directory).unwrap();
                        assert!(directory.exists());
                        drop(booted);
                    }
                });
            }
        });
        assert!(!directory.exists());
    }
}
