//! Alerts and the dispatcher: which incidents reported alerts open, join and resolve.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chrono::{TimeDelta, TimeZone, Utc};
use runbook::actions::Secrets;
use runbook::clock::{Clock, SimClock};
use runbook::domain::alert::{Alert, AlertStatus};
use runbook::domain::core::id::{IncidentId, StepKey};
use runbook::domain::incident::command::{Command, Request};
use runbook::domain::incident::event::{Actor, Event, Gate, IncidentEvent};
use runbook::domain::incident::{Incident, IncidentStatus};
use runbook::domain::redact::Redactor;
use runbook::engine::catalog::Catalog;
use runbook::engine::dispatcher::{Dispatcher, DispatcherConfig, Received};
use runbook::engine::{self, Engine, Parts};
use runbook::store::memory::Memory;
use runbook::store::{EventStore, Write};
use tokio_util::sync::CancellationToken;

use crate::cut::{CrashingStore, Cut};
use crate::engine_fixture;

const ESTATE: &str = "\
estate: shop
environments: { production: {}, staging: {} }
services:
  gateway: { unit: shop-gateway.service }
  search: { unit: shop-search.service }
alerts:
  environment: production
  window: 30m
  resolve_after: 5m
  cool_down: 15m
  budget: { at_most: 2, within: 1h }
  automatic:
    - { action: command, environments: [staging] }
";

