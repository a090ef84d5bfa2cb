//! The log's files are removed, moved or replaced while they are open: no write is acknowledged until they are back.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use runbook::actions::transport::process::output_detached;
use runbook::store::sqlite::Sqlite;
use runbook::store::{EventStore, StoreError};
use tempfile::TempDir;

use super::{at, id, note, notes};

/// More events than the WAL holds before SQLite moves them into the database file.
const MANY: usize = 400;

/// A log that is open, with events in the database file and in the WAL.
struct Open {
    directory: TempDir,
    store: Sqlite,
    seq: u64,
}

impl Open {
    async fn new() -> Self {
        let mut open = Self::empty().await;
        open.fill().await;
        open
    }

    /// A new log.
    async fn empty() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Sqlite::open(directory.path().join("log.db")).await.unwrap();
        Self { directory, store, seq: 0 }
    }

    /// Appends events of several pages, one at a time.
    async fn append(&mut self, count: usize) {
        for _ in 0..count {
            let drafts = vec![note(0, "x".repeat(20_000))];
            self.store.append(&id("lusab-fidok"), self.seq, drafts).await.unwrap();
            self.seq += 1;
        }
    }

    /// Appends until SQLite has moved events into the database file, and some more.
    async fn fill(&mut self) {
        self.append(MANY).await;
    }

    fn path(&self, suffix: &str) -> PathBuf {
        self.directory.path().join(format!("log.db{suffix}"))
    }

    /// Neither an append nor a lease is acknowledged, and the log counts as not writable.
    #[track_caller]
    fn refuses(&self, answers: [Result<(), StoreError>; 3], reason: &str) {
        for answer in answers {
            let error = answer.expect_err("nothing is acknowledged").to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    async fn answers(&self) -> [Result<(), StoreError>; 3] {
        let incident = id("lusab-fidok");
        [
            self.store.append(&incident, self.seq, notes(1)).await.map(drop),
            self.store.acquire_lease(&incident, "here", None, at(0), at(15)).await.map(drop),
            self.store.check_writable().await,
        ]
    }

    /// Writes are acknowledged, and another process reads them.
    async fn is_whole(&mut self) {
        let incident = id("lusab-fidok");
        let seq = self.store.seq(&incident).await.unwrap();
        self.store.append(&incident, seq, notes(1)).await.unwrap();
        self.seq = seq + 1;
        self.store.check_writable().await.unwrap();
        self.store.inspect().await.unwrap();
        let mut count = Command::new("sqlite3");
        count.arg(self.path("")).arg("SELECT count(*) FROM events");
        let output = output_detached(&mut count).expect("sqlite3 starts; install the Debian package `sqlite3`");
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), self.seq.to_string());
    }
}

