//! A work tree of our own inside the git directory, in which a commit is made while the deployed tree stays as it is.
//!
//! On this machine it is removed when dropped, and one that was left by a process that was killed by the next. On another host nothing can
//! be done while something is dropped: there it is [left](Worktree::leave), and one that a lost connection has left behind is
//! removed by the next when it is old.
//!
//! Deliberately absent: what is done in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::repository::{GitError, Repository};

/// Age in minutes after which a remote leftover is removed: no git step takes as long.
const OLD: &str = "+180";

/// Creates the parent directory on a remote host, and removes old work trees in it.
const MAKE: &str =
    "mkdir -p -- \"$1\" && find \"$1\" -mindepth 1 -maxdepth 1 -name 'far-*' -mmin \"$2\" -exec rm -rf -- {} +";

/// The path of the work tree; git creates the tree itself.
pub(super) struct Worktree {
    common: PathBuf,
    path: String,
    is_far: bool,
}

impl Worktree {
    /// Reserves a path for a work tree of this repository.
    pub(super) async fn new(repository: &Repository<'_>) -> Result<Self, GitError> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let common = repository.common().await?;
        let room = common.join("runbook");
        let is_far = repository.is_remote();
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = if is_far {
            let room = room.to_str().ok_or_else(|| GitError::new("the repository's path is not UTF-8"))?;
            repository.sh(MAKE, [room, OLD]).await?;
            // Our process id has no meaning on the remote host.
            format!("far-{}-{number}", repository.nonce())
        } else {
            swept(&common, &room)?;
            format!("revert-{}-{number}", std::process::id())
        };
        let path = room.join(name).into_os_string().into_string();
        let path = path.map_err(|_| GitError::new("the repository's path is not UTF-8"))?;
        Ok(Self { common, path, is_far })
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Removes a remote work tree. A local one is removed on drop.
    pub(super) async fn leave(self, repository: &Repository<'_>) {
        if self.is_far {
            // If this fails, a later revert removes it when it is old.
            let _ = repository.git(&["worktree", "remove", "--force", &self.path]).await;
        }
    }
}

impl Drop for Worktree {
    fn drop(&mut self) {
        if !self.is_far {
            remove(&self.common, self.path.as_ref());
        }
    }
}

/// Creates the parent directory on this machine, and removes the work trees of dead processes in it.
fn swept(common: &Path, room: &Path) -> Result<(), GitError> {
    let cannot = |error| GitError::new(format!("`{}` cannot be made: {error}", room.display()));
    fs::create_dir_all(room).map_err(cannot)?;
    for left in fs::read_dir(room).map_err(cannot)?.flatten() {
        let name = left.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix("revert-").and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            remove(common, &left.path());
        }
    }
    Ok(())
}

/// Removes a temporary work tree, and git's record of it.
fn remove(common: &Path, path: &Path) {
    // It may be gone already.
    let _ = fs::remove_dir_all(path);
    for note in fs::read_dir(common.join("worktrees")).into_iter().flatten().flatten() {
        let points_to = fs::read_to_string(note.path().join("gitdir")).unwrap_or_default();
        if Path::new(points_to.trim_end()) == path.join(".git") {
            let _ = fs::remove_dir_all(note.path());
        }
    }
}
