//! Several processes on one log, killed processes, and disks that are full or read-only.
//!
//! The other processes are ignored tests, which the tests start from the same binary.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use runbook::domain::core::id::IncidentId;
use runbook::store::sqlite::Sqlite;
use runbook::store::{EventStore, StoreError};

use super::contract::{race, texts};
use super::{id, note, notes};

/// How often an appending process is killed.
const KILLS: u64 = 25;

/// The variable with the path of the log, for a part.
const LOG: &str = "RUNBOOK_TEST_LOG";

#[expect(clippy::disallowed_methods, reason = "the log that the starting test names")]
fn log() -> String {
    std::env::var(LOG).expect("another test starts this part")
}

/// Starts one of the parts below as a process, after the shell commands `before` in its own mount namespace.
#[expect(clippy::disallowed_methods, reason = "the test's own binary")]
fn part(name: &str, log: &Path, before: Option<&str>) -> Child {
    let binary = std::env::current_exe().unwrap();
    let arguments = ["--exact", &format!("store::processes::{name}"), "--ignored", "--nocapture", "--test-threads=1"];
    let mut command = match before {
        None => Command::new(&binary),
        Some(before) => {
            let mut command = Command::new("unshare");
            command.args(["--mount", "--map-root-user", "sh", "-ec", &format!("{before}; exec \"$@\""), "sh"]);
            command.arg(&binary);
            command
        }
    };
    command.args(arguments).env(LOG, log).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("the test's own binary starts; a name space needs `unshare` of the package util-linux")
}

fn finish(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_handles_on_one_file_lose_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.db");
    let stores = [Sqlite::open(&path).await.unwrap(), Sqlite::open(&path).await.unwrap()];
    let racers: Vec<_> = (0..8)
        .map(|racer| tokio::spawn(race(stores[racer as usize % 2].clone(), id("lusab-fidok"), racer, 15)))
        .collect();
    for racer in racers {
        racer.await.unwrap();
    }
    for store in &stores {
        assert_eq!(texts(&store.read(&id("lusab-fidok"), 0).await.unwrap()).len(), 120);
    }
}

/// A handle caches the end of a stream; it must notice events of another handle.
#[tokio::test]
async fn a_handle_notices_what_another_has_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.db");
    let (one, other, inc) = (Sqlite::open(&path).await.unwrap(), Sqlite::open(&path).await.unwrap(), id("lusab-fidok"));
    one.append(&inc, 0, notes(2)).await.unwrap();
    one.append(&inc, 2, notes(1)).await.unwrap();
    other.append(&inc, 3, notes(4)).await.unwrap();
    let error = one.append(&inc, 3, notes(1)).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict { expected: 3, actual: 7 }), "{error}");
    one.append(&inc, 7, notes(1)).await.unwrap();
    one.append(&inc, 8, notes(3)).await.unwrap();
    // The cache of `other` is old, and the expected number is not.
    other.append(&inc, 11, notes(1)).await.unwrap();
    assert!(matches!(other.append(&inc, 11, Vec::new()).await, Err(StoreError::Conflict { actual: 12, .. })));
    for store in [one, other] {
        assert_eq!(store.audit(&inc).await.unwrap().broken, None);
        assert_eq!(store.seq(&inc).await.unwrap(), 12);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_on_one_file_lose_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.db");
    let store = Sqlite::open(&path).await.unwrap();
    let others = [part("races", &path, None), part("races", &path, None)];
    race(store.clone(), id("lusab-fidok"), 0, 40).await;
    for other in others {
        tokio::task::spawn_blocking(|| finish(other)).await.unwrap();
    }
    let read = store.read(&id("lusab-fidok"), 0).await.unwrap();
    assert_eq!((read.len(), texts(&read).len()), (120, 120));
    store.inspect().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a part of `two_processes_on_one_file_lose_nothing`"]
async fn races() {
    let store = Sqlite::open(log()).await.unwrap();
    race(store, id("lusab-fidok"), std::process::id(), 40).await;
}

#[test]
fn acknowledged_events_survive_a_kill_at_any_moment() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.db");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut acknowledged = vec![0; 3];
    for kill in 0..KILLS {
        let mut child = part("appends_until_killed", &path, None);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        // Killed after a different number of appends each time.
        let read: Vec<String> =
            lines.by_ref().filter(|line| line.contains("durable ")).take(1 + 7 * kill as usize).collect();
        child.kill().unwrap();
        // Lines printed before the kill count as well; a truncated line does not.
        for line in read.into_iter().chain(lines) {
            let Some((_, event)) = line.split_once("durable ") else { continue };
            let Some((stream, seq)) = event.strip_suffix(';').and_then(|event| event.split_once(' ')) else { continue };
            acknowledged[stream.parse::<usize>().unwrap()] = seq.parse().unwrap();
        }
        child.wait().unwrap();
        runtime.block_on(check(&path, &acknowledged));
    }
    assert!(acknowledged.iter().all(|seq| *seq > KILLS), "{acknowledged:?}");
}

