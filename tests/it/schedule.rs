//! Runbooks that start by the clock: once, whoever looks and whatever the clock does, with a record of each.
//!
//! Time is moved by hand. Deliberately absent: which instants an expression means; that is tested beside it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use chrono::TimeDelta;
use runbook::actions::Secrets;
use runbook::domain::core::severity::Severity;
use runbook::domain::core::time::{Timestamp, stamp};
use runbook::domain::incident::command::{Command, Request};
use runbook::domain::incident::event::{Actor, Event, IncidentEvent};
use runbook::domain::incident::{Incident, IncidentStatus};
use runbook::domain::redact::Redactor;
use runbook::domain::report::timeline::Timeline;
use runbook::engine::catalog::Catalog;
use runbook::engine::dispatcher::{Dispatcher, DispatcherConfig};
use runbook::engine::reload::ProjectFiles;
use runbook::engine::schedule_state::{ScheduleState, ScheduleStatus};
use runbook::engine::{self, Engine, Parts};
use runbook::store::EventStore;
use runbook::store::memory::Memory;
use tokio_util::sync::CancellationToken;

use crate::world;
use crate::world::ObservedClock;

mod calendar;
mod damaged;
mod serve;

const ESTATE: &str = "
estate: shop
environments:
  production: { hostname: testhost }
  staging: { hostname: elsewhere }
alerts: { environment: production }
";

/// Every day at nine in Lusaka, which is seven in UTC; it waits for a person.
const DAILY: &str = "
runbook: daily
title: Daily care
severity: maintenance
on: { schedule: 0 9 * * *, timezone: Africa/Lusaka, environments: [production, staging] }
steps:
  - { id: look, set: { values: { x: 1 } } }
  - { id: hand, manual: Look around. }
";

/// How often the process on duty looks whether something is due.
const LOOK: TimeDelta = TimeDelta::milliseconds(250);

fn chance() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    NEXT.fetch_add(0x0100_0193, Ordering::Relaxed)
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A shop with a process on duty.
struct House {
    engine: Engine,
    clock: ObservedClock,
    /// Who is on duty ends with it.
    _duty: Dispatcher,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    store: Memory,
    directory: Arc<tempfile::TempDir>,
}

impl House {
    /// On duty since Thursday the first, 06:00 UTC.
    async fn with(runbook: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(directory.path().join("runbooks")).unwrap();
        std::fs::write(directory.path().join("runbooks/estate.yaml"), ESTATE).unwrap();
        let clock = ObservedClock::new(at("2026-01-01T06:00:00Z"));
        Self::over(Memory::new(), clock, Arc::new(directory), runbook).await
    }

    async fn over(store: Memory, clock: ObservedClock, directory: Arc<tempfile::TempDir>, runbook: &str) -> Self {
        let catalog = catalog(&directory, runbook);
        let plain = world::engine(Arc::new(store.clone()), Arc::new(clock.clone()), directory.path());
        let Parts { basics, .. } = plain.parts();
        let engine = Engine::new(Parts {
            store: Arc::new(store.clone()),
            clock: Arc::new(clock.clone()),
            secrets: Arc::new(Secrets::default()),
            redactor: Arc::new(Redactor::default()),
            basics: Arc::clone(basics),
            directory: directory.path().to_owned(),
            catalog: Arc::new(catalog),
            holder: engine::holder("testhost"),
            hostname: "testhost".to_owned(),
        });
        let stop = CancellationToken::new();
        let schedules = Some(directory.path().join("schedules.json"));
        let terms = DispatcherConfig { chance, opening: Box::new(|_| {}), is_ours: Box::new(|_| true), schedules };
        let (duty, task) = Dispatcher::begin(engine.clone(), terms, stop.clone()).await.unwrap();
        Self { engine, clock, _duty: duty, stop, task, store, directory }
    }

    /// The process ends.
    async fn shut_down(self) -> (Memory, ObservedClock, Arc<tempfile::TempDir>) {
        self.stop.cancel();
        self.task.await.unwrap();
        (self.store, self.clock, self.directory)
    }

    /// The process ends, and another begins at this instant.
    async fn away_until(self, instant: &str, runbook: &str) -> Self {
        let (store, clock, directory) = self.shut_down().await;
        clock.set(at(instant));
        Self::over(store, clock, directory, runbook).await
    }

    /// Another process on the same log.
    async fn another(&self, runbook: &str) -> Self {
        let clock = ObservedClock::over(self.clock.sim());
        Self::over(self.store.clone(), clock, Arc::clone(&self.directory), runbook).await
    }

