//! Sends HTTP requests to an address that only the environment's host reaches, over a forwarded stream.
//!
//! Not here: reuse of streams. Each request opens a new one, as on this machine.

use hyper::client::conn::http1;
use hyper::{StatusCode, header};
use hyper_util::rt::TokioIo;
use reqwest::{Body, Method, Request, Response, Url};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{AGENT, REDIRECTS, is_same_host};
use crate::actions::Context;
use crate::actions::transport::host;
use crate::domain::core::reason::Reason;

/// Sends the request from the environment's host. `None` if this machine reaches the address directly.
pub(super) async fn send(request: &Request, context: &Context) -> Result<Option<Response>, Reason> {
    let mut request = request.try_clone().ok_or_else(|| Reason::new("request", "the request cannot be repeated"))?;
    for _ in 0..=REDIRECTS {
        let Some(response) = send_once(&request, context).await? else { return Ok(None) };
        match redirect(&request, &response) {
            Some(url) => *request.url_mut() = url,
            None => return Ok(Some(response)),
        }
    }
    Err(Reason::new("request", "too many redirects"))
}

/// The target of a redirect of a GET or HEAD within the same host.
fn redirect(request: &Request, response: &Response) -> Option<Url> {
    const REDIRECT_CODES: [StatusCode; 5] = [
        StatusCode::MOVED_PERMANENTLY,
        StatusCode::FOUND,
        StatusCode::SEE_OTHER,
        StatusCode::TEMPORARY_REDIRECT,
        StatusCode::PERMANENT_REDIRECT,
    ];
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let is_redirect = is_read && REDIRECT_CODES.contains(&response.status());
    let location = response.headers().get(header::LOCATION).filter(|_| is_redirect)?;
    let to = request.url().join(location.to_str().ok()?).ok()?;
    is_same_host(request.url(), &to).then_some(to)
}

async fn send_once(request: &Request, context: &Context) -> Result<Option<Response>, Reason> {
    let url = request.url();
    let (Some(name), Some(port)) = (url.host_str(), url.port_or_known_default()) else { return Ok(None) };
    let Some(forward) = host::open_forward(name, port, context).await? else {
        return Ok(None);
    };
    let response = match url.scheme() {
        "https" => send_over(host::secured(forward.stream, name).await, request).await,
        _ => send_over(Ok(forward.stream), request).await,
    };
    match response {
        Ok(response) => Ok(Some(response)),
        // The reason why the stream ended explains more than the error that follows from it.
        Err(error) => Err(forward.end.reason().await.unwrap_or(error)),
    }
}

async fn send_over<S>(stream: Result<S, Reason>, request: &Request) -> Result<Response, Reason>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let closed = |error: hyper::Error| Reason::new("closed", format!("the connection was closed: {error}"));
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream?)).await.map_err(closed)?;
    tokio::spawn(connection);
    let response = sender.send_request(in_origin_form(request)?).await.map_err(closed)?;
    Ok(Response::from(response.map(Body::wrap)))
}

/// The request in the origin form of HTTP/1.1 (RFC 9112, section 3.2.1): the path in the first line, the host in a header.
fn in_origin_form(request: &Request) -> Result<hyper::Request<Body>, Reason> {
    let invalid = |error: &dyn std::fmt::Display| Reason::new("request", error.to_string());
    let url = request.url();
    let copy = request.try_clone().ok_or_else(|| Reason::new("request", "the request cannot be repeated"))?;
    let mut request = hyper::Request::<Body>::try_from(copy).map_err(|error| invalid(&error))?;
    let query = url.query().map_or_else(String::new, |query| format!("?{query}"));
    *request.uri_mut() = format!("{}{query}", url.path()).parse().map_err(|error| invalid(&error))?;
    let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
    let host = format!("{}{port}", url.host_str().unwrap_or_default());
    let headers = request.headers_mut();
    for (name, value) in [(header::HOST, host.as_str()), (header::USER_AGENT, AGENT), (header::ACCEPT, "*/*")] {
        if !headers.contains_key(&name) {
            headers.insert(name, value.parse().map_err(|error| invalid(&error))?);
        }
    }
    Ok(request)
}
