//! `/run/systemd/system`, the directory by which programs know that systemd runs.
//!
//! A user manager refuses to start without it (`sd_booted(3)`). Inside a container it is missing and root can make it.
//!
//! **Invariant:** the directory is removed by the last of those who needed it, and only if one of us made it. Who
//! needs it holds a shared lock on it; the lock ends with the process, however that ends.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// The path that programs check.
const DIRECTORY: &str = "/run/systemd/system";

/// The file inside that marks a directory created by us.
const MADE_HERE: &str = ".made-by-runbook";

/// How often creating and locking is tried while other processes remove the directory.
const TRIES: u32 = 100;

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
        for _ in 0..TRIES {
            if !directory.exists() {
                match make(directory) {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(error),
                }
            }
            let Ok(lock) = File::open(directory) else { continue };
            flock(&lock, FlockOperation::LockShared)?;
            // Between opening and locking, it may have been removed and created again.
            let locked = lock.metadata()?;
            if fs::metadata(directory).is_ok_and(|there| there.ino() == locked.ino()) {
                return Ok(Self { lock, directory: directory.to_owned() });
            }
        }
        Err(io::Error::other(format!("`{}` is removed as fast as it is made", directory.display())))
    }
}

/// Creates it under another name and renames it, so that it never exists without the mark.
fn make(directory: &Path) -> io::Result<()> {
    let parent = directory.parent().ok_or_else(|| io::Error::other("the root directory is always there"))?;
    fs::create_dir_all(parent)?;
    let draft = parent.join(format!(".runbook-{}-{:?}", std::process::id(), std::thread::current().id()));
    fs::create_dir_all(&draft)?;
    File::create(draft.join(MADE_HERE))?;
    // If another process was first, its directory is not empty and this fails; that one is used.
    let moved = fs::rename(&draft, directory);
    if moved.is_err() {
        fs::remove_dir_all(&draft)?;
    }
    Ok(())
}

impl Drop for Booted {
    fn drop(&mut self) {
        let made_here = self.directory.join(MADE_HERE);
        // Only the last holder can turn its shared lock into an exclusive one.
        if made_here.exists() && flock(&self.lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            let _ = fs::remove_file(&made_here);
            // It stays if it is not empty.
            let _ = fs::remove_dir(&self.directory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_removes_what_the_first_one_made() {
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
    fn a_directory_that_was_there_stays() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("system");
        fs::create_dir(&directory).unwrap();
        drop(Booted::ensure_at(&directory).unwrap());
        assert!(directory.exists());
    }

    #[test]
    fn many_at_once_never_find_it_missing() {
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
