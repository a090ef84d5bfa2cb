//! A fixture for engine tests: a store in memory, a clock that the test moves, and an engine on both.
//!
//! Runbooks are JSON of the resolved type, so these tests do not depend on the YAML language.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::{TimeDelta, TimeZone, Utc};
use runbook::actions::Secrets;
use runbook::clock::{Clock, SharedClock, SimClock};
use runbook::domain::config::estate::{Environment, Estate};
use runbook::domain::core::id::{IncidentId, RunId};
use runbook::domain::core::time::Timestamp;
use runbook::domain::incident::command::target::StepTarget;
use runbook::domain::incident::command::{Command, Request, StartRequest};
use runbook::domain::incident::decide::target_lookup;
use runbook::domain::incident::event::{Actor, DeadlineEvent, Event, Mode, RunEvent, StepEvent};
use runbook::domain::incident::step;
use runbook::domain::incident::{self, Incident};
use runbook::domain::redact::Redactor;
use runbook::domain::runbook::Runbook;
use runbook::engine::catalog::Catalog;
use runbook::engine::{self, Engine, EngineError, Parts, ReturnWhen, Stop};
use runbook::store::EventStore;
use runbook::store::memory::Memory;
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How long the engine may take, in real time, for its work at one instant of the test's clock.
const PATIENCE: Duration = Duration::from_secs(30);

/// A clock that the test moves and that lists its sleepers, so that a test moves it only when the engine waits.
#[derive(Debug, Clone)]
pub struct ObservedClock {
    sim: SimClock,
    sleepers: Arc<watch::Sender<BTreeMap<u64, Sleep>>>,
}

/// The time of one sleeper.
#[derive(Debug, Clone, Copy)]
struct Sleep {
    since: Timestamp,
    until: Timestamp,
}

impl ObservedClock {
    pub fn new(start: Timestamp) -> Self {
        Self::over(SimClock::new(start))
    }

    /// A clock with the same time and its own sleepers, for another process.
    pub fn over(sim: SimClock) -> Self {
        Self { sim, sleepers: Arc::default() }
    }

    /// The clock that is moved.
    pub fn sim(&self) -> SimClock {
        self.sim.clone()
    }

    /// Whether there are sleepers and all of them sleep beyond this instant.
    pub fn is_at_rest(&self) -> bool {
        let (sleepers, now) = (self.sleepers.borrow(), self.sim.now());
        !sleepers.is_empty() && sleepers.values().all(|sleep| sleep.until > now)
    }

    /// The number of sleepers whose whole sleep has this length.
    pub fn sleepers_of(&self, length: TimeDelta) -> usize {
        self.sleepers.borrow().values().filter(|sleep| sleep.until - sleep.since == length).count()
    }

    /// Waits until there are sleepers and all of them sleep beyond this instant.
    pub async fn at_rest(&self) {
        self.until("all sleepers sleep beyond this instant", |remaining| {
            !remaining.is_empty() && remaining.iter().all(|left| *left > TimeDelta::zero())
        })
        .await;
    }

    /// Waits until a sleeper has exactly this time left.
    pub async fn sleeps_for(&self, length: TimeDelta) {
        self.until(&format!("a sleeper has {length} left"), |remaining| remaining.contains(&length)).await;
    }

    /// Waits until all sleepers sleep beyond this instant, and one of them at most for this time.
    pub async fn sleeps_within(&self, length: TimeDelta) {
        self.until(&format!("a sleeper has at most {length} left"), |remaining| {
            remaining.iter().all(|left| *left > TimeDelta::zero()) && remaining.iter().any(|left| *left <= length)
        })
        .await;
    }

    /// Waits until a condition is true for the remaining times of the sleepers.
    async fn until(&self, what: &str, is_true: impl Fn(&[TimeDelta]) -> bool) {
        let mut sleepers = self.sleepers.subscribe();
        let now = self.sim.now();
        let changed = sleepers.wait_for(|sleepers| {
            let remaining: Vec<TimeDelta> = sleepers.values().map(|sleep| sleep.until - now).collect();
            is_true(&remaining)
        });
        let waited = tokio::time::timeout(PATIENCE, changed).await;
        assert!(waited.is_ok(), "waited in vain until {what}");
    }
}

impl Deref for ObservedClock {
    type Target = SimClock;

    fn deref(&self) -> &SimClock {
        &self.sim
    }
}

