//! The face as a server has it: the app that is in force, and another one in its place when tokens or the estate change.
//!
//! **Invariant:** an app that cannot be opened replaces no running app.

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

/// How long a stopping server waits for Slack to answer a post in progress.
const PARTING: Duration = Duration::from_secs(2);

/// The active app and its tasks.
struct RunningApp {
    app: Arc<App>,
    /// A digest of the configuration that it was opened with.
    grounds: [u8; 32],
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

/// The Slack interface of an engine, over Socket Mode and HTTP.
pub struct SlackInterface {
    engine: Engine,
    config: Arc<SlackConfig>,
    stop: CancellationToken,
    seen: HandledRequests,
    unrecorded: Unrecorded,
    running: Mutex<Option<RunningApp>>,
}

impl SlackInterface {
    /// The interface of an engine, until `stop` is cancelled. No app is active before [`renew`](Self::renew).
    pub fn new(engine: Engine, config: SlackConfig, stop: CancellationToken) -> Arc<Self> {
        let (config, seen, unrecorded, running) =
            (Arc::new(config), HandledRequests::default(), Unrecorded::default(), Mutex::default());
        Arc::new(Self { engine, config, stop, seen, unrecorded, running })
    }

    /// Activates the app that the project's files declare, if it differs from the active one. True when it changed.
    ///
    /// # Errors
    /// Why the app cannot be used, such as a missing secret; the active app stays.
    pub async fn renew(&self) -> Result<bool, String> {
        let engine = self.engine.refreshed();
        let grounds = grounds(&engine);
        if self.lock().as_ref().map(|running| running.grounds) == grounds {
            return Ok(false);
        }
        let (config, seen, unrecorded) = (&self.config, &self.seen, &self.unrecorded);
        let app = App::open(engine, Arc::clone(config), Arc::clone(seen), Arc::clone(unrecorded))?;
        // The old app answers requests until the new one does; two message keepers at once would post everything twice.
        let before = self.lock().as_mut().map(|running| (running.stop.clone(), std::mem::take(&mut running.tasks)));
        end(before).await;
        let stop = self.stop.child_token();
        let fresh = app.zip(grounds).map(|(app, grounds)| {
            let tasks = app.begin(&stop);
            RunningApp { app, grounds, stop, tasks }
        });
        *self.lock() = fresh;
        Ok(true)
    }

    /// Waits, after `stop` was cancelled, until the tasks have ended. It waits briefly for a post in progress to be
    /// recorded, so that it is not posted again.
    pub async fn ended(&self) {
        let running = self.lock().take();
        end(running.map(|running| (running.stop, running.tasks))).await;
        let _ = tokio::time::timeout(PARTING, self.unrecorded.lock()).await;
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
        f.write_str("Face")
    }
}

async fn end(running: Option<(CancellationToken, Vec<JoinHandle<()>>)>) {
    let Some((stop, tasks)) = running else { return };
    stop.cancel();
    for task in tasks {
        let _ = task.await;
    }
}

/// A digest of everything that an app is opened with; none when the estate declares no app.
fn grounds(engine: &Engine) -> Option<[u8; 32]> {
    let parts = engine.parts();
    let estate = parts.catalog.estate().content.as_ref().ok()?;
    let (app, board) = (estate.slack.as_ref()?, estate.incident_channel().map(|(_, channel)| channel));
    let mut digest = Sha256::new();
    digest.update(serde_json::to_vec(&(app, board)).unwrap_or_default());
    let token = board.and_then(|channel| channel.token.as_ref());
    for secret in token.into_iter().chain(&app.app_token).chain(&app.signing_secret) {
        let value = parts.secrets.get(&secret.secret).map(|value| value.expose_secret().to_owned());
        digest.update(format!("\n{}\n{:?}", secret.secret, value));
    }
    Some(digest.finalize().into())
}
