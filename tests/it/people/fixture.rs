//! A dispatcher on a store that survives it, with a stand-in for Slack and a clock that the test moves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{TimeDelta, TimeZone, Utc};
use runbook::actions::Secrets;
use runbook::clock::Clock as _;
use runbook::domain::config::estate::Estate;
use runbook::domain::core::id::IncidentId;
use runbook::domain::incident::command::{Command, Request, StartRequest};
use runbook::domain::incident::due::{Effect, due, wake_after};
use runbook::domain::incident::event::{Actor, DeadlineEvent, Event, Identity, MessageEvent, Mode, Recorded};
use runbook::domain::incident::{self, Incident};
use runbook::domain::redact::Redactor;
use runbook::engine::catalog::Catalog;
use runbook::engine::delivery::DELIVERY_LIMIT;
use runbook::engine::dispatcher::{Dispatcher, DispatcherConfig};
use runbook::engine::{self, Engine, EngineError, Parts};
use runbook::store::EventStore as _;
use runbook::store::Lease;
use runbook::store::memory::Memory;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::engine_fixture::ObservedClock;
use crate::real::slack::{HOOK, Slack, TOKEN};

/// The signing key of webhooks, from the example in the specification.
pub const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

pub struct PeopleFixture {
    pub clock: ObservedClock,
    pub slack: Slack,
    pub engine: Engine,
    store: Memory,
    estate: Estate,
    directory: tempfile::TempDir,
    /// The dispatcher ends when every handle is dropped.
    dispatcher: Option<Dispatcher>,
    task: JoinHandle<()>,
    /// Leases of an aborted dispatcher. Nothing happens to their incidents until they expire.
    abandoned_leases: Vec<Lease>,
    drafts_blocked: bool,
}

/// How long anything may take, in real time, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The longest step of the clock: half the time limit of a delivery.
const STEP: TimeDelta = TimeDelta::seconds(5);

/// A person with a proven account.
pub fn person(account: &str) -> Actor {
    let (name, via) = (account.to_owned(), "test".to_owned());
    Actor::Person { name, via, id: Some(Identity::Account(account.to_owned())) }
}

impl PeopleFixture {
    /// An estate with these channels besides `incidents` and `oncall`, which are Slack's. `fallback` is that of `incidents`.
    pub async fn new(fallback: &[&str], channels: Value) -> Self {
        let slack = Slack::start();
        let mut estate = json!({"estate": "shop", "environments": {"production": {}}, "channels": {
            "incidents": {"slack": "#incidents", "token": {"secret": "token"}, "api": slack.api_url(), "fallback": fallback},
            "oncall": {"slack": "#oncall", "token": {"secret": "token"}, "api": slack.api_url()},
        }, "people": {
            "ada": {"account": "ada", "slack": "U0ADA", "email": "ada@shop.example"},
            "ben": {"account": "ben", "slack": "U0BEN"}, "cleo": {"account": "cleo"},
        }, "roles": {
            "incident_commander": {"people": ["ada", "ben"]}, "operations": {"people": ["ben", "cleo"]}, "scribe": {},
        }});
        let more = channels.as_object().unwrap().clone();
        estate["channels"].as_object_mut().unwrap().extend(more);
        let clock = ObservedClock::new(Utc.with_ymd_and_hms(2026, 3, 29, 0, 50, 0).unwrap());
        let (store, directory) = (Memory::new(), tempfile::tempdir().unwrap());
        let mut fixture = Self {
            engine: engine(&store, &clock, directory.path()),
            estate: serde_json::from_value(estate).expect("the test's estate"),
            task: tokio::spawn(async {}),
            dispatcher: None,
            abandoned_leases: Vec::new(),
            drafts_blocked: false,
            clock,
            slack,
            store,
            directory,
        };
        fixture.start_dispatcher().await;
        fixture
    }

    async fn start_dispatcher(&mut self) {
        let config = DispatcherConfig {
            random_bits: || 1,
            before_open: Box::new(|_| {}),
            is_ours: Box::new(|_| true),
            schedules: None,
        };
        let started = Dispatcher::begin(self.engine.clone(), config, CancellationToken::new()).await;
        let (dispatcher, task) = started.expect("the log can be read");
        (self.dispatcher, self.task) = (Some(dispatcher), task);
    }

