//! Damaged logs: every damage is noticed, and no damage gives a different log.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use runbook::domain::core::id::IncidentId;
use runbook::domain::incident::event::Recorded;
use runbook::store::sqlite::Sqlite;
use runbook::store::{Audit, EventStore, Lease, StoreError, StreamSummary, Write};
use rusqlite::Connection;
use tempfile::TempDir;

use super::{at, id, note, notes};

/// The size of a page, in bytes.
const PAGE: usize = 2_048;

/// How many bits are flipped, one at a time: about one in two hundred of the file's.
const FLIPS: usize = 1_500;
/// Flips in the journal.
const JOURNAL_FLIPS: usize = 500;

/// All that can be read of a log.
#[derive(Debug, PartialEq)]
struct Everything {
    list: Vec<StreamSummary>,
    found: Vec<IncidentId>,
    streams: Vec<(u64, Vec<Recorded>, Audit, Option<Lease>)>,
}

const INCIDENTS: [&str; 3] = ["lusab-fidok", "lusab-fidoj", "zuzuz-zuzuz"];

async fn everything(store: &Sqlite) -> Result<Everything, StoreError> {
    let mut streams = Vec::new();
    for incident in INCIDENTS.map(id) {
        let audit = store.audit(&incident).await?;
        if let Some((_, why)) = audit.broken {
            return Err(StoreError::Damaged(why));
        }
        let (seq, lease) = (store.seq(&incident).await?, store.lease(&incident).await?);
        streams.push((seq, store.read(&incident, 0).await?, audit, lease));
    }
    Ok(Everything { list: store.incidents(10, 0).await?, found: store.find("", 10).await?, streams })
}

/// Three streams, one with events that span several pages, and a lease.
async fn fill(store: &Sqlite) {
    for (number, incident) in INCIDENTS.map(id).iter().enumerate() {
        for part in 0..4 {
            store.append(incident, part * 10, notes(10)).await.unwrap();
        }
        store.append(incident, 40, vec![note(50, "x".repeat(9_000 * number))]).await.unwrap();
    }
    store.acquire_lease(&id(INCIDENTS[0]), "host/1", None, at(0), at(10)).await.unwrap();
}

/// A directory with a log of which only the file is left, closed as it should be.
async fn closed() -> (TempDir, PathBuf, Everything) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.db");
    let store = Sqlite::open(&path).await.unwrap();
    fill(&store).await;
    let everything = everything(&store).await.unwrap();
    store.close().await.unwrap();
    assert!(!wal(&path).exists(), "closing folds the journal into the file");
    (directory, path, everything)
}

fn wal(path: &Path) -> PathBuf {
    path.with_extension("db-wal")
}

/// Opens and reads everything.
async fn attempt(path: &Path) -> Result<Everything, StoreError> {
    let store = Sqlite::open_existing(path).await?;
    let everything = everything(&store).await;
    // So that no connection of this attempt sees the next one's file.
    let _ = store.close().await;
    let _ = fs::remove_file(wal(path));
    let _ = fs::remove_file(path.with_extension("db-shm"));
    everything
}

/// Numbers that look random and are the same in every run (Knuth's MMIX generator).
fn dice() -> impl FnMut(usize) -> usize {
    let mut state = 0x5eed_u64;
    move |below| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    }
}

#[tokio::test]
async fn a_flipped_bit_is_noticed_or_changes_nothing() {
    let (_directory, path, original) = closed().await;
    let bytes = fs::read(&path).unwrap();
    let mut dice = dice();
    let mut noticed = 0;
    // The headers of file and pages are where a flip does most harm; the rest is chosen by the dice.
    let headers = (0..100).chain((1..bytes.len() / PAGE).flat_map(|page| page * PAGE..page * PAGE + 12));
    let places: Vec<usize> = headers.chain((0..FLIPS).map(|_| dice(bytes.len()))).collect();
    for &place in &places {
        let bit = dice(8);
        let mut flipped = bytes.clone();
        flipped[place] ^= 1 << bit;
        fs::write(&path, flipped).unwrap();
        match attempt(&path).await {
            Ok(read) => assert_eq!(read, original, "bit {bit} of byte {place}"),
            Err(StoreError::Damaged(_) | StoreError::Unavailable(_)) => noticed += 1,
            Err(other) => panic!("bit {bit} of byte {place}: {other}"),
        }
    }
    assert!(noticed > places.len() / 2, "only {noticed} of {} flips were noticed", places.len());
}

