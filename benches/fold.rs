//! The time to fold a log of 10,000 events. The limit is 10 ms.
//!
//! The time to read the log and verify its chain is measured too, since a command does both.

use criterion::{Criterion, criterion_group, criterion_main};
use runbook::domain::core::id::IncidentId;
use runbook::domain::incident::fold;
use runbook::store::sqlite::Sqlite;
use runbook::store::{EventStore, NewEvent};

mod log;

/// Events in the log.
const LENGTH: usize = 10_000;

fn folding(criterion: &mut Criterion) {
    let events = log::of(LENGTH);
    let incident = fold(&events).expect("the log folds").expect("there is an incident");
    assert_eq!(incident.seq, LENGTH as u64);
    criterion.bench_function("fold 10,000 events", |bencher| bencher.iter(|| fold(&events)));
}

fn read_and_verify(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let directory = tempfile::tempdir().expect("a directory");
    let incident = IncidentId::from_bits(7);
    let store = runtime.block_on(async {
        let store = Sqlite::open(directory.path().join("log.db")).await.expect("a log");
        let drafts = log::of(LENGTH).into_iter().map(|one| NewEvent::new(one.at, one.by, one.event));
        let drafts: Vec<NewEvent> = drafts.collect();
        let mut seq = 0;
        for part in drafts.chunks(1_000) {
            store.append(&incident, seq, part.to_vec()).await.expect("an append");
            seq += part.len() as u64;
        }
        store
    });
    criterion.bench_function("read 10,000 events and check their chain", |bencher| {
        bencher.iter(|| runtime.block_on(store.read(&incident, 0)).expect("the log"));
    });
}

criterion_group!(benches, folding, read_and_verify);
criterion_main!(benches);
