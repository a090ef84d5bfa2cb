//! A small real service with health checks and logs, and with a fault that can be changed while it runs.
//!
//! The fault is read from a file, see [`Fault`].

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::clock::{Clock, SystemClock, sleep};
use crate::domain::core::time::Timestamp;

/// The response time of a slow service, longer than the time limit of a health check.
const SLOW_RESPONSE: Duration = Duration::from_secs(10);

/// How often the fault file is read, and how often a broken service logs an error.
const FAULT_CHECK_INTERVAL: Duration = Duration::from_millis(200);

/// How much of the fault file is read, in bytes.
const FAULT_LIMIT: u64 = 1024;

/// The levels of pino's log format.
const LEVEL_INFO: u8 = 30;
const LEVEL_WARN: u8 = 40;
const LEVEL_ERROR: u8 = 50;
const LEVEL_FATAL: u8 = 60;

/// The options of the service.
#[derive(Debug, Clone, clap::Args)]
pub struct ServiceOptions {
    /// The service's name, such as `gateway`
    #[arg(long)]
    pub name: String,
    /// The prefix of the service's name in logs and responses
    #[arg(long, default_value = "pakashop")]
    pub shop: String,
    /// The port of 127.0.0.1 to listen on
    #[arg(long)]
    pub port: u16,
    /// The file with the fault of the service
    #[arg(long)]
    pub fault_file: Option<PathBuf>,
}

/// The fault of the service, as the fault file names it.
///
/// If the file ends with the word `until-restart`, a process that started after the file was written has no fault.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fault {
    /// `crash`: the process exits with status 1.
    Crash,
    /// `unready postgres`: the readiness check responds with 503 and names the dependency.
    Unready(String),
    /// `slow`: responses take [`SLOW_RESPONSE`].
    Slow,
    /// `error-log`: the service works, and logs errors.
    ErrorLog,
}

impl Fault {
    /// Parses the text of a fault file. `started_after` is whether the process started after the file was written.
    fn of(text: &str, started_after: bool) -> Option<Self> {
        let mut parts: Vec<&str> = text.split_whitespace().take(8).collect();
        if parts.last() == Some(&"until-restart") {
            if started_after {
                return None;
            }
            parts.pop();
        }
        match *parts.first()? {
            "crash" => Some(Self::Crash),
            "unready" => Some(Self::Unready((*parts.get(1).unwrap_or(&"postgres")).to_owned())),
            "slow" => Some(Self::Slow),
            "error-log" => Some(Self::ErrorLog),
            _ => None,
        }
    }
}

struct Service {
    name: String,
    hostname: String,
    started: Timestamp,
    fault_file: Option<PathBuf>,
    requests: AtomicU64,
    lines: AtomicU64,
}

/// Serves until SIGTERM or SIGINT, or until its fault is `crash`.
///
/// # Errors
/// When the port cannot be bound, or after a `crash`; the process should then exit with status 1.
pub async fn serve(options: ServiceOptions) -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", options.port)).await?;
    let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let service = Arc::new(Service {
        name: format!("{}-{}", options.shop, options.name),
        hostname,
        started: SystemClock.now(),
        fault_file: options.fault_file,
        requests: AtomicU64::new(0),
        lines: AtomicU64::new(0),
    });
    service.log(LEVEL_INFO, "service started", json!({ "port": options.port }));
    let routes = Router::new()
        .route("/health", get(live))
        .route("/health/ready", get(ready))
        .route("/health/metrics", get(metrics))
        .with_state(Arc::clone(&service));
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        served = axum::serve(listener, routes).into_future() => return served,
        crashed = service.apply_fault() => return Err(crashed),
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    service.log(LEVEL_INFO, "service stopped", json!({}));
    Ok(())
}

impl Service {
    fn fault(&self) -> Option<Fault> {
        let file = std::fs::File::open(self.fault_file.as_ref()?).ok()?;
        let written = file.metadata().ok()?.modified().ok()?;
        let text = io::read_to_string(io::Read::take(file, FAULT_LIMIT)).ok()?;
        Fault::of(&text, self.started > Timestamp::from(written))
    }