#[tokio::test]
async fn a_truncated_file_is_refused() {
    let (_directory, path, _) = closed().await;
    let bytes = fs::read(&path).unwrap();
    let lengths = (0..bytes.len()).step_by(1024).chain([1, 15, 16, 99, 100, 101, bytes.len() - 1]);
    for length in lengths {
        fs::write(&path, &bytes[..length]).unwrap();
        let error = attempt(&path).await.expect_err(&format!("{length} of {} bytes", bytes.len()));
        assert!(matches!(error, StoreError::Damaged(_)), "{length} bytes: {error}");
        let error = Sqlite::open(&path).await.map(drop).expect_err("a damaged log is not made anew");
        assert!(matches!(error, StoreError::Damaged(_)), "{length} bytes: {error}");
    }
}

#[tokio::test]
async fn a_flipped_bit_in_the_journal_after_a_crash_loses_at_most_the_last_event() {
    let directory = tempfile::tempdir().unwrap();
    let live = directory.path().join("live.db");
    let store = Sqlite::open(&live).await.unwrap();
    fill(&store).await;
    let original = everything(&store).await.unwrap();
    // What a power failure at this moment would leave. Another process copies it: this one would lose SQLite's locks.
    let copy = directory.path().join("copy.db");
    for (from, to) in [(live.clone(), copy.clone()), (wal(&live), wal(&copy))] {
        crate::real::run(Command::new("cp").arg(from).arg(to), "coreutils");
    }
    let (file, journal) = (fs::read(&copy).unwrap(), fs::read(wal(&copy)).unwrap());
    assert!(journal.len() > 10 * PAGE);

    let path = directory.path().join("log.db");
    let mut dice = dice();
    let (mut noticed, mut shorter) = (0, 0);
    let places: Vec<usize> = (0..64).chain((0..JOURNAL_FLIPS).map(|_| dice(journal.len()))).collect();
    for place in places {
        let mut flipped = journal.clone();
        flipped[place] ^= 1 << dice(8);
        fs::write(&path, &file).unwrap();
        fs::write(wal(&path), flipped).unwrap();
        match attempt(&path).await {
            Err(StoreError::Damaged(_) | StoreError::Unavailable(_)) => noticed += 1,
            Err(other) => panic!("byte {place}: {other}"),
            Ok(read) if read == original => {}
            Ok(read) => {
                // The last transactions are the lease and the long event, which a power failure could have lost.
                shorter += 1;
                for ((seq, events, ..), (full, all, ..)) in read.streams.iter().zip(&original.streams) {
                    assert!(*seq + 1 >= *full, "byte {place}: {seq} of {full} events are left");
                    assert_eq!(events[..], all[..events.len()], "byte {place}");
                }
            }
        }
    }
    assert!(noticed > 10 * shorter, "{noticed} noticed, {shorter} taken for the work of a power failure");
}

/// Does as somebody with the `sqlite3` program would who goes out of the way to change the log.
fn tamper(path: &Path, sql: &str) {
    let connection = Connection::open(path).unwrap();
    let mut statement =
        connection.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' ORDER BY rowid").unwrap();
    let triggers = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let triggers: Vec<(String, String)> = triggers.collect::<Result<_, _>>().unwrap();
    drop(statement);
    let drop: String = triggers.iter().map(|(name, _)| format!("DROP TRIGGER {name};")).collect();
    let make: String = triggers.iter().map(|(_, sql)| format!("{sql};")).collect();
    connection.execute_batch(&format!("PRAGMA foreign_keys = OFF; {drop}{sql};{make}")).unwrap();
    connection.close().unwrap();
}