    async fn incidents(&self) -> Vec<Incident> {
        let mut all = Vec::new();
        for summary in self.store.incidents(1_000, 0).await.unwrap() {
            all.push(self.engine.incident(&summary.id).await.unwrap());
        }
        all.sort_by_key(|incident| incident.opened.at);
        all
    }

    /// Waits, in real time, until something is true of the records.
    async fn until(&self, what: &str, is_true: impl Fn(&[Incident]) -> bool) -> Vec<Incident> {
        for _ in 0..3_000 {
            let incidents = self.incidents().await;
            if is_true(&incidents) {
                return incidents;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("waited in vain until {what}: {:#?}", self.incidents().await);
    }

    /// Waits until there are so many records and each waits for a person or is over.
    async fn rest(&self, count: usize) -> Vec<Incident> {
        let rests = |incident: &Incident| {
            incident.status == IncidentStatus::Resolved && incident.draft.is_some()
                || !incident.waiting_for_person().is_empty()
        };
        self.until(&format!("{count} records rest"), |all| all.len() == count && all.iter().all(rests)).await
    }

    /// Moves the clock on, and waits until the process has handled all that is due by then.
    async fn settle(&self) {
        self.clock.advance(LOOK * 2);
        self.looked().await;
    }

    /// Waits until the process has handled all that is due. It sleeps until its next check when it has; at every other time it
    /// sleeps no further than to an instant that is past, since the clock was moved by more than that.
    async fn looked(&self) {
        self.clock.sleeps_within(LOOK).await;
    }

    /// The person does what the newest record waits for.
    async fn done_by_hand(&self, incident: &Incident) {
        let request =
            Request::Answer { target: crate::world::target(incident, "hand"), value: serde_json::Value::Null };
        let by = Actor::person("ada", "test");
        self.engine.submit(&incident.id, Command { by, request }).await.unwrap();
    }

    async fn told(&self, incident: &Incident) -> Vec<String> {
        let log = self.engine.log(&incident.id).await.unwrap();
        Timeline::of(&log).entries.into_iter().map(|entry| entry.text).collect()
    }

    async fn standing(&self, environment: &str) -> ScheduleStatus {
        let force = ScheduleState::read(Some(&self.directory.path().join("schedules.json")));
        let agenda = self.engine.refreshed().schedule_statuses(&force).await.unwrap();
        agenda.into_iter().find(|standing| standing.plan.environment == environment).unwrap()
    }
}

fn catalog(directory: &tempfile::TempDir, runbook: &str) -> Catalog {
    let id = runbook.trim().lines().next().unwrap().strip_prefix("runbook: ").unwrap();
    std::fs::write(directory.path().join(format!("runbooks/{id}.yaml")), runbook).unwrap();
    let catalog = Catalog::load(directory.path()).unwrap();
    let problems: Vec<_> =
        catalog.problems().into_iter().map(|(source, all)| (source.name.clone(), all.to_vec())).collect();
    assert!(problems.is_empty(), "{problems:#?}");
    catalog
}

fn due(incident: &Incident) -> String {
    stamp(incident.runs[0].schedule.as_ref().unwrap().due)
}

fn missed(incident: &Incident) -> Vec<String> {
    incident.runs[0].schedule.as_ref().unwrap().missed.iter().map(|at| stamp(*at)).collect()
}

#[tokio::test]
async fn when_its_time_comes_a_runbook_runs_once_and_leaves_a_record_with_a_report() {
    let house = House::with(DAILY).await;
    house.settle().await;
    assert!(house.incidents().await.is_empty(), "not before its time");
    house.clock.set(at("2026-01-01T07:00:00Z"));
    let record = house.rest(1).await.remove(0);
    assert_eq!((record.severity, due(&record).as_str()), (Severity::Maintenance, "2026-01-01T07:00:00Z"));
    assert_eq!(record.environment, "production", "staging is on another host");
    assert!(record.deadlines.is_empty());
    house.done_by_hand(&record).await;
    let record = house.until("it is over", |all| all[0].draft.is_some()).await.remove(0);
    assert_eq!(record.resolution.as_deref(), Some("the work is done"), "nobody has to say so");
    let path = record.draft.unwrap().path;
    assert_eq!(path, format!("reports/2026-01-01-{}-daily-care.md", record.id));
    let report = std::fs::read_to_string(house.directory.path().join(path)).unwrap();
    assert!(
        report.contains("scheduled for Thu 2026-01-01 09:00 Africa/Lusaka") && report.contains("the work is done"),
        "{report}"
    );
    house.settle().await;
    assert_eq!(house.incidents().await.len(), 1);
}

#[tokio::test]
async fn two_processes_on_one_log_start_it_once() {
    let house = House::with(DAILY).await;
    let other = house.another(DAILY).await;
    for day in 1..=5 {
        house.clock.set(at(&format!("2026-01-0{day}T07:00:00Z")));
        let records = house.rest(day).await;
        house.settle().await;
        other.looked().await;
        assert_eq!(house.incidents().await.len(), day);
        house.done_by_hand(&records[day - 1]).await;
        // The process that goes on with it may be the one that only sees what was done at its next look.
        while house.incidents().await[day - 1].status != IncidentStatus::Resolved {
            house.settle().await;
            other.looked().await;
        }
    }
    other.shut_down().await;
}

#[tokio::test]
async fn after_a_down_time_the_newest_missed_occurrence_runs_once_and_names_the_others() {
    let house = House::with(DAILY).await;
    let house = house.away_until("2026-01-04T10:00:00Z", DAILY).await;
    let record = house.rest(1).await.remove(0);
    assert_eq!(due(&record), "2026-01-04T07:00:00Z");
    assert_eq!(missed(&record), ["2026-01-01T07:00:00Z", "2026-01-02T07:00:00Z", "2026-01-03T07:00:00Z"]);
    let told = house.told(&record).await.join("\n");
    assert!(told.contains("scheduled for Sun 2026-01-04 09:00 Africa/Lusaka, 3h late"), "{told}");
    assert!(told.contains("3 from Thu 2026-01-01 09:00 Africa/Lusaka to Sat 2026-01-03 09:00"), "{told}");
    let house = house.away_until("2026-01-04T11:00:00Z", DAILY).await;
    house.settle().await;
    assert_eq!(house.incidents().await.len(), 1, "it is caught up with once");
    let standing = house.standing("production").await;
    assert_eq!(standing.missed.len(), 3);
    assert_eq!((standing.handled[0].due, &standing.handled[0].incident), (at("2026-01-04T07:00:00Z"), &record.id));
    assert_eq!(standing.next, Some(at("2026-01-05T07:00:00Z")));
    assert!(standing.here && !house.standing("staging").await.here);
}

#[tokio::test]
async fn without_catching_up_what_was_missed_is_known_and_does_not_run() {
    let daily = DAILY.replace("Lusaka,", "Lusaka, catch_up: none,");
    let house = House::with(&daily).await;
    let house = house.away_until("2026-01-02T10:00:00Z", &daily).await;
    house.settle().await;
    assert!(house.incidents().await.is_empty());
    assert_eq!(house.standing("production").await.missed.len(), 2);
    house.clock.set(at("2026-01-03T07:00:10Z"));
    let record = house.rest(1).await.remove(0);
    assert_eq!((due(&record).as_str(), missed(&record).len()), ("2026-01-03T07:00:00Z", 2));
}

#[tokio::test]
async fn while_the_run_before_goes_on_an_occurrence_is_skipped_and_its_record_says_so() {
    let house = House::with(DAILY).await;
    house.clock.set(at("2026-01-01T07:00:00Z"));
    let record = house.rest(1).await.remove(0);
    house.clock.set(at("2026-01-02T07:00:00Z"));
    let skipped = |all: &[Incident]| all[0].seq > record.seq;
    house.until("it says so", skipped).await;
    house.settle().await;
    assert_eq!(house.incidents().await.len(), 1);
    let told = house.told(&record).await.join("\n");
    assert!(told.contains("daily was due again Fri 2026-01-02 09:00 Africa/Lusaka and was skipped"), "{told}");
    let log = house.engine.log(&record.id).await.unwrap();
    let events =
        log.iter().filter(|recorded| matches!(recorded.event, Event::Incident(IncidentEvent::OccurrenceSkipped(_))));
    assert_eq!(events.count(), 1);
    house.done_by_hand(&record).await;
    house.until("it is over", |all| all[0].status == IncidentStatus::Resolved).await;
    house.settle().await;
    assert_eq!(house.incidents().await.len(), 1, "what was skipped does not come later");
    house.clock.set(at("2026-01-03T07:00:00Z"));
    assert_eq!(due(&house.rest(2).await[1]), "2026-01-03T07:00:00Z");
}

#[tokio::test]
async fn what_is_queued_waits_until_the_run_before_is_over() {
    let daily = DAILY.replace("Lusaka,", "Lusaka, overlap: queue,");
    let house = House::with(&daily).await;
    house.clock.set(at("2026-01-01T07:00:00Z"));
    let record = house.rest(1).await.remove(0);
    house.clock.set(at("2026-01-03T07:00:00Z"));
    house.settle().await;
    assert_eq!(house.incidents().await.len(), 1);
    house.done_by_hand(&record).await;
    // Its report, and the record that waited.
    house.until("it is over", |all| all[0].status == IncidentStatus::Resolved).await;
    house.clock.advance(TimeDelta::seconds(1));
    let records = house.rest(2).await;
    assert_eq!(due(&records[1]), "2026-01-03T07:00:00Z");
    assert_eq!(missed(&records[1]), ["2026-01-02T07:00:00Z"], "one waits at a time");
}

#[tokio::test]
async fn where_overlap_is_allowed_both_go_on() {
    let daily = DAILY.replace("Lusaka,", "Lusaka, overlap: allow,");
    let house = House::with(&daily).await;
    for day in 1..=2 {
        house.clock.set(at(&format!("2026-01-0{day}T07:00:00Z")));
        house.rest(day).await;
    }
}

#[tokio::test]
async fn a_clock_that_jumps_starts_nothing_twice_and_leaves_nothing_out() {
    let daily = DAILY.replace("Lusaka,", "Lusaka, overlap: allow,");
    let house = House::with(&daily).await;
    house.clock.set(at("2026-01-02T08:00:00Z"));
    let records = house.rest(1).await;
    assert_eq!((due(&records[0]).as_str(), missed(&records[0]).len()), ("2026-01-02T07:00:00Z", 1));
    house.clock.set(at("2026-01-02T06:00:00Z"));
    house.clock.set(at("2026-01-02T07:30:00Z"));
    // Its next look is where it was; until then it sleeps.
    house.clock.set(at("2026-01-02T08:00:01Z"));
    house.looked().await;
    assert_eq!(house.incidents().await.len(), 1, "set back, the same time comes again");
    // A year ahead by mistake, and back: the days between are not lost.
    house.clock.set(at("2027-01-02T08:00:00Z"));
    house.rest(2).await;
    let house = house.away_until("2026-01-03T06:00:00Z", &daily).await;
    house.clock.set(at("2026-01-03T07:00:00Z"));
    let records = house.rest(3).await;
    assert!(records.iter().any(|record| due(record) == "2026-01-03T07:00:00Z"));
}

#[tokio::test]
async fn a_schedule_that_was_written_or_edited_owes_nothing_from_before() {
    let house = House::with(DAILY).await;
    house.clock.set(at("2026-01-01T06:30:00Z"));
    let earlier = DAILY.replace("0 9", "0 8");
    let catalog = catalog(&house.directory, &earlier);
    house.engine.reload(ProjectFiles { catalog, secrets: Secrets::default(), redactor: Redactor::default() });
    house.settle().await;
    house.clock.set(at("2026-01-01T07:30:00Z"));
    house.settle().await;
    assert!(house.incidents().await.is_empty(), "eight was past, and nine is no time of it any more");
    house.clock.set(at("2026-01-02T06:00:00Z"));
    assert_eq!(due(&house.rest(1).await[0]), "2026-01-02T06:00:00Z");
}

#[tokio::test]
async fn maintenance_has_no_deadlines_no_severity_and_no_postmortem() {
    let house = House::with(DAILY).await;
    std::fs::write(
        house.directory.path().join("runbooks/down.yaml"),
        "runbook: down\ntitle: Down\nseverity: p1\ndeadlines:\n  notify: { role: lead, within: 15m, from: opened }\n  postmortem: { within: 24h, from: resolved }\nsteps: [{ id: x, set: { values: { x: 1 } } }]\n",
    )
    .unwrap();
    std::fs::write(house.directory.path().join("runbooks/estate.yaml"), format!("{ESTATE}roles: {{ lead: {{}} }}\n"))
        .unwrap();
    let daily = DAILY.replace("  - { id: hand", "  - { id: more, start: down }\n  - { id: hand");
    let catalog = catalog(&house.directory, &daily);
    house.engine.reload(ProjectFiles { catalog, secrets: Secrets::default(), redactor: Redactor::default() });
    house.settle().await;
    house.clock.set(at("2026-01-01T07:00:00Z"));
    let record = house.rest(1).await.remove(0);
    assert_eq!((record.runs.len(), record.deadlines.len()), (2, 0), "not even of a runbook that it starts");
    let asked = |request| house.engine.submit(&record.id, Command { by: Actor::person("ada", "test"), request });
    let no = asked(Request::Regrade(Severity::P1)).await.unwrap_err().to_string();
    assert_eq!(no, "maintenance has no severity: nothing is wrong");
    house.done_by_hand(&record).await;
    let record = house.until("it is over", |all| all[0].draft.is_some()).await.remove(0);
    assert!(record.deadlines.is_empty());
    let no = house
        .engine
        .submit(&record.id, Command { by: Actor::person("ada", "test"), request: Request::CompletePostmortem })
        .await;
    assert!(no.unwrap_err().to_string().starts_with("maintenance has a report and no post-mortem"));
}
