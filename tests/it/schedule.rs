//! Scheduled runbooks: each occurrence starts once, with several processes and with clocks that jump.
//!
//! The test moves the clock. Not here: the instants of an expression, see `domain::runbook::schedule`.

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

use crate::engine_fixture;
use crate::engine_fixture::ObservedClock;

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

/// How often the dispatcher checks for due schedules.
const CHECK_INTERVAL: TimeDelta = TimeDelta::milliseconds(250);

fn random_bits() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    NEXT.fetch_add(0x0100_0193, Ordering::Relaxed)
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A dispatcher with a project, on a store in memory.
struct SchedulerFixture {
    engine: Engine,
    clock: ObservedClock,
    /// The dispatcher ends when every handle is dropped.
    _dispatcher: Dispatcher,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    store: Memory,
    directory: Arc<tempfile::TempDir>,
}

impl SchedulerFixture {
    /// Started on Thursday, 2026-01-01, 06:00 UTC.
    async fn with(runbook: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(directory.path().join("runbooks")).unwrap();
        std::fs::write(directory.path().join("runbooks/estate.yaml"), ESTATE).unwrap();
        let clock = ObservedClock::new(at("2026-01-01T06:00:00Z"));
        Self::over(Memory::new(), clock, Arc::new(directory), runbook).await
    }

