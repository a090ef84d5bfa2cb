//! The private directory of this process's connections: their sockets and the configuration that ssh is given.
//!
//! **Invariant:** nobody but this account can look into it, and no socket's name is too long for an address.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::actions::transport::host::random;
use crate::sync::lock;

/// Prefix of the directory's name; the process id follows.
const NAME: &str = "runbook-ssh-";

/// Longest temporary directory in bytes. A socket address holds 107 bytes: the rest is for our directory name, the
/// socket's name, and the twenty characters that ssh appends while it creates one.
const LONGEST: usize = 40;

static ROOM: Mutex<Option<PathBuf>> = Mutex::new(None);

/// The directory. The first call creates it.
pub(crate) fn socket_dir() -> io::Result<PathBuf> {
    let mut room = lock(&ROOM);
    if let Some(path) = room.as_ref().filter(|path| path.is_dir()) {
        return Ok(path.clone());
    }
    let parent = parent();
    sweep(&parent);
    let path = parent.join(format!("{NAME}{}-{}", std::process::id(), &random()[..8]));
    // Fails if the name exists already, even as a link that another user made.
    fs::DirBuilder::new().mode(0o700).create(&path)?;
    *room = Some(path.clone());
    Ok(path)
}

/// Forgets the directory and returns its path. The caller closes the connections in it, then removes it.
pub(crate) fn remove_socket_dir() -> Option<PathBuf> {
    lock(&ROOM).take()
}

fn parent() -> PathBuf {
    let usual = std::env::temp_dir();
    if usual.as_os_str().len() <= LONGEST { usual } else { PathBuf::from("/tmp") }
}

/// Removes the directories of processes that were killed. Their connections end by themselves.
fn sweep(parent: &Path) {
    let us = rustix::process::geteuid().as_raw();
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(NAME).and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        let is_left = owner.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists());
        if is_left && fs::symlink_metadata(entry.path()).is_ok_and(|about| about.is_dir() && about.uid() == us) {
            // It may be gone already.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
