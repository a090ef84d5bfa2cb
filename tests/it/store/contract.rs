//! The contract of the store. Each test is written once and runs on every backend.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use runbook::domain::core::id::{RunId, StepKey};
use runbook::domain::incident::event::{Actor, Event, IncidentEvent, Recorded, StepEvent};
use runbook::store::memory::Memory;
use runbook::store::sqlite::Sqlite;
use runbook::store::{EventStore, InitialLease, LeaseAnswer, NewEvent, StoreError, Write};
use serde_json::json;

use super::{at, id, note, notes};

macro_rules! contract {
    ($($sentence:ident)*) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $sentence() {
                super::$sentence(super::Memory::new()).await;
            })*
        }

        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $sentence() {
                let directory = tempfile::tempdir().unwrap();
                let store = super::Sqlite::open(directory.path().join("log.db")).await.unwrap();
                super::$sentence(store.clone()).await;
                super::EventStore::inspect(&store).await.unwrap();
            })*
        }
    };
}

contract! {
    appended_events_are_read_in_order
    a_stream_that_does_not_exist_is_empty
    a_read_starts_after_any_event
    a_read_after_the_end_is_an_error
    the_second_writer_gets_a_conflict
    an_append_is_all_or_nothing
    a_thousand_events_are_one_append
    an_empty_append_checks_the_expected_number
    streams_do_not_mix
    an_append_returns_what_a_read_returns
    any_text_is_preserved
    the_incident_changed_last_is_listed_first
    incidents_are_found_by_prefix
    an_audit_reads_every_event
    concurrent_appends_give_each_number_once
    many_streams_are_appended_at_once
    a_unique_name_is_taken_once_and_with_its_events
    one_of_many_concurrent_writers_gets_a_unique_name
    unique_names_are_found_by_prefix_newest_first
    a_stream_is_live_until_its_writer_marks_it_done
    a_new_stream_may_start_with_a_lease
    a_lease_is_acquired_renewed_and_expires
    the_lease_of_a_dead_holder_can_be_acquired
    a_released_lease_is_free_and_its_epoch_is_not_reused
}

async fn appended_events_are_read_in_order(store: impl EventStore) {
    let inc = id("lusab-fidok");
    let first = store.append(&inc, 0, notes(3)).await.unwrap();
    let second = store.append(&inc, 3, notes(2)).await.unwrap();
    let numbers: Vec<u64> = first.iter().chain(&second).map(|recorded| recorded.seq).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
    assert_eq!(store.read(&inc, 0).await.unwrap(), [first, second].concat());
    assert_eq!(store.seq(&inc).await.unwrap(), 5);
}

async fn a_stream_that_does_not_exist_is_empty(store: impl EventStore) {
    let inc = id("lusab-fidok");
    assert_eq!(store.read(&inc, 0).await.unwrap(), []);
    assert_eq!(store.seq(&inc).await.unwrap(), 0);
    assert_eq!(store.lease(&inc).await.unwrap(), None);
    assert_eq!(store.incidents(10, 0).await.unwrap(), []);
    let audit = store.audit(&inc).await.unwrap();
    assert_eq!((audit.events, audit.broken), (0, None));
}

async fn a_read_starts_after_any_event(store: impl EventStore) {
    let inc = id("lusab-fidok");
    let all = store.append(&inc, 0, notes(20)).await.unwrap();
    for after in 0..=20 {
        assert_eq!(store.read(&inc, after as u64).await.unwrap(), all[after..]);
    }
}

async fn a_read_after_the_end_is_an_error(store: impl EventStore) {
    let inc = id("lusab-fidok");
    store.append(&inc, 0, notes(2)).await.unwrap();
    for after in [3, u64::MAX] {
        let error = store.read(&inc, after).await.unwrap_err();
        assert!(matches!(&error, StoreError::Damaged(why) if why.contains("ends with event 2")), "{error}");
    }
}

