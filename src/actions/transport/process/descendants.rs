//! Everything that a child has started, found and ended.
//!
//! A process can leave its group and its session and outlive its parents, but it cannot leave behind what it
//! inherits. So a child is started with a number of its own in a place where nobody looks: the soft limit of
//! `RLIMIT_RTTIME`, in microseconds of real-time computing, more than a hundred thousand years. Children inherit it, it
//! survives `setsid`, `exec` and a cleared environment, it changes nothing, and every user may read it in
//! `/proc/<pid>/limits`. An environment variable would do for most, but the environment belongs to the runbook.
//!
//! Deliberately absent: control groups, which need rights that an on-call engineer may not have, and a
//! child subreaper, which would make this process the parent of every daemon.
//!
//! **Invariant:** a process is signalled through a descriptor that was opened before it was looked at, so
//! the signal reaches the process that bore the mark or nobody.

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

/// How often `/proc` is read while new processes of the tree appear. This outruns a fork bomb, because each round kills
/// everything that the round before missed.
const ROUNDS: usize = 64;

/// A mark is at least this large; no real limit is.
const MARK_BASE: u64 = 1 << 62;

/// Low bits of a mark that count children; the others identify this process.
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

/// A new child inherits the limit of this process, so only one child at a time may be started.
static BORROWED: Mutex<()> = Mutex::new(());

/// Starts a child that belongs to no step. It waits while the limit is set to a step's mark.
pub(super) fn unmarked<T>(spawn: impl FnOnce() -> T) -> T {
    let _ours = lock(&BORROWED);
    spawn()
}

/// Starts a child with a new mark; without one if the limit cannot be changed.
pub(super) fn marked(spawn: impl FnOnce() -> io::Result<Child>) -> io::Result<(Child, Option<ProcessMark>)> {
    let _borrowed = lock(&BORROWED);
    let ours = getrlimit(Resource::Rttime);
    let mark = ProcessMark::next();
    let mark = setrlimit(Resource::Rttime, Rlimit { current: Some(mark.0), ..ours }).is_ok().then_some(mark);
    let child = spawn();
    if mark.is_some() {
        setrlimit(Resource::Rttime, ours).expect("a limit that was in force may be in force again");
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
        let us = who() & ((MARK_BASE >> COUNTER_BITS) - 1);
        Self(MARK_BASE | (us << COUNTER_BITS) | counter)
    }

    fn is_on(self, pid: Pid) -> bool {
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap_or_default();
        let line = limits.lines().find_map(|line| line.strip_prefix("Max realtime timeout"));
        line.and_then(|line| line.split_whitespace().next()) == Some(self.0.to_string().as_str())
    }
}

/// A number that identifies this process among those alive on this host: from its id, start time, boot and pid
/// namespace.
fn who() -> u64 {
    static WHO: OnceLock<u64> = OnceLock::new();
    *WHO.get_or_init(|| {
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

    /// Sends SIGTERM to every process of the tree.
    pub(super) fn terminate(&self) {
        // The group may be gone already. Each process gets the signal once: some programs abort at the second.
        let _ = kill_process_group(self.leader, Signal::TERM);
        let leader = self.leader.to_string();
        let mut heard = processes().filter(|pid| Stat::of(*pid).is_some_and(|stat| stat.group == leader)).collect();
        self.signal_marked(Signal::TERM, &mut heard);
    }

    /// Sends SIGKILL to every process of the tree. Returns descriptors of those found by their mark, readable when they
    /// have ended.
    pub(super) fn kill(&self) -> Vec<OwnedFd> {
        let _ = kill_process_group(self.leader, Signal::KILL);
        let (mut known, mut killed) = (HashSet::new(), Vec::new());
        for _ in 0..ROUNDS {
            let found = self.signal_marked(Signal::KILL, &mut known);
            if found.is_empty() {
                break;
            }
            killed.extend(found);
        }
        killed
    }

    /// Whether the child's group still has processes. Valid only after the child has been reaped.
    pub(super) fn has_group(&self) -> bool {
        test_kill_process_group(self.leader).is_ok()
    }

    /// Signals every marked process that is not in `known` yet.
    fn signal_marked(&self, signal: Signal, known: &mut HashSet<Pid>) -> Vec<OwnedFd> {
        let Some(mark) = self.mark else {
            return Vec::new();
        };
        let mut signalled = Vec::new();
        for pid in processes() {
            if known.contains(&pid) {
                continue;
            }
            let Ok(process) = pidfd_open(pid, PidfdFlags::NONBLOCK) else {
                continue;
            };
            if mark.is_on(pid) && self.is_of_tree(pid) && pidfd_send_signal(&process, signal).is_ok() {
                known.insert(pid);
                signalled.push(process);
            }
        }
        signalled
    }

    /// Whether a marked process is running and is the child or its descendant. While we carry the mark, another thread
    /// may start a child in another way; that one is our own child and is spared.
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
