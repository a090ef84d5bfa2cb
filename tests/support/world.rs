//! A small world for engine tests: a store, a clock that is moved by hand, and an engine over both.
//!
//! Runbooks are given as JSON of the resolved type, so that these tests do not depend on the language.

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

/// How long the engine may take, in real time, for what it does at one instant of the test's clock.
const PATIENCE: Duration = Duration::from_secs(30);

/// A clock that is moved by hand and knows who sleeps by it, so that a test moves it only when the engine waits for that.
#[derive(Debug, Clone)]
pub struct ObservedClock {
    sim: SimClock,
    /// Until when each sleeper sleeps, by its number.
    sleepers: Arc<watch::Sender<BTreeMap<u64, Timestamp>>>,
}

impl ObservedClock {
    pub fn new(start: Timestamp) -> Self {
        Self::over(SimClock::new(start))
    }

    /// The same time, with sleepers of its own: for another process.
    pub fn over(sim: SimClock) -> Self {
        Self { sim, sleepers: Arc::default() }
    }

    /// The clock that is moved.
    pub fn sim(&self) -> SimClock {
        self.sim.clone()
    }

    /// Waits until somebody sleeps, and nobody whose time has come.
    pub async fn at_rest(&self) {
        let rests = |left: TimeDelta| left > TimeDelta::zero();
        self.until("rests", |sleepers| !sleepers.is_empty() && sleepers.iter().copied().all(rests)).await;
    }

    /// Waits until somebody sleeps for this length of time from now.
    pub async fn sleeps_for(&self, length: TimeDelta) {
        self.until(&format!("sleeps for {length}"), |sleepers| sleepers.contains(&length)).await;
    }

    /// Waits until somebody sleeps who will look again within this length of time from now, and nobody whose time has come.
    pub async fn sleeps_within(&self, length: TimeDelta) {
        let rests = |left: &TimeDelta| *left > TimeDelta::zero();
        self.until(&format!("sleeps within {length}"), |sleepers| {
            sleepers.iter().all(rests) && sleepers.iter().any(|left| *left <= length)
        })
        .await;
    }

    async fn until(&self, what: &str, is_true: impl Fn(&[TimeDelta]) -> bool) {
        let mut sleepers = self.sleepers.subscribe();
        let now = self.sim.now();
        let changed = sleepers.wait_for(|sleepers| {
            let left: Vec<TimeDelta> = sleepers.values().map(|until| *until - now).collect();
            is_true(&left)
        });
        let waited = tokio::time::timeout(PATIENCE, changed).await;
        assert!(waited.is_ok(), "nobody {what}");
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
            let _sleeper = Sleeper::new(&self.sleepers, until);
            self.sim.sleep_until(until).await;
        })
    }
}

/// Stands in the list of sleepers as long as it lives.
struct Sleeper<'a> {
    sleepers: &'a watch::Sender<BTreeMap<u64, Timestamp>>,
    number: u64,
}