/// Copies a file in another process: closing a file in this one would drop SQLite's locks.
fn copy(from: &Path, to: &Path) {
    let output = output_detached(Command::new("cp").arg(from).arg(to)).expect("cp starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Moves the WAL into the database file and empties it, by another program.
fn checkpoint(log: &Path) {
    let mut checkpoint = Command::new("sqlite3");
    checkpoint.arg(log).arg("PRAGMA wal_checkpoint(TRUNCATE)");
    let output = output_detached(&mut checkpoint).expect("sqlite3 starts; install the Debian package `sqlite3`");
    assert!(output.stdout.starts_with(b"0|"), "{}", String::from_utf8_lossy(&output.stdout));
}

fn swap(first: &Path, second: &Path) {
    let aside = first.with_extension("aside");
    fs::rename(first, &aside).unwrap();
    fs::rename(second, first).unwrap();
    fs::rename(aside, second).unwrap();
}

#[tokio::test]
async fn a_database_file_that_was_moved_is_written_to_again_when_it_is_back() {
    let mut open = Open::new().await;
    let aside = open.path(".aside");
    fs::rename(open.path(""), &aside).unwrap();
    open.refuses(open.answers().await, "was removed or moved");
    fs::rename(&aside, open.path("")).unwrap();
    open.is_whole().await;
}

#[tokio::test]
async fn a_database_file_that_was_replaced_is_written_to_again_when_it_is_back() {
    let mut open = Open::new().await;
    let copy = open.path(".copy");
    self::copy(&open.path(""), &copy);
    swap(&open.path(""), &copy);
    open.refuses(open.answers().await, "is another file");
    swap(&open.path(""), &copy);
    open.is_whole().await;
}

#[tokio::test]
async fn a_wal_that_was_moved_is_written_to_again_when_it_is_back() {
    let mut open = Open::new().await;
    let aside = open.path(".aside");
    fs::rename(open.path("-wal"), &aside).unwrap();
    open.refuses(open.answers().await, "was removed or moved");
    fs::write(open.path("-wal"), "another").unwrap();
    open.refuses(open.answers().await, "is another file");
    fs::rename(&aside, open.path("-wal")).unwrap();
    open.is_whole().await;
}

#[tokio::test]
async fn a_database_file_that_was_overwritten_in_place_is_noticed() {
    let mut open = Open::new().await;
    let (backup, current) = (open.path(".backup"), open.path(".current"));
    copy(&open.path(""), &backup);
    open.fill().await;
    open.fill().await;
    copy(&open.path(""), &current);
    copy(&backup, &open.path(""));
    open.refuses(open.answers().await, "log.db");
    copy(&current, &open.path(""));
    open.is_whole().await;
}

#[tokio::test]
async fn a_backup_in_the_place_of_a_log_whose_latest_events_are_in_the_wal_is_noticed() {
    let mut open = Open::new().await;
    let backup = open.path(".backup");
    copy(&open.path(""), &backup);
    open.fill().await;
    checkpoint(&open.path(""));
    open.append(3).await;
    copy(&backup, &open.path(""));
    open.refuses(open.answers().await, "it is shorter than it was");
}

#[tokio::test]
async fn a_file_that_was_cut_or_emptied_is_noticed_even_if_the_log_was_new() {
    for (suffix, cut) in [("", true), ("", false), ("-wal", false), ("-wal", true)] {
        let mut open = Open::empty().await;
        open.append(6).await;
        let size = fs::metadata(open.path(suffix)).unwrap().len();
        let length = if cut { size / 2 } else { 0 };
        let mut truncate = Command::new("truncate");
        truncate.args(["-s", &length.to_string()]).arg(open.path(suffix));
        assert!(output_detached(&mut truncate).expect("truncate starts").status.success());
        let first = open.answers().await.map(|answer| answer.map_err(|error| error.to_string()));
        assert!(first.iter().all(Result::is_err), "log.db{suffix}, cut in half: {cut}: {first:?}");
    }
}

#[tokio::test]
async fn an_earlier_wal_in_the_place_of_the_open_one_is_noticed() {
    let mut open = Open::empty().await;
    open.append(6).await;
    let earlier = open.path(".earlier");
    copy(&open.path("-wal"), &earlier);
    open.append(1).await;
    copy(&earlier, &open.path("-wal"));
    open.refuses(open.answers().await, "it is shorter than it was");
}

#[tokio::test]
async fn a_wal_that_another_program_emptied_by_a_checkpoint_is_written_again() {
    let mut open = Open::empty().await;
    for _ in 0..3 {
        open.append(6).await;
        checkpoint(&open.path(""));
        open.is_whole().await;
    }
}

#[tokio::test]
async fn the_events_of_a_removed_wal_survive_the_end_of_the_process() {
    let mut open = Open::empty().await;
    open.append(6).await;
    fs::remove_file(open.path("-wal")).unwrap();
    open.refuses(open.answers().await, "its events were saved in the database file");
    let Open { directory, store, seq } = open;
    store.close().await.unwrap();
    let store = Sqlite::open_existing(directory.path().join("log.db")).await.unwrap();
    assert_eq!(store.seq(&id("lusab-fidok")).await.unwrap(), seq);
    store.inspect().await.unwrap();
}

#[tokio::test]
async fn an_empty_log_in_the_place_of_the_open_one_is_noticed() {
    let open = Open::new().await;
    let other = tempfile::tempdir().unwrap();
    let path = other.path().join("log.db");
    Sqlite::open(&path).await.unwrap().close().await.unwrap();
    copy(&path, &open.path(""));
    open.refuses(open.answers().await, "log.db");
}

#[tokio::test]
async fn a_connection_is_not_opened_again_to_another_file() {
    let open = Open::new().await;
    let copy = open.path(".copy");
    self::copy(&open.path(""), &copy);
    fs::rename(&copy, open.path("")).unwrap();
    let other = Sqlite::open(open.path("")).await.unwrap();
    open.refuses(open.answers().await, "is another file");
    other.append(&id("zuzuz-zuzuz"), 0, notes(1)).await.unwrap();
}
