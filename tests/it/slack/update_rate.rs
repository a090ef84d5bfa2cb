//! How often messages are updated, and in which order.
//!
//! The Slack interface runs in the test's process, with a clock that the test moves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use runbook::actions::Secrets;
use runbook::clock::SimClock;
use runbook::domain::core::id::IncidentId;
use runbook::domain::core::severity::Severity;
use runbook::domain::incident::command::{Command, Request, StartRequest};
use runbook::domain::incident::event::{Actor, Mode};
use runbook::domain::redact::Redactor;
use runbook::engine::catalog::Catalog;
use runbook::engine::{self, Engine, Parts};
use runbook::store::memory::Memory;
use runbook::surface::slack::{SlackConfig, SlackInterface};
use secrecy::SecretString;
use serde_json::Map;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::real::slack::{Fault, Slack, TOKEN};

/// Updates in a minute. Slack allows fifty.
const UPDATES: usize = 45;

struct SlackFixture {
    slack: Slack,
    clock: SimClock,
    engine: Engine,
    stop: CancellationToken,
    _directory: TempDir,
}

impl SlackFixture {
    async fn open() -> Self {
        let (slack, directory) = (Slack::start(), tempfile::tempdir().unwrap());
        let estate = format!(
            "estate: Shop\nenvironments: {{ live: {{}} }}\nsecrets: {{ bot: {{ env: BOT }}, signing: {{ env: S }} }}\n\
             channels: {{ incidents: {{ slack: \"#incidents\", token: {{ secret: bot }}, api: \"{}\" }} }}\n\
             slack: {{ channel: incidents, signing_secret: {{ secret: signing }} }}\n",
            slack.api_url()
        );
        std::fs::create_dir(directory.path().join("runbooks")).unwrap();
        std::fs::write(directory.path().join("runbooks/estate.yaml"), estate).unwrap();
        let drill = "runbook: drill\ntitle: Drill\nseverity: p4\nsteps:\n  - { id: look, name: What?, ask: {} }\n";
        std::fs::write(directory.path().join("runbooks/drill.yaml"), drill).unwrap();
        let clock = SimClock::new("2026-03-29T00:50:00Z".parse().unwrap());
        let engine = engine(&clock, &directory);
        let stop = CancellationToken::new();
        let config = SlackConfig { random_bits: || 1, before_open: Box::new(|_| {}) };
        SlackInterface::new(engine.clone(), config, stop.clone()).reload().await.expect("the app can be used");
        Self { slack, clock, engine, stop, _directory: directory }
    }

    /// Opens an incident, and waits until its message is posted.
    async fn open_incident(&self, number: u32, severity: Severity) -> IncidentId {
        let (id, catalog) = (IncidentId::from_bits(number), &self.engine.parts().catalog);
        let (mut runbook, digest) = catalog.get("drill").unwrap();
        runbook.severity = severity;
        let start = StartRequest {
            incident: id.clone(),
            runbook,
            digest,
            estate: catalog.estate().content.as_ref().unwrap().clone(),
            environment: "live".to_owned(),
            params: Map::new(),
            mode: Mode::Guided,
            detected_at: None,
            title: None,
            parent: None,
            alert: None,
        };
        self.submit(&id, Request::Start(Box::new(start))).await;
        let name = id.to_string();
        self.until(|| self.slack.messages().iter().any(|message| message.blocks.to_string().contains(&name))).await;
        id
    }

    async fn submit(&self, id: &IncidentId, request: Request) {
        let command = Command { by: Actor::person("ada", "test"), request };
        self.engine.submit(id, command).await.unwrap();
    }

    /// The bodies of the updates, in order.
    fn updates(&self) -> Vec<String> {
        let requests = self.slack.requests().into_iter().filter(|request| request.method == "chat.update");
        requests.map(|request| request.body.to_string()).collect()
    }

    async fn until(&self, is_true: impl Fn() -> bool) {
        let until = Instant::now() + Duration::from_secs(30);
        while !is_true() {
            assert!(Instant::now() < until, "waited in vain; {} changes", self.updates().len());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for SlackFixture {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn engine(clock: &SimClock, directory: &TempDir) -> Engine {
    let secrets: BTreeMap<String, Result<SecretString, String>> =
        [("bot", TOKEN), ("signing", "s")].map(|(name, value)| (name.to_owned(), Ok(value.into()))).into();
    Engine::new(Parts {
        store: Arc::new(Memory::new()),
        clock: Arc::new(clock.clone()),
        secrets: Arc::new(Secrets::new(secrets)),
        redactor: Arc::new(Redactor::default()),
        base_environment: Arc::default(),
        directory: directory.path().to_owned(),
        catalog: Arc::new(Catalog::load(directory.path()).unwrap()),
        holder: engine::holder("testhost"),
        hostname: "testhost".to_owned(),
    })
}

#[tokio::test]
async fn message_updates_are_limited_per_minute_and_the_next_has_the_newest_state() {
    let fixture = SlackFixture::open().await;
    let mut ids = Vec::new();
    for number in 1..=4 {
        ids.push(fixture.open_incident(number, Severity::P4).await);
    }
    let before = fixture.updates().len();
    let mut severity = Severity::P4;
    while fixture.updates().len() < UPDATES {
        let seen = fixture.updates().len();
        severity = if severity == Severity::P4 { Severity::P3 } else { Severity::P4 };
        for id in &ids {
            fixture.submit(id, Request::ChangeSeverity(severity)).await;
        }
        fixture.until(|| fixture.updates().len() >= (seen + ids.len()).min(UPDATES)).await;
    }
    assert!(before < UPDATES);
    for id in &ids {
        fixture.submit(id, Request::ChangeSeverity(Severity::P2)).await;
    }
    // One second before the minute is over nothing is updated.
    fixture.clock.advance(TimeDelta::seconds(59));
    tokio::task::yield_now().await;
    assert_eq!(fixture.updates().len(), UPDATES);
    fixture.clock.advance(TimeDelta::seconds(2));
    let updated =
        || fixture.slack.messages().iter().filter(|message| message.blocks.to_string().contains(" P2 ")).count();
    fixture.until(|| updated() >= ids.len()).await;
}

#[tokio::test]
async fn the_message_of_a_p1_is_updated_before_older_pending_ones() {
    let fixture = SlackFixture::open().await;
    let mut ids = Vec::new();
    for number in 1..=6 {
        ids.push(fixture.open_incident(number, Severity::P4).await);
    }
    let worst = fixture.open_incident(7, Severity::P1).await;
    fixture.slack.always_for("chat.update", Fault::Status(503));
    for id in ids.iter().chain([&worst]) {
        fixture.submit(id, Request::Acknowledge).await;
    }
    let seen = fixture.updates().len();
    fixture.until(|| fixture.updates()[seen..].iter().any(|body| body.contains(worst.as_str()))).await;
    let seen = fixture.updates().len();
    fixture.slack.recover();
    fixture.until(|| fixture.updates().len() >= seen + 1 + ids.len()).await;
    assert!(fixture.updates()[seen].contains(worst.as_str()), "{:?}", &fixture.updates()[seen..]);
}
