//! The HTTP client of the kinds that speak HTTP: bounded in time, in bytes and in where it lets itself be sent.
//!
//! Deliberately absent: proxies, cookies, compression, and redirects to another host or out of TLS; such a redirect is
//! an answer like any other.
//!
//! **Invariant:** no request leaves without a time limit, and no body is read beyond [`BODY_LIMIT`].

mod over_ssh;

use std::error::Error;
use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use reqwest::header::{HeaderMap, SET_COOKIE};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, Request, Response, Url};
use serde_json::{Map, Value};

use super::timeout::within;
use crate::actions::Context;
use crate::domain::core::reason::{Reason, ReasonCode};
use crate::domain::core::text::one_line;
use crate::domain::core::time::Timestamp;

/// Bytes of a body that are read: more than any health response or metrics page of one service.
pub const BODY_LIMIT: usize = 1024 * 1024;

/// The `User-Agent` of requests.
const AGENT: &str = concat!("runbook/", env!("CARGO_PKG_VERSION"));

/// Redirects that are followed.
const REDIRECTS: usize = 5;

/// Headers of a response that are kept, and the longest value in characters.
const HEADERS: usize = 40;
const HEADER_LENGTH: usize = 500;

/// Limit for a chain of error causes; real ones have four or five.
const CAUSES: usize = 32;

/// Limit for connecting, within the timeout of the whole request.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// A response, its body limited to [`BODY_LIMIT`].
#[derive(Debug)]
pub struct HttpResponse {
    pub status: u16,
    /// By name in lower case. Several values are joined by commas.
    pub headers: Map<String, Value>,
    /// The body, or its first [`BODY_LIMIT`] bytes.
    pub body: Vec<u8>,
    /// Whether the body was longer.
    pub is_cut: bool,
    /// Time until the body was read.
    pub latency: Duration,
}

/// The shared client. It keeps no connections, so any runtime can use it.
///
/// # Errors
/// If the machine's trusted certificates cannot be read.
pub fn client() -> Result<&'static Client, Reason> {
    static CLIENT: OnceLock<Result<Client, String>> = OnceLock::new();
    let built = CLIENT.get_or_init(|| {
        // `main` has installed it already; a test may not have.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .user_agent(AGENT)
            .redirect(Policy::custom(stay))
            .connect_timeout(CONNECT_LIMIT)
            .pool_max_idle_per_host(0)
            .no_proxy();
        client.build().map_err(|error| reason(&error))
    });
    built.as_ref().map_err(|error| Reason::new("tls", format!("no HTTP client can be made: {error}")))
}

/// Follows a redirect within the same host, never from `https` to `http`.
fn stay(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let Some(from) = attempt.previous().last() else { return attempt.stop() };
    let may_follow = is_same_place(from, attempt.url()) && attempt.previous().len() <= REDIRECTS;
    if may_follow { attempt.follow() } else { attempt.stop() }
}

fn is_same_place(from: &Url, to: &Url) -> bool {
    from.host_str() == to.host_str() && (from.scheme() == to.scheme() || to.scheme() == "https")
}

/// Sends a request and reads the response, within `timeout` and the context's deadline.
///
/// # Errors
/// `dns`, `refused`, `unreachable`, `tls`, `timeout`, `cancelled`, `closed`, `request`; over SSH also
/// `host_unreachable` and `host_lost`.
pub async fn send(request: Request, timeout: Duration, context: &Context) -> Result<HttpResponse, Reason> {
    let client = client()?;
    let began = context.clock.now();
    let exchange = async {
        let response = match over_ssh::answer(&request, context).await? {
            Some(response) => response,
            None => client.execute(request).await.map_err(|error| why(&error))?,
        };
        read(response, began, context).await
    };
    within(timeout, context, exchange).await.unwrap_or_else(Err)
}

async fn read(mut response: Response, began: Timestamp, context: &Context) -> Result<HttpResponse, Reason> {
    let (status, headers) = (response.status().as_u16(), limited_headers(response.headers()));
    let (mut body, mut is_cut) = (Vec::new(), false);
    while let Some(chunk) = response.chunk().await.map_err(|error| why(&error))? {
        let room = BODY_LIMIT - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            is_cut = true;
            break;
        }
    }
    let latency = (context.clock.now() - began).to_std().unwrap_or_default();
    Ok(HttpResponse { status, headers, body, is_cut, latency })
}

/// The headers that are kept. A cookie may be a session, so its value is not kept.
fn limited_headers(headers: &HeaderMap) -> Map<String, Value> {
    let mut kept = Map::new();
    for name in headers.keys().take(HEADERS) {
        let values: Vec<String> = headers
            .get_all(name)
            .iter()
            .map(
                |value| {
                    if name == SET_COOKIE { "(not kept)".into() } else { String::from_utf8_lossy(value.as_bytes()) }
                },
            )
            .map(|value| one_line(&value, HEADER_LENGTH))
            .collect();
        kept.insert(name.as_str().to_owned(), Value::String(one_line(&values.join(", "), HEADER_LENGTH)));
    }
    kept
}

/// Why a request failed, from the chain of causes.
fn why(error: &reqwest::Error) -> Reason {
    let text = reason(error);
    let kind = chain(error).into_iter().find_map(kind_of).unwrap_or_else(|| {
        if error.is_timeout() {
            ReasonCode::TIMEOUT
        } else if error.is_builder() || error.is_request() && !error.is_connect() {
            "request".into()
        } else {
            ReasonCode::CLOSED
        }
    });
    let text = match kind.as_str() {
        "refused" => "the connection was refused: nothing listens there".to_owned(),
        "dns" => "the name of the host is not known".to_owned(),
        "tls" => format!("no trusted connection: {text}"),
        "timeout" => "no connection in time".to_owned(),
        _ => text,
    };
    Reason { code: kind, text }
}

fn kind_of(cause: &(dyn Error + 'static)) -> Option<ReasonCode> {
    if cause.is::<rustls::Error>() {
        return Some("tls".into());
    }
    if let Some(error) = cause.downcast_ref::<io::Error>() {
        return match error.kind() {
            io::ErrorKind::ConnectionRefused => Some(ReasonCode::REFUSED),
            io::ErrorKind::TimedOut => Some(ReasonCode::TIMEOUT),
            io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => Some("unreachable".into()),
            // The error that an I/O error wraps is not among its sources.
            _ => error.get_ref().and_then(|inner| kind_of(inner)),
        };
    }
    // The error of hyper's resolver has a private type and no kind; only its text identifies it.
    cause.to_string().starts_with("dns error").then(|| "dns".into())
}

/// An error and the causes behind it, outermost first.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> Vec<&'a (dyn Error + 'static)> {
    let mut chain = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next.filter(|_| chain.len() < CAUSES) {
        chain.push(error);
        next = error.source();
    }
    chain
}

/// The innermost cause. The outer ones may hold the address, which can be secret.
fn reason(error: &(dyn Error + 'static)) -> String {
    let last = chain(error).last().map(ToString::to_string).unwrap_or_default();
    one_line(&last, HEADER_LENGTH)
}
