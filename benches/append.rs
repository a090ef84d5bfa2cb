//! The cost of a durable event: one alone, and many at once, which share a transaction.
//!
//! The log is in `TMPDIR`. On a tmpfs nothing is synced, and the figures mean nothing.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use runbook::domain::core::id::IncidentId;
use runbook::domain::incident::event::{Event, StepEvent};
use runbook::store::sqlite::Sqlite;
use runbook::store::{EventStore, NewEvent};
use tokio::runtime::{Builder, Runtime};

mod log;

/// Concurrent producers, each with its own stream.
const PRODUCERS: u32 = 64;

/// The most frequent event: the end of a step with its output.
fn drafts(count: usize) -> Vec<NewEvent> {
    let log = log::of(10);
    let ended = log
        .into_iter()
        .find(|one| matches!(one.event, Event::Step(StepEvent::Ended { .. })))
        .expect("a step has ended");
    vec![NewEvent::new(ended.at, ended.by, ended.event); count]
}

/// The runtime of the command line: one thread.
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn alone(criterion: &mut Criterion) {
    let runtime = runtime();
    let directory = tempfile::tempdir().expect("a directory");
    let store = runtime.block_on(Sqlite::open(directory.path().join("log.db"))).expect("a log");
    for count in [1, 3] {
        let mut stream = 0;
        let draft = drafts(count);
        let mut seq = 0;
        criterion.bench_function(&format!("append {count} alone"), |bencher| {
            let next = || {
                // Streams stay short.
                if seq == 0 || seq > 50_000 {
                    stream += 1;
                    seq = 0;
                }
                let incident = IncidentId::from_bits(stream * 10 + u32::try_from(count).expect("few"));
                let before = seq;
                seq += count as u64;
                (incident, before, draft.clone())
            };
            let append = |(incident, seq, drafts): (IncidentId, u64, Vec<NewEvent>)| {
                runtime.block_on(store.append(&incident, seq, drafts)).expect("an append");
            };
            bencher.iter_batched(next, append, BatchSize::PerIteration);
        });
    }
}

fn together(criterion: &mut Criterion) {
    let runtime = runtime();
    let directory = tempfile::tempdir().expect("a directory");
    let store = runtime.block_on(Sqlite::open(directory.path().join("log.db"))).expect("a log");
    let mut seq = 0;
    let draft = drafts(1);
    let mut group = criterion.benchmark_group("throughput");
    group.throughput(Throughput::Elements(u64::from(PRODUCERS)));
    group.bench_function("append 64 at once", |bencher| {
        bencher.iter(|| {
            let all: Vec<_> = (0..PRODUCERS)
                .map(|stream| {
                    let (store, incident, draft) = (store.clone(), IncidentId::from_bits(stream), draft.clone());
                    runtime.spawn(async move { store.append(&incident, seq, draft).await.expect("an append") })
                })
                .collect();
            runtime.block_on(async {
                for one in all {
                    one.await.expect("a producer");
                }
            });
            seq += 1;
        });
    });
}

criterion_group!(benches, alone, together);
criterion_main!(benches);