async fn check(path: &Path, acknowledged: &[u64]) {
    let store = Sqlite::open_existing(path).await.unwrap();
    store.inspect().await.unwrap();
    for (stream, &seq) in (0_u32..).zip(acknowledged) {
        let audit = store.audit(&IncidentId::from_bits(stream)).await.unwrap();
        assert_eq!(audit.broken, None);
        assert!(audit.events >= seq, "stream {stream}: {seq} were acknowledged, {} are there", audit.events);
    }
    // Not closed, so that the next process gets the journal as the kill left it.
    drop(store);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a part of `acknowledged_events_survive_a_kill_at_any_moment`"]
async fn appends_until_killed() {
    let store = Sqlite::open(log()).await.unwrap();
    let appender = |stream: u32| {
        let store = store.clone();
        tokio::spawn(async move {
            let incident = IncidentId::from_bits(stream);
            let mut seq = store.seq(&incident).await.unwrap();
            loop {
                let length = 1 + seq as usize % 5;
                seq = store.append(&incident, seq, notes(length)).await.unwrap().last().unwrap().seq;
                println!("durable {stream} {seq};");
            }
        })
    };
    futures_util::future::join_all((0..3).map(appender)).await;
}

#[test]
fn a_full_disk_refuses_writes_until_there_is_space() {
    let directory = tempfile::tempdir().unwrap();
    let mount = format!("mount -t tmpfs -o size=1m tmpfs '{}'", directory.path().display());
    finish(part("fills_the_disk", &directory.path().join("log.db"), Some(&mount)));
}

#[tokio::test]
#[ignore = "a part of `a_full_disk_refuses_writes_until_there_is_space`"]
async fn fills_the_disk() {
    let (log, inc) = (log(), id("lusab-fidok"));
    let ballast = Path::new(&log).with_file_name("ballast");
    std::fs::write(&ballast, vec![0; 256 * 1024]).unwrap();
    let store = Sqlite::open(&log).await.unwrap();
    let mut seq = 0;
    let error = loop {
        match store.append(&inc, seq, vec![note(0, "x".repeat(10_000))]).await {
            Ok(recorded) => seq = recorded[0].seq,
            Err(error) => break error,
        }
    };
    assert!(seq > 3, "{seq}");
    let StoreError::Unavailable(message) = &error else { panic!("{error}") };
    assert!(message.contains("is full; nothing was written: free some space"), "{message}");
    for _ in 0..3 {
        assert!(store.append(&inc, seq, vec![note(0, "x".repeat(10_000))]).await.is_err());
    }
    assert_eq!(store.read(&inc, 0).await.unwrap().len() as u64, seq);
    std::fs::remove_file(ballast).unwrap();
    store.append(&inc, seq, vec![note(0, "there is space again")]).await.unwrap();
    assert_eq!(store.audit(&inc).await.unwrap().events, seq + 1);
}

#[test]
fn no_log_is_created_on_a_full_disk() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log.db");
    let mount = format!(
        "mount -t tmpfs -o size=64k tmpfs '{0}'; dd if=/dev/zero of='{0}/ballast' bs=1k count=52 2>/dev/null",
        directory.path().display()
    );
    finish(part("opens_on_a_full_disk", &log, Some(&mount)));
}

#[tokio::test]
#[ignore = "a part of `no_log_is_created_on_a_full_disk`"]
async fn opens_on_a_full_disk() {
    let log = log();
    let error = Sqlite::open(&log).await.unwrap_err().to_string();
    assert!(error.contains("is full"), "{error}");
    let directory = Path::new(&log).parent().unwrap();
    let left: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["ballast"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_disk_can_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.db");
    let store = Sqlite::open(&path).await.unwrap();
    store.append(&id("lusab-fidok"), 0, notes(5)).await.unwrap();
    let mount = format!("mount --bind '{0}' '{0}'; mount -o remount,bind,ro '{0}'", directory.path().display());
    let child = part("reads_only", &path, Some(&mount));
    tokio::task::spawn_blocking(|| finish(child)).await.unwrap();
}

#[tokio::test]
#[ignore = "a part of `a_read_only_disk_can_be_read`"]
async fn reads_only() {
    let store = Sqlite::open(log()).await.unwrap();
    let inc = id("lusab-fidok");
    assert_eq!(store.read(&inc, 0).await.unwrap().len(), 5);
    let error = store.append(&inc, 5, notes(1)).await.unwrap_err();
    assert!(matches!(&error, StoreError::Unavailable(why) if why.contains("may not be written")), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_another_holds_is_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.db");
    let store = Sqlite::open(&path).await.unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let append = {
        let store = store.clone();
        tokio::spawn(async move { store.append(&id("lusab-fidok"), 0, notes(1)).await })
    };
    assert_eq!(store.seq(&id("lusab-fidok")).await.unwrap(), 0, "reads are not blocked");
    assert!(tokio::time::timeout(Duration::from_millis(200), store.append(&id("a"), 0, notes(1))).await.is_err());
    other.execute_batch("COMMIT").unwrap();
    append.await.unwrap().unwrap();
}
