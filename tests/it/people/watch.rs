//! A shop on watch: the one on duty at work over a store that survives it, while a test moves the clock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{TimeDelta, TimeZone, Utc};
use runbook::actions::Secrets;
use runbook::clock::{Clock as _, SimClock};
use runbook::domain::config::estate::Estate;
use runbook::domain::core::id::IncidentId;
use runbook::domain::incident::command::{Command, Request, StartRequest};
use runbook::domain::incident::due::{Effect, due, wake_after};
use runbook::domain::incident::event::{Actor, DeadlineEvent, Event, Identity, MessageEvent, Mode, Recorded};
use runbook::domain::incident::{self, Incident};
use runbook::domain::redact::Redactor;
use runbook::engine::catalog::Catalog;
use runbook::engine::dispatcher::{Dispatcher, DispatcherConfig};
use runbook::engine::{self, Engine, EngineError, Parts};
use runbook::store::EventStore as _;
use runbook::store::memory::Memory;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::real::slack::{HOOK, Slack, TOKEN};

/// The key of signed posts: that of the specification's example.
pub const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

pub struct Watch {
    pub clock: SimClock,
    pub slack: Slack,
    pub engine: Engine,
    store: Memory,
    estate: Estate,
    directory: tempfile::TempDir,
    /// Its door: the one on duty goes home when nobody holds it.
    duty: Option<Dispatcher>,
    task: JoinHandle<()>,
}

/// What all incidents are owed at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Owed {
    Nothing,
    /// Something that hangs, or takes its time.
    World,
    /// Something that only has to be written down.
    Facts,
}

/// How often is looked at all: another process may hold the incident for a while, and nothing is written then.
const PATIENCE: u32 = 60;

/// How long anything may take on a busy machine.
const LONG: Duration = Duration::from_secs(60);

/// How often nothing may have moved, three milliseconds apart, before what is under way is taken to hang.
const STILL: u32 = 8;

/// The most time that passes at once: half of what a channel may take to answer.
const LEAP: TimeDelta = TimeDelta::seconds(5);

/// A person by a proved account.
pub fn who(account: &str) -> Actor {
    let (name, via) = (account.to_owned(), "test".to_owned());
    Actor::Person { name, via, id: Some(Identity::Account(account.to_owned())) }
}

