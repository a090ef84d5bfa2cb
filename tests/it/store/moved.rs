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
        let directory = tempfile::tempdir().unwrap();
        let store = Sqlite::open(directory.path().join("log.db")).await.unwrap();
        let mut open = Self { directory, store, seq: 0 };
        open.fill().await;
        open
    }

    /// Appends until SQLite has moved events into the database file, and some more.
    async fn fill(&mut self) {
        for _ in 0..MANY {
            let drafts = vec![note(0, "x".repeat(20_000))];
            self.store.append(&id("lusab-fidok"), self.seq, drafts).await.unwrap();
            self.seq += 1;
        }
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
        self.store.check_writable().await.unwrap();
        self.store.inspect().await.unwrap();
        let mut count = Command::new("sqlite3");
        count.arg(self.path("")).arg("SELECT count(*) FROM events");
        let output = output_detached(&mut count).expect("sqlite3 starts; install the Debian package `sqlite3`");
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), (seq + 1).to_string());
    }
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
    fs::copy(open.path(""), &copy).unwrap();
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
    let backup = fs::read(open.path("")).unwrap();
    open.fill().await;
    open.fill().await;
    let current = fs::read(open.path("")).unwrap();
    fs::write(open.path(""), &backup).unwrap();
    open.refuses(open.answers().await, "log.db");
    fs::write(open.path(""), &current).unwrap();
    open.is_whole().await;
}

#[tokio::test]
async fn an_empty_log_in_the_place_of_the_open_one_is_noticed() {
    let open = Open::new().await;
    let other = tempfile::tempdir().unwrap();
    let path = other.path().join("log.db");
    Sqlite::open(&path).await.unwrap().close().await.unwrap();
    fs::copy(&path, open.path("")).unwrap();
    open.refuses(open.answers().await, "log.db");
}

#[tokio::test]
async fn a_connection_is_not_opened_again_to_another_file() {
    let open = Open::new().await;
    let copy = open.path(".copy");
    fs::copy(open.path(""), &copy).unwrap();
    fs::rename(&copy, open.path("")).unwrap();
    let other = Sqlite::open(open.path("")).await.unwrap();
    open.refuses(open.answers().await, "is another file");
    other.append(&id("zuzuz-zuzuz"), 0, notes(1)).await.unwrap();
}
