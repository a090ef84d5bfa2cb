//! One look at one file system, which may never come back: a server that is gone holds fast whoever asks.
//!
//! Deliberately absent: what is too full.
//!
//! **Invariant:** at most [`LOOKS`] threads of this process wait for one path.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use super::mounts;
use super::{SHOWN, Usage, share};
use crate::actions::Context;
use crate::actions::transport::timeout::apart;
use crate::domain::core::reason::Reason;
use crate::domain::core::text::one_line;
use crate::sync::lock;

/// Limit for one file system: a local one takes microseconds, a healthy remote one far less than a second.
const PATIENCE: Duration = Duration::from_secs(10);

/// Calls that may wait for one path: each active incident may measure it at once. A repeated step does not add more
/// calls to a path that does not answer.
const LOOKS: usize = 16;

/// The number of waiting calls by path.
static WAITING: Mutex<BTreeMap<PathBuf, usize>> = Mutex::new(BTreeMap::new());

/// A waiting call; dropping the value ends it.
struct PendingStatfs(PathBuf);

impl PendingStatfs {
    fn begin(place: &Path) -> Option<Self> {
        let mut waiting = lock(&WAITING);
        let count = waiting.entry(place.to_owned()).or_default();
        (*count < LOOKS).then(|| {
            *count += 1;
            Self(place.to_owned())
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
    let shown = one_line(path, SHOWN);
    let (directory, named) = (context.directory.clone(), path.to_owned());
    let Some(begun) = PendingStatfs::begin(&directory.join(path)) else {
        return Err(Reason::new("timeout", format!("`{shown}` has not answered {LOOKS} earlier looks yet")));
    };
    let looked = apart(PATIENCE, context, move || {
        let found = found(&directory, &named);
        drop(begun);
        found
    });
    looked.await.map_err(|trouble| trouble.worded(|text| format!("`{shown}`: {text}")))?
}

fn found(directory: &Path, path: &str) -> Result<Usage, Reason> {
    let place = directory.join(path);
    let refused = |error: io::Error| {
        let shown = one_line(path, SHOWN);
        match error.kind() {
            io::ErrorKind::NotFound => Reason::new("missing", format!("there is no `{shown}`")),
            io::ErrorKind::PermissionDenied => Reason::new("access", format!("`{shown}` may not be looked at")),
            _ => Reason::new("system", format!("`{shown}`: {error}")),
        }
    };
    let about = rustix::fs::statvfs(&place).map_err(|error| refused(error.into()))?;
    let mount = mounts::of(&place.canonicalize().map_err(refused)?, &mounts::mounts());
    let used = about.f_blocks.saturating_sub(about.f_bfree);
    let has_inodes = about.f_files > 0;
    Ok(Usage {
        path: path.to_owned(),
        mount,
        total: about.f_blocks.saturating_mul(about.f_frsize),
        used: used.saturating_mul(about.f_frsize),
        free: about.f_bavail.saturating_mul(about.f_frsize),
        percent: share(used, about.f_bavail),
        inodes: has_inodes.then_some(about.f_files),
        inodes_free: has_inodes.then_some(about.f_favail),
        inodes_percent: has_inodes.then(|| share(about.f_files.saturating_sub(about.f_ffree), about.f_favail)),
        read_only: about.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_looks_wait_for_one_path_and_no_more() {
        let place = Path::new("/no/such/server");
        let waiting: Vec<Option<PendingStatfs>> = (0..=LOOKS).map(|_| PendingStatfs::begin(place)).collect();
        assert_eq!(waiting.iter().flatten().count(), LOOKS);
        assert!(PendingStatfs::begin(Path::new("/another")).is_some(), "others are looked at");
        drop(waiting);
        assert!(PendingStatfs::begin(place).is_some());
    }
}