impl Watch {
    /// A shop with these keys in its estate; the channel `incidents` is Slack's, with `fallback` as given.
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
        let clock = SimClock::new(Utc.with_ymd_and_hms(2026, 3, 29, 0, 50, 0).unwrap());
        let (store, directory) = (Memory::new(), tempfile::tempdir().unwrap());
        let engine = engine(&store, &clock, directory.path());
        let task = tokio::spawn(async {});
        let estate = serde_json::from_value(estate).expect("the test's estate");
        let mut watch = Self { clock, slack, engine, store, estate, directory, duty: None, task };
        watch.take_up_duty().await;
        watch
    }

    async fn take_up_duty(&mut self) {
        let terms =
            DispatcherConfig { chance: || 1, opening: Box::new(|_| {}), is_ours: Box::new(|_| true), schedules: None };
        let begun = Dispatcher::begin(self.engine.clone(), terms, CancellationToken::new()).await;
        let (duty, task) = begun.expect("the log can be read");
        (self.duty, self.task) = (Some(duty), task);
    }

    /// The process dies without a word, and another takes over.
    pub async fn restart(&mut self) {
        self.task.abort();
        self.engine = engine(&self.store, &self.clock, self.directory.path());
        self.take_up_duty().await;
    }

    pub async fn open(&self, number: u32, keys: Value) -> IncidentId {
        let id = IncidentId::from_bits(number);
        self.start(&id, keys).await;
        self.look().await;
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
        let command = Command { by: who("ada"), request: Request::Start(Box::new(start)) };
        self.engine.submit(id, command).await.expect("the run starts");
    }

    pub async fn ask(&self, id: &IncidentId, by: Actor, request: Request) -> Result<Incident, EngineError> {
        let answer = self.engine.submit(id, Command { by, request }).await;
        self.settle().await;
        answer
    }

    /// The one on duty looks through the log four times a second; this is one of those times, and no time at all.
    pub async fn look(&self) {
        self.clock.advance(TimeDelta::milliseconds(250));
        self.settle().await;
    }

    /// Lets everything happen that can happen at this instant: nothing is owed any more, or all that is owed is under way
    /// and nothing moves.
    pub async fn settle(&self) {
        let (mut quiet, mut before) = (0, None);
        for _ in 0..PATIENCE {
            if quiet >= STILL {
                break;
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
            let seen = (self.store.version().await.unwrap(), self.slack.requests().len());
            quiet = if before == Some(seen) { quiet + 1 } else { 0 };
            before = Some(seen);
            match self.owed().await {
                Owed::Nothing if quiet > 0 => break,
                // It is on its way to the log.
                Owed::Facts => quiet = 0,
                Owed::Nothing | Owed::World => {}
            }
        }
    }

    async fn owed(&self) -> Owed {
        let mut owed = Owed::Nothing;
        for summary in self.store.live().await.expect("memory can be read") {
            // A storm is not looked at one by one.
            let Some(incident) = self.engine.incident(&summary.id).await.ok().filter(|_| owed != Owed::Facts) else {
                continue;
            };
            for effect in due(&incident, self.clock.now()) {
                let fact = matches!(effect, Effect::Record(_) | Effect::Ask(_));
                owed = if fact { Owed::Facts } else { owed.max(Owed::World) };
            }
        }
        owed
    }

    /// Lets time pass, stopping wherever an incident may owe something.
    pub async fn pass(&self, seconds: i64) {
        let end = self.clock.now() + TimeDelta::seconds(seconds);
        while self.clock.now() < end {
            let now = self.clock.now();
            let mut next = end.min(now + LEAP);
            for summary in self.store.live().await.expect("memory can be read") {
                next = next.min(wake_after(&self.incident(&summary.id).await, now).unwrap_or(next));
            }
            self.clock.set(next);
            self.settle().await;
        }
    }

    /// Waits, in real time, until Slack was asked for something: on a busy machine the first way takes a while to open.
    pub async fn until_tried(&self) {
        while self.slack.requests().is_empty() {
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        self.settle().await;
    }

    /// Waits, in real time, until something is so: on a busy machine what can happen at this instant takes a while.
    pub async fn until(&self, what: &str, is_so: impl AsyncFn() -> bool) {
        let until = std::time::Instant::now() + LONG;
        while !is_so().await {
            assert!(std::time::Instant::now() < until, "waited in vain until {what}");
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }

    /// Nothing can be written where drafts are: a file stands in the place of their directory.
    pub fn spoil_drafts(&self) {
        std::fs::write(self.directory.path().join("postmortems"), "").unwrap();
    }

    pub async fn incident(&self, id: &IncidentId) -> Incident {
        self.engine.incident(id).await.expect("the log folds")
    }

    pub async fn log(&self, id: &IncidentId) -> Vec<Recorded> {
        self.engine.log(id).await.expect("there is a log")
    }

    /// The events of these types, each with the seconds since it was opened.
    pub async fn story(&self, id: &IncidentId, types: &[&str]) -> Vec<(String, i64)> {
        let log = self.log(id).await;
        let told = |recorded: &Recorded| {
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
        log.iter().filter_map(told).collect()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn engine(store: &Memory, clock: &SimClock, directory: &std::path::Path) -> Engine {
    let secrets = [("token", TOKEN), ("key", KEY), ("hook", HOOK), ("password", "open-sesame")];
    let secrets: BTreeMap<String, Result<SecretString, String>> =
        secrets.into_iter().map(|(name, value)| (name.to_owned(), Ok(value.into()))).collect();
    let basics = [("PATH", "/usr/bin:/bin"), ("HOME", "/nonexistent"), ("LANG", "C.UTF-8")];
    Engine::new(Parts {
        store: Arc::new(store.clone()),
        clock: Arc::new(clock.clone()),
        secrets: Arc::new(Secrets::new(secrets)),
        redactor: Arc::new(Redactor::new([("password", "open-sesame")]).unwrap()),
        basics: Arc::new(basics.map(|(name, value)| (name.to_owned(), value.to_owned())).into()),
        directory: directory.to_owned(),
        catalog: Arc::new(Catalog::default()),
        holder: engine::holder("testhost"),
        hostname: "testhost".to_owned(),
    })
}

/// A step that tells `to` something.
pub fn tell(id: &str, to: &[&str], keys: Value) -> Value {
    let spec = json!({"to": to, "message": format!("{id}: the shop is down")});
    let mut step = json!({"id": id, "name": id, "on_failure": "continue", "timeout": "60s",
        "body": {"action": {"kind": "notify", "spec": spec, "effect": "repeatable"}}});
    step.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    step
}

/// A step that asks a person something.
pub fn question(id: &str) -> Value {
    json!({"id": id, "name": "Why?", "body": {"ask": {}}})
}

/// The deadline that every shop has: stakeholders hear within 15 minutes.
pub fn notify_rule() -> Value {
    json!({"name": "notify", "within": "15m", "from": "opened", "warn_at": "10m", "fallback_at": "13m"})
}
