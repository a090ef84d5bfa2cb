//! Tests of the write path with a store that records every write.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use chrono::TimeZone as _;
use tokio::sync::broadcast;

use super::limits::{APPEND_BYTES_LIMIT, APPEND_LIMIT, EVENT_BYTES_LIMIT, NAME_LIMIT};
use super::*;
use crate::actions::Secrets;
use crate::clock::SimClock;
use crate::domain::core::severity::Severity;
use crate::domain::incident::command::{Command, Request};
use crate::domain::incident::event::{Actor, EVENT_LIMIT, Event, IncidentEvent};
use crate::domain::incident::fold;
use crate::domain::redact::Redactor;
use crate::engine::Parts;
use crate::engine::catalog::Catalog;
use crate::store::EventStore as _;

use self::fake_store::FakeStore;

mod fake_store;

const SECRET: &str = "correct-horse-battery";

fn now() -> Timestamp {
    chrono::Utc.with_ymd_and_hms(2026, 1, 1, 3, 0, 0).unwrap()
}

fn id(text: &str) -> IncidentId {
    text.parse().unwrap()
}

fn note(text: &str) -> Event {
    Event::Incident(IncidentEvent::NoteAdded { text: text.to_owned() })
}

fn opened(incident: &IncidentId) -> Event {
    Event::Incident(IncidentEvent::Opened {
        id: incident.clone(),
        title: "The gateway is slow".to_owned(),
        severity: Severity::P2,
        environment: "production".to_owned(),
        detected_at: None,
        group: None,
    })
}

fn engine(store: &FakeStore) -> Engine {
    Engine::new(Parts {
        store: Arc::new(store.clone()),
        clock: Arc::new(SimClock::new(now())),
        secrets: Arc::new(Secrets::default()),
        redactor: Arc::new(Redactor::new([("token", SECRET)]).unwrap()),
        base_environment: Arc::new(BTreeMap::new()),
        directory: PathBuf::new(),
        catalog: Arc::new(Catalog::default()),
        holder: "test".to_owned(),
        hostname: "test".to_owned(),
    })
}

/// A proposal of events on a state. Folds them into the state.
fn propose(engine: &Engine, incident: &IncidentId, events: Vec<Event>, state: &mut Option<Incident>) -> Proposal {
    let mut proposal = Proposal::on(incident, state.as_ref());
    let decision = Decision { by: Actor::Engine, at: now(), events };
    proposal.add(&engine.parts().redactor, decision, state).unwrap();
    proposal
}

/// Opens an incident in the log.
async fn open(engine: &Engine, incident: &IncidentId) -> Option<Incident> {
    let mut state = None;
    let proposal = propose(engine, incident, vec![opened(incident)], &mut state);
    engine.commit(proposal.prepare(state.as_ref())).await.unwrap();
    state
}

async fn submit_note(engine: &Engine, incident: &IncidentId, text: &str) -> Result<Incident, EngineError> {
    let command = Command { by: Actor::person("ada", "test"), request: Request::Note(text.to_owned()) };
    engine.submit(incident, command).await
}

/// The published events: the incident and the numbers of its events.
fn published(hints: &mut broadcast::Receiver<(IncidentId, Hint)>) -> Vec<(IncidentId, Vec<u64>)> {
    let mut all = Vec::new();
    while let Ok((incident, hint)) = hints.try_recv() {
        let Hint::Appended(events) = hint else { panic!("{hint:?}") };
        all.push((incident, events.iter().map(|event| event.seq).collect()));
    }
    all
}

/// The texts of an incident's notes in the log.
async fn notes(store: &FakeStore, incident: &IncidentId) -> Vec<String> {
    let text = |recorded: Recorded| match recorded.event {
        Event::Incident(IncidentEvent::NoteAdded { text }) => Some(text),
        _ => None,
    };
    store.read(incident, 0).await.unwrap().into_iter().filter_map(text).collect()
}

/// Asserts that a write is too large, with a message that contains `expected`.
#[track_caller]
fn assert_too_large(result: Result<Write, StoreError>, expected: &str) {
    match result {
        Err(StoreError::TooLarge(why)) => assert!(why.contains(expected), "{why}"),
        other => panic!("{expected}: {other:?}"),
    }
}

#[tokio::test]
async fn a_write_over_a_limit_is_refused() {
    let (store, incident) = (FakeStore::default(), id("lusab-fidok"));
    let engine = engine(&store);
    let state = open(&engine, &incident).await;
    let write = |notes: Vec<Event>, names: &[String]| {
        let mut state = state.clone();
        let mut proposal = propose(&engine, &incident, notes, &mut state);
        names.iter().for_each(|name| proposal.register_name(name.clone()));
        limits::checked(proposal.prepare(state.as_ref()).into_write())
    };
    assert_too_large(write(vec![note("x"); APPEND_LIMIT + 1], &[]), "1001 events; the limit is 1000");
    assert_too_large(write(vec![note(&"x".repeat(EVENT_BYTES_LIMIT))], &[]), "bytes; the limit is 262144");
    let half = note(&"x".repeat(EVENT_BYTES_LIMIT / 2));
    let many = 2 + APPEND_BYTES_LIMIT / (EVENT_BYTES_LIMIT / 2);
    assert_too_large(write(vec![half; many], &[]), "bytes; the limit is 16777216");
    assert_too_large(write(vec![note("x")], &["n".repeat(NAME_LIMIT + 1)]), "256 bytes in a name");
    assert_too_large(write(vec![note("x")], &vec!["n".to_owned(); APPEND_LIMIT + 1]), "1000 names in one append");
    assert!(write(vec![note("x"); APPEND_LIMIT], &["n".repeat(NAME_LIMIT)]).is_ok());
    assert!(write(vec![note(&"x".repeat(EVENT_BYTES_LIMIT - 100))], &[]).is_ok());
}

