//! A small world for engine tests: a store, a clock that is moved by hand, and an engine over both.
//!
//! Runbooks are given as JSON of the resolved type, so that these tests do not depend on the language.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{TimeZone, Utc};
use runbook::actions::Secrets;
use runbook::clock::{SharedClock, SimClock};
use runbook::domain::config::estate::{Environment, Estate};
use runbook::domain::core::id::IncidentId;
use runbook::domain::incident::command::{Command, Request, Start};
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
use tokio_util::sync::CancellationToken;

pub struct World {
    pub engine: Engine,
    pub clock: SimClock,
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
        let clock = SimClock::new(Utc.with_ymd_and_hms(2026, 1, 1, 3, 0, 0).unwrap());
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
        tokio::time::timeout(std::time::Duration::from_secs(30), drive).await.expect("the engine comes to rest")
    }

    pub async fn incident(&self) -> Incident {
        self.engine.incident(&self.id).await.expect("the log folds")
    }

    /// The log as short lines: `step_started a`, `deadline_met notify`.
    pub async fn story(&self) -> Vec<String> {
        self.engine.log(&self.id).await.unwrap().iter().map(|recorded| line(&recorded.event)).collect()
    }

    /// The story's lines that begin with one of these words.
    pub async fn story_of(&self, words: &[&str]) -> Vec<String> {
        let told = |line: &String| words.iter().any(|word| line.starts_with(word));
        self.story().await.into_iter().filter(told).collect()
    }
}

/// The command that starts a runbook with these keys.
pub fn start(world: &World, keys: Value) -> Command {
    let mut document = json!({"id": "drill", "title": "Drill", "severity": "p1", "steps": []});
    document.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    let runbook: Runbook = serde_json::from_value(document).expect("the test's runbook");
    let start = Start {
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