async fn the_second_writer_gets_a_conflict(store: impl EventStore) {
    let inc = id("lusab-fidok");
    store.append(&inc, 0, notes(2)).await.unwrap();
    for expected in [0, 1, 3, u64::MAX] {
        let error = store.append(&inc, expected, notes(1)).await.unwrap_err();
        assert!(matches!(error, StoreError::Conflict { expected: e, actual: 2 } if e == expected), "{error}");
    }
    assert_eq!(store.seq(&inc).await.unwrap(), 2);
}

async fn an_append_is_all_or_nothing(store: impl EventStore) {
    let inc = id("lusab-fidok");
    let mut drafts = notes(3);
    drafts.push(too_deep());
    assert!(matches!(store.append(&inc, 0, drafts).await, Err(StoreError::TooLarge(_))));
    assert_eq!(store.read(&inc, 0).await.unwrap(), []);
    assert_eq!(store.incidents(10, 0).await.unwrap(), []);
}

/// The largest append of the engine.
async fn a_thousand_events_are_one_append(store: impl EventStore) {
    let inc = id("lusab-fidok");
    store.append(&inc, 0, notes(1_000)).await.unwrap();
    assert_eq!(store.seq(&inc).await.unwrap(), 1_000);
}

/// An event whose JSON is too deep to be read again.
fn too_deep() -> NewEvent {
    let deep = (0..200).fold(json!(1), |inner, _| json!([inner]));
    NewEvent::new(
        at(0),
        Actor::Engine,
        Event::Step(StepEvent::Answered { run: RunId(1), step: StepKey::main("cause"), answer: deep }),
    )
}

async fn an_empty_append_checks_the_expected_number(store: impl EventStore) {
    let inc = id("lusab-fidok");
    assert_eq!(store.append(&inc, 0, Vec::new()).await.unwrap(), []);
    assert_eq!(store.incidents(10, 0).await.unwrap(), []);
    store.append(&inc, 0, notes(1)).await.unwrap();
    assert!(matches!(store.append(&inc, 0, Vec::new()).await, Err(StoreError::Conflict { .. })));
}

async fn streams_do_not_mix(store: impl EventStore) {
    let (one, other) = (id("lusab-fidok"), id("lusab-fidoj"));
    let first = store.append(&one, 0, notes(2)).await.unwrap();
    let second = store.append(&other, 0, notes(3)).await.unwrap();
    assert_eq!(store.read(&one, 0).await.unwrap(), first);
    assert_eq!(store.read(&other, 0).await.unwrap(), second);
}

/// A fold in memory and a fold after a restart must give the same values, exactly.
async fn an_append_returns_what_a_read_returns(store: impl EventStore) {
    let inc = id("lusab-fidok");
    let answer = json!({
        "fraction": 0.1 + 0.2, "tiny": 5e-324, "large": 1.797_693_134_862_315_7e308, "awkward": 2.638_344_616_030_823e-256,
        "minus": -0.0, "whole": u64::MAX, "low": i64::MIN, "z": 1, "a": [null, true, ""],
    });
    let event = Event::Step(StepEvent::Answered { run: RunId(1), step: StepKey::main("cause"), answer });
    let fine = at(0) + TimeDelta::nanoseconds(123_456_789);
    let draft = NewEvent::new(fine, Actor::Engine, event);
    let returned = store.append(&inc, 0, vec![draft.clone()]).await.unwrap();
    let read = store.read(&inc, 0).await.unwrap();
    assert_eq!(returned, read);
    assert_eq!(serde_json::to_string(&returned[0].event).unwrap(), serde_json::to_string(&read[0].event).unwrap());
    assert_eq!(read[0].at, fine);
}

async fn any_text_is_preserved(store: impl EventStore) {
    let inc = id("lusab-fidok");
    let hostile =
        ["", "\0", "\u{1b}[31m", "'; DROP TABLE events; --", "$(reboot)", "\u{202e}", "😀\r\n", "\u{fffd}", "\""];
    let drafts = hostile.map(|text| note(0, text)).to_vec();
    let recorded = store.append(&inc, 0, drafts.clone()).await.unwrap();
    let back = store.read(&inc, 0).await.unwrap();
    assert_eq!(recorded, back);
    let back: Vec<NewEvent> =
        back.into_iter().map(|Recorded { at, by, event, .. }| NewEvent::new(at, by, event)).collect();
    assert_eq!(back, drafts);
}