    /// Logs what the fault causes, again and again; returns if the fault is `crash`.
    async fn apply_fault(&self) -> io::Error {
        loop {
            match self.fault() {
                Some(Fault::Crash) => {
                    let stack = "TypeError: Cannot read properties of undefined (reading 'total')";
                    self.log(
                        LEVEL_FATAL,
                        "unhandled exception",
                        json!({ "err": { "type": "TypeError", "stack": stack } }),
                    );
                    return io::Error::other("the fault is `crash`");
                }
                Some(Fault::Unready(dependency)) => {
                    self.log(LEVEL_ERROR, "dependency is not reachable", json!({ "dependency": dependency }));
                }
                Some(Fault::ErrorLog) => {
                    let order = format!("A-{}", 1000 + self.lines.load(Ordering::Relaxed) % 7);
                    self.log(LEVEL_ERROR, "payment.process failed", json!({ "orderId": order, "gateway": "PawaPay" }));
                }
                Some(Fault::Slow) => self.log(LEVEL_WARN, "event loop is blocked", json!({})),
                None => {}
            }
            sleep(&SystemClock, FAULT_CHECK_INTERVAL).await;
        }
    }

    /// Writes one line in pino's format.
    fn log(&self, level: u8, message: &str, more: Value) {
        let number = self.lines.fetch_add(1, Ordering::Relaxed);
        let pid = std::process::id();
        let trace = hex::encode(Sha256::digest(format!("{pid} {number}")));
        let mut line = json!({
            "level": level, "time": SystemClock.now().timestamp_millis(), "pid": pid, "hostname": self.hostname,
            "service": self.name, "traceId": &trace[..32], "spanId": &trace[32..48], "msg": message,
        });
        if let (Value::Object(line), Value::Object(more)) = (&mut line, more) {
            line.extend(more);
        }
        // If standard output is closed, nothing can be reported.
        let _ = writeln!(io::stdout().lock(), "{line}");
    }

    /// Counts and logs a request, delays it if the fault is `slow`, and returns the fault.
    async fn accept(&self, path: &str) -> Option<Fault> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let fault = self.fault();
        if fault == Some(Fault::Slow) {
            sleep(&SystemClock, SLOW_RESPONSE).await;
        }
        let status = if matches!(fault, Some(Fault::Unready(_))) && path.ends_with("ready") { 503 } else { 200 };
        self.log(LEVEL_INFO, "request completed", json!({ "method": "GET", "url": path, "statusCode": status }));
        fault
    }
}

async fn live(State(service): State<Arc<Service>>) -> Response {
    service.accept("/health").await;
    answer(StatusCode::OK, &json!({ "status": "ok", "service": service.name }))
}

async fn ready(State(service): State<Arc<Service>>) -> Response {
    let mut dependencies = json!({ "postgres": "ok", "redis": "ok" });
    if let Some(Fault::Unready(dependency)) = service.accept("/health/ready").await {
        dependencies[dependency] = json!("unreachable");
        let body = json!({ "status": "not_ready", "dependencies": dependencies });
        return answer(StatusCode::SERVICE_UNAVAILABLE, &body);
    }
    answer(StatusCode::OK, &json!({ "status": "ready", "dependencies": dependencies }))
}

async fn metrics(State(service): State<Arc<Service>>) -> Response {
    service.accept("/health/metrics").await;
    let text = format!(
        "# HELP http_requests_total Requests answered.\n# TYPE http_requests_total counter\n\
         http_requests_total{{service=\"{name}\"}} {requests}\n\
         # HELP process_start_time_seconds When the process started, in seconds since 1970.\n\
         # TYPE process_start_time_seconds gauge\nprocess_start_time_seconds {started}\n",
        name = service.name,
        requests = service.requests.load(Ordering::Relaxed),
        started = service.started.timestamp(),
    );
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

fn answer(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_removes_only_a_fault_until_restart() {
        assert_eq!(Fault::of("crash\n", true), Some(Fault::Crash));
        assert_eq!(Fault::of("crash until-restart", true), None);
        assert_eq!(Fault::of("unready redis until-restart", false), Some(Fault::Unready("redis".to_owned())));
        assert_eq!(Fault::of("", false), None);
        assert_eq!(Fault::of("something else", false), None);
    }
}