    async fn over(store: Memory, clock: ObservedClock, directory: Arc<tempfile::TempDir>, runbook: &str) -> Self {
        let catalog = catalog(&directory, runbook);
        let plain = engine_fixture::engine(Arc::new(store.clone()), Arc::new(clock.clone()), directory.path());
        let Parts { base_environment, .. } = plain.parts();
        let engine = Engine::new(Parts {
            store: Arc::new(store.clone()),
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
        let schedules = Some(directory.path().join("schedules.json"));
        let config =
            DispatcherConfig { random_bits, before_open: Box::new(|_| {}), is_ours: Box::new(|_| true), schedules };
        let (dispatcher, task) = Dispatcher::begin(engine.clone(), config, stop.clone()).await.unwrap();
        Self { engine, clock, _dispatcher: dispatcher, stop, task, store, directory }
    }

    /// Stops the dispatcher.
    async fn shut_down(self) -> (Memory, ObservedClock, Arc<tempfile::TempDir>) {
        self.stop.cancel();
        self.task.await.unwrap();
        (self.store, self.clock, self.directory)
    }

    /// Stops the dispatcher, and starts another at this instant.
    async fn restart_at(self, instant: &str, runbook: &str) -> Self {
        let (store, clock, directory) = self.shut_down().await;
        clock.set(at(instant));
        Self::over(store, clock, directory, runbook).await
    }

    /// A second dispatcher on the same store, as of another process.
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

    /// Waits, in real time, until a condition is true for the incidents.
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

    /// Waits until there are this many incidents and each waits for a person or is resolved with a report.
    async fn incidents_at_rest(&self, count: usize) -> Vec<Incident> {
        let is_at_rest = |incident: &Incident| {
            incident.status == IncidentStatus::Resolved && incident.draft.is_some()
                || !incident.waiting_for_person().is_empty()
        };
        self.until(&format!("{count} incidents are at rest"), |all| all.len() == count && all.iter().all(is_at_rest))
            .await
    }

    /// Moves the clock by two checks, and waits until the dispatcher has handled everything that is due.
    async fn settle(&self) {
        self.clock.advance(CHECK_INTERVAL * 2);
        self.until_checked().await;
    }

    /// Waits until the dispatcher has handled everything that is due: it sleeps until its next check. Before that, a sleeper's
    /// time is past, since the clock was moved beyond a check.
    async fn until_checked(&self) {
        self.clock.sleeps_within(CHECK_INTERVAL).await;
    }

    /// Completes the manual step of an incident.
    async fn complete_manual_step(&self, incident: &Incident) {
        let request =
            Request::Answer { target: crate::engine_fixture::target(incident, "hand"), value: serde_json::Value::Null };
        let by = Actor::person("ada", "test");
        self.engine.submit(&incident.id, Command { by, request }).await.unwrap();
    }

    async fn timeline(&self, incident: &Incident) -> Vec<String> {
        let log = self.engine.log(&incident.id).await.unwrap();
        Timeline::of(&log).entries.into_iter().map(|entry| entry.text).collect()
    }

    async fn schedule_status(&self, environment: &str) -> ScheduleStatus {
        let force = ScheduleState::read(Some(&self.directory.path().join("schedules.json")));
        let agenda = self.engine.refreshed().schedule_statuses(&force).await.unwrap();
        agenda.into_iter().find(|schedule_status| schedule_status.plan.environment == environment).unwrap()
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
async fn a_scheduled_runbook_runs_once_and_leaves_a_report() {
    let fixture = SchedulerFixture::with(DAILY).await;
    fixture.settle().await;
    assert!(fixture.incidents().await.is_empty(), "not before it is due");
    fixture.clock.set(at("2026-01-01T07:00:00Z"));
    let incident = fixture.incidents_at_rest(1).await.remove(0);
    assert_eq!((incident.severity, due(&incident).as_str()), (Severity::Maintenance, "2026-01-01T07:00:00Z"));
    assert_eq!(incident.environment, "production", "staging is on another host");
    assert!(incident.deadlines.is_empty());
    fixture.complete_manual_step(&incident).await;
    let incident = fixture.until("it is over", |all| all[0].draft.is_some()).await.remove(0);
    assert_eq!(incident.resolution.as_deref(), Some("the work is done"), "maintenance is resolved automatically");
    let path = incident.draft.unwrap().path;
    assert_eq!(path, format!("reports/2026-01-01-{}-daily-care.md", incident.id));
    let report = std::fs::read_to_string(fixture.directory.path().join(path)).unwrap();
    assert!(
        report.contains("scheduled for Thu 2026-01-01 09:00 Africa/Lusaka") && report.contains("the work is done"),
        "{report}"
    );
    fixture.settle().await;
    assert_eq!(fixture.incidents().await.len(), 1);
}

#[tokio::test]
async fn two_processes_on_one_log_start_it_once() {
    let fixture = SchedulerFixture::with(DAILY).await;
    let other = fixture.another(DAILY).await;
    for day in 1..=5 {
        fixture.clock.set(at(&format!("2026-01-0{day}T07:00:00Z")));
        let incidents = fixture.incidents_at_rest(day).await;
        fixture.settle().await;
        other.until_checked().await;
        assert_eq!(fixture.incidents().await.len(), day);
        fixture.complete_manual_step(&incidents[day - 1]).await;
        // The dispatcher that supervises it may read the answer at its next check.
        while fixture.incidents().await[day - 1].status != IncidentStatus::Resolved {
            fixture.settle().await;
            other.until_checked().await;
        }
    }
    other.shut_down().await;
}

#[tokio::test]
async fn after_down_time_the_newest_missed_occurrence_runs_and_names_the_others() {
    let fixture = SchedulerFixture::with(DAILY).await;
    let fixture = fixture.restart_at("2026-01-04T10:00:00Z", DAILY).await;
    let incident = fixture.incidents_at_rest(1).await.remove(0);
    assert_eq!(due(&incident), "2026-01-04T07:00:00Z");
    assert_eq!(missed(&incident), ["2026-01-01T07:00:00Z", "2026-01-02T07:00:00Z", "2026-01-03T07:00:00Z"]);
    let timeline = fixture.timeline(&incident).await.join("\n");
    assert!(timeline.contains("scheduled for Sun 2026-01-04 09:00 Africa/Lusaka, 3h late"), "{timeline}");
    assert!(timeline.contains("3 from Thu 2026-01-01 09:00 Africa/Lusaka to Sat 2026-01-03 09:00"), "{timeline}");
    let fixture = fixture.restart_at("2026-01-04T11:00:00Z", DAILY).await;
    fixture.settle().await;
    assert_eq!(fixture.incidents().await.len(), 1, "it is caught up once");
    let schedule_status = fixture.schedule_status("production").await;
    assert_eq!(schedule_status.missed.len(), 3);
    assert_eq!(
        (schedule_status.handled[0].due, &schedule_status.handled[0].incident),
        (at("2026-01-04T07:00:00Z"), &incident.id)
    );
    assert_eq!(schedule_status.next, Some(at("2026-01-05T07:00:00Z")));
    assert!(schedule_status.here && !fixture.schedule_status("staging").await.here);
}

#[tokio::test]
async fn without_catch_up_missed_occurrences_are_listed_and_do_not_run() {
    let daily = DAILY.replace("Lusaka,", "Lusaka, catch_up: none,");
    let fixture = SchedulerFixture::with(&daily).await;
    let fixture = fixture.restart_at("2026-01-02T10:00:00Z", &daily).await;
    fixture.settle().await;
    assert!(fixture.incidents().await.is_empty());
    assert_eq!(fixture.schedule_status("production").await.missed.len(), 2);
    fixture.clock.set(at("2026-01-03T07:00:10Z"));
    let incident = fixture.incidents_at_rest(1).await.remove(0);
    assert_eq!((due(&incident).as_str(), missed(&incident).len()), ("2026-01-03T07:00:00Z", 2));
}

#[tokio::test]
async fn an_occurrence_is_skipped_and_recorded_while_the_previous_run_is_live() {
    let fixture = SchedulerFixture::with(DAILY).await;
    fixture.clock.set(at("2026-01-01T07:00:00Z"));
    let incident = fixture.incidents_at_rest(1).await.remove(0);
    fixture.clock.set(at("2026-01-02T07:00:00Z"));
    let skipped = |all: &[Incident]| all[0].seq > incident.seq;
    fixture.until("it says so", skipped).await;
    fixture.settle().await;
    assert_eq!(fixture.incidents().await.len(), 1);
    let timeline = fixture.timeline(&incident).await.join("\n");
    assert!(timeline.contains("daily was due again Fri 2026-01-02 09:00 Africa/Lusaka and was skipped"), "{timeline}");
    let log = fixture.engine.log(&incident.id).await.unwrap();
    let events =
        log.iter().filter(|recorded| matches!(recorded.event, Event::Incident(IncidentEvent::OccurrenceSkipped(_))));
    assert_eq!(events.count(), 1);
    fixture.complete_manual_step(&incident).await;
    fixture.until("it is over", |all| all[0].status == IncidentStatus::Resolved).await;
    fixture.settle().await;
    assert_eq!(fixture.incidents().await.len(), 1, "a skipped occurrence does not run later");
    fixture.clock.set(at("2026-01-03T07:00:00Z"));
    assert_eq!(due(&fixture.incidents_at_rest(2).await[1]), "2026-01-03T07:00:00Z");
}

#[tokio::test]
async fn a_queued_occurrence_waits_for_the_previous_run() {
    let daily = DAILY.replace("Lusaka,", "Lusaka, overlap: queue,");
    let fixture = SchedulerFixture::with(&daily).await;
    fixture.clock.set(at("2026-01-01T07:00:00Z"));
    let incident = fixture.incidents_at_rest(1).await.remove(0);
    fixture.clock.set(at("2026-01-03T07:00:00Z"));
    fixture.settle().await;
    assert_eq!(fixture.incidents().await.len(), 1);
    fixture.complete_manual_step(&incident).await;
    // The report of the first, and the start of the queued one.
    fixture.until("it is over", |all| all[0].status == IncidentStatus::Resolved).await;
    fixture.clock.advance(TimeDelta::seconds(1));
    let incidents = fixture.incidents_at_rest(2).await;
    assert_eq!(due(&incidents[1]), "2026-01-03T07:00:00Z");
    assert_eq!(missed(&incidents[1]), ["2026-01-02T07:00:00Z"], "only the newest is queued");
}

#[tokio::test]
async fn with_overlap_allowed_both_runs_are_live() {
    let daily = DAILY.replace("Lusaka,", "Lusaka, overlap: allow,");
    let fixture = SchedulerFixture::with(&daily).await;
    for day in 1..=2 {
        fixture.clock.set(at(&format!("2026-01-0{day}T07:00:00Z")));
        fixture.incidents_at_rest(day).await;
    }
}

#[tokio::test]
async fn a_clock_that_jumps_repeats_nothing_and_skips_nothing() {
    let daily = DAILY.replace("Lusaka,", "Lusaka, overlap: allow,");
    let fixture = SchedulerFixture::with(&daily).await;
    fixture.clock.set(at("2026-01-02T08:00:00Z"));
    let incidents = fixture.incidents_at_rest(1).await;
    assert_eq!((due(&incidents[0]).as_str(), missed(&incidents[0]).len()), ("2026-01-02T07:00:00Z", 1));
    fixture.clock.set(at("2026-01-02T06:00:00Z"));
    fixture.clock.set(at("2026-01-02T07:30:00Z"));
    // Its next check is at the earlier time; until then it sleeps.
    fixture.clock.set(at("2026-01-02T08:00:01Z"));
    fixture.until_checked().await;
    assert_eq!(fixture.incidents().await.len(), 1, "the same occurrence does not run again");
    // A year ahead and back: occurrences in between are not lost.
    fixture.clock.set(at("2027-01-02T08:00:00Z"));
    fixture.incidents_at_rest(2).await;
    let fixture = fixture.restart_at("2026-01-03T06:00:00Z", &daily).await;
    fixture.clock.set(at("2026-01-03T07:00:00Z"));
    let incidents = fixture.incidents_at_rest(3).await;
    assert!(incidents.iter().any(|incident| due(incident) == "2026-01-03T07:00:00Z"));
}

#[tokio::test]
async fn a_new_or_edited_schedule_has_no_missed_occurrences() {
    let fixture = SchedulerFixture::with(DAILY).await;
    fixture.clock.set(at("2026-01-01T06:30:00Z"));
    let earlier = DAILY.replace("0 9", "0 8");
    let catalog = catalog(&fixture.directory, &earlier);
    fixture.engine.reload(ProjectFiles { catalog, secrets: Secrets::default(), redactor: Redactor::default() });
    fixture.settle().await;
    fixture.clock.set(at("2026-01-01T07:30:00Z"));
    fixture.settle().await;
    assert!(fixture.incidents().await.is_empty(), "the new time is past, and the old one is removed");
    fixture.clock.set(at("2026-01-02T06:00:00Z"));
    assert_eq!(due(&fixture.incidents_at_rest(1).await[0]), "2026-01-02T06:00:00Z");
}

#[tokio::test]
async fn maintenance_has_no_deadlines_no_severity_and_no_postmortem() {
    let fixture = SchedulerFixture::with(DAILY).await;
    std::fs::write(
        fixture.directory.path().join("runbooks/down.yaml"),
        "runbook: down\ntitle: Down\nseverity: p1\ndeadlines:\n  notify: { role: lead, within: 15m, from: opened }\n  postmortem: { within: 24h, from: resolved }\nsteps: [{ id: x, set: { values: { x: 1 } } }]\n",
    )
    .unwrap();
    std::fs::write(fixture.directory.path().join("runbooks/estate.yaml"), format!("{ESTATE}roles: {{ lead: {{}} }}\n"))
        .unwrap();
    let daily = DAILY.replace("  - { id: hand", "  - { id: more, start: down }\n  - { id: hand");
    let catalog = catalog(&fixture.directory, &daily);
    fixture.engine.reload(ProjectFiles { catalog, secrets: Secrets::default(), redactor: Redactor::default() });
    fixture.settle().await;
    fixture.clock.set(at("2026-01-01T07:00:00Z"));
    let incident = fixture.incidents_at_rest(1).await.remove(0);
    assert_eq!((incident.runs.len(), incident.deadlines.len()), (2, 0), "also not of a runbook that it starts");
    let asked = |request| fixture.engine.submit(&incident.id, Command { by: Actor::person("ada", "test"), request });
    let refusal = asked(Request::ChangeSeverity(Severity::P1)).await.unwrap_err().to_string();
    assert_eq!(refusal, "maintenance has no severity: nothing is wrong");
    fixture.complete_manual_step(&incident).await;
    let incident = fixture.until("it is over", |all| all[0].draft.is_some()).await.remove(0);
    assert!(incident.deadlines.is_empty());
    let refusal = fixture
        .engine
        .submit(&incident.id, Command { by: Actor::person("ada", "test"), request: Request::CompletePostmortem })
        .await;
    assert!(refusal.unwrap_err().to_string().starts_with("maintenance has a report and no post-mortem"));
}