#[tokio::test]
async fn an_incident_holds_no_more_events_than_its_limit() {
    let (store, incident) = (FakeStore::default(), id("lusab-fidok"));
    let engine = engine(&store);
    let mut state = open(&engine, &incident).await;
    state.as_mut().unwrap().seq = EVENT_LIMIT - 1;
    let write = |notes: Vec<Event>| {
        let mut state = state.clone();
        let proposal = propose(&engine, &incident, notes, &mut state);
        limits::checked(proposal.prepare(state.as_ref()).into_write())
    };
    assert!(write(vec![note("the last")]).is_ok());
    assert_too_large(write(vec![note("x"); 2]), "has 99999 events; the limit is 100000");
}

#[tokio::test]
async fn a_write_over_a_limit_reaches_neither_the_store_nor_a_subscriber() {
    let (store, incident) = (FakeStore::default(), id("lusab-fidok"));
    let engine = engine(&store);
    let mut state = open(&engine, &incident).await;
    let (before, mut hints) = (store.writes(), engine.publisher.listen());
    let proposal = propose(&engine, &incident, vec![note(&"x".repeat(EVENT_BYTES_LIMIT))], &mut state);
    let error = engine.commit(proposal.prepare(state.as_ref())).await.unwrap_err();
    assert!(matches!(error, StoreError::TooLarge(_)), "{error}");
    assert_eq!((store.writes(), published(&mut hints)), (before, Vec::new()));
}

#[tokio::test]
async fn a_secret_never_reaches_the_store() {
    let (store, incident) = (FakeStore::default(), id("lusab-fidok"));
    let engine = engine(&store);
    open(&engine, &incident).await;
    let mut hints = engine.publisher.listen();
    let state = submit_note(&engine, &incident, &format!("it is {SECRET}")).await.unwrap();
    let written = store.written();
    assert!(!written.contains(SECRET) && written.contains("it is [redacted:token]"), "{written}");
    assert!(!format!("{:?}", hints.try_recv().unwrap()).contains(SECRET));
    assert_eq!(
        Some(state),
        fold(&store.read(&incident, 0).await.unwrap()).unwrap(),
        "the state equals a fold of the log"
    );
}

#[test]
fn a_secret_that_equals_an_event_type_exposes_no_other_secret() {
    let redactor = Redactor::new([("token", SECRET), ("status", "note_added")]).unwrap();
    let (incident, mut state) = (id("lusab-fidok"), None);
    let mut proposal = Proposal::on(&incident, None);
    let events = vec![opened(&incident), note(&format!("{SECRET} and note_added"))];
    proposal.add(&redactor, Decision { by: Actor::Engine, at: now(), events }, &mut state).unwrap();
    let note = note("[redacted:token] and [redacted:status]");
    assert_eq!(proposal.events().collect::<Vec<_>>(), [&opened(&incident), &note]);
}

#[tokio::test]
async fn a_decision_with_an_illegal_event_adds_no_event() {
    let (store, incident) = (FakeStore::default(), id("lusab-fidok"));
    let engine = engine(&store);
    let mut state = open(&engine, &incident).await;
    let mut proposal = propose(&engine, &incident, vec![note("one")], &mut state);
    let events = vec![note("two"), opened(&incident)];
    let decision = Decision { by: Actor::Engine, at: now(), events };
    assert!(proposal.add(&engine.parts().redactor, decision, &mut state).is_err());
    assert_eq!(proposal.events().collect::<Vec<_>>(), [&note("one")]);
}

#[tokio::test]
async fn a_command_is_decided_again_when_another_writer_was_first() {
    let (store, incident) = (FakeStore::default(), id("lusab-fidok"));
    let engine = engine(&store);
    open(&engine, &incident).await;
    store.rivals(3);
    let (before, mut hints) = (store.writes(), engine.publisher.listen());
    let state = submit_note(&engine, &incident, "ours").await.unwrap();
    assert_eq!(store.writes() - before, 4);
    assert_eq!(notes(&store, &incident).await, ["a rival's", "a rival's", "a rival's", "ours"]);
    assert_eq!(published(&mut hints), [(incident, vec![5])]);
    assert_eq!(state.seq, 5);
}