impl Clock for ObservedClock {
    fn now(&self) -> Timestamp {
        self.sim.now()
    }

    fn sleep_until(&self, until: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            let _sleeper = Sleeper::new(&self.sleepers, Sleep { since: self.sim.now(), until });
            self.sim.sleep_until(until).await;
        })
    }
}

/// An entry in the list of sleepers, removed when it is dropped.
struct Sleeper<'a> {
    sleepers: &'a watch::Sender<BTreeMap<u64, Sleep>>,
    number: u64,
}

impl<'a> Sleeper<'a> {
    fn new(sleepers: &'a watch::Sender<BTreeMap<u64, Sleep>>, sleep: Sleep) -> Self {
        let mut number = 0;
        sleepers.send_modify(|all| {
            number = all.last_key_value().map_or(0, |(last, _)| last + 1);
            all.insert(number, sleep);
        });
        Self { sleepers, number }
    }
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        self.sleepers.send_modify(|all| {
            all.remove(&self.number);
        });
    }
}

/// An engine with one incident, and the values that its runs start with.
pub struct EngineFixture {
    pub engine: Engine,
    pub clock: ObservedClock,
    pub id: IncidentId,
    pub mode: Mode,
    pub estate: Estate,
    pub params: Map<String, Value>,
    pub directory: tempfile::TempDir,
}

impl EngineFixture {
    pub fn new() -> Self {
        Self::over(Arc::new(Memory::new()))
    }

    pub fn over(store: Arc<dyn EventStore>) -> Self {
        let clock = ObservedClock::new(Utc.with_ymd_and_hms(2026, 1, 1, 3, 0, 0).unwrap());
        let directory = tempfile::tempdir().unwrap();
        let engine = engine(store, Arc::new(clock.clone()), directory.path());
        let environments = BTreeMap::from([("production".to_owned(), Environment::default())]);
        Self {
            engine,
            clock,
            id: IncidentId::from_bits(7),
            mode: Mode::Auto,
            estate: Estate { estate: "shop".to_owned(), environments, ..Estate::default() },
            params: Map::new(),
            directory,
        }
    }

    /// Starts a runbook of these steps.
    pub async fn start(&self, steps: Value) -> Incident {
        self.start_whole(json!({"steps": steps})).await
    }

    /// Starts a runbook with these keys beside its id, title and severity.
    pub async fn start_whole(&self, keys: Value) -> Incident {
        self.engine.submit(&self.id, start(self, keys)).await.expect("the run starts")
    }

    /// The same, written directly into the log that the engine's store wraps.
    pub async fn start_in(&self, log: &Memory, steps: Value) {
        let shared: Arc<dyn EventStore> = Arc::new(log.clone());
        let clock = Arc::clone(&self.engine.parts().clock);
        let by = EngineFixture { engine: engine(shared, clock, self.directory.path()), ..self.with_same_engine() };
        by.start(steps).await;
    }

    fn with_same_engine(&self) -> Self {
        Self {
            engine: self.engine.clone(),
            clock: self.clock.clone(),
            id: self.id.clone(),
            mode: self.mode,
            estate: self.estate.clone(),
            params: self.params.clone(),
            directory: tempfile::tempdir().unwrap(),
        }
    }

    pub async fn submit(&self, request: Request) -> Result<Incident, EngineError> {
        let by = Actor::person("ada", "test");
        self.engine.submit(&self.id, Command { by, request }).await
    }

    /// A step of the first run in its current state.
    pub async fn target(&self, step: &str) -> StepTarget {
        target(&self.incident().await, step)
    }

    /// Drives the incident until it waits for a person or has ended.
    pub async fn drive(&self) -> Stop {
        let stop = self.try_drive().await.expect("the engine works");
        // Shown when the test fails.
        println!("{:#?}", self.incident().await.waiting_for_person());
        stop
    }

    pub async fn try_drive(&self) -> Result<Stop, EngineError> {
        let detach = CancellationToken::new();
        let drive = self.engine.drive(&self.id, ReturnWhen::UntilPerson, &detach);
        tokio::time::timeout(PATIENCE, drive).await.expect("the engine stops in time")
    }

    pub async fn incident(&self) -> Incident {
        self.engine.incident(&self.id).await.expect("the log folds")
    }

