//! The HTTP client for kinds.
//!
//! **Invariant:** every request has a time limit, and no body is read beyond [`BODY_LIMIT`].
//!
//! Not here: proxies, cookies and compression. A redirect to another host, or from TLS to plain HTTP, is returned as the
//! response.

mod over_ssh;

use std::error::Error;
use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue, SET_COOKIE};
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

/// Maximum number of redirects that are followed.
const REDIRECTS: usize = 5;

/// Headers of a response that are kept, and characters of a value.
const HEADERS: usize = 40;
const HEADER_LENGTH: usize = 500;

/// Maximum length of a chain of error causes; real ones have four or five.
const CAUSES: usize = 32;

/// Time limit for connecting, within the timeout of the whole request.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

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
    /// Time from the request until the body was read.
    pub latency: Duration,
}

/// The shared client. It caches no connections, so any runtime can use it.
///
/// # Errors
/// If the machine's trusted certificates cannot be read.
pub fn client() -> Result<&'static Client, Reason> {
    static CLIENT: OnceLock<Result<Client, String>> = OnceLock::new();
    let built = CLIENT.get_or_init(|| {
        // `main` has installed it; a test or a library user may not have.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .user_agent(AGENT)
            .redirect(Policy::custom(within_host))
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_max_idle_per_host(0)
            .no_proxy();
        client.build().map_err(|error| innermost(&error))
    });
    built.as_ref().map_err(|error| Reason::new("tls", format!("the HTTP client could not be created: {error}")))
}

/// Follows a redirect within the same host, never from `https` to `http`.
fn within_host(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let Some(from) = attempt.previous().last() else { return attempt.stop() };
    let may_follow = is_same_host(from, attempt.url()) && attempt.previous().len() <= REDIRECTS;
    if may_follow { attempt.follow() } else { attempt.stop() }
}

/// Whether a redirect stays on the same host and is not from `https` to `http`.
fn is_same_host(from: &Url, to: &Url) -> bool {
    from.host_str() == to.host_str() && (from.scheme() == to.scheme() || to.scheme() == "https")
}

/// A header value that is never printed. `None` if a header cannot hold it.
pub fn sensitive_value(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The value of the header `Authorization` for a bearer token.
///
/// # Errors
/// If a header cannot hold the token.
pub fn bearer(token: &str) -> Result<HeaderValue, &'static str> {
    sensitive_value(&format!("Bearer {}", token.trim())).ok_or("the token has a character that no header may have")
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
        let response = match over_ssh::send(&request, context).await? {
            Some(response) => response,
            None => client.execute(request).await.map_err(|error| classify(&error))?,
        };
        read(response, began, context).await
    };
    within(timeout, context, exchange).await.unwrap_or_else(Err)
}

async fn read(mut response: Response, began: Timestamp, context: &Context) -> Result<HttpResponse, Reason> {
    let (status, headers) = (response.status().as_u16(), limited_headers(response.headers()));
    let (mut body, mut is_cut) = (Vec::new(), false);
    while let Some(chunk) = response.chunk().await.map_err(|error| classify(&error))? {
        let free = BODY_LIMIT - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(free)]);
        if chunk.len() > free {
            is_cut = true;
            break;
        }
    }
    let latency = (context.clock.now() - began).to_std().unwrap_or_default();
    Ok(HttpResponse { status, headers, body, is_cut, latency })
}

/// The headers with their values, both limited. The value of a cookie is left out, since it may be a session token.
fn limited_headers(headers: &HeaderMap) -> Map<String, Value> {
    let mut limited = Map::new();
    for name in headers.keys().take(HEADERS) {
        let text = |value: &HeaderValue| match name == SET_COOKIE {
            true => "(not kept)".to_owned(),
            false => one_line(&String::from_utf8_lossy(value.as_bytes()), HEADER_LENGTH),
        };
        let values: Vec<String> = headers.get_all(name).iter().map(text).collect();
        limited.insert(name.as_str().to_owned(), Value::String(one_line(&values.join(", "), HEADER_LENGTH)));
    }
    limited
}

/// Classifies the error of a failed request by the chain of its causes.
fn classify(error: &reqwest::Error) -> Reason {
    let text = innermost(error);
    let code = chain(error).into_iter().find_map(code_of).unwrap_or_else(|| {
        if error.is_timeout() {
            ReasonCode::TIMEOUT
        } else if error.is_builder() || error.is_request() && !error.is_connect() {
            "request".into()
        } else {
            ReasonCode::CLOSED
        }
    });
    let text = match code.as_str() {
        "refused" => "the connection was refused: nothing listens there".to_owned(),
        "dns" => "the name of the host is not known".to_owned(),
        "tls" => format!("no trusted connection: {text}"),
        "timeout" => "no connection in time".to_owned(),
        _ => text,
    };
    Reason { code, text }
}

fn code_of(cause: &(dyn Error + 'static)) -> Option<ReasonCode> {
    if cause.is::<rustls::Error>() {
        return Some("tls".into());
    }
    if let Some(error) = cause.downcast_ref::<io::Error>() {
        return match error.kind() {
            io::ErrorKind::ConnectionRefused => Some(ReasonCode::REFUSED),
            io::ErrorKind::TimedOut => Some(ReasonCode::TIMEOUT),
            io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => Some("unreachable".into()),
            // The error that an I/O error wraps is not among its sources.
            _ => error.get_ref().and_then(|inner| code_of(inner)),
        };
    }
    // The error of hyper's resolver has a private type and no kind; only its text identifies it.
    cause.to_string().starts_with("dns error").then(|| "dns".into())
}

/// An error and its causes, outermost first.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> Vec<&'a (dyn Error + 'static)> {
    let mut chain = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next.filter(|_| chain.len() < CAUSES) {
        chain.push(error);
        next = error.source();
    }
    chain
}

/// The innermost cause, for people. The outer ones may contain the address, which may be secret.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let last = chain(error).last().map(ToString::to_string).unwrap_or_default();
    one_line(&last, HEADER_LENGTH)
}
