//! The face as a server has it: the app that is in force, and another one in its place when tokens or the estate change.
//!
//! **Invariant:** an app that cannot be opened takes the place of none.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::surface::slack::board::Unrecorded;
use crate::surface::slack::{App, SeenRequests, SlackConfig};
use crate::sync::lock;

/// How long a server that stops waits for Slack's answer to what was being posted.
const PARTING: Duration = Duration::from_secs(2);

/// The app in force, with what it does by itself.
struct RunningApp {
    app: Arc<App>,
    /// What it was opened with.
    grounds: [u8; 32],
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

/// The face.
pub struct SlackInterface {
    engine: Engine,
    terms: Arc<SlackConfig>,
    stop: CancellationToken,
    seen: SeenRequests,
    unrecorded: Unrecorded,
    running: Mutex<Option<RunningApp>>,
}

impl SlackInterface {
    /// The face of an engine, until `stop` is cancelled; nothing is in force before it is [renewed](Self::renew).
    pub fn new(engine: Engine, terms: SlackConfig, stop: CancellationToken) -> Arc<Self> {
        let (terms, seen, unrecorded, running) =
            (Arc::new(terms), SeenRequests::default(), Unrecorded::default(), Mutex::default());
        Arc::new(Self { engine, terms, stop, seen, unrecorded, running })
    }

    /// Puts the app in force that the shop's files declare now, unless it is; whether there is another one.
    ///
    /// # Errors
    /// Why it cannot be used, such as a secret that is not there; what was in force stays.
    pub async fn renew(&self) -> Result<bool, String> {
        let engine = self.engine.refreshed();
        let grounds = grounds(&engine);
        if self.lock().as_ref().map(|running| running.grounds) == grounds {
            return Ok(false);
        }
        let (terms, seen, unrecorded) = (&self.terms, &self.seen, &self.unrecorded);
        let app = App::open(engine, Arc::clone(terms), Arc::clone(seen), Arc::clone(unrecorded))?;
        // The old one hears people until the new one does; two boards at once would post everything twice.
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

    /// Waits for what the app does by itself to end, after `stop` was cancelled; a little while also for what is being posted
    /// to be written down, so that it is not posted again.
    pub async fn ended(&self) {
        let running = self.lock().take();
        end(running.map(|running| (running.stop, running.tasks))).await;
        let _ = tokio::time::timeout(PARTING, self.unrecorded.lock()).await;
    }

    /// The app in force.
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

/// A digest of all that an app is opened with; none where the estate declares none.
fn grounds(engine: &Engine) -> Option<[u8; 32]> {
    let parts = engine.parts();
    let estate = parts.catalog.estate().content.as_ref().ok()?;
    let (app, board) = (estate.slack.as_ref()?, estate.board().map(|(_, channel)| channel));
    let mut digest = Sha256::new();
    digest.update(serde_json::to_vec(&(app, board)).unwrap_or_default());
    let token = board.and_then(|channel| channel.token.as_ref());
    for secret in token.into_iter().chain(&app.app_token).chain(&app.signing_secret) {
        let value = parts.secrets.get(&secret.secret).map(|value| value.expose_secret().to_owned());
        digest.update(format!("\n{}\n{:?}", secret.secret, value));
    }
    Some(digest.finalize().into())
}
