//! The database file: its creation, its permissions, and files that are not a log.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use runbook::store::sqlite::Sqlite;
use runbook::store::{EventStore, StoreError};
use rusqlite::Connection;

use super::{at, id, notes};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_log_is_readable_by_its_owner_only() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("deep/state/log.db");
    let store = Sqlite::open(&path).await.unwrap();
    store.append(&id("a"), 0, notes(1)).await.unwrap();
    assert_eq!(names(path.parent().unwrap()), ["log.db", "log.db-shm", "log.db-wal"]);
    for name in names(path.parent().unwrap()) {
        assert_eq!(mode(&path.with_file_name(&name)), 0o600, "{name}");
    }
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    assert_eq!(mode(&directory.path().join("deep")), 0o700);
}

#[tokio::test]
async fn closing_the_store_leaves_one_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.db");
    let store = Sqlite::open(&path).await.unwrap();
    store.append(&id("a"), 0, notes(3)).await.unwrap();
    store.read(&id("a"), 0).await.unwrap();
    store.close().await.unwrap();
    assert_eq!(names(directory.path()), ["log.db"]);
    assert_eq!(Sqlite::open_existing(&path).await.unwrap().seq(&id("a")).await.unwrap(), 3);
}

#[tokio::test]
async fn a_handle_that_is_used_again_after_closing_sees_what_another_wrote() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.db");
    let (first, second) = (Sqlite::open(&path).await.unwrap(), Sqlite::open(&path).await.unwrap());
    first.append(&id("a"), 0, notes(1)).await.unwrap();
    first.clone().close().await.unwrap();
    second.append(&id("a"), 1, notes(1)).await.unwrap();
    let refused = first.append(&id("a"), 1, notes(1)).await;
    assert!(matches!(refused, Err(StoreError::Conflict { expected: 1, actual: 2 })), "{refused:?}");
    first.append(&id("a"), 2, notes(1)).await.unwrap();
    assert_eq!(second.read(&id("a"), 0).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_path_is_never_read_as_a_url() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["with space.db", "a?mode=memory", "50%.db", "a#b", "file:x", "ä\u{1b}.db", "'.db", "&cache=shared"] {
        let path = directory.path().join("state").join(name);
        let store = Sqlite::open(&path).await.unwrap();
        store.append(&id("a"), 0, notes(1)).await.unwrap();
        store.close().await.unwrap();
        assert_eq!(names(path.parent().unwrap()), [name]);
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_openers_share_one_log() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state/log.db");
    let start = |number: u32| {
        let path = path.clone();
        tokio::spawn(async move {
            let store = Sqlite::open(&path).await.unwrap();
            store.append(&runbook::domain::core::id::IncidentId::from_bits(number), 0, notes(1)).await.unwrap();
            store.close().await.unwrap();
        })
    };
    for task in (0..16).map(start).collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let store = Sqlite::open_existing(&path).await.unwrap();
    assert_eq!(store.incidents(100, 0).await.unwrap().len(), 16);
    let left = names(path.parent().unwrap());
    assert!(left.iter().all(|name| ["log.db", "log.db-shm", "log.db-wal"].contains(&name.as_str())), "{left:?}");
}

async fn refusal(path: &Path) -> (StoreError, StoreError) {
    (Sqlite::open(path).await.unwrap_err(), Sqlite::open_existing(path).await.unwrap_err())
}

#[tokio::test]
async fn a_file_of_another_program_is_refused_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("other.db");
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch("CREATE TABLE customers (name); PRAGMA user_version = 1").unwrap();
    connection.close().unwrap();
    let before = fs::read(&path).unwrap();
    let (error, other) = refusal(&path).await;
    assert!(error.to_string().contains("is an SQLite file of another program"), "{error}");
    assert_eq!(error.to_string(), other.to_string());
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(names(directory.path()), ["other.db"]);
}

#[tokio::test]
async fn a_later_format_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.db");
    Sqlite::open(&path).await.unwrap().close().await.unwrap();
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch("PRAGMA user_version = 2").unwrap();
    connection.close().unwrap();
    let (error, _) = refusal(&path).await;
    assert!(error.to_string().contains("has format 2, and this program knows formats up to 1"), "{error}");
}

#[tokio::test]
async fn an_older_log_is_reported_as_old_and_not_as_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.db");
    Sqlite::open(&path).await.unwrap().close().await.unwrap();
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch("PRAGMA journal_mode = DELETE; PRAGMA page_size = 2048; VACUUM").unwrap();
    connection.close().unwrap();
    let (error, other) = refusal(&path).await;
    assert!(matches!((&error, &other), (StoreError::Unavailable(_), StoreError::Unavailable(_))), "{error} {other}");
    assert!(error.to_string().contains("is an older log, of a `runbook` before its first release"), "{error}");
}

#[tokio::test]
async fn a_file_that_is_not_a_log_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.db");
    for bytes in [Vec::new(), b"hello".to_vec(), vec![0; 8192], b"runbook: p1\n".repeat(100)] {
        fs::write(&path, &bytes).unwrap();
        let (error, other) = refusal(&path).await;
        assert!(matches!((&error, &other), (StoreError::Damaged(_), StoreError::Damaged(_))), "{error} {other}");
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
    let (error, _) = refusal(directory.path()).await;
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
}

#[tokio::test]
async fn a_missing_log_is_created_only_on_request() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.db");
    let error = Sqlite::open_existing(&path).await.unwrap_err().to_string();
    assert!(error.contains("there is no log at"), "{error}");
    assert_eq!(names(directory.path()), [""; 0]);
    fs::write(directory.path().join("log.db-wal"), "the journal of a file that was removed").unwrap();
    let error = Sqlite::open(&path).await.unwrap_err().to_string();
    assert!(error.contains("is gone, but its journal"), "{error}");
    assert_eq!(names(directory.path()), ["log.db-wal"]);
}

#[tokio::test]
async fn no_lease_is_given_on_a_removed_or_replaced_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("runbook.db");
    let store = Sqlite::open(&path).await.unwrap();
    let incident = id("lusab-fidok");
    let acquire_lease = || store.acquire_lease(&incident, "here", None, at(0), at(15));
    acquire_lease().await.unwrap();
    fs::remove_file(&path).unwrap();
    assert!(matches!(acquire_lease().await, Err(StoreError::Unavailable(_))));
    let _other = Sqlite::open(&path).await;
    assert!(matches!(acquire_lease().await, Err(StoreError::Unavailable(_))));
}