    /// Aborts the dispatcher, and starts another as a new process would.
    pub async fn restart(&mut self) {
        self.task.abort();
        for summary in self.store.live().await.expect("memory can be read") {
            self.abandoned_leases.extend(self.store.lease(&summary.id).await.expect("memory can be read"));
        }
        self.until("the requests of the aborted dispatcher are dropped", async || self.slack.held() == 0).await;
        self.clock = ObservedClock::over(self.clock.sim());
        self.engine = engine(&self.store, &self.clock, self.directory.path());
        self.start_dispatcher().await;
    }

    /// Starts an incident with a run, and waits until everything that can happen now has happened.
    pub async fn open(&self, number: u32, keys: Value) -> IncidentId {
        let id = IncidentId::from_bits(number);
        self.start(&id, keys).await;
        self.check_interval().await;
        id
    }

    pub async fn start(&self, id: &IncidentId, keys: Value) {
        let mut document = json!({"id": "drill", "title": "Drill", "severity": "p1", "steps": []});
        document.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        let start = StartRequest {
            incident: id.clone(),
            runbook: serde_json::from_value(document).expect("the test's runbook"),
            digest: "00".to_owned(),
            estate: self.estate.clone(),
            environment: "production".to_owned(),
            params: serde_json::Map::new(),
            mode: Mode::Auto,
            detected_at: None,
            title: None,
            parent: None,
            alert: None,
        };
        let command = Command { by: person("ada"), request: Request::Start(Box::new(start)) };
        self.engine.submit(id, command).await.expect("the run starts");
    }

    /// Submits a request, and waits until everything that can happen now has happened.
    pub async fn ask(&self, id: &IncidentId, by: Actor, request: Request) -> Result<Incident, EngineError> {
        let result = self.engine.submit(id, Command { by, request }).await;
        self.settle().await;
        result
    }

    /// Moves the clock by the dispatcher's check interval, and waits until everything that can happen now has happened.
    pub async fn check_interval(&self) {
        self.clock.advance(TimeDelta::milliseconds(250));
        self.settle().await;
    }

    /// Waits until everything that can happen at this instant has happened: nothing is due, or each due delivery is in progress
    /// and Slack holds its request.
    pub async fn settle(&self) {
        self.until("nothing more can happen at this instant", async || self.is_settled().await).await;
    }

    async fn is_settled(&self) -> bool {
        let Some(due) = self.due_deliveries().await else { return false };
        // Each delivery in progress sleeps until its time limit.
        let in_progress = self.clock.sleepers_of(TimeDelta::from_std(DELIVERY_LIMIT).expect("ten seconds"));
        self.clock.is_at_rest() && due == in_progress && in_progress == self.slack.held()
    }

    /// The number of due deliveries, or `None` if something else is due.
    async fn due_deliveries(&self) -> Option<usize> {
        let mut deliveries = 0;
        for summary in self.store.live().await.expect("memory can be read") {
            if self.is_abandoned(&summary.id).await {
                continue;
            }
            for effect in due(&self.incident(&summary.id).await, self.clock.now()) {
                match effect {
                    Effect::Deliver(_) => deliveries += 1,
                    Effect::WritePostmortem if self.drafts_blocked => {}
                    _ => return None,
                }
            }
        }
        Some(deliveries)
    }

    /// Whether an aborted dispatcher still has the lease of an incident.
    async fn is_abandoned(&self, id: &IncidentId) -> bool {
        let lease = self.store.lease(id).await.expect("memory can be read");
        lease.is_some_and(|lease| lease.expires_at > self.clock.now() && self.abandoned_leases.contains(&lease))
    }

    /// Moves the clock by this time, in steps that end whenever something of an incident becomes due.
    pub async fn pass(&self, seconds: i64) {
        let end = self.clock.now() + TimeDelta::seconds(seconds);
        while self.clock.now() < end {
            let now = self.clock.now();
            let mut next = end.min(now + STEP);
            for summary in self.store.live().await.expect("memory can be read") {
                next = next.min(wake_after(&self.incident(&summary.id).await, now).unwrap_or(next));
            }
            self.clock.set(next);
            self.settle().await;
        }
    }

