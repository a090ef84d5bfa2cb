//! SQLite's locks on the log, by which other SQLite programs know that this process uses it: no operation loses them.
//!
//! Not here: the effect of a lost lock on other processes, see `intake::outside`.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use runbook::domain::core::id::IncidentId;
use runbook::store::sqlite::Sqlite;
use runbook::store::{EventStore, Write};
use tempfile::TempDir;

use super::{at, id, note, notes};
use crate::real::sqlite::printed;

/// The bytes of the database file that every connection locks for reading, from SQLite's `os.h`: SHARED_FIRST and
/// SHARED_SIZE.
const SHARED: (u64, u64) = (0x4000_0002, 0x4000_0002 + 509);

/// The byte of `-shm` that every process locks for reading while it has a connection in WAL mode: UNIX_SHM_DMS.
const CONNECTED: (u64, u64) = (128, 128);

/// Enough commits for a checkpoint of the journal.
const MANY: u64 = 300;

/// How often the table of locks is read before a lock counts as lost.
const LOCK_READS: u32 = 50;

/// A log and its locks.
struct Log {
    directory: TempDir,
}

impl Log {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("log.db")
    }

    /// Fails unless this process holds what SQLite locks while a connection is open.
    #[track_caller]
    fn is_locked(&self, after: &str) {
        let (file, shared_memory) = (self.path(), self.path().with_extension("db-shm"));
        assert!(holds(&file, SHARED), "after {after}, the lock of the database file is lost");
        assert!(holds(&shared_memory, CONNECTED), "after {after}, the lock of `-shm` is lost");
    }
}

/// Whether this process has locked the bytes. The kernel returns its table in parts, and an entry may be missing in them
/// if the table changes in between; so the table is read several times.
fn holds(file: &Path, bytes: (u64, u64)) -> bool {
    (0..LOCK_READS).any(|_| locks(file).contains(&bytes))
}

/// The byte ranges of a file with POSIX read locks of this process, which are SQLite's. The device is
/// not compared: on some file systems it differs from that of `stat`.
fn locks(file: &Path) -> Vec<(u64, u64)> {
    let Ok(found) = fs::metadata(file) else { return Vec::new() };
    let (own, inode) = (std::process::id().to_string(), found.ino().to_string());
    let table = fs::read_to_string("/proc/locks").unwrap();
    let range = |line: &str| {
        let [_, "POSIX", "ADVISORY", "READ", pid, place, first, last] = line.split_whitespace().collect::<Vec<_>>()[..]
        else {
            return None;
        };
        let is_ours = pid == own && place.rsplit(':').next() == Some(&inode);
        is_ours.then(|| (first.parse().unwrap(), last.parse().unwrap()))
    };
    table.lines().filter_map(range).collect()
}

/// The number of descriptors of a file in this process.
fn descriptors(file: &Path) -> usize {
    let inode = fs::metadata(file).unwrap();
    let open = fs::read_dir("/proc/self/fd").unwrap().flatten().filter_map(|entry| fs::metadata(entry.path()).ok());
    open.filter(|found| (found.dev(), found.ino()) == (inode.dev(), inode.ino())).count()
}

#[tokio::test]
async fn every_operation_leaves_the_locks_in_place() {
    let log = Log::new();
    let store = Sqlite::open(log.path()).await.unwrap();
    log.is_locked("opening");
    writes(&log, &store).await;
    reads(&log, &store).await;
    store.close().await.unwrap();
    assert_eq!(locks(&log.path()), []);
    assert_eq!(descriptors(&log.path()), 0);
}

async fn writes(log: &Log, store: &Sqlite) {
    let incident = id("lusab-fidok");
    store.append(&incident, 0, notes(1)).await.unwrap();
    log.is_locked("the first append");
    store.append(&incident, 7, notes(1)).await.unwrap_err();
    log.is_locked("an append that was refused");
    let named = |number| Write { keys: vec!["a name".to_owned()], ..Write::of(&id(number), 0, notes(1)) };
    let written = store.write_all(vec![named("lusab-fidoj"), named("zuzuz-zuzuz")]).await;
    assert_eq!(written.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false]);
    log.is_locked("several writes, of which one was refused");
    store.acquire_lease(&incident, "here", None, at(0), at(15)).await.unwrap();
    log.is_locked("taking a lease");
    let lease = store.lease(&incident).await.unwrap().unwrap();
    log.is_locked("reading a lease");
    store.acquire_lease(&incident, "here", None, at(5), at(20)).await.unwrap();
    log.is_locked("renewing a lease");
    store.release(&lease).await.unwrap();
    log.is_locked("releasing a lease");
    for seq in 1..MANY {
        store.append(&incident, seq, vec![note(0, "x".repeat(20_000))]).await.unwrap();
        log.is_locked("one of many appends");
    }
    let journal = log.path().with_extension("db-wal").metadata().unwrap().len();
    assert!(journal < MANY * 20_000, "the journal was never folded into the file");
}