#[tokio::test]
async fn a_command_gives_up_when_another_writer_is_always_first() {
    let (store, incident) = (FakeStore::default(), id("lusab-fidok"));
    let engine = engine(&store);
    open(&engine, &incident).await;
    store.rivals(usize::MAX);
    let (before, mut hints) = (store.writes(), engine.publisher.listen());
    let error = submit_note(&engine, &incident, "ours").await.unwrap_err();
    assert!(matches!(error, EngineError::Store(StoreError::Conflict { .. })), "{error}");
    assert_eq!((store.writes() - before, published(&mut hints)), (CONFLICT_LIMIT, Vec::new()));
}

#[tokio::test]
async fn a_commit_alone_does_not_retry_after_a_conflict() {
    let (store, incident) = (FakeStore::default(), id("lusab-fidok"));
    let engine = engine(&store);
    let mut state = open(&engine, &incident).await;
    let proposal = propose(&engine, &incident, vec![note("ours")], &mut state);
    store.rivals(1);
    let committed = engine.commit(proposal.prepare(state.as_ref())).await;
    assert!(matches!(committed, Err(StoreError::Conflict { expected: 1, actual: 2 })), "{committed:?}");
}

#[tokio::test]
async fn a_name_is_registered_once() {
    let (store, incident) = (FakeStore::default(), id("lusab-fidok"));
    let engine = engine(&store);
    open(&engine, &incident).await;
    let before = store.writes();
    let submissions = [(); 2].map(|()| {
        let command = Command { by: Actor::person("ada", "test"), request: Request::Note("pressed".to_owned()) };
        engine.submit_once(&incident, command, "slack/1".to_owned())
    });
    let [first, second] = submissions;
    assert!(first.await.is_ok());
    let second = second.await.unwrap_err();
    assert!(matches!(&second, EngineError::Store(StoreError::Taken { key, .. }) if key == "slack/1"), "{second}");
    assert_eq!((store.writes() - before, notes(&store, &incident).await.len()), (2, 1));
}

#[tokio::test]
async fn events_are_published_only_after_they_are_stored() {
    let (store, incident) = (FakeStore::default(), id("lusab-fidok"));
    let engine = engine(&store);
    open(&engine, &incident).await;
    let disk = store.stop_the_disk();
    let mut hints = engine.publisher.listen();
    let mut submitting = Box::pin(submit_note(&engine, &incident, "ours"));
    assert!(futures_util::poll!(submitting.as_mut()).is_pending());
    assert_eq!(published(&mut hints), []);
    assert_eq!(engine.fold_cache.get(&incident).map(|cached| cached.seq), Some(1));
    disk.add_permits(1);
    submitting.await.unwrap();
    assert_eq!(published(&mut hints), [(incident.clone(), vec![2])]);
    assert_eq!(engine.fold_cache.get(&incident).map(|cached| cached.seq), Some(2));
}

#[tokio::test]
async fn events_that_are_not_stored_are_not_published() {
    let (store, incident) = (FakeStore::default(), id("lusab-fidok"));
    let engine = engine(&store);
    let mut state = open(&engine, &incident).await;
    let mut hints = engine.publisher.listen();
    store.break_the_disk();
    let error = submit_note(&engine, &incident, "ours").await.unwrap_err();
    assert!(matches!(error, EngineError::Store(StoreError::Unavailable(_))), "{error}");
    let proposal = propose(&engine, &incident, vec![note("ours")], &mut state);
    assert!(engine.clone().commit_all(vec![proposal.prepare(state.as_ref())]).await[0].is_err());
    assert_eq!(published(&mut hints), []);
    assert_eq!(engine.fold_cache.get(&incident).map(|cached| cached.seq), Some(1));
}

#[tokio::test]
async fn a_batch_reaches_the_store_at_once_and_its_results_and_events_have_its_order() {
    let store = FakeStore::default();
    let engine = engine(&store);
    let ids = ["lusab-fidoz", "lusab-fidob", "lusab-fidod", "lusab-fidof"].map(id);
    let known = open(&engine, &ids[2]).await;
    let mut hints = engine.publisher.listen();
    let batch = ids.iter().enumerate().map(|(at, incident)| {
        let (large, mut state) = ("x".repeat(EVENT_BYTES_LIMIT), None);
        let notes = if at == 1 { vec![note(&large)] } else { Vec::new() };
        let events = [vec![opened(incident)], notes].concat();
        propose(&engine, incident, events, &mut state).prepare(state.as_ref())
    });
    let results = engine.clone().commit_all(batch.collect()).await;
    let summaries = results.iter().map(|result| match result {
        Ok(committed) => format!("stored up to {:?}", committed.last_seq()),
        Err(StoreError::TooLarge(_)) => "too large".to_owned(),
        Err(error) => error.to_string(),
    });
    assert_eq!(
        summaries.collect::<Vec<_>>(),
        [
            "stored up to Some(1)",
            "too large",
            "the caller expected the stream to end at event 0; it ends at 1",
            "stored up to Some(1)"
        ]
    );
    assert_eq!(store.batches(), [3], "a write that is too large does not reach the store");
    assert_eq!(published(&mut hints), [(ids[0].clone(), vec![1]), (ids[3].clone(), vec![1])]);
    assert_eq!(engine.incident(&ids[2]).await.ok(), known);
}
