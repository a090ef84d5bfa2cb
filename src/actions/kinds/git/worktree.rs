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

/// What is left behind on another host is removed when it is older than this, in minutes: no step of git takes as long.
const OLD: &str = "+180";

/// Makes the room on another host, without what is old in it.
const MAKE: &str =
    "mkdir -p -- \"$1\" && find \"$1\" -mindepth 1 -maxdepth 1 -name 'far-*' -mmin \"$2\" -exec rm -rf -- {} +";

/// The work tree's place; git makes the tree.
pub(super) struct Worktree {
    common: PathBuf,
    path: String,
    is_far: bool,
}

impl Worktree {
    /// A place for a work tree of this repository.
    pub(super) async fn new(repository: &Repository<'_>) -> Result<Self, GitError> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let common = repository.common().await?;
        let room = common.join("runbook");
        let is_far = repository.is_remote();
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = if is_far {
            let room = room.to_str().ok_or_else(|| GitError::new("the repository's path is not UTF-8"))?;
            repository.sh(MAKE, [room, OLD]).await?;
            // No pid of ours means anything there.
            format!("far-{}-{number}", repository.nonce())
        } else {
            swept(&common, &room)?;
            format!("revert-{}-{number}", std::process::id())
        };
        let path = room.join(name).into_os_string().into_string();
        let path = path.map_err(|_| GitError::new("the repository's path is not UTF-8"))?;
        Ok(Self { common, path, is_far })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Removes it.
    pub(super) async fn leave(self, repository: &Repository<'_>) {
        if self.is_far {
            // What cannot be removed now is removed by the next when it is old.
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

/// Makes the room on this machine, without what was left in it.
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

/// Removes a work tree of ours, and what git noted about it.
fn remove(common: &Path, path: &Path) {
    // What is not there any more need not be removed.
    let _ = fs::remove_dir_all(path);
    for note in fs::read_dir(common.join("worktrees")).into_iter().flatten().flatten() {
        let points_to = fs::read_to_string(note.path().join("gitdir")).unwrap_or_default();
        if Path::new(points_to.trim_end()) == path.join(".git") {
            let _ = fs::remove_dir_all(note.path());
        }
    }
}