impl<'a> Sleeper<'a> {
    fn new(sleepers: &'a watch::Sender<BTreeMap<u64, Timestamp>>, until: Timestamp) -> Self {
        let mut number = 0;
        sleepers.send_modify(|all| {
            number = all.last_key_value().map_or(0, |(last, _)| last + 1);
            all.insert(number, until);
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

pub struct World {
    pub engine: Engine,
    pub clock: ObservedClock,
    pub id: IncidentId,
    pub mode: Mode,
    pub estate: Estate,
    pub params: Map<String, Value>,
    pub directory: tempfile::TempDir,
}

impl World {
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

    /// The same, written straight into a log that the engine's own store wraps.
    pub async fn start_in(&self, log: &Memory, steps: Value) {
        let shared: Arc<dyn EventStore> = Arc::new(log.clone());
        let clock = Arc::clone(&self.engine.parts().clock);
        let by = World { engine: engine(shared, clock, self.directory.path()), ..self.beside() };
        by.start(steps).await;
    }

    fn beside(&self) -> Self {
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

    /// A step of the first run as it stands now.
    pub async fn target(&self, step: &str) -> StepTarget {
        target(&self.incident().await, step)
    }

    /// Works until a person is needed or all is over.
    pub async fn drive(&self) -> Stop {
        let stop = self.try_drive().await.expect("the engine works");
        // Shown when the test fails.
        println!("{:#?}", self.incident().await.waiting_for_person());
        stop
    }

    pub async fn try_drive(&self) -> Result<Stop, EngineError> {
        let detach = CancellationToken::new();
        let drive = self.engine.drive(&self.id, ReturnWhen::UntilPerson, &detach);
        tokio::time::timeout(PATIENCE, drive).await.expect("the engine comes to rest")
    }

    pub async fn incident(&self) -> Incident {
        self.engine.incident(&self.id).await.expect("the log folds")
    }

    /// The log as short lines: `step_started a`, `deadline_met notify`.
    pub async fn story(&self) -> Vec<String> {
        self.engine.log(&self.id).await.unwrap().iter().map(|recorded| line(&recorded.event)).collect()
    }

    /// Waits until so many steps have ended and the engine waits for a time to come.
    pub async fn rests_after(&self, ended: usize) {
        let until = async {
            while self.story_of(&["step_ended"]).await.len() < ended {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            self.clock.at_rest().await;
        };
        tokio::time::timeout(PATIENCE, until).await.expect("the steps end");
    }

    /// The story's lines that begin with one of these words.
    pub async fn story_of(&self, words: &[&str]) -> Vec<String> {
        let told = |line: &String| words.iter().any(|word| line.starts_with(word));
        self.story().await.into_iter().filter(told).collect()
    }
}

/// A step of the first run as it stands now.
pub fn target(incident: &Incident, step: &str) -> StepTarget {
    incident.target(RunId(1), &step.parse().expect("it is a step"))
}

/// Agreement to the only change that waits.
pub fn approve(incident: &Incident) -> Request {
    let (target, digest) = target_lookup::change(incident, None, None).expect("one change waits");
    Request::Approve { target, digest }
}

/// The command that starts a runbook with these keys.
pub fn start(world: &World, keys: Value) -> Command {
    let mut document = json!({"id": "drill", "title": "Drill", "severity": "p1", "steps": []});
    document.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    let runbook: Runbook = serde_json::from_value(document).expect("the test's runbook");
    let start = StartRequest {
        incident: world.id.clone(),
        runbook,
        digest: "00".to_owned(),
        estate: world.estate.clone(),
        environment: "production".to_owned(),
        params: world.params.clone(),
        mode: world.mode,
        detected_at: None,
        title: None,
        parent: None,
        alert: None,
    };
    Command { by: Actor::person("ada", "test"), request: Request::Start(Box::new(start)) }
}

pub fn engine(store: Arc<dyn EventStore>, clock: SharedClock, directory: &std::path::Path) -> Engine {
    let basics =
        ["PATH", "HOME", "LANG"].into_iter().filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?)));
    Engine::new(Parts {
        store,
        clock,
        secrets: Arc::new(Secrets::default()),
        redactor: Arc::new(Redactor::default()),
        basics: Arc::new(basics.collect()),
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

/// A step that gives `values` names.
pub fn set(id: &str, values: Value) -> Value {
    json!({"id": id, "name": id, "body": {"action": {"kind": "set", "spec": {"values": values}, "effect": "read"}}})
}

/// A step that runs a program.
pub fn run(id: &str, effect: &str, argv: &[&str]) -> Value {
    json!({"id": id, "name": id, "body": {"action": {"kind": "command", "spec": {"argv": argv}, "effect": effect}}})
}

/// A step with further keys.
pub fn with(mut step: Value, keys: Value) -> Value {
    step.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    step
}