async fn reads(log: &Log, store: &Sqlite) {
    let incident = id("lusab-fidok");
    assert_eq!(store.read(&incident, 0).await.unwrap().len() as u64, MANY);
    log.is_locked("reading a stream");
    store.seq(&incident).await.unwrap();
    log.is_locked("reading the last number");
    store.seq(&id("babab-babab")).await.unwrap();
    log.is_locked("looking for a stream that does not exist");
    store.incidents(10, 0).await.unwrap();
    log.is_locked("listing");
    store.live().await.unwrap();
    log.is_locked("listing live incidents");
    store.find("lus", 10).await.unwrap();
    log.is_locked("finding");
    store.keys("a", 10).await.unwrap();
    log.is_locked("listing names");
    store.version().await.unwrap();
    log.is_locked("reading the version");
    assert_eq!(store.audit(&incident).await.unwrap().broken, None);
    log.is_locked("verifying a stream");
    store.inspect().await.unwrap();
    log.is_locked("verifying the file");
}

#[tokio::test]
async fn opening_and_closing_another_handle_leaves_the_locks_in_place() {
    let log = Log::new();
    let store = Sqlite::open(log.path()).await.unwrap();
    let symbolic = log.directory.path().join("symbolic.db");
    std::os::unix::fs::symlink(log.path(), &symbolic).unwrap();
    for path in [log.path(), symbolic] {
        let other = Sqlite::open_existing(&path).await.unwrap();
        log.is_locked("opening another handle");
        let seq = store.seq(&id("lusab-fidok")).await.unwrap();
        other.append(&id("lusab-fidok"), seq, notes(1)).await.unwrap();
        log.is_locked("an append by another handle");
        let clone = other.clone();
        other.close().await.unwrap();
        log.is_locked("closing another handle");
        clone.seq(&id("lusab-fidok")).await.unwrap();
        log.is_locked("reading by a handle that was closed");
        drop(clone);
        log.is_locked("dropping another handle");
    }
}

/// The handle closes a connection after an error and opens another.
#[tokio::test]
async fn a_connection_that_is_opened_again_after_an_error_leaves_the_locks_in_place() {
    const DAMAGE: &str = "UPDATE sqlite_schema SET sql = 'CREATE TABLE' || substr(sql, 13) || ')' WHERE name = 'keys'";
    const REPAIR: &str = "UPDATE sqlite_schema SET sql = substr(sql, 1, length(sql) - 1) WHERE name = 'keys'";
    let log = Log::new();
    let change = |sql: &str, version: u32| {
        printed(&log.path(), &format!("PRAGMA writable_schema = ON; {sql}; PRAGMA schema_version = {version};"))
    };
    let store = Sqlite::open(log.path()).await.unwrap();
    let incident = id("lusab-fidok");
    store.append(&incident, 0, notes(1)).await.unwrap();
    change(DAMAGE, 1_001);
    for _ in 0..2 {
        store.keys("a", 10).await.unwrap_err();
        log.is_locked("a read that failed");
    }
    change(REPAIR, 1_002);
    store.keys("a", 10).await.unwrap();
    log.is_locked("a read by a new connection");
    change(DAMAGE, 1_003);
    for _ in 0..2 {
        store.append(&incident, 1, notes(1)).await.unwrap_err();
        log.is_locked("an append that failed");
    }
    change(REPAIR, 1_004);
    store.append(&incident, 1, notes(1)).await.unwrap();
    log.is_locked("an append by a new connection");
    assert_eq!(store.seq(&incident).await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_opening_and_closing_leaves_the_locks_in_place() {
    let log = Arc::new(Log::new());
    let store = Sqlite::open(log.path()).await.unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let watcher = {
        let (log, over) = (Arc::clone(&log), Arc::clone(&over));
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                log.is_locked("something that other handles did at the same time");
            }
        })
    };
    let open_and_close = |number: u32| {
        let path = log.path();
        tokio::spawn(async move {
            for seq in 0..20 {
                let other = Sqlite::open(&path).await.unwrap();
                other.append(&IncidentId::from_bits(number), seq, notes(1)).await.unwrap();
                other.inspect().await.unwrap();
                if seq % 2 == 0 {
                    other.close().await.unwrap();
                }
            }
        })
    };
    let done = futures_util::future::join_all((0..8).map(open_and_close).collect::<Vec<_>>()).await;
    over.store(true, Ordering::Relaxed);
    watcher.join().unwrap();
    done.into_iter().for_each(Result::unwrap);
    assert_eq!(store.incidents(100, 0).await.unwrap().len(), 8);
    store.inspect().await.unwrap();
    log.is_locked("everything");
}

#[tokio::test]
async fn another_program_that_reads_the_log_leaves_its_journal_in_place() {
    const COUNT: &str = "SELECT count(*) FROM events";
    let log = Log::new();
    let store = Sqlite::open(log.path()).await.unwrap();
    let journal = log.path().with_extension("db-wal");
    store.append(&id("lusab-fidok"), 0, notes(1)).await.unwrap();
    let inode = journal.metadata().unwrap().ino();
    for seq in 1..5 {
        assert_eq!(printed(&log.path(), COUNT), seq.to_string());
        assert_eq!(journal.metadata().map(|found| found.ino()).ok(), Some(inode));
        store.append(&id("lusab-fidok"), seq, notes(1)).await.unwrap();
    }
    store.close().await.unwrap();
    assert_eq!(printed(&log.path(), COUNT), "5");
}
