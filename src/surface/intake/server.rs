//! The HTTP server for senders: `/hooks/<sender>`, `/health`, `/health/ready`, `/metrics` and `/calendar.ics`.
//!
//! **Invariant:** a request gets a 2xx response only after its alerts are in the log. If they cannot be written, the response
//! is 503, so that the sender retries. 4xx is for unknown senders and for requests for which a retry would not help.
//!
//! Everything that an unauthenticated client can prolong or enlarge has a limit here: the number of connections, the time
//! and size of headers and body, and the memory for bodies that are not authenticated yet.

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

/// The most connections at the same time. Each sender has a few. Further connections wait in the kernel's queue.
pub const CONNECTIONS: usize = 512;

/// How long reading a request's headers may take.
pub const HEADERS_WITHIN: Duration = Duration::from_secs(10);

/// How long reading a request's body may take. Senders wait 5 to 15 seconds for a response.
pub const BODY_WITHIN: Duration = Duration::from_secs(10);

/// The largest body, in bytes. Alertmanager's body for a large alert storm in one group has five million.
pub const BODY_LIMIT: usize = 8 * 1024 * 1024;

/// Bodies larger than this, in bytes, are read only a few at a time.
const LARGE_BODY_BYTES: usize = 256 * 1024;

/// The most large bodies that are read at the same time.
const LARGE_AT_ONCE: usize = 4;

/// The largest size of all headers of a request, in bytes.
pub const HEADERS_LIMIT: usize = 32 * 1024;

/// The state that all requests share.
#[derive(Debug)]
pub struct Server {
    engine: Engine,
    dispatcher: Dispatcher,
    /// The names of the secrets that the routes without a sender accept as bearer tokens. Without any, these routes are open.
    tokens: Vec<String>,
    certificates: Certificates,
    metrics: IntakeMetrics,
    large: tokio::sync::Semaphore,
}

impl Server {
    /// A server that reports to this dispatcher. `tokens` are names of secrets: the routes without a sender require one of
    /// them, or are open if there is none.
    ///
    /// # Errors
    /// When a certificate that a sender names cannot be used.
    pub fn new(engine: Engine, dispatcher: Dispatcher, tokens: Vec<String>) -> Result<Self, String> {
        let certificates = Certificates::default();
        load_certificates(&certificates, &engine.parts().catalog, &engine.parts().directory)?;
        let large = tokio::sync::Semaphore::new(LARGE_AT_ONCE);
        Ok(Self { engine, dispatcher, tokens, certificates, metrics: IntakeMetrics::default(), large })
    }

    /// Replaces the project's files for all later requests.
    ///
    /// # Errors
    /// When a certificate that a sender names cannot be used. Then nothing changes.
    pub fn reload(&self, files: ProjectFiles) -> Result<(), String> {
        let directory = &self.engine.parts().directory;
        // Tries all certificates first, so that an error changes nothing.
        load_certificates(&Certificates::default(), &files.catalog, directory)?;
        load_certificates(&self.certificates, &files.catalog, directory)?;
        self.engine.reload(files);
        Ok(())
    }

    /// Records whether the last reload of the project's files succeeded, for monitoring.
    pub fn reloaded(&self, succeeded: bool) {
        self.metrics.reloaded(succeeded);
    }

    /// The engine with the files of the last successful reload.
    pub fn engine(&self) -> Engine {
        self.engine.refreshed()
    }

    /// How often the alerts of an incident could not be written to the log.
    pub fn refused(&self) -> u64 {
        self.dispatcher.metrics().refused.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Whether the log can be written and the dispatcher responds, within 3 seconds each.
    ///
    /// # Errors
    /// The reason why they do not.
    pub async fn is_ready(&self) -> Result<(), String> {
        let store = &self.engine.parts().store;
        within_limit(async { store.check_writable().await.map_err(|error| error.to_string()) }).await?;
        self.responds().await
    }

    /// Whether the log can be read and the dispatcher responds, within 3 seconds. If they do not, a restart may help; it
    /// does not help against a full disk.
    ///
    /// # Errors
    /// The reason why they do not.
    pub async fn responds(&self) -> Result<(), String> {
        let store = &self.engine.parts().store;
        within_limit(async {
            store.version().await.map_err(|error| error.to_string())?;
            // The dispatcher handles even an empty report.
            self.dispatcher.report(Vec::new()).await.map(drop)
        })
        .await
    }
}

/// How long the log and the dispatcher may take: longer than a busy disk.
const RESPONSE_LIMIT: Duration = Duration::from_secs(3);

async fn within_limit(check: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    let late = || Err(format!("no answer within {} s", RESPONSE_LIMIT.as_secs()));
    tokio::time::timeout(RESPONSE_LIMIT, check).await.unwrap_or_else(|_| late())
}

/// Loads the certificates that senders name.
fn load_certificates(certificates: &Certificates, catalog: &Catalog, directory: &Path) -> Result<(), String> {
    let Ok(estate) = &catalog.estate().content else { return Ok(()) };
    for file in estate.senders.values().filter_map(|sender| sender.certificate.as_ref()) {
        let pem = std::fs::read(directory.join(file)).map_err(|error| error.to_string());
        let pinned = pem.and_then(|pem| certificates.pin(file, &pem));
        pinned.map_err(|why| format!("the certificate `{file}` cannot be used: {why}"))?;
    }
    Ok(())
}

/// The routes that need no authentication, so that the server may offer them only on loopback.
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
        .fallback(health::not_found)
        .with_state(server)
}

/// How long the shutdown of all listeners may take.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(10);

/// Serves every listener until `stop` is cancelled, then completes the requests in progress. `other_routes` are those of the
/// other interfaces.
pub async fn run(server: Arc<Server>, other_routes: Router, listeners: Vec<Listener>, stop: CancellationToken) {
    let routes = router(server).merge(other_routes);
    let tasks: Vec<_> =
        listeners.into_iter().map(|listener| tokio::spawn(serve(listener, routes.clone(), stop.clone()))).collect();
    stop.cancelled().await;
    let ended = async {
        for task in tasks {
            let _ = task.await;
        }
    };
    let _ = tokio::time::timeout(SHUTDOWN_LIMIT, ended).await;
}
