//! Measures a local file system. The system call may never return, for example if a file server is gone.
//!
//! **Invariant:** at most [`CALL_LIMIT`] threads of this process wait for one path.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use super::mounts;
use super::{SHOWN_LIMIT, Usage, share};
use crate::actions::Context;
use crate::actions::transport::timeout::on_own_thread;
use crate::domain::core::reason::Reason;
use crate::domain::core::text::one_line;
use crate::sync::lock;

/// Time limit for one file system: a local one takes microseconds, a healthy remote one far less than a second.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum number of calls that wait for one path. Several incidents may measure it at once, but a step that is repeated
/// must not start ever more threads for a path that does not respond.
const CALL_LIMIT: usize = 16;

/// The number of waiting calls by path.
static WAITING: Mutex<BTreeMap<PathBuf, usize>> = Mutex::new(BTreeMap::new());

/// A waiting call. It counts until it is dropped.
struct PendingStatfs(PathBuf);

impl PendingStatfs {
    /// Counts a new call. `None` if too many calls wait for the path.
    fn begin(path: &Path) -> Option<Self> {
        let mut waiting = lock(&WAITING);
        let count = waiting.entry(path.to_owned()).or_default();
        (*count < CALL_LIMIT).then(|| {
            *count += 1;
            Self(path.to_owned())
        })
    }
}

impl Drop for PendingStatfs {
    fn drop(&mut self) {
        let mut waiting = lock(&WAITING);
        if let Some(count) = waiting.get_mut(&self.0) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&self.0);
            }
        }
    }
}

/// Measures the file system of a path.
///
/// # Errors
/// `missing`, `access`, `timeout`, `cancelled` or `system`, with the path.
pub(super) async fn statfs_bounded(context: &Context, path: &str) -> Result<Usage, Reason> {
    let shown = one_line(path, SHOWN_LIMIT);
    let (directory, name) = (context.directory.clone(), path.to_owned());
    let Some(pending) = PendingStatfs::begin(&directory.join(path)) else {
        let message = format!("`{shown}` has not responded to {CALL_LIMIT} earlier measurements yet");
        return Err(Reason::new("timeout", message));
    };
    let measured = on_own_thread(TIMEOUT, context, move || {
        let usage = measure(&directory, &name);
        drop(pending);
        usage
    });
    measured.await.map_err(|error| error.worded(|text| format!("`{shown}`: {text}")))?
}

fn measure(directory: &Path, name: &str) -> Result<Usage, Reason> {
    let path = directory.join(name);
    let failed = |error: io::Error| {
        let shown = one_line(name, SHOWN_LIMIT);
        match error.kind() {
            io::ErrorKind::NotFound => Reason::new("missing", format!("there is no `{shown}`")),
            io::ErrorKind::PermissionDenied => Reason::new("access", format!("this account may not access `{shown}`")),
            _ => Reason::new("system", format!("`{shown}`: {error}")),
        }
    };
    let stat = rustix::fs::statvfs(&path).map_err(|error| failed(error.into()))?;
    let mount = mounts::of(&path.canonicalize().map_err(failed)?, &mounts::mounts());
    let used = stat.f_blocks.saturating_sub(stat.f_bfree);
    let has_inodes = stat.f_files > 0;
    Ok(Usage {
        path: name.to_owned(),
        mount,
        total: stat.f_blocks.saturating_mul(stat.f_frsize),
        used: used.saturating_mul(stat.f_frsize),
        free: stat.f_bavail.saturating_mul(stat.f_frsize),
        percent: share(used, stat.f_bavail),
        inodes: has_inodes.then_some(stat.f_files),
        inodes_free: has_inodes.then_some(stat.f_favail),
        inodes_percent: has_inodes.then(|| share(stat.f_files.saturating_sub(stat.f_ffree), stat.f_favail)),
        read_only: stat.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calls_that_wait_for_one_path_are_limited() {
        let path = Path::new("/no/such/server");
        let waiting: Vec<Option<PendingStatfs>> = (0..=CALL_LIMIT).map(|_| PendingStatfs::begin(path)).collect();
        assert_eq!(waiting.iter().flatten().count(), CALL_LIMIT);
        assert!(PendingStatfs::begin(Path::new("/another")).is_some(), "each path has a limit of its own");
        drop(waiting);
        assert!(PendingStatfs::begin(path).is_some());
    }
}
