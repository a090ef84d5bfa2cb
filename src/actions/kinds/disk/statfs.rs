//! One look at one file system, which may never come back: a server that is gone holds fast whoever asks.
//!
//! Deliberately absent: what is too full.
//!
//! **Invariant:** at most [`LOOKS`] threads of this process wait for one path.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::mounts;
use super::{SHOWN, Usage, share};
use crate::actions::Context;
use crate::actions::error::ActionError;
use crate::actions::transport::timeout::apart;
use crate::domain::core::text::one_line;

/// How long a file system may take: a local one takes microseconds, one over a network that is well less than a second.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many looks at one path may wait: every incident that is worked on may look at the same time, but what does not
/// answer is not asked again and again by a step that is repeated.
const LOOKS: usize = 16;

/// How many looks wait, by path.
static WAITING: Mutex<BTreeMap<PathBuf, usize>> = Mutex::new(BTreeMap::new());

/// A look that has begun; it is over with the value.
struct PendingStatfs(PathBuf);

impl PendingStatfs {
    fn begin(place: &Path) -> Option<Self> {
        let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
        let count = waiting.entry(place.to_owned()).or_default();
        (*count < LOOKS).then(|| {
            *count += 1;
            Self(place.to_owned())
        })
    }
}

impl Drop for PendingStatfs {
    fn drop(&mut self) {
        let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = waiting.get_mut(&self.0) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&self.0);
            }
        }
    }
}

/// How full the file system of a path is.
///
/// # Errors
/// `missing`, `access`, `timeout`, `cancelled` or `system`, with the path.
pub(super) async fn statfs_bounded(context: &Context, path: &str) -> Result<Usage, ActionError> {
    let shown = one_line(path, SHOWN);
    let (directory, named) = (context.directory.clone(), path.to_owned());
    let Some(begun) = PendingStatfs::begin(&directory.join(path)) else {
        return Err(ActionError::new("timeout", format!("`{shown}` has not answered {LOOKS} earlier looks yet")));
    };
    let looked = apart(PATIENCE, context, move || {
        let found = found(&directory, &named);
        drop(begun);
        found
    });
    looked.await.map_err(|trouble| ActionError { message: format!("`{shown}`: {}", trouble.message), ..trouble })?
}

fn found(directory: &Path, path: &str) -> Result<Usage, ActionError> {
    let place = directory.join(path);
    let refused = |error: io::Error| {
        let shown = one_line(path, SHOWN);
        match error.kind() {
            io::ErrorKind::NotFound => ActionError::new("missing", format!("there is no `{shown}`")),
            io::ErrorKind::PermissionDenied => ActionError::new("access", format!("`{shown}` may not be looked at")),
            _ => ActionError::new("system", format!("`{shown}`: {error}")),
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
