//! A connection to a Redis for one step, with a deadline and classified errors. It is neither reused nor reconnected.
//!
//! **Invariant:** no message contains the secrets of the address: the library's message about an invalid address is not
//! used.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, ServerErrorKind, cmd,
};
use serde_json::json;
use url::Url;

use crate::actions::Context;
use crate::actions::transport::host;
use crate::actions::transport::host::ForwardedStream;
use crate::actions::transport::timeout::within;
use crate::domain::core::reason::Reason;
use crate::domain::core::text::one_line;
use crate::domain::core::time::{Span, Timestamp};
use crate::domain::incident::outcome::Outcome;

/// Time limit for connecting; a healthy server answers at once.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Characters of a message that are kept.
const SHOWN_LIMIT: usize = 200;

/// A connection with a deadline for all commands.
pub(super) struct RedisConnection<'c> {
    connection: MultiplexedConnection,
    until: Timestamp,
    pub(super) context: &'c Context,
}

impl<'c> RedisConnection<'c> {
    pub(super) async fn connect(url: &Url, until: Timestamp, context: &'c Context) -> Result<Self, Reason> {
        // Needed for `rediss`. `main` has installed it; a test or a library user may not have.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client =
            Client::open(url.clone()).map_err(|_| Reason::new("address", "the address is not that of a Redis"))?;
        let (name, port) = (url.host_str().unwrap_or_default(), url.port().unwrap_or(6379));
        let remaining = Span::between(context.clock.now(), until).0;
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(remaining));
        let at_address = |error: Reason| {
            error.worded(|text| format!("{}: {text}", one_line(&format!("{name}:{port}"), SHOWN_LIMIT)))
        };
        let connecting = async {
            match host::open_forward(name, port, context).await? {
                Some(forward) => over_ssh(&client, &settings, forward, url).await,
                None => {
                    let connected = client.get_multiplexed_async_connection_with_config(&settings).await;
                    connected.map_err(|error| classify(&error))
                }
            }
        };
        let limit = if context.environment.host.ssh().is_some() { remaining } else { CONNECT_TIMEOUT.min(remaining) };
        let connection = within(limit, context, connecting).await?.map_err(at_address)?;
        Ok(Self { connection, until, context })
    }

    /// Whether the deadline has not passed.
    pub(super) fn has_time(&self) -> bool {
        self.context.clock.now() < self.until
    }

    /// Sends a command and returns the reply.
    pub(super) async fn query<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<T, Reason> {
        let remaining = Span::between(self.context.clock.now(), self.until).0;
        let reply = command.query_async(&mut self.connection);
        within(remaining, self.context, reply).await?.map_err(|error| classify(&error))
    }

    /// Sends several commands in one round trip. A command that the server refuses yields `None`.
    pub(super) async fn query_all<T: FromRedisValue>(
        &mut self,
        commands: &mut Pipeline,
    ) -> Result<Vec<Option<T>>, Reason> {
        let remaining = Span::between(self.context.clock.now(), self.until).0;
        let replies = commands.ignore_errors().query_async::<Vec<Result<T, RedisError>>>(&mut self.connection);
        let replies = within(remaining, self.context, replies).await?.map_err(|error| classify(&error))?;
        Ok(replies.into_iter().map(Result::ok).collect())
    }

    /// Sends `PING` and measures the latency.
    pub(super) async fn ping(&mut self) -> Result<Outcome, Reason> {
        let began = self.context.clock.now();
        let reply: String = self.query(&cmd("PING")).await?;
        let latency = Span::between(began, self.context.clock.now()).0.as_millis() as u64;
        match reply.as_str() {
            "PONG" => Ok(Outcome::succeeded(format!("PONG in {latency} ms"), json!({ "latency_ms": latency }))),
            other => Err(Reason::new("server", format!("it answers `{}` to PING", one_line(other, SHOWN_LIMIT)))),
        }
    }
}

/// Connects over a stream from the environment's host.
async fn over_ssh(
    client: &Client,
    settings: &AsyncConnectionConfig,
    forward: ForwardedStream,
    url: &Url,
) -> Result<MultiplexedConnection, Reason> {
    let (info, settings) = (client.get_connection_info().redis_settings(), settings.clone());
    let made = match url.scheme() {
        "rediss" => {
            let stream = host::secured(forward.stream, url.host_str().unwrap_or_default()).await?;
            let made = MultiplexedConnection::new_with_config(info, stream, settings).await;
            made.map(|(connection, driver)| (connection, tokio::spawn(driver)))
        }
        _ => {
            let made = MultiplexedConnection::new_with_config(info, forward.stream, settings).await;
            made.map(|(connection, driver)| (connection, tokio::spawn(driver)))
        }
    };
    match made {
        Ok((connection, _)) => Ok(connection),
        Err(error) => {
            let error = classify(&error);
            // The reason why the stream ended explains more than an error that follows from it.
            if matches!(error.code.as_str(), "closed" | "server") {
                Err(forward.end.reason().await.unwrap_or(error))
            } else {
                Err(error)
            }
        }
    }
}

/// Whether the TLS handshake failed. The library wraps the I/O error in an `Arc`, and the error that an I/O error wraps is
/// not among its sources.
fn is_of_tls(error: &RedisError) -> bool {
    let shared = error.source().and_then(|source| source.downcast_ref::<Arc<dyn Error + Send + Sync>>());
    let inner = shared.and_then(|shared| shared.downcast_ref::<std::io::Error>()).and_then(std::io::Error::get_ref);
    inner.is_some_and(|inner| inner.is::<rustls::Error>())
}

/// Classifies an error of the library.
fn classify(error: &RedisError) -> Reason {
    let message = || one_line(error.detail().unwrap_or(error.category()), SHOWN_LIMIT);
    if error.is_connection_refusal() {
        return Reason::new("refused", "the connection was refused: nothing listens there");
    }
    if error.is_timeout() {
        return Reason::new("timeout", "no answer in time");
    }
    if is_of_tls(error) {
        return Reason::new("tls", format!("no trusted connection: {}", one_line(&error.to_string(), SHOWN_LIMIT)));
    }
    match (error.kind(), error.code()) {
        (ErrorKind::AuthenticationFailed, _) | (_, Some("NOAUTH" | "WRONGPASS")) => {
            Reason::new("access", "the password is missing or wrong")
        }
        (ErrorKind::Server(ServerErrorKind::NoPerm), _) => Reason::new("access", format!("not allowed: {}", message())),
        (ErrorKind::Server(ServerErrorKind::BusyLoading), _) => Reason::new("loading", "it is still loading its data"),
        (ErrorKind::Server(_) | ErrorKind::Extension, code) => {
            Reason::new("server", format!("it refused: {} {}", code.unwrap_or_default(), message()))
        }
        (ErrorKind::Io, _) if error.is_connection_dropped() => Reason::new("closed", "the connection was closed"),
        (ErrorKind::Io, _) => {
            Reason::new("closed", format!("no connection: {}", one_line(&error.to_string(), SHOWN_LIMIT)))
        }
        _ => Reason::new("server", format!("its reply cannot be read: {}", error.category())),
    }
}
