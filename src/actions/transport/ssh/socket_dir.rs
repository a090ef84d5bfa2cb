//! The private directory for the connections of this process: their sockets, and the generated configuration of ssh.
//!
//! **Invariant:** only this account can read it, and no path of a socket is too long for a socket address.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::actions::transport::nonce::nonce;
use crate::sync::lock;

/// Prefix of the directory's name; the process id follows.
const NAME_PREFIX: &str = "runbook-ssh-";

/// Longest path of the temporary directory in bytes. A socket address has at most 107 bytes; the others are for this
/// directory's name, the socket's name, and the twenty characters that ssh appends while it creates a socket.
const PARENT_PATH_LIMIT: usize = 40;

static DIRECTORY: Mutex<Option<PathBuf>> = Mutex::new(None);

/// The directory. The first call creates it.
pub(crate) fn socket_dir() -> io::Result<PathBuf> {
    let mut directory = lock(&DIRECTORY);
    if let Some(path) = directory.as_ref().filter(|path| path.is_dir()) {
        return Ok(path.clone());
    }
    let parent = parent();
    remove_leftovers(&parent);
    let path = parent.join(format!("{NAME_PREFIX}{}-{}", std::process::id(), &nonce()[..8]));
    // Fails if the name exists already, even as a link that another user made.
    fs::DirBuilder::new().mode(0o700).create(&path)?;
    *directory = Some(path.clone());
    Ok(path)
}

/// Takes the path of the directory, which the caller removes. A later call of [`socket_dir`] creates another one.
pub(crate) fn take_socket_dir() -> Option<PathBuf> {
    lock(&DIRECTORY).take()
}

fn parent() -> PathBuf {
    let temporary = std::env::temp_dir();
    if temporary.as_os_str().len() <= PARENT_PATH_LIMIT { temporary } else { PathBuf::from("/tmp") }
}

/// Removes the directories of processes that were killed. Their connections end by themselves.
fn remove_leftovers(parent: &Path) {
    let account = rustix::process::geteuid().as_raw();
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(NAME_PREFIX).and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        let is_left = owner.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists());
        let is_ours = |metadata: fs::Metadata| metadata.is_dir() && metadata.uid() == account;
        if is_left && fs::symlink_metadata(entry.path()).is_ok_and(is_ours) {
            // It may be gone already.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
