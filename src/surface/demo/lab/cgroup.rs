//! A control group for one private manager and everything that it starts.
//!
//! A manager treats the group in which it starts as its root: it creates the groups of its units there and kills the
//! processes in them. Two managers in one group would kill each other's services. A manager in the root group would move
//! every process of the machine.
//!
//! The name ends in `.slice`, because journald finds the unit's name in the path:
//! `/runbook_7_0.slice/app.slice/pakashop-gateway.service`.
//!
//! **Invariant:** after [`ControlGroup::empty`] no process of the group is left.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// Where control groups are mounted.
const MOUNT: &str = "/sys/fs/cgroup";

/// Hierarchies of version 1 that systemd uses for its units.
const HIERARCHIES: &[&str] = &["name=systemd", "memory", "pids"];

/// Maximum attempts to empty a group; each sends SIGKILL to its processes.
const MAX_ATTEMPTS: u32 = 1000;

/// The pause between two attempts. A killed process ends within a few milliseconds.
const RETRY_INTERVAL: Duration = Duration::from_millis(5);

/// The number of groups that this process has created.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// A group in every hierarchy that systemd uses on this machine.
#[derive(Debug)]
pub struct ControlGroup {
    directories: Vec<PathBuf>,
}

impl ControlGroup {
    /// Creates an empty group beside the group of this process.
    ///
    /// # Errors
    /// When control groups cannot be created: in a container with a read-only tree, or in a session without a delegated
    /// subtree.
    pub fn new() -> io::Result<Self> {
        let name = format!("runbook_{}_{}.slice", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let own = fs::read_to_string("/proc/self/cgroup")?;
        let mut group = Self { directories: Vec::new() };
        for parent in parents(&own, Path::new(MOUNT)) {
            remove_leftover_groups(&parent);
            let directory = parent.join(&name);
            fs::create_dir(&directory)
                .map_err(|error| io::Error::new(error.kind(), format!("`{}`: {error}", directory.display())))?;
            group.directories.push(directory);
        }
        if group.directories.is_empty() {
            return Err(io::Error::other(format!("no control groups are mounted at `{MOUNT}`")));
        }
        Ok(group)
    }

    /// The files to which a process writes its id to join the group.
    pub fn procs_files(&self) -> impl Iterator<Item = PathBuf> {
        self.directories.iter().map(|directory| directory.join("cgroup.procs"))
    }

    /// Kills every process of the group and removes the group.
    ///
    /// # Errors
    /// When a process does not end.
    #[expect(
        clippy::disallowed_methods,
        reason = "it waits for the kernel, also in a destructor, where no async code can run"
    )]
    pub fn empty(&mut self) -> io::Result<()> {
        for _ in 0..MAX_ATTEMPTS {
            for directory in &self.directories {
                kill_all(directory);
            }
            self.directories.retain(|directory| remove(directory).is_err());
            if self.directories.is_empty() {
                return Ok(());
            }
            std::thread::sleep(RETRY_INTERVAL);
        }
        Err(io::Error::other(format!("`{}` does not become empty", self.directories[0].display())))
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        let _ = self.empty();
    }
}

/// The parent directories for the new group, in each hierarchy that systemd uses.
///
/// A trailing `init.scope` is removed: a manager runs in that group, and the groups of its units are beside it.
fn parents(own: &str, mount: &Path) -> Vec<PathBuf> {
    own.lines()
        .filter_map(|line| {
            let mut parts = line.splitn(3, ':');
            let (_, hierarchy, path) = (parts.next()?, parts.next()?, parts.next()?);
            let root = match hierarchy {
                "" if mount.join("cgroup.procs").exists() => mount.to_owned(),
                "" => mount.join("unified"),
                named if HIERARCHIES.contains(&named) => mount.join(named.trim_start_matches("name=")),
                _ => return None,
            };
            let path = path.strip_suffix("/init.scope").unwrap_or(path);
            root.exists().then(|| root.join(path.trim_start_matches('/')))
        })
        .collect()
}

/// Removes the empty groups of processes of this program that were killed.
fn remove_leftover_groups(parent: &Path) {
    for group in subgroups(parent) {
        let name = group.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let owner = name.strip_prefix("runbook_").and_then(|rest| rest.split('_').next()?.parse::<u32>().ok());
        if owner.is_some_and(|owner| !Path::new("/proc").join(owner.to_string()).exists()) {
            // An error is ignored: a process still runs in the group, or another process has removed it.
            let _ = remove(&group);
        }
    }
}

/// Sends SIGKILL to every process of a group and its subgroups.
fn kill_all(directory: &Path) {
    for subgroup in subgroups(directory) {
        kill_all(&subgroup);
    }
    let processes = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    for process in processes.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)) {
        let _ = kill_process(process, Signal::KILL);
    }
}

fn remove(directory: &Path) -> io::Result<()> {
    for subgroup in subgroups(directory) {
        remove(&subgroup)?;
    }
    match fs::remove_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The subgroups of a group.
fn subgroups(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_new_group_is_beside_init_scope() {
        let mount = tempfile::tempdir().unwrap();
        for hierarchy in ["unified", "systemd", "memory"] {
            fs::create_dir(mount.path().join(hierarchy)).unwrap();
        }
        let own = "9:name=systemd:/init.scope\n4:memory:/a/init.scope\n1:cpu:/\n0::/\nnonsense\n";
        let found = parents(own, mount.path());
        let expected = ["systemd", "memory/a", "unified"].map(|path| mount.path().join(path));
        assert_eq!(found, expected);
    }
}
