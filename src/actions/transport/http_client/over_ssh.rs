//! HTTP to an address as the environment's host reaches it, over a stream to there.
//!
//! Deliberately absent: connections that are kept; each request has a stream of its own, as on this machine.

use hyper::client::conn::http1;
use hyper::{StatusCode, header};
use hyper_util::rt::TokioIo;
use reqwest::{Body, Method, Request, Response, Url};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{AGENT, HttpError, REDIRECTS, is_same_place};
use crate::actions::Context;
use crate::actions::error::ActionError;
use crate::actions::transport::host;
use crate::actions::transport::host::StreamEnd;

impl From<ActionError> for HttpError {
    fn from(trouble: ActionError) -> Self {
        Self::new(trouble.kind, trouble.message)
    }
}

/// The answer to a request whose address is reached from the environment's host; none where it is reached from here.
pub(super) async fn answer(request: &Request, context: &Context) -> Result<Option<Response>, HttpError> {
    let mut request = request.try_clone().ok_or_else(|| HttpError::new("request", "the request cannot be sent on"))?;
    for _ in 0..=REDIRECTS {
        let Some(answer) = once(&request, context).await? else { return Ok(None) };
        match further(&request, &answer) {
            Some(url) => *request.url_mut() = url,
            None => return Ok(Some(answer)),
        }
    }
    Err(HttpError::new("request", "it sends us on and on"))
}

/// Where a reading is sent on to, within the same place.
fn further(request: &Request, answer: &Response) -> Option<Url> {
    const ONWARD: [StatusCode; 5] = [
        StatusCode::MOVED_PERMANENTLY,
        StatusCode::FOUND,
        StatusCode::SEE_OTHER,
        StatusCode::TEMPORARY_REDIRECT,
        StatusCode::PERMANENT_REDIRECT,
    ];
    let is_reading = matches!(*request.method(), Method::GET | Method::HEAD);
    let to = answer.headers().get(header::LOCATION).filter(|_| is_reading && ONWARD.contains(&answer.status()))?;
    let to = request.url().join(to.to_str().ok()?).ok()?;
    is_same_place(request.url(), &to).then_some(to)
}

async fn once(request: &Request, context: &Context) -> Result<Option<Response>, HttpError> {
    let url = request.url();
    let (Some(name), Some(port)) = (url.host_str(), url.port_or_known_default()) else { return Ok(None) };
    let Some(passage) = host::open_forward(name, port, context).await? else {
        return Ok(None);
    };
    let sent = match url.scheme() {
        "https" => spoken(host::secured(passage.stream, name).await, request).await,
        _ => spoken(Ok(passage.stream), request).await,
    };
    match sent {
        Ok(response) => Ok(Some(response)),
        Err(why) => Err(better(why, passage.fate).await),
    }
}

/// Why the stream ended says more than that it did.
async fn better(why: HttpError, fate: StreamEnd) -> HttpError {
    fate.reason().await.map_or(why, HttpError::from)
}

async fn spoken<S>(stream: Result<S, ActionError>, request: &Request) -> Result<Response, HttpError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let closed = |error: hyper::Error| HttpError::new("closed", format!("the connection was closed: {error}"));
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream?)).await.map_err(closed)?;
    tokio::spawn(connection);
    let response = sender.send_request(worded(request)?).await.map_err(closed)?;
    Ok(Response::from(response.map(Body::wrap)))
}

/// A request as HTTP/1.1 has it: the path in its first line, and the host in a header.
fn worded(request: &Request) -> Result<hyper::Request<Body>, HttpError> {
    let wrong = |error: &dyn std::fmt::Display| HttpError::new("request", error.to_string());
    let url = request.url();
    let copy = request.try_clone().ok_or_else(|| HttpError::new("request", "the request cannot be sent on"))?;
    let mut worded = hyper::Request::<Body>::try_from(copy).map_err(|error| wrong(&error))?;
    let query = url.query().map_or_else(String::new, |query| format!("?{query}"));
    *worded.uri_mut() = format!("{}{query}", url.path()).parse().map_err(|error| wrong(&error))?;
    let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
    let host = format!("{}{port}", url.host_str().unwrap_or_default());
    let headers = worded.headers_mut();
    for (name, value) in [(header::HOST, host.as_str()), (header::USER_AGENT, AGENT), (header::ACCEPT, "*/*")] {
        if !headers.contains_key(&name) {
            headers.insert(name, value.parse().map_err(|error| wrong(&error))?);
        }
    }
    Ok(worded)
}