async fn the_incident_changed_last_is_listed_first(store: impl EventStore) {
    for (name, opened) in [("a", 10), ("b", 20), ("c", 30)] {
        store.append(&id(name), 0, vec![note(opened, "opened")]).await.unwrap();
    }
    let later = NewEvent::new(
        at(30) + TimeDelta::milliseconds(5),
        Actor::Engine,
        Event::Incident(IncidentEvent::NoteAdded { text: "later".to_owned() }),
    );
    store.append(&id("a"), 1, vec![later]).await.unwrap();
    let all = store.incidents(10, 0).await.unwrap();
    let names: Vec<&str> = all.iter().map(|summary| summary.id.as_str()).collect();
    assert_eq!(names, ["a", "c", "b"]);
    assert_eq!((all[0].seq, all[0].opened_at), (2, at(10)));
    assert_eq!(all[0].changed_at, at(30) + TimeDelta::milliseconds(5));
    assert_eq!(store.incidents(1, 1).await.unwrap(), all[1..2]);
    assert_eq!(store.incidents(10, 3).await.unwrap(), []);
    assert_eq!(store.incidents(0, 0).await.unwrap(), []);
}

async fn incidents_are_found_by_prefix(store: impl EventStore) {
    for name in ["lusab-fidok", "lusab-fidoj", "lusa", "zuzuz-zuzuz", "a_b"] {
        store.append(&id(name), 0, notes(1)).await.unwrap();
    }
    let found = async |prefix: &str, limit| {
        let found = store.find(prefix, limit).await.unwrap();
        found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(found("lusab", 10).await, "lusab-fidoj lusab-fidok");
    assert_eq!(found("lus", 2).await, "lusa lusab-fidoj");
    assert_eq!(found("lusab-fidok", 10).await, "lusab-fidok");
    assert_eq!(found("z", 10).await, "zuzuz-zuzuz");
    assert_eq!(found("", 10).await, "a_b lusa lusab-fidoj lusab-fidok zuzuz-zuzuz");
    for none in ["lusab-fidokk", "%", "_", "a%", "LUS", "'", "\0", "é", "{"] {
        assert_eq!(found(none, 10).await, "", "{none:?}");
    }
}

async fn an_audit_reads_every_event(store: impl EventStore) {
    let inc = id("lusab-fidok");
    for part in 0..3 {
        store.append(&inc, part * 1_000, notes(1_000)).await.unwrap();
    }
    let audit = store.audit(&inc).await.unwrap();
    assert_eq!((audit.events, audit.broken), (3_000, None));
    assert_eq!(audit.head.len(), 64);
    store.append(&inc, 3_000, notes(1)).await.unwrap();
    assert_ne!(store.audit(&inc).await.unwrap().head, audit.head);
    store.inspect().await.unwrap();
}

async fn concurrent_appends_give_each_number_once(store: impl EventStore + Clone + 'static) {
    let inc = id("lusab-fidok");
    let racers: Vec<_> = (0..16).map(|racer| tokio::spawn(race(store.clone(), inc.clone(), racer, 20))).collect();
    for racer in racers {
        racer.await.unwrap();
    }
    let read = store.read(&inc, 0).await.unwrap();
    assert_eq!(read.len(), 320);
    assert_eq!(texts(&read).len(), 320);
}

/// Appends `count` notes one by one, reading again after each conflict.
pub(super) async fn race(store: impl EventStore, inc: runbook::domain::core::id::IncidentId, racer: u32, count: u32) {
    let mut seq = 0;
    for number in 0..count {
        loop {
            match store.append(&inc, seq, vec![note(0, format!("{racer}/{number}"))]).await {
                Ok(recorded) => {
                    seq = recorded[0].seq;
                    break;
                }
                Err(StoreError::Conflict { actual, .. }) => seq = actual,
                Err(other) => panic!("{other}"),
            }
        }
    }
}

/// The notes' texts without repetition.
pub(super) fn texts(events: &[Recorded]) -> BTreeSet<String> {
    events
        .iter()
        .map(|recorded| match &recorded.event {
            Event::Incident(IncidentEvent::NoteAdded { text }) => text.clone(),
            other => panic!("{other:?}"),
        })
        .collect()
}

async fn many_streams_are_appended_at_once(store: impl EventStore + Clone + 'static) {
    let grow = |number: u32| {
        let store = store.clone();
        tokio::spawn(async move {
            let inc = runbook::domain::core::id::IncidentId::from_bits(number);
            for seq in 0..10 {
                store.append(&inc, seq, notes(1)).await.unwrap();
            }
            assert_eq!(store.audit(&inc).await.unwrap().events, 10);
        })
    };
    for task in (0..32).map(grow).collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert_eq!(store.incidents(100, 0).await.unwrap().len(), 32);
}

fn named(inc: &str, expected: u64, keys: &[&str]) -> Write {
    let keys = keys.iter().map(|key| (*key).to_owned()).collect();
    Write { keys, ..Write::of(&id(inc), expected, notes(1)) }
}

async fn a_unique_name_is_taken_once_and_with_its_events(store: impl EventStore) {
    store.write(named("one", 0, &["a", "b"])).await.unwrap();
    for (inc, expected) in [("other", 0), ("one", 1)] {
        let error = store.write(named(inc, expected, &["c", "b"])).await.unwrap_err();
        assert!(
            matches!(&error, StoreError::Taken { key, incident } if key == "b" && incident == &id("one")),
            "{error}"
        );
    }
    assert_eq!(store.seq(&id("other")).await.unwrap(), 0, "no event was appended");
    assert_eq!(store.keys("c", 10).await.unwrap(), [], "the other names of the write are free");
    store.write(named("one", 1, &["c"])).await.unwrap();
    assert!(matches!(store.write(named("third", 1, &["d"])).await, Err(StoreError::Conflict { .. })));
    assert!(store.write(named("third", 0, &["d"])).await.is_ok(), "a conflict takes no names");
}

async fn one_of_many_concurrent_writers_gets_a_unique_name(store: impl EventStore + Clone + 'static) {
    let race = |number: u32| {
        let (store, incident) = (store.clone(), runbook::domain::core::id::IncidentId::from_bits(number));
        tokio::spawn(async move {
            let write = Write { keys: vec!["the-one".to_owned()], ..Write::of(&incident, 0, notes(2)) };
            (incident, store.write(write).await)
        })
    };
    let mut winners = Vec::new();
    let mut losers = Vec::new();
    for racer in (0..32).map(race).collect::<Vec<_>>() {
        match racer.await.unwrap() {
            (incident, Ok(_)) => winners.push(incident),
            (_, Err(StoreError::Taken { incident, .. })) => losers.push(incident),
            (_, Err(other)) => panic!("{other}"),
        }
    }
    assert_eq!((winners.len(), losers.len()), (1, 31));
    assert!(losers.iter().all(|loser| loser == &winners[0]), "the error names the winner");
    assert_eq!(store.incidents(100, 0).await.unwrap().len(), 1);
}

async fn unique_names_are_found_by_prefix_newest_first(store: impl EventStore) {
    store.write(named("one", 0, &["change/x/0001", "change/x/0002"])).await.unwrap();
    store.write(named("two", 0, &["change/y/0001", "change/x/0003", "alert/z"])).await.unwrap();
    let found = store.keys("change/x/", 2).await.unwrap();
    let found: Vec<_> = found.iter().map(|key| (key.key.as_str(), key.incident.as_str(), key.at)).collect();
    assert_eq!(found, [("change/x/0003", "two", at(0)), ("change/x/0002", "one", at(0))]);
    assert_eq!(store.keys("nothing", 2).await.unwrap(), []);
}

async fn a_stream_is_live_until_its_writer_marks_it_done(store: impl EventStore) {
    let live = async || -> Vec<String> {
        store.live().await.unwrap().into_iter().map(|summary| summary.id.to_string()).collect()
    };
    store.append(&id("b"), 0, notes(1)).await.unwrap();
    store.write(Write { live: false, ..Write::of(&id("a"), 0, notes(1)) }).await.unwrap();
    store.append(&id("c"), 0, notes(1)).await.unwrap();
    assert_eq!(live().await, ["b", "c"]);
    store.write(Write { live: false, ..Write::of(&id("b"), 1, notes(1)) }).await.unwrap();
    store.append(&id("a"), 1, notes(1)).await.unwrap();
    assert_eq!(live().await, ["a", "c"]);
}

async fn a_new_stream_may_start_with_a_lease(store: impl EventStore) {
    let begin = |holder: &str, expected| Write {
        lease: Some(InitialLease { holder: holder.to_owned(), until: at(10) }),
        ..Write::of(&id("one"), expected, notes(1))
    };
    store.write(begin("a", 0)).await.unwrap();
    assert!(matches!(store.write(begin("b", 0)).await, Err(StoreError::Conflict { .. })));
    let lease = store.lease(&id("one")).await.unwrap().unwrap();
    assert_eq!((lease.holder.as_str(), lease.epoch, lease.expires_at), ("a", 1, at(10)));
    let other = store.acquire_lease(&id("one"), "b", None, at(10), at(20)).await.unwrap();
    assert_eq!(describe(&other), "held by b in epoch 2");
}

/// A lease answer as text.
fn describe(answer: &LeaseAnswer) -> String {
    match answer {
        LeaseAnswer::Held(lease) => format!("held by {} in epoch {}", lease.holder, lease.epoch),
        LeaseAnswer::Taken(lease) => format!("taken by {} in epoch {}", lease.holder, lease.epoch),
    }
}

async fn a_lease_is_acquired_renewed_and_expires(store: impl EventStore) {
    let inc = id("lusab-fidok");
    let lease = async |holder: &str, now, until| {
        describe(&store.acquire_lease(&inc, holder, None, at(now), at(until)).await.unwrap())
    };
    assert_eq!(lease("a", 0, 10).await, "held by a in epoch 1");
    assert_eq!(lease("b", 5, 15).await, "taken by a in epoch 1");
    assert_eq!(lease("a", 5, 15).await, "held by a in epoch 1");
    assert_eq!(lease("b", 14, 24).await, "taken by a in epoch 1");
    assert_eq!(lease("b", 15, 25).await, "held by b in epoch 2");
    assert_eq!(lease("a", 15, 25).await, "taken by b in epoch 2");
    let stored = store.lease(&inc).await.unwrap().unwrap();
    assert_eq!((stored.holder.as_str(), stored.epoch, stored.expires_at), ("b", 2, at(25)));
}

async fn the_lease_of_a_dead_holder_can_be_acquired(store: impl EventStore) {
    let inc = id("lusab-fidok");
    store.acquire_lease(&inc, "a", None, at(0), at(100)).await.unwrap();
    let other = store.acquire_lease(&inc, "b", Some("c"), at(1), at(101)).await.unwrap();
    assert_eq!(describe(&other), "taken by a in epoch 1");
    let gone = store.acquire_lease(&inc, "b", Some("a"), at(1), at(101)).await.unwrap();
    assert_eq!(describe(&gone), "held by b in epoch 2");
}

async fn a_released_lease_is_free_and_its_epoch_is_not_reused(store: impl EventStore) {
    let inc = id("lusab-fidok");
    let LeaseAnswer::Held(first) = store.acquire_lease(&inc, "a", None, at(0), at(100)).await.unwrap() else {
        panic!()
    };
    store.release(&first).await.unwrap();
    assert_eq!(store.lease(&inc).await.unwrap(), None);
    let second = store.acquire_lease(&inc, "a", None, at(1), at(101)).await.unwrap();
    assert_eq!(describe(&second), "held by a in epoch 2");
    store.release(&first).await.unwrap();
    let third = store.acquire_lease(&inc, "b", None, at(2), at(102)).await.unwrap();
    assert_eq!(describe(&third), "taken by a in epoch 2");
}
