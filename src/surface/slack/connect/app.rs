//! The active Slack app of a service. It is replaced when its configuration or its tokens change.
//!
//! **Invariant:** if the new app cannot be opened, the active app stays.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::surface::slack::incident_messages::Unrecorded;
use crate::surface::slack::{App, HandledRequests, SlackConfig};
use crate::sync::lock;

/// How long a stopping service waits until a post in progress is recorded.
const RECORD_LIMIT: Duration = Duration::from_secs(2);

/// The active app and its tasks.
struct RunningApp {
    app: Arc<App>,
    /// The digest of the configuration that it was opened with.
    config_digest: [u8; 32],
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

/// The Slack interface of an engine, over Socket Mode and HTTP.
pub struct SlackInterface {
    engine: Engine,
    config: Arc<SlackConfig>,
    stop: CancellationToken,
    handled: HandledRequests,
    unrecorded: Unrecorded,
    running: Mutex<Option<RunningApp>>,
}

impl SlackInterface {
    /// The interface of an engine, until `stop` is cancelled. No app is active before the first [`reload`](Self::reload).
    pub fn new(engine: Engine, config: SlackConfig, stop: CancellationToken) -> Arc<Self> {
        let (config, handled, unrecorded, running) =
            (Arc::new(config), HandledRequests::default(), Unrecorded::default(), Mutex::default());
        Arc::new(Self { engine, config, stop, handled, unrecorded, running })
    }

    /// Activates the app that the project's files declare, if its configuration differs from that of the active one. Returns
    /// whether it changed.
    ///
    /// # Errors
    /// The reason why the app cannot be used, such as a missing secret. The active app stays.
    pub async fn reload(&self) -> Result<bool, String> {
        let engine = self.engine.refreshed();
        let config_digest = config_digest(&engine);
        if self.lock().as_ref().map(|running| running.config_digest) == config_digest {
            return Ok(false);
        }
        let (config, handled, unrecorded) = (&self.config, &self.handled, &self.unrecorded);
        let app = App::open(engine, Arc::clone(config), Arc::clone(handled), Arc::clone(unrecorded))?;
        // The tasks of the old app end first, since two tasks that post incident messages would post them twice. Until the new
        // app is active, the old one still handles HTTP requests.
        let before = self.lock().as_mut().map(|running| (running.stop.clone(), std::mem::take(&mut running.tasks)));
        end(before).await;
        let stop = self.stop.child_token();
        let new = app.zip(config_digest).map(|(app, config_digest)| {
            let tasks = app.begin(&stop);
            RunningApp { app, config_digest, stop, tasks }
        });
        *self.lock() = new;
        Ok(true)
    }

    /// Waits, after `stop` was cancelled, until the tasks have ended and a post in progress is recorded. An unrecorded post would
    /// be posted again after a restart.
    pub async fn ended(&self) {
        let running = self.lock().take();
        end(running.map(|running| (running.stop, running.tasks))).await;
        let _ = tokio::time::timeout(RECORD_LIMIT, self.unrecorded.lock()).await;
    }

    /// The active app.
    pub(crate) fn app(&self) -> Option<Arc<App>> {
        self.lock().as_ref().map(|running| Arc::clone(&running.app))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<RunningApp>> {
        lock(&self.running)
    }
}

impl std::fmt::Debug for SlackInterface {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SlackInterface")
    }
}

async fn end(running: Option<(CancellationToken, Vec<JoinHandle<()>>)>) {
    let Some((stop, tasks)) = running else { return };
    stop.cancel();
    for task in tasks {
        let _ = task.await;
    }
}

/// A digest of everything that an app depends on, secrets included; none when the estate declares no app.
fn config_digest(engine: &Engine) -> Option<[u8; 32]> {
    let parts = engine.parts();
    let estate = parts.catalog.estate().content.as_ref().ok()?;
    let (app, channel) = (estate.slack.as_ref()?, estate.incident_channel().map(|(_, channel)| channel));
    let mut digest = Sha256::new();
    digest.update(serde_json::to_vec(&(app, channel)).unwrap_or_default());
    let token = channel.and_then(|channel| channel.token.as_ref());
    for secret in token.into_iter().chain(&app.app_token).chain(&app.signing_secret) {
        let value = parts.secrets.get(&secret.secret).map(|value| value.expose_secret().to_owned());
        digest.update(format!("\n{}\n{:?}", secret.secret, value));
    }
    Some(digest.finalize().into())
}
