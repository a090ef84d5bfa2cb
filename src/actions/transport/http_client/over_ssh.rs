//! HTTP to an address as the environment's host reaches it, over a stream to there.
//!
//! Deliberately absent: connections that are kept; each request has a stream of its own, as on this machine.

use hyper::client::conn::http1;
use hyper::{StatusCode, header};
use hyper_util::rt::TokioIo;
use reqwest::{Body, Method, Request, Response, Url};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{AGENT, REDIRECTS, is_same_place};
use crate::actions::Context;
use crate::actions::transport::host;
use crate::actions::transport::host::StreamEnd;
use crate::domain::core::reason::Reason;

/// Sends the request from the environment's host. `None` if this machine reaches the address directly.
pub(super) async fn answer(request: &Request, context: &Context) -> Result<Option<Response>, Reason> {
    let mut request = request.try_clone().ok_or_else(|| Reason::new("request", "the request cannot be sent on"))?;
    for _ in 0..=REDIRECTS {
        let Some(answer) = once(&request, context).await? else { return Ok(None) };
        match further(&request, &answer) {
            Some(url) => *request.url_mut() = url,
            None => return Ok(Some(answer)),
        }
    }
    Err(Reason::new("request", "it sends us on and on"))
}

/// The target of a redirect of a GET or HEAD within the same host.
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

async fn once(request: &Request, context: &Context) -> Result<Option<Response>, Reason> {
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

/// Prefers the reason why the stream ended to the HTTP error that followed from it.
async fn better(why: Reason, fate: StreamEnd) -> Reason {
    fate.reason().await.unwrap_or(why)
}

async fn spoken<S>(stream: Result<S, Reason>, request: &Request) -> Result<Response, Reason>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let closed = |error: hyper::Error| Reason::new("closed", format!("the connection was closed: {error}"));
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream?)).await.map_err(closed)?;
    tokio::spawn(connection);
    let response = sender.send_request(worded(request)?).await.map_err(closed)?;
    Ok(Response::from(response.map(Body::wrap)))
}

/// The request in HTTP/1.1 form: the path in the first line, the host in a header.
fn worded(request: &Request) -> Result<hyper::Request<Body>, Reason> {
    let wrong = |error: &dyn std::fmt::Display| Reason::new("request", error.to_string());
    let url = request.url();
    let copy = request.try_clone().ok_or_else(|| Reason::new("request", "the request cannot be sent on"))?;
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