/// Reads, changes something, and reads again.
const SLOW: &str = "\
runbook: slow
title: The shop is slow
severity: p2
on: { alert: slow, where: \"value > 5\", start: auto, params: { service: \"{{ service }}\" } }
params: { service: { type: service } }
steps:
  - { id: look, set: { values: { who: \"{{ params.service }}\" } } }
  - { id: mend, command: [\"true\"], verify: { command: [\"true\"], effect: read } }
  - { id: ask, name: \"Is it over?\", ask: [\"yes\", \"no\"] }
  - { id: after, set: { values: { done: true } } }
";

const ASKED: &str = "\
runbook: asked
title: Somebody has to look
severity: p3
on: { alert: [odd, strange] }
steps:
  - { id: look, set: { values: { x: 1 } } }
";

/// A dispatcher on a store in memory, with a clock that the test moves.
pub struct DispatcherFixture {
    pub engine: Engine,
    pub clock: SimClock,
    pub dispatcher: Dispatcher,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    store: Memory,
    directory: tempfile::TempDir,
}

impl DispatcherFixture {
    pub async fn new() -> Self {
        let clock = SimClock::new(Utc.with_ymd_and_hms(2026, 1, 1, 3, 0, 0).unwrap());
        Self::over(Memory::new(), clock, tempfile::tempdir().unwrap()).await
    }

    async fn over(store: Memory, clock: SimClock, directory: tempfile::TempDir) -> Self {
        let log = Arc::new(store.clone());
        Self::writing_to(log, store, clock, directory).await
    }

    /// The same with another store in front of `store`, such as one that fails.
    async fn writing_to(
        log: Arc<dyn EventStore>,
        store: Memory,
        clock: SimClock,
        directory: tempfile::TempDir,
    ) -> Self {
        let runbooks = directory.path().join("runbooks");
        std::fs::create_dir_all(&runbooks).unwrap();
        for (name, text) in [("estate", ESTATE), ("slow", SLOW), ("asked", ASKED)] {
            std::fs::write(runbooks.join(format!("{name}.yaml")), text).unwrap();
        }
        let catalog = Catalog::load(directory.path()).unwrap();
        let problems: Vec<_> = catalog.problems().into_iter().map(|(source, all)| (&source.name, all)).collect();
        assert!(problems.is_empty(), "{problems:#?}");
        let plain = engine_fixture::engine(Arc::clone(&log), Arc::new(clock.clone()), directory.path());
        let Parts { base_environment, .. } = plain.parts();
        let engine = Engine::new(Parts {
            store: log,
            clock: Arc::new(clock.clone()),
            secrets: Arc::new(Secrets::default()),
            redactor: Arc::new(Redactor::default()),
            base_environment: Arc::clone(base_environment),
            directory: directory.path().to_owned(),
            catalog: Arc::new(catalog),
            holder: engine::holder("testhost"),
            hostname: "testhost".to_owned(),
        });
        let stop = CancellationToken::new();
        let config = DispatcherConfig {
            random_bits,
            before_open: Box::new(|_| {}),
            is_ours: Box::new(|_| true),
            schedules: None,
        };
        let (dispatcher, task) = Dispatcher::begin(engine.clone(), config, stop.clone()).await.unwrap();
        Self { engine, clock, dispatcher, stop, task, store, directory }
    }

    /// Stops the dispatcher, and starts another on the same store.
    async fn restarted(self) -> Self {
        self.stop.cancel();
        self.task.await.unwrap();
        Self::over(self.store, self.clock, self.directory).await
    }

    async fn report(&self, alerts: &[Alert]) -> Vec<Received> {
        self.dispatcher.report(alerts.to_vec()).await.unwrap()
    }

    /// Reports an alert that opens an incident.
    async fn open(&self, alert: &Alert) -> IncidentId {
        match self.report(std::slice::from_ref(alert)).await.remove(0) {
            Received::Opened(id) => id,
            other => panic!("{other:?}"),
        }
    }

    async fn incidents(&self) -> Vec<Incident> {
        let mut all = Vec::new();
        for summary in self.store.incidents(1_000, 0).await.unwrap() {
            all.push(self.engine.incident(&summary.id).await.unwrap());
        }
        all
    }

    /// Waits, in real time, until a condition is true for an incident.
    async fn until(&self, id: &IncidentId, what: &str, is_true: impl Fn(&Incident) -> bool) -> Incident {
        for _ in 0..3_000 {
            let incident = self.engine.incident(id).await.unwrap();
            if is_true(&incident) {
                return incident;
            }
            // The dispatcher polls the store by this clock.
            self.clock.advance(TimeDelta::milliseconds(1));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        panic!("waited in vain until {what}: {:#?}", self.engine.incident(id).await.unwrap().waiting_for_person());
    }

    async fn approve(&self, id: &IncidentId) {
        let incident = self.engine.incident(id).await.unwrap();
        self.submit(id, engine_fixture::approve(&incident)).await;
    }

    async fn submit(&self, id: &IncidentId, request: Request) {
        let by = Actor::person("ada", "test");
        self.engine.submit(id, Command { by, request }).await.unwrap();
    }
}

fn random_bits() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn alert(name: &str, firing: &str, labels: &[(&str, &str)]) -> Alert {
    let labels: BTreeMap<_, _> = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Alert {
        sender: "alertmanager".into(),
        firing: firing.into(),
        name: name.into(),
        value: Some(9.0),
        labels,
        ..Alert::default()
    }
}

fn slow(environment: &str, firing: &str) -> Alert {
    alert("slow", firing, &[("env", environment), ("service", "gateway")])
}

fn resolved(alert: &Alert) -> Alert {
    Alert { status: AlertStatus::Resolved, ..alert.clone() }
}

fn waits_for(incident: &Incident, step: &str) -> bool {
    incident.waiting_for_person().iter().any(|(_, key, _)| key.to_string() == step)
}

fn is_over(incident: &Incident) -> bool {
    incident.status == IncidentStatus::Resolved
}

#[tokio::test]
async fn an_alert_opens_an_incident_and_starts_its_runbook() {
    let fixture = DispatcherFixture::new().await;
    let id = fixture.open(&slow("staging", "1")).await;
    let incident = fixture.until(&id, "it asks", |incident| waits_for(incident, "ask")).await;
    assert_eq!((incident.title.as_str(), incident.environment.as_str()), ("The shop is slow", "staging"));
    assert_eq!(incident.opened.by, Actor::Sender { name: "alertmanager".into() });
    assert_eq!(incident.runs[0].params["service"], "gateway");
    let mend = incident.runs[0].state(&StepKey::main("mend")).unwrap();
    assert_eq!((mend.attempts, mend.approved.as_ref()), (1, None), "the estate allows it in staging");
}

#[tokio::test]
async fn the_alert_the_run_and_the_first_intent_are_one_write() {
    let fixture = DispatcherFixture::new().await;
    let id = fixture.open(&slow("production", "1")).await;
    // At the moment of the answer, before a worker can run.
    let log = fixture.store.read(&id, 0).await.unwrap();
    let story: Vec<String> =
        log.iter().map(|recorded| runbook::domain::incident::name(&recorded.event)).take(4).collect();
    assert_eq!(story, ["incident_opened", "alert_fired", "run_started", "step_started"]);
    assert!(log[..4].iter().all(|recorded| recorded.at == log[0].at));
}

#[tokio::test]
async fn a_change_that_the_estate_does_not_allow_waits_for_approval() {
    let fixture = DispatcherFixture::new().await;
    let id = fixture.open(&slow("production", "1")).await;
    fixture.until(&id, "it asks for agreement", |incident| waits_for(incident, "mend")).await;
    fixture.approve(&id).await;
    fixture.until(&id, "it goes on", |incident| waits_for(incident, "ask")).await;
}

#[tokio::test]
async fn one_firing_is_one_incident_in_any_order_of_reports() {
    let fixture = DispatcherFixture::new().await;
    let (first, second) = (slow("staging", "1"), alert("slow", "2", &[("env", "staging"), ("service", "search")]));
    let reports = [first.clone(), second.clone(), resolved(&first), first.clone(), resolved(&first), second.clone()];
    let mut answers = Vec::new();
    for round in 0..200 {
        let alerts: Vec<Alert> = (0..3).map(|at| reports[(round * 7 + at * 5) % reports.len()].clone()).collect();
        let dispatcher = fixture.dispatcher.clone();
        answers.push(tokio::spawn(async move { dispatcher.report(alerts).await.unwrap() }));
    }
    for answer in answers {
        assert_eq!(answer.await.unwrap().len(), 3);
    }
    let incidents = fixture.incidents().await;
    assert_eq!(incidents.len(), 2, "{:?}", incidents.iter().map(|incident| &incident.group).collect::<Vec<_>>());
    assert!(incidents.iter().all(|incident| incident.alerts.len() == 1));
    let repeats: u64 = incidents.iter().map(|incident| incident.alerts.repeats()).sum();
    assert!(repeats > 300, "{repeats}");
    let events: u64 = incidents.iter().map(|incident| incident.seq).sum();
    assert!(events < 300, "repeats are gathered: {events}");
}

#[tokio::test]
async fn alerts_of_a_group_join_one_incident_and_start_a_runbook_once() {
    let fixture = DispatcherFixture::new().await;
    let alerts: Vec<Alert> = (0..50).map(|number| slow("staging", &number.to_string())).collect();
    let received = fixture.report(&alerts).await;
    let Received::Opened(id) = &received[0] else { panic!("{received:?}") };
    assert!(received[1..].iter().all(|received| *received == Received::Joined(id.clone())));
    let incident = fixture.until(id, "it asks", |incident| waits_for(incident, "ask")).await;
    assert_eq!((incident.alerts.len(), incident.runs.len()), (50, 1));
    fixture.clock.advance(TimeDelta::minutes(31));
    assert_ne!(&fixture.open(&slow("staging", "late")).await, id, "the window is over");
}

#[tokio::test]
async fn many_alerts_over_many_groups_open_one_incident_per_group() {
    let fixture = DispatcherFixture::new().await;
    let alerts: Vec<Alert> =
        (0..2_000).map(|number| alert(&format!("storm{}", number % 100), &number.to_string(), &[])).collect();
    let posts: Vec<_> = alerts
        .chunks(20)
        .map(|chunk| {
            let (dispatcher, chunk) = (fixture.dispatcher.clone(), chunk.to_vec());
            tokio::spawn(async move { dispatcher.report(chunk).await.unwrap() })
        })
        .collect();
    for post in posts {
        post.await.unwrap();
    }
    let incidents = fixture.incidents().await;
    assert_eq!(incidents.len(), 100);
    assert_eq!(incidents.iter().map(|incident| incident.alerts.len()).sum::<usize>(), 2_000);
}

#[tokio::test]
async fn an_alert_without_a_runbook_is_recorded_and_reported() {
    let fixture = DispatcherFixture::new().await;
    let unknown = Alert { summary: Some("nobody knows".into()), ..alert("never_seen", "1", &[]) };
    let id = fixture.open(&unknown).await;
    let incident = fixture.until(&id, "its notice is done", |incident| incident.live_runs().next().is_none()).await;
    assert_eq!((incident.title.as_str(), incident.environment.as_str()), ("nobody knows", "production"));
    assert_eq!(incident.severity.to_string(), "P4");
    assert_eq!(incident.runs[0].runbook.id, "notice");
}

#[tokio::test]
async fn a_runbook_that_asks_is_proposed_and_started_by_a_person() {
    let fixture = DispatcherFixture::new().await;
    let id = fixture.open(&alert("odd", "1", &[])).await;
    let incident = fixture.until(&id, "its notice is done", |incident| incident.live_runs().next().is_none()).await;
    assert_eq!(incident.proposals[0].runbook, "asked");
    let proposal = incident.runs[0].params["proposal"].as_str().unwrap().to_owned();
    assert!(proposal.contains(&format!("runbook start asked --incident {id}")), "{proposal}");
    // A second alert of the group proposes nothing again.
    let second = alert("odd", "2", &[]);
    assert_eq!(fixture.report(&[second]).await, [Received::Joined(id.clone())]);
    assert_eq!(fixture.engine.incident(&id).await.unwrap().runs.len(), 1);
}

#[tokio::test]
async fn an_invalid_parameter_is_reported_and_the_alert_is_recorded() {
    let fixture = DispatcherFixture::new().await;
    let nowhere = alert("slow", "1", &[("service", "not-ours")]);
    let id = fixture.open(&nowhere).await;
    let incident = fixture.until(&id, "its notice is done", |incident| incident.live_runs().next().is_none()).await;
    assert!(incident.proposals[0].reason.contains("needs the parameter `service`"), "{:?}", incident.proposals);
    assert_eq!(incident.runs[0].runbook.id, "notice");
}

#[tokio::test]
async fn a_resolved_alert_stops_pending_changes_and_a_quiet_incident_is_resolved() {
    let fixture = DispatcherFixture::new().await;
    let firing = slow("production", "1");
    let id = fixture.open(&firing).await;
    fixture.until(&id, "it asks for agreement", |incident| waits_for(incident, "mend")).await;
    assert_eq!(fixture.report(&[resolved(&firing)]).await, [Received::Resolved(id.clone())]);
    let incident = fixture.until(&id, "the run is over", |incident| incident.live_runs().next().is_none()).await;
    let run = &incident.runs[0];
    let attempts = |step: &str| run.state(&StepKey::main(step)).map_or(0, |state| state.attempts);
    assert_eq!((attempts("look"), attempts("mend"), attempts("after")), (1, 0, 1), "read-only steps still run");
    assert!(!is_over(&incident), "it has not been quiet for long");
    fixture.clock.advance(TimeDelta::minutes(5));
    let incident = fixture.until(&id, "it is over", is_over).await;
    assert_eq!(incident.resolution.as_deref(), Some("every alert is resolved"));
    fixture.until(&id, "the draft is written", |incident| incident.draft.is_some()).await;
}

#[tokio::test]
async fn an_alert_that_fires_again_before_the_quiet_time_is_over_stays_in_its_incident() {
    let fixture = DispatcherFixture::new().await;
    let first = alert("flaps", "1", &[]);
    let id = fixture.open(&first).await;
    for round in 2..6 {
        let before = alert("flaps", &(round - 1).to_string(), &[]);
        fixture.report(&[resolved(&before)]).await;
        fixture.clock.advance(TimeDelta::minutes(3));
        assert_eq!(fixture.report(&[alert("flaps", &round.to_string(), &[])]).await, [Received::Joined(id.clone())]);
    }
    assert!(!is_over(&fixture.engine.incident(&id).await.unwrap()));
}

#[tokio::test]
async fn each_alert_of_a_mixed_body_is_handled_alone() {
    let fixture = DispatcherFixture::new().await;
    let (one, two) = (alert("one", "1", &[]), alert("two", "2", &[]));
    fixture.report(&[one.clone(), two.clone()]).await;
    let received =
        fixture.report(&[resolved(&one), two, alert("three", "3", &[]), resolved(&alert("four", "4", &[]))]).await;
    let names: Vec<&str> = received
        .iter()
        .map(|received| match received {
            Received::Opened(_) => "opened",
            Received::Joined(_) => "joined",
            Received::Repeated(_) => "repeated",
            Received::Resolved(_) => "resolved",
            Received::Unheard => "unheard",
        })
        .collect();
    // None of them names a known service, so the alert name groups them.
    assert_eq!(names, ["resolved", "repeated", "opened", "unheard"]);
}

#[tokio::test]
async fn automatic_changes_stay_within_the_budget_of_the_estate() {
    let fixture = DispatcherFixture::new().await;
    for round in 0..2 {
        let id = fixture.open(&slow("staging", &round.to_string())).await;
        fixture.until(&id, "it asks", |incident| waits_for(incident, "ask")).await;
        fixture.submit(&id, Request::Cancel { reason: "next".into() }).await;
        fixture.submit(&id, Request::Resolve { summary: None }).await;
        fixture.until(&id, "it is over", |incident| incident.live_runs().next().is_none()).await;
    }
    let third = fixture.open(&slow("staging", "third")).await;
    let incident = fixture.until(&third, "it asks for agreement", |incident| waits_for(incident, "mend")).await;
    let (_, _, gate) = incident.waiting_for_person()[0];
    let Gate::Approve { change, .. } = gate else { panic!("{gate:?}") };
    assert!(change.why.as_ref().unwrap().contains("2 times within 1h"), "{change:?}");
    fixture.approve(&third).await;
    fixture.until(&third, "it goes on", |incident| waits_for(incident, "ask")).await;
    fixture.clock.advance(TimeDelta::minutes(61));
    let fourth = fixture.open(&slow("staging", "fourth")).await;
    fixture.until(&fourth, "it asks nothing before", |incident| waits_for(incident, "ask")).await;
}

#[tokio::test]
async fn a_restarted_dispatcher_knows_every_firing_and_continues() {
    let fixture = DispatcherFixture::new().await;
    let firing = slow("production", "1");
    let id = fixture.open(&firing).await;
    fixture.until(&id, "it asks for agreement", |incident| waits_for(incident, "mend")).await;
    let fixture = fixture.restarted().await;
    assert_eq!(fixture.report(std::slice::from_ref(&firing)).await, [Received::Repeated(id.clone())]);
    fixture.approve(&id).await;
    fixture.until(&id, "it goes on", |incident| waits_for(incident, "ask")).await;
    assert_eq!(fixture.report(&[slow("production", "2")]).await, [Received::Joined(id)]);
}

#[tokio::test]
async fn a_firing_of_an_incident_that_a_person_resolved_opens_no_other_incident() {
    let fixture = DispatcherFixture::new().await;
    let firing = alert("lasting", "1", &[]);
    let id = fixture.open(&firing).await;
    fixture.until(&id, "its notice is done", |incident| incident.live_runs().next().is_none()).await;
    fixture.submit(&id, Request::Resolve { summary: Some("known, repaired tomorrow".into()) }).await;
    fixture.until(&id, "the draft is written", |incident| incident.draft.is_some()).await;
    let fixture = fixture.restarted().await;
    assert_eq!(fixture.report(std::slice::from_ref(&firing)).await, [Received::Repeated(id.clone())]);
    assert_eq!(fixture.incidents().await.len(), 1);
    assert_eq!(fixture.engine.incident(&id).await.unwrap().alerts.repeats(), 1);
}

#[tokio::test]
async fn a_recurring_alarm_fires_again_after_it_was_resolved() {
    let fixture = DispatcherFixture::new().await;
    let start = fixture.clock.now();
    let alarm = |minute: i64| Alert {
        recurs: true,
        starts_at: Some(start + TimeDelta::minutes(minute)),
        ..alert("cpu", "arn:aws:cloudwatch:alarm:cpu", &[])
    };
    let ended = |minute: i64| Alert {
        recurs: true,
        status: AlertStatus::Resolved,
        ends_at: Some(start + TimeDelta::minutes(minute)),
        starts_at: None,
        ..alarm(0)
    };
    let id = fixture.open(&alarm(0)).await;
    assert_eq!(fixture.report(&[alarm(0)]).await, [Received::Repeated(id.clone())]);
    assert_eq!(fixture.report(&[ended(3)]).await, [Received::Resolved(id.clone())]);
    assert_eq!(fixture.report(&[alarm(0)]).await, [Received::Repeated(id.clone())], "a late repeat");
    assert_eq!(fixture.report(&[alarm(4)]).await, [Received::Joined(id.clone())]);
    let fixture = fixture.restarted().await;
    assert_eq!(fixture.report(&[ended(5)]).await, [Received::Resolved(id)]);
}

#[tokio::test]
async fn an_alert_that_cannot_be_written_is_not_acknowledged_and_can_be_reported_again() {
    let fixture = DispatcherFixture::new().await;
    let firing = alert("loud", "1", &[]);
    // The unique name of the firing is taken by an incident that cannot be read.
    let name = format!("alert/{}", firing.key());
    let ghost = IncidentId::from_bits(0xffff_0000);
    let write = Write { keys: vec![name], ..Write::of(&ghost, 0, vec![note()]) };
    fixture.store.write(write).await.unwrap();
    let error = fixture.dispatcher.report(vec![firing]).await.unwrap_err();
    assert!(error.contains("50 conflicts with other processes"), "{error}");
    assert_eq!(fixture.dispatcher.report(vec![alert("other", "2", &[])]).await.unwrap().len(), 1);
}

#[tokio::test]
async fn two_incidents_of_one_batch_with_the_same_id_are_not_mixed() {
    let mut fixture = DispatcherFixture::new().await;
    fixture.stop.cancel();
    (&mut fixture.task).await.unwrap();
    let config = DispatcherConfig {
        random_bits: || 7,
        before_open: Box::new(|_| {}),
        is_ours: Box::new(|_| true),
        schedules: None,
    };
    let (dispatcher, _task) =
        Dispatcher::begin(fixture.engine.clone(), config, CancellationToken::new()).await.unwrap();
    let both = vec![alert("loud", "1", &[]), alert("calm", "3", &[("service", "search")])];
    let error = dispatcher.report(both).await.unwrap_err();
    assert!(error.contains("the stream to end at event 0; it ends at "), "{error}");
    let incident = fixture.engine.incident(&IncidentId::from_bits(7)).await.unwrap();
    assert_eq!(incident.alerts.len(), 1, "the other alert can be reported again");
}

fn note() -> runbook::store::NewEvent {
    let at = Utc.with_ymd_and_hms(2026, 1, 1, 3, 0, 0).unwrap();
    let event = Event::Incident(IncidentEvent::NoteAdded { text: "no incident".into() });
    runbook::store::NewEvent::new(at, Actor::Engine, event)
}

/// A dispatcher whose disk can be stopped and can fail.
async fn on_a_stopped_disk() -> (DispatcherFixture, Arc<CrashingStore>) {
    let log = Memory::new();
    let disk = Arc::new(CrashingStore::new(log.clone(), u64::MAX, Cut::After));
    let clock = SimClock::new(Utc.with_ymd_and_hms(2026, 1, 1, 3, 0, 0).unwrap());
    let fixture = DispatcherFixture::writing_to(Arc::clone(&disk) as _, log, clock, tempfile::tempdir().unwrap()).await;
    disk.disk.forget_permits(tokio::sync::Semaphore::MAX_PERMITS);
    (fixture, disk)
}

/// Reports in a task.
fn report_in_task(
    fixture: &DispatcherFixture,
    alerts: &[Alert],
) -> tokio::task::JoinHandle<Result<Vec<Received>, String>> {
    let (dispatcher, alerts) = (fixture.dispatcher.clone(), alerts.to_vec());
    tokio::spawn(async move { dispatcher.report(alerts).await })
}

/// Waits until this many writes have reached the disk.
async fn at_the_disk(disk: &CrashingStore, writes: u64) {
    for _ in 0..3_000 {
        if disk.writes.load(Ordering::SeqCst) >= writes {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("{} writes have come of {writes}", disk.writes.load(Ordering::SeqCst));
}

#[tokio::test]
async fn alerts_of_an_incident_being_written_wait_and_other_alerts_do_not() {
    let (fixture, disk) = on_a_stopped_disk().await;
    let first = report_in_task(&fixture, &[alert("loud", "1", &[])]);
    at_the_disk(&disk, 1).await;
    // The same firing, another one of its group, and one of another group: only the last can be decided.
    let known = report_in_task(
        &fixture,
        &[alert("loud", "1", &[]), alert("loud", "2", &[]), alert("calm", "3", &[("service", "search")])],
    );
    at_the_disk(&disk, 2).await;
    assert!(!first.is_finished() && !known.is_finished(), "nothing is durable yet");
    disk.disk.add_permits(100);
    let opened = first.await.unwrap().unwrap();
    let [Received::Opened(id)] = &opened[..] else { panic!("{opened:?}") };
    let known = known.await.unwrap().unwrap();
    assert_eq!(known[..2], [Received::Repeated(id.clone()), Received::Joined(id.clone())]);
    assert!(matches!(&known[2], Received::Opened(other) if other != id), "{known:?}");
    let incidents = fixture.incidents().await;
    let mut alerts: Vec<usize> = incidents.iter().map(|incident| incident.alerts.len()).collect();
    alerts.sort_unstable();
    assert_eq!(alerts, [1, 2]);
}

#[tokio::test]
async fn alerts_after_a_batch_that_the_disk_refused_are_decided_again() {
    let (fixture, disk) = on_a_stopped_disk().await;
    let first = report_in_task(&fixture, &[alert("loud", "1", &[]), alert("loud", "1", &[])]);
    at_the_disk(&disk, 1).await;
    let repeated = report_in_task(&fixture, &[alert("loud", "1", &[])]);
    let other = report_in_task(&fixture, &[alert("calm", "3", &[("service", "search")])]);
    at_the_disk(&disk, 1).await;
    // The disk refuses one write and accepts the others.
    disk.last.store(0, Ordering::SeqCst);
    disk.disk.add_permits(1);
    let refused = first.await.unwrap().unwrap_err();
    assert!(refused.contains("cannot be written"), "{refused}");
    disk.last.store(u64::MAX, Ordering::SeqCst);
    disk.disk.add_permits(100);
    // The repetition is now the first durable report.
    let opened = repeated.await.unwrap().unwrap();
    assert!(matches!(&opened[..], [Received::Opened(_)]), "{opened:?}");
    assert!(matches!(&other.await.unwrap().unwrap()[..], [Received::Opened(_)]));
    assert_eq!(fixture.incidents().await.len(), 2);
}
