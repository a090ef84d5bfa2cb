//! A temporary work tree inside the git directory, in which a revert is made without touching the deployed one.
//!
//! On this machine it is removed on drop, or by the next revert if its process was killed. On a remote host it must be
//! removed with [`remove`](Worktree::remove), since drop cannot wait. If the connection is lost, a later revert removes it
//! when it is old.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::repository::{GitError, Repository};

/// Age in minutes after which a work tree that was left on a remote host is removed: no git step takes as long.
const STALE_AGE: &str = "+180";

/// Creates the parent directory on a remote host, and removes old work trees in it.
const PREPARE: &str =
    "mkdir -p -- \"$1\" && find \"$1\" -mindepth 1 -maxdepth 1 -name 'far-*' -mmin \"$2\" -exec rm -rf -- {} +";

/// The reserved path of a work tree. The caller creates the tree with git.
pub(super) struct Worktree {
    common: PathBuf,
    path: String,
    is_remote: bool,
}

impl Worktree {
    /// Reserves a path for a work tree of this repository.
    pub(super) async fn new(repository: &Repository<'_>) -> Result<Self, GitError> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let common = repository.common().await?;
        let parent = common.join("runbook");
        let is_remote = repository.is_remote();
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = if is_remote {
            let parent = parent.to_str().ok_or_else(|| GitError::new("the repository's path is not UTF-8"))?;
            repository.sh(PREPARE, [parent, STALE_AGE]).await?;
            // A process id of this machine has no meaning on the remote host.
            format!("far-{}-{number}", repository.nonce())
        } else {
            prepare(&common, &parent)?;
            format!("revert-{}-{number}", std::process::id())
        };
        let path = parent.join(name).into_os_string().into_string();
        let path = path.map_err(|_| GitError::new("the repository's path is not UTF-8"))?;
        Ok(Self { common, path, is_remote })
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Removes a remote work tree. A local one is removed on drop.
    pub(super) async fn remove(self, repository: &Repository<'_>) {
        if self.is_remote {
            // If this fails, a later revert removes it when it is old.
            let _ = repository.git(&["worktree", "remove", "--force", &self.path]).await;
        }
    }
}

impl Drop for Worktree {
    fn drop(&mut self) {
        if !self.is_remote {
            remove_local(&self.common, self.path.as_ref());
        }
    }
}

/// Creates the parent directory on this machine, and removes the work trees of dead processes in it.
fn prepare(common: &Path, parent: &Path) -> Result<(), GitError> {
    let failed = |error| GitError::new(format!("`{}` cannot be created: {error}", parent.display()));
    fs::create_dir_all(parent).map_err(failed)?;
    for entry in fs::read_dir(parent).map_err(failed)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix("revert-").and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            remove_local(common, &entry.path());
        }
    }
    Ok(())
}

/// Removes a temporary work tree, and git's record of it.
fn remove_local(common: &Path, path: &Path) {
    // It may be gone already.
    let _ = fs::remove_dir_all(path);
    for record in fs::read_dir(common.join("worktrees")).into_iter().flatten().flatten() {
        let git_file = fs::read_to_string(record.path().join("gitdir")).unwrap_or_default();
        if Path::new(git_file.trim_end()) == path.join(".git") {
            let _ = fs::remove_dir_all(record.path());
        }
    }
}
