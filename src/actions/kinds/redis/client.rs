//! A connection to a Redis: bounded in time, its errors told apart.
//!
//! Deliberately absent: connections that are kept, and reconnecting; a step is one look.
//!
//! **Invariant:** no message holds the address or the password. The library's own are used only for what a server said.

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

/// Limit for connecting; a healthy server answers at once.
const CONNECT: Duration = Duration::from_secs(5);

/// Characters of a server's message that are kept.
const SAID: usize = 200;

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
            Client::open(url.clone()).map_err(|_| Reason::new("address", "the address is not one of a redis"))?;
        let place = format!("{}:{}", url.host_str().unwrap_or_default(), url.port().unwrap_or(6379));
        let rest = Span::between(context.clock.now(), until).0;
        let settings =
            AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT)).set_response_timeout(Some(rest));
        let at_place = |trouble: Reason| trouble.worded(|text| format!("{}: {text}", one_line(&place, SAID)));
        let connecting = async {
            match host::open_forward(url.host_str().unwrap_or_default(), url.port().unwrap_or(6379), context).await? {
                Some(passage) => over_ssh(&client, &settings, passage, url).await,
                None => {
                    client.get_multiplexed_async_connection_with_config(&settings).await.map_err(|error| why(&error))
                }
            }
        };
        let limit = if context.environment.host.ssh().is_some() { rest } else { CONNECT.min(rest) };
        let connection = within(limit, context, connecting).await?.map_err(at_place)?;
        Ok(Self { connection, until, context })
    }

    /// Whether the deadline has not passed.
    pub(super) fn has_time(&self) -> bool {
        self.context.clock.now() < self.until
    }

    pub(super) async fn ask<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<T, Reason> {
        let rest = Span::between(self.context.clock.now(), self.until).0;
        let answer = command.query_async(&mut self.connection);
        within(rest, self.context, answer).await?.map_err(|error| why(&error))
    }

    /// Sends several commands at once. A command that the server refuses yields `None`.
    pub(super) async fn ask_all<T: FromRedisValue>(
        &mut self,
        commands: &mut Pipeline,
    ) -> Result<Vec<Option<T>>, Reason> {
        let rest = Span::between(self.context.clock.now(), self.until).0;
        let answers = commands.ignore_errors().query_async::<Vec<Result<T, RedisError>>>(&mut self.connection);
        let answers = within(rest, self.context, answers).await?.map_err(|error| why(&error))?;
        Ok(answers.into_iter().map(Result::ok).collect())
    }

    /// Sends `PING` and measures the latency.
    pub(super) async fn ping(&mut self) -> Result<Outcome, Reason> {
        let began = self.context.clock.now();
        let said: String = self.ask(&cmd("PING")).await?;
        let latency = Span::between(began, self.context.clock.now()).0.as_millis() as u64;
        match said.as_str() {
            "PONG" => Ok(Outcome::succeeded(format!("PONG in {latency} ms"), json!({ "latency_ms": latency }))),
            said => Err(Reason::new("server", format!("it answers `{}` to PING", one_line(said, SAID)))),
        }
    }
}

/// Connects over a stream from the environment's host.
async fn over_ssh(
    client: &Client,
    settings: &AsyncConnectionConfig,
    passage: ForwardedStream,
    url: &Url,
) -> Result<MultiplexedConnection, Reason> {
    let (info, settings) = (client.get_connection_info().redis_settings(), settings.clone());
    let made = match url.scheme() {
        "rediss" => {
            let stream = host::secured(passage.stream, url.host_str().unwrap_or_default()).await?;
            let made = MultiplexedConnection::new_with_config(info, stream, settings).await;
            made.map(|(connection, driver)| (connection, tokio::spawn(driver)))
        }
        _ => {
            let made = MultiplexedConnection::new_with_config(info, passage.stream, settings).await;
            made.map(|(connection, driver)| (connection, tokio::spawn(driver)))
        }
    };
    match made {
        Ok((connection, _)) => Ok(connection),
        Err(error) => {
            let trouble = why(&error);
            // The reason why the stream ended explains more than the error.
            if matches!(trouble.code.as_str(), "closed" | "server") {
                Err(passage.fate.reason().await.unwrap_or(trouble))
            } else {
                Err(trouble)
            }
        }
    }
}

/// Whether the TLS handshake failed. The library shares its errors, and the error inside an I/O error is not among its
/// sources.
fn is_distrust(error: &RedisError) -> bool {
    let shared = error.source().and_then(|source| source.downcast_ref::<Arc<dyn Error + Send + Sync>>());
    let inner = shared.and_then(|shared| shared.downcast_ref::<std::io::Error>()).and_then(std::io::Error::get_ref);
    inner.is_some_and(|inner| inner.is::<rustls::Error>())
}

/// Classifies an error of the library.
fn why(error: &RedisError) -> Reason {
    let said = || one_line(error.detail().unwrap_or(error.category()), SAID);
    if error.is_connection_refusal() {
        return Reason::new("refused", "the connection was refused: nothing listens there");
    }
    if error.is_timeout() {
        return Reason::new("timeout", "no answer in time");
    }
    if is_distrust(error) {
        return Reason::new("tls", format!("no trusted connection: {}", one_line(&error.to_string(), SAID)));
    }
    match (error.kind(), error.code()) {
        (ErrorKind::AuthenticationFailed, _) | (_, Some("NOAUTH" | "WRONGPASS")) => {
            Reason::new("access", "the password is missing or wrong")
        }
        (ErrorKind::Server(ServerErrorKind::NoPerm), _) => Reason::new("access", format!("not allowed: {}", said())),
        (ErrorKind::Server(ServerErrorKind::BusyLoading), _) => Reason::new("loading", "it is still loading its data"),
        (ErrorKind::Server(_) | ErrorKind::Extension, code) => {
            Reason::new("server", format!("it refused: {} {}", code.unwrap_or_default(), said()))
        }
        (ErrorKind::Io, _) if error.is_connection_dropped() => Reason::new("closed", "the connection was closed"),
        (ErrorKind::Io, _) => Reason::new("closed", format!("no connection: {}", one_line(&error.to_string(), SAID))),
        _ => Reason::new("server", format!("what it answered cannot be read: {}", error.category())),
    }
}