#[tokio::test]
async fn an_audit_names_the_event_that_was_tampered_with() {
    let first = INCIDENTS[0];
    for (sql, seq, words) in [
        ("UPDATE events SET body = replace(body, 'note 6', 'note 9') WHERE seq = 7", 7, "event 7 was changed"),
        ("UPDATE events SET at = '2026-01-01T00:00:00Z' WHERE seq = 7", 7, "event 7 was changed"),
        ("UPDATE events SET body = '{}' WHERE seq = 41", 41, "event 41 was changed"),
        ("UPDATE events SET hash = zeroblob(32) WHERE seq = 7", 7, "event 7 was changed"),
        ("DELETE FROM events WHERE seq = 7", 7, "event 7 is missing; the next event is 8"),
        ("DELETE FROM events WHERE seq > 30", 31, "event 31 is missing; there should be 41 events"),
        ("DELETE FROM events WHERE seq = 1", 1, "event 1 is missing"),
        ("UPDATE events SET seq = 15 - seq WHERE seq IN (7, 8) AND stream = 1", 7, "event 7 was changed"),
        ("UPDATE events SET seq = seq + 524288 WHERE stream = 1", 1, "event 1 is missing; the next event is 524289"),
        ("DELETE FROM events WHERE stream = 1", 1, "event 1 is missing; there should be 41 events"),
        ("UPDATE events SET stream = 3 - stream WHERE stream < 3", 1, "event 1 was changed"),
        ("UPDATE events SET before = 3 WHERE seq = 7", 41, "an event does not name the place"),
        ("UPDATE events SET place = place + 524288 WHERE stream = 1", 41, "an event does not name the place"),
    ] {
        let (_directory, path, _) = closed().await;
        tamper(&path, sql);
        let store = Sqlite::open_existing(&path).await.unwrap();
        let audit = store.audit(&id(first)).await.unwrap();
        let (broken, why) = audit.broken.unwrap_or_else(|| panic!("unnoticed: {sql}"));
        assert_eq!(broken, seq, "{sql}: {why}");
        assert!(why.contains(words), "{sql}: {why}");
        let error = store.read(&id(first), 0).await.expect_err(sql);
        assert!(matches!(&error, StoreError::Damaged(why) if why.contains(first)), "{sql}: {error}");
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn nothing_is_appended_to_a_stream_whose_end_was_tampered_with() {
    for sql in [
        "DELETE FROM events WHERE seq = 41 AND stream = 1",
        "UPDATE events SET hash = zeroblob(32) WHERE seq = 41",
        "UPDATE streams SET seq = 40",
        "UPDATE streams SET changed_at = '2030-01-01T00:00:00Z'",
    ] {
        let (_directory, path, _) = closed().await;
        tamper(&path, sql);
        let store = Sqlite::open_existing(&path).await.unwrap();
        let seq = store.seq(&id(INCIDENTS[0])).await.unwrap_or(41);
        let error = store.append(&id(INCIDENTS[0]), seq, notes(1)).await.expect_err(sql);
        assert!(matches!(error, StoreError::Damaged(_)), "{sql}: {error}");
        // Another stream of the same transaction is not held back.
        store.append(&id("a-new-one"), 0, notes(1)).await.unwrap();
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_missing_stream_is_noticed_by_every_read() {
    for sql in [
        "DELETE FROM streams WHERE number = 1",
        "DELETE FROM streams WHERE number = 3",
        "DELETE FROM streams WHERE number = 3; DELETE FROM events WHERE stream = 3",
        "DELETE FROM streams",
        "DELETE FROM events WHERE stream = 3",
        "INSERT INTO events SELECT place + 1, 1, 42, 41, at, body, hash FROM events WHERE seq = 41 AND stream = 3",
    ] {
        let whole_of_the_last = sql.contains(';');
        let (_directory, path, _) = closed().await;
        tamper(&path, sql);
        let store = Sqlite::open_existing(&path).await.unwrap();
        let all = [
            store.inspect().await.err(),
            store.incidents(10, 0).await.err(),
            store.find("another", 10).await.err(),
            store.seq(&id("another-one")).await.err(),
            store.read(&id("another-one"), 0).await.err(),
        ];
        // Of the last stream with all that it had, nothing is left that could tell.
        let missed = all.iter().filter(|error| matches!(error, Some(StoreError::Damaged(_)))).count();
        assert_eq!(missed, if whole_of_the_last { 0 } else { all.len() }, "{sql}: {all:?}");
        // Streams that are there go on, and new ones begin: an incident does not wait for a repair.
        if sql.contains("number = 3") {
            store.append(&id(INCIDENTS[0]), 41, notes(1)).await.unwrap();
        }
        store.append(&id("a-new-one"), 0, notes(1)).await.unwrap();
        assert_eq!(store.read(&id("a-new-one"), 0).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_changed_lease_is_noticed() {
    let (_directory, path, _) = closed().await;
    tamper(&path, "UPDATE claims SET epoch = 7");
    let store = Sqlite::open_existing(&path).await.unwrap();
    let error = store.lease(&id(INCIDENTS[0])).await.unwrap_err().to_string();
    assert!(error.contains("the lease on incident `lusab-fidok` was changed"), "{error}");
    let error = store.acquire_lease(&id(INCIDENTS[0]), "b", None, at(0), at(1)).await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged(_)), "{error}");
    // The lock for writing was given back.
    store.append(&id("a-new-one"), 0, notes(1)).await.unwrap();
}

#[tokio::test]
async fn a_changed_name_is_noticed() {
    let (_directory, path, _) = closed().await;
    let store = Sqlite::open_existing(&path).await.unwrap();
    let named = |inc: &str| Write { keys: vec!["alert/1".to_owned()], ..Write::of(&id(inc), 0, notes(1)) };
    store.write(named("named-one")).await.unwrap();
    store.close().await.unwrap();
    tamper(&path, "UPDATE keys SET incident = 'another-one'");
    let store = Sqlite::open_existing(&path).await.unwrap();
    let errors = [
        store.keys("alert/", 10).await.err(),
        store.write(named("named-two")).await.err(),
        store.inspect().await.err(),
    ];
    for error in errors {
        assert!(matches!(&error, Some(StoreError::Damaged(why)) if why.contains("`alert/1`")), "{error:?}");
    }
    // The lock for writing was given back, and who gives no name goes on.
    store.append(&id("a-new-one"), 0, notes(1)).await.unwrap();
}

#[tokio::test]
async fn the_log_refuses_update_and_delete() {
    let (_directory, path, _) = closed().await;
    let connection = Connection::open(&path).unwrap();
    for sql in ["UPDATE events SET body = '{}'", "DELETE FROM events WHERE place > 0"] {
        let error = connection.execute(sql, []).unwrap_err().to_string();
        assert!(error.contains("the log is append-only"), "{error}");
    }
}

#[tokio::test]
async fn a_file_with_other_tables_is_refused() {
    for sql in [
        "CREATE TABLE more (x)",
        "DROP TABLE claims",
        "CREATE INDEX i ON events (at)",
        "DROP TRIGGER events_are_never_changed",
    ] {
        let (_directory, path, _) = closed().await;
        let connection = Connection::open(&path).unwrap();
        connection.execute(sql, []).unwrap();
        connection.close().unwrap();
        let error = Sqlite::open(&path).await.expect_err(sql).to_string();
        assert!(error.contains("the tables are not those of a log"), "{sql}: {error}");
    }
}
