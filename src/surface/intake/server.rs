//! The HTTP server for senders: `/hooks/<sender>`, `/health`, `/health/ready`, `/metrics` and `/calendar.ics`.
//!
//! **Invariant:** a request is answered with 2xx only after its alerts are in the log. If they cannot be written the
//! answer is 503, so that the sender retries. 4xx is for unknown senders and for requests that no retry would help.
//!
//! Everything that an unauthenticated client can prolong or enlarge has a limit here: the number of connections, the
//! time for headers and body, their sizes, and the memory for bodies that are not authenticated yet.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use tokio_util::sync::CancellationToken;

use super::auth::Certificates;
use crate::domain::config::sender::Sender;
use crate::engine::Engine;
use crate::engine::catalog::Catalog;
use crate::engine::dispatcher::Dispatcher;
use crate::engine::reload::ProjectFiles;

use self::metrics::IntakeMetrics;

mod calendar;
pub mod catch_up;
mod connection;
mod health;
mod metrics;
mod receive;

pub use self::connection::{Listener, serve};

/// The route of the calendar of scheduled runs.
const CALENDAR: &str = "/calendar.ics";

/// Maximum concurrent connections; senders keep a few open each. Further ones wait in the kernel's queue.
pub const CONNECTIONS: usize = 512;

/// How long reading a request's headers may take.
pub const HEADERS_WITHIN: Duration = Duration::from_secs(10);

/// How long reading a request's body may take. Senders wait 5 to 15 seconds for a response.
pub const BODY_WITHIN: Duration = Duration::from_secs(10);

/// The largest body, in bytes. Alertmanager's body for a bad storm in a single group has five million.
pub const BODY_LIMIT: usize = 8 * 1024 * 1024;

/// Bodies larger than this, in bytes, are read only a few at a time.
const LARGE: usize = 256 * 1024;

/// Maximum number of large bodies read concurrently.
const LARGE_AT_ONCE: usize = 4;

/// Maximum size of all headers of a request, in bytes.
pub const HEADERS_LIMIT: usize = 32 * 1024;

/// The state that all requests share.
#[derive(Debug)]
pub struct Server {
    engine: Engine,
    dispatcher: Dispatcher,
    /// The names of the secrets that the routes without a sender accept; empty when it listens on loopback only.
    tokens: Vec<String>,
    certificates: Certificates,
    metrics: IntakeMetrics,
    large: tokio::sync::Semaphore,
}

impl Server {
    /// A server that reports to this dispatcher. With `tokens`, names of secrets, the routes without a sender require
    /// one of them.
    ///
    /// # Errors
    /// When the certificate that a sender names cannot be used.
    pub fn new(engine: Engine, dispatcher: Dispatcher, tokens: Vec<String>) -> Result<Self, String> {
        let certificates = Certificates::default();
        pin(&certificates, &engine.parts().catalog, &engine.parts().directory)?;
        let large = tokio::sync::Semaphore::new(LARGE_AT_ONCE);
        Ok(Self { engine, dispatcher, tokens, certificates, metrics: IntakeMetrics::default(), large })
    }

    /// Replaces the project's files; requests that begin from now on use them.
    ///
    /// # Errors
    /// When the certificate that a sender names cannot be used; nothing is changed then.
    pub fn renew(&self, files: ProjectFiles) -> Result<(), String> {
        let directory = &self.engine.parts().directory;
        pin(&Certificates::default(), &files.catalog, directory)?;
        pin(&self.certificates, &files.catalog, directory)?;
        self.engine.renew(files);
        Ok(())
    }

    /// Records whether the last reload of the project's files succeeded, for monitoring.
    pub fn reloaded(&self, well: bool) {
        self.metrics.reloaded(well);
    }

    /// The engine with the files of the last successful reload.
    pub fn engine(&self) -> Engine {
        self.engine.refreshed()
    }

    /// How often the log refused a write.
    pub fn refused(&self) -> u64 {
        self.dispatcher.metrics().refused.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Whether the log can be written and the dispatcher responds, within 3 seconds.
    ///
    /// # Errors
    /// Why they do not.
    pub async fn is_ready(&self) -> Result<(), String> {
        /// Longer than a busy disk takes.
        const MOMENT: Duration = Duration::from_secs(3);
        let answered = async {
            self.engine.parts().store.check_writable().await.map_err(|error| error.to_string())?;
            // An empty report still passes through the dispatcher, so this checks it too.
            self.dispatcher.report(Vec::new()).await.map(drop)
        };
        let late = || Err(format!("no answer within {} s", MOMENT.as_secs()));
        tokio::time::timeout(MOMENT, answered).await.unwrap_or_else(|_| late())
    }
}

/// Loads the certificates that senders name.
fn pin(certificates: &Certificates, catalog: &Catalog, directory: &Path) -> Result<(), String> {
    let Ok(estate) = &catalog.estate().content else { return Ok(()) };
    for file in estate.senders.values().filter_map(|sender| sender.certificate.as_ref()) {
        let pem = std::fs::read(directory.join(file)).map_err(|error| error.to_string());
        let pinned = pem.and_then(|pem| certificates.pin(file, &pem));
        pinned.map_err(|why| format!("the certificate `{file}` cannot be used: {why}"))?;
    }
    Ok(())
}

/// The routes that would be open to everybody if the server listened beyond this machine.
pub fn open_routes<'a>(senders: impl IntoIterator<Item = (&'a String, &'a Sender)>, tokens: &[String]) -> Vec<String> {
    let open = senders.into_iter().filter(|(_, sender)| sender.auth.is_open());
    let mut routes: Vec<String> = open.map(|(name, _)| format!("/hooks/{name}")).collect();
    if tokens.is_empty() {
        routes.extend(["/health", "/health/ready", "/metrics", CALENDAR].map(str::to_owned));
    }
    routes
}

fn router(server: Arc<Server>) -> Router {
    Router::new()
        .route("/hooks/{sender}", post(receive::take))
        .route("/health", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/metrics", get(health::metrics))
        .route(CALENDAR, get(calendar::calendar))
        .fallback(health::nothing)
        .with_state(server)
}

/// How long requests in progress may take to end when the process stops.
const DRAIN: Duration = Duration::from_secs(10);

/// Serves every listener until `stop` is cancelled, then completes the requests in progress. `others` are the routes of
/// the other interfaces.
pub async fn run(server: Arc<Server>, others: Router, listeners: Vec<Listener>, stop: CancellationToken) {
    let routes = router(server).merge(others);
    let tasks: Vec<_> =
        listeners.into_iter().map(|listener| tokio::spawn(serve(listener, routes.clone(), stop.clone()))).collect();
    stop.cancelled().await;
    let drained = async {
        for task in tasks {
            let _ = task.await;
        }
    };
    let _ = tokio::time::timeout(DRAIN, drained).await;
}
