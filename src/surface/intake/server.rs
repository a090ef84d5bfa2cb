//! The server that senders post to: `/hooks/<sender>`, and `/health`, `/health/ready`, `/metrics` for who watches it, and
//! `/calendar.ics` for calendars.
//!
//! **Invariant:** a post is answered with 2xx only after the log holds what it says. When it cannot be held, the answer is
//! 503, so that the sender comes again; 4xx are for who is not its sender and for what no repetition would mend.
//!
//! **Invariant:** everything that a stranger can make last or grow has a limit here: connections, the time for headers and
//! for a body, their sizes, and how much of what is not proven yet is held in memory.
//!
//! Deliberately absent: what senders speak, and what an alert starts.

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

/// Where calendars subscribe to what is scheduled.
const CALENDAR: &str = "/calendar.ics";

/// Connections at a time: senders keep a few open each. Who comes later waits in the kernel's queue.
pub const CONNECTIONS: usize = 512;

/// How long a request's headers may take.
pub const HEADERS_WITHIN: Duration = Duration::from_secs(10);

/// How long a request's body may take: senders wait 5 to 15 seconds for an answer.
pub const BODY_WITHIN: Duration = Duration::from_secs(10);

/// The largest body, in bytes: Alertmanager's with all of a bad storm in one group has five million.
pub const BODY_LIMIT: usize = 8 * 1024 * 1024;

/// Bodies that are larger than this, in bytes, are read a few at a time.
const LARGE: usize = 256 * 1024;

/// How many of those.
const LARGE_AT_ONCE: usize = 4;

/// All headers of a request, in bytes.
pub const HEADERS_LIMIT: usize = 32 * 1024;

/// What a server is made of.
#[derive(Debug)]
pub struct Server {
    engine: Engine,
    duty: Dispatcher,
    /// The names of the secrets of which one is asked for at the routes that are nobody's; none on loopback alone.
    tokens: Vec<String>,
    certificates: Certificates,
    figures: IntakeMetrics,
    large: tokio::sync::Semaphore,
}

impl Server {
    /// A server over the one on duty. With `tokens`, names of secrets, the routes that are nobody's ask for one of them.
    ///
    /// # Errors
    /// When the certificate that a sender names cannot be used.
    pub fn new(engine: Engine, duty: Dispatcher, tokens: Vec<String>) -> Result<Self, String> {
        let certificates = Certificates::default();
        pin(&certificates, &engine.parts().catalog, &engine.parts().directory)?;
        let large = tokio::sync::Semaphore::new(LARGE_AT_ONCE);
        Ok(Self { engine, duty, tokens, certificates, figures: IntakeMetrics::default(), large })
    }

    /// Takes up the shop's files anew: what begins from now on goes by them.
    ///
    /// # Errors
    /// When the certificate that a sender names cannot be used; then nothing has changed.
    pub fn renew(&self, files: ProjectFiles) -> Result<(), String> {
        let directory = &self.engine.parts().directory;
        pin(&Certificates::default(), &files.catalog, directory)?;
        pin(&self.certificates, &files.catalog, directory)?;
        self.engine.renew(files);
        Ok(())
    }

    /// Remembers whether the shop's files could be taken up when they were read last, for who watches this process.
    pub fn reloaded(&self, well: bool) {
        self.figures.reloaded(well);
    }

    /// The engine, with the files that were read last.
    pub fn engine(&self) -> Engine {
        self.engine.refreshed()
    }

    /// How often the log has refused what was to be taken in.
    pub fn refused(&self) -> u64 {
        self.duty.figures().refused.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Whether the log answers within a moment.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn is_ready(&self) -> Result<(), String> {
        /// Longer than a disk that is merely busy takes.
        const MOMENT: Duration = Duration::from_secs(3);
        let answered = async {
            self.engine.parts().store.version().await.map_err(|error| error.to_string())?;
            // Nothing to take in still has to be taken in by the one on duty.
            self.duty.report(Vec::new()).await.map(drop)
        };
        let late = || Err(format!("no answer within {} s", MOMENT.as_secs()));
        tokio::time::timeout(MOMENT, answered).await.unwrap_or_else(|_| late())
    }
}

/// Reads the certificates that senders name.
fn pin(certificates: &Certificates, catalog: &Catalog, directory: &Path) -> Result<(), String> {
    let Ok(estate) = &catalog.estate().content else { return Ok(()) };
    for file in estate.senders.values().filter_map(|sender| sender.certificate.as_ref()) {
        let pem = std::fs::read(directory.join(file)).map_err(|error| error.to_string());
        let pinned = pem.and_then(|pem| certificates.pin(file, &pem));
        pinned.map_err(|why| format!("the certificate `{file}` cannot be used: {why}"))?;
    }
    Ok(())
}

/// Why a server may not listen beyond this machine: what would be open to everybody.
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

/// Ends what a process that stops has open, after this at the latest.
const DRAIN: Duration = Duration::from_secs(10);

/// Serves every listener until `stop` is cancelled, then answers what has begun. `others` are the routes of other faces.
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