    /// Waits, in real time, until a condition is true.
    pub async fn until(&self, what: &str, is_true: impl AsyncFn() -> bool) {
        let until = std::time::Instant::now() + PATIENCE;
        while !is_true().await {
            assert!(std::time::Instant::now() < until, "waited in vain until {what}");
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }

    /// Makes drafts fail: their directory's name is that of a file.
    pub fn block_drafts(&mut self) {
        std::fs::write(self.directory.path().join("postmortems"), "").unwrap();
        self.drafts_blocked = true;
    }

    pub async fn incident(&self, id: &IncidentId) -> Incident {
        self.engine.incident(id).await.expect("the log folds")
    }

    pub async fn log(&self, id: &IncidentId) -> Vec<Recorded> {
        self.engine.log(id).await.expect("there is a log")
    }

    /// The events of these types, each with the seconds since the incident was opened.
    pub async fn story(&self, id: &IncidentId, types: &[&str]) -> Vec<(String, i64)> {
        let log = self.log(id).await;
        let line = |recorded: &Recorded| {
            let name = incident::name(&recorded.event);
            let detail = match &recorded.event {
                Event::Message(
                    MessageEvent::Notified { delivery, .. } | MessageEvent::NotifyFailed { delivery, .. },
                ) => {
                    format!(" {}", delivery.channel)
                }
                Event::Deadline(
                    DeadlineEvent::Set { name, .. }
                    | DeadlineEvent::Warned { name }
                    | DeadlineEvent::Missed { name }
                    | DeadlineEvent::Lifted { name }
                    | DeadlineEvent::Met { name, .. },
                ) => format!(" {name}"),
                Event::Message(MessageEvent::NoticeOwed { to, .. }) => format!(" {}", to.join(",")),
                _ => String::new(),
            };
            types.contains(&name.as_str()).then(|| (name + &detail, (recorded.at - log[0].at).num_seconds()))
        };
        log.iter().filter_map(line).collect()
    }
}

impl Drop for PeopleFixture {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn engine(store: &Memory, clock: &ObservedClock, directory: &std::path::Path) -> Engine {
    let secrets = [("token", TOKEN), ("key", KEY), ("hook", HOOK), ("password", "open-sesame")];
    let secrets: BTreeMap<String, Result<SecretString, String>> =
        secrets.into_iter().map(|(name, value)| (name.to_owned(), Ok(value.into()))).collect();
    let base_environment = [("PATH", "/usr/bin:/bin"), ("HOME", "/nonexistent"), ("LANG", "C.UTF-8")];
    Engine::new(Parts {
        store: Arc::new(store.clone()),
        clock: Arc::new(clock.clone()),
        secrets: Arc::new(Secrets::new(secrets)),
        redactor: Arc::new(Redactor::new([("password", "open-sesame")]).unwrap()),
        base_environment: Arc::new(base_environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into()),
        directory: directory.to_owned(),
        catalog: Arc::new(Catalog::default()),
        holder: engine::holder("testhost"),
        hostname: "testhost".to_owned(),
    })
}

/// A step that sends a message to these channels.
pub fn notify_step(id: &str, to: &[&str], keys: Value) -> Value {
    let spec = json!({"to": to, "message": format!("{id}: the shop is down")});
    let mut step = json!({"id": id, "name": id, "on_failure": "continue", "timeout": "60s",
        "body": {"action": {"kind": "notify", "spec": spec, "effect": "repeatable"}}});
    step.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    step
}

/// A step that asks a person.
pub fn ask_step(id: &str) -> Value {
    json!({"id": id, "name": "Why?", "body": {"ask": {}}})
}

/// A deadline: stakeholders are notified within 15 minutes.
pub fn notify_rule() -> Value {
    json!({"name": "notify", "within": "15m", "from": "opened", "warn_at": "10m", "fallback_at": "13m"})
}