    /// The log as short lines: `step_started a`, `deadline_met notify`.
    pub async fn story(&self) -> Vec<String> {
        self.engine.log(&self.id).await.unwrap().iter().map(|recorded| line(&recorded.event)).collect()
    }

    /// Waits until this many steps have ended and the engine sleeps.
    pub async fn rests_after(&self, ended: usize) {
        let until = async {
            while self.story_of(&["step_ended"]).await.len() < ended {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            self.clock.at_rest().await;
        };
        tokio::time::timeout(PATIENCE, until).await.expect("the steps end");
    }

    /// The lines of the story with one of these prefixes.
    pub async fn story_of(&self, prefixes: &[&str]) -> Vec<String> {
        let has_prefix = |line: &String| prefixes.iter().any(|prefix| line.starts_with(prefix));
        self.story().await.into_iter().filter(has_prefix).collect()
    }
}

/// A step of the first run in its current state.
pub fn target(incident: &Incident, step: &str) -> StepTarget {
    incident.target(RunId(1), &step.parse().expect("it is a step"))
}

/// The approval of the only waiting change.
pub fn approve(incident: &Incident) -> Request {
    let (target, digest) = target_lookup::change(incident, None, None).expect("one change waits");
    Request::Approve { target, digest }
}

/// The command that starts a runbook with these keys.
pub fn start(fixture: &EngineFixture, keys: Value) -> Command {
    let mut document = json!({"id": "drill", "title": "Drill", "severity": "p1", "steps": []});
    document.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    let runbook: Runbook = serde_json::from_value(document).expect("the test's runbook");
    let start = StartRequest {
        incident: fixture.id.clone(),
        runbook,
        digest: "00".to_owned(),
        estate: fixture.estate.clone(),
        environment: "production".to_owned(),
        params: fixture.params.clone(),
        mode: fixture.mode,
        detected_at: None,
        title: None,
        parent: None,
        alert: None,
    };
    Command { by: Actor::person("ada", "test"), request: Request::Start(Box::new(start)) }
}

pub fn engine(store: Arc<dyn EventStore>, clock: SharedClock, directory: &std::path::Path) -> Engine {
    let base_environment =
        ["PATH", "HOME", "LANG"].into_iter().filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?)));
    Engine::new(Parts {
        store,
        clock,
        secrets: Arc::new(Secrets::default()),
        redactor: Arc::new(Redactor::default()),
        base_environment: Arc::new(base_environment.collect()),
        directory: directory.to_owned(),
        catalog: Arc::new(Catalog::default()),
        holder: engine::holder("testhost"),
        hostname: "testhost".to_owned(),
    })
}

fn line(event: &Event) -> String {
    let name = incident::name(event);
    let detail = match event {
        Event::Step(StepEvent::Ended { step, outcome, .. }) if outcome.is_success() => format!(" {step} Succeeded"),
        Event::Step(StepEvent::Ended { step, outcome, .. }) => {
            format!(" {step} {:?}: {}", outcome.verdict, outcome.summary)
        }
        Event::Step(StepEvent::Concluded { step, conclusion, .. }) => format!(" {step} {conclusion:?}"),
        Event::Run(RunEvent::Ended { outcome, .. }) => format!(" {outcome:?}"),
        Event::Deadline(
            DeadlineEvent::Set { name, .. } | DeadlineEvent::Warned { name } | DeadlineEvent::Missed { name },
        ) => {
            format!(" {name}")
        }
        Event::Deadline(DeadlineEvent::Met { name, .. }) => format!(" {name}"),
        Event::Step(StepEvent::Reconciled { step, finding, .. }) => {
            format!(" {step} {}", serde_json::to_value(finding).unwrap().as_object().unwrap().keys().next().unwrap())
        }
        event => step::place(event).map(|(_, key)| format!(" {key}")).unwrap_or_default(),
    };
    format!("{name}{detail}")
}

/// A step of kind `set`.
pub fn set(id: &str, values: Value) -> Value {
    json!({"id": id, "name": id, "body": {"action": {"kind": "set", "spec": {"values": values}, "effect": "read"}}})
}

/// A step of kind `command`.
pub fn run(id: &str, effect: &str, argv: &[&str]) -> Value {
    json!({"id": id, "name": id, "body": {"action": {"kind": "command", "spec": {"argv": argv}, "effect": effect}}})
}

/// A step with further keys.
pub fn with(mut step: Value, keys: Value) -> Value {
    step.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    step
}
