//! Finds and ends all descendants of a child by an inherited mark.
//!
//! The mark is a unique soft limit `RLIMIT_RTTIME` of over a hundred thousand years, so it has no effect. A daemon keeps
//! it through `setsid`, `exec` and a cleared environment, and every user can read `/proc/<pid>/limits`.
//!
//! Not here: control groups, which need rights that an engineer may not have; a subreaper, which would become the parent
//! of every daemon.
//!
//! **Invariant:** a process is signalled through a descriptor opened before its mark was checked, so the signal never
//! reaches a reused process id.

use std::collections::HashSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::fd::OwnedFd;
use std::process::Child;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

use crate::sync::lock;
use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, getpid, getrlimit, kill_process_group, pidfd_open, pidfd_send_signal,
    setrlimit, test_kill_process_group,
};

/// Maximum number of reads of `/proc` while new processes of the tree appear. Each round kills the processes that the
/// round before missed, which ends a fork bomb too.
const ROUNDS: usize = 64;

/// The smallest mark. No real limit is as large.
const MARK_BASE: u64 = 1 << 62;

/// Low bits of a mark that count children. The bits above identify this process.
const COUNTER_BITS: u32 = 24;

/// The number that every process of a tree carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ProcessMark(u64);

/// A child and its descendants.
#[derive(Debug)]
pub(super) struct ProcessTree {
    leader: Pid,
    mark: Option<ProcessMark>,
}

/// Held while a child is started: the child inherits the limit of this process at that moment.
static LIMIT: Mutex<()> = Mutex::new(());

/// Starts a child that belongs to no step, while the limit is not set to a step's mark.
pub(super) fn unmarked<T>(spawn: impl FnOnce() -> T) -> T {
    let _guard = lock(&LIMIT);
    spawn()
}

/// Starts a child with a new mark; without one if the limit cannot be changed.
pub(super) fn marked(spawn: impl FnOnce() -> io::Result<Child>) -> io::Result<(Child, Option<ProcessMark>)> {
    let _guard = lock(&LIMIT);
    let original = getrlimit(Resource::Rttime);
    let mark = ProcessMark::next();
    let mark = setrlimit(Resource::Rttime, Rlimit { current: Some(mark.0), ..original }).is_ok().then_some(mark);
    let child = spawn();
    if mark.is_some() {
        setrlimit(Resource::Rttime, original).expect("a soft limit below the hard limit can always be set");
    }
    Ok((child?, mark))
}

/// A new mark for a tree on a remote host.
pub(super) fn new_mark() -> u64 {
    ProcessMark::next().0
}

impl ProcessMark {
    fn next() -> Self {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let counter = COUNTER.fetch_add(1, Ordering::Relaxed) & ((1 << COUNTER_BITS) - 1);
        let process = process_number() & ((MARK_BASE >> COUNTER_BITS) - 1);
        Self(MARK_BASE | (process << COUNTER_BITS) | counter)
    }

    fn is_on(self, pid: Pid) -> bool {
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap_or_default();
        let line = limits.lines().find_map(|line| line.strip_prefix("Max realtime timeout"));
        line.and_then(|line| line.split_whitespace().next()) == Some(self.0.to_string().as_str())
    }
}

/// A number that identifies this process among those alive on this host: a hash of its id, start time, boot and pid
/// namespace.
fn process_number() -> u64 {
    static NUMBER: OnceLock<u64> = OnceLock::new();
    *NUMBER.get_or_init(|| {
        let mut hasher = DefaultHasher::new();
        for file in ["/proc/self/stat", "/proc/sys/kernel/random/boot_id"] {
            fs::read(file).unwrap_or_default().hash(&mut hasher);
        }
        fs::read_link("/proc/self/ns/pid").unwrap_or_default().hash(&mut hasher);
        hasher.finish()
    })
}

impl ProcessTree {
    pub(super) fn new(leader: Pid, mark: Option<ProcessMark>) -> Self {
        Self { leader, mark }
    }

    /// Sends SIGTERM to every process of the tree, once to each: some programs stop cleaning up at the second signal.
    ///
    /// The processes are determined before the first signal. A process that starts later does clean-up for one that got
    /// the signal, so it gets none.
    pub(super) fn terminate(&self) {
        let (leader, none) = (self.leader.to_string(), HashSet::new());
        let is_outside = |pid: Pid| Stat::of(pid).is_some_and(|stat| stat.group != leader);
        let outside_group: Vec<(Pid, OwnedFd)> = self.marked(&none).filter(|(pid, _)| is_outside(*pid)).collect();
        // Errors mean that the process has ended.
        let _ = kill_process_group(self.leader, Signal::TERM);
        for (_, process) in outside_group {
            let _ = pidfd_send_signal(&process, Signal::TERM);
        }
    }

    /// Sends SIGKILL to every process of the tree. Returns descriptors of those found by their mark, readable when they
    /// have ended.
    pub(super) fn kill(&self) -> Vec<OwnedFd> {
        let _ = kill_process_group(self.leader, Signal::KILL);
        let (mut known, mut killed) = (HashSet::new(), Vec::new());
        for _ in 0..ROUNDS {
            let found = self.marked(&known).filter(|(_, process)| pidfd_send_signal(process, Signal::KILL).is_ok());
            let found: Vec<(Pid, OwnedFd)> = found.collect();
            if found.is_empty() {
                break;
            }
            known.extend(found.iter().map(|(pid, _)| *pid));
            killed.extend(found.into_iter().map(|(_, process)| process));
        }
        killed
    }

    /// A descriptor of each running process of the tree with the mark, readable when the process has ended.
    pub(super) fn running(&self) -> Vec<OwnedFd> {
        self.marked(&HashSet::new()).map(|(_, process)| process).collect()
    }

    /// Whether the child's group still has processes. Valid only after the child has been reaped.
    pub(super) fn has_group(&self) -> bool {
        test_kill_process_group(self.leader).is_ok()
    }

    /// Every running process of the tree with the mark that is not in `known`, with its descriptor.
    fn marked(&self, known: &HashSet<Pid>) -> impl Iterator<Item = (Pid, OwnedFd)> {
        self.mark.into_iter().flat_map(move |mark| {
            let unknown = processes().filter(|pid| !known.contains(pid));
            let opened = unknown.filter_map(|pid| Some((pid, pidfd_open(pid, PidfdFlags::NONBLOCK).ok()?)));
            opened.filter(move |(pid, _)| mark.is_on(*pid) && self.is_of_tree(*pid))
        })
    }

    /// Whether a marked process is running and is the child or its descendant. Another thread may start a child without
    /// this module while this process has the mark. Such a child has this process as its parent and is spared.
    fn is_of_tree(&self, pid: Pid) -> bool {
        let us = getpid().to_string();
        let runs = |stat: Stat| !matches!(stat.state.as_str(), "Z" | "X") && (pid == self.leader || stat.parent != us);
        Stat::of(pid).is_some_and(runs)
    }
}

/// The fields of `/proc/<pid>/stat` that are needed here.
struct Stat {
    state: String,
    parent: String,
    group: String,
}

impl Stat {
    fn of(pid: Pid) -> Option<Self> {
        let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may hold anything; the other fields follow the last parenthesis.
        let stat = String::from_utf8_lossy(&stat);
        let mut fields = stat.rsplit(')').next()?.split_whitespace().map(str::to_owned);
        Some(Self { state: fields.next()?, parent: fields.next()?, group: fields.next()? })
    }
}

fn processes() -> impl Iterator<Item = Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok().and_then(Pid::from_raw))
}
