//! `POST /hooks/<sender>`: authenticates the request, parses it, and reports its alerts to the dispatcher, in this order.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use serde::Serialize;
use serde_json::json;

use super::metrics::PostOutcome;
use super::{BODY_LIMIT, BODY_WITHIN, LARGE_BODY_BYTES, Server};
use crate::domain::alert::Alert;
use crate::domain::config::sender::Sender;
use crate::domain::core::time::Timestamp;
use crate::engine::Parts;
use crate::engine::dispatcher::Received;
use crate::surface::intake::auth::{Admission, Rejected, admit, admit_headers};
use crate::surface::intake::{self, ParsedBody, SenderRequest};

/// The value of `Retry-After` in seconds, for an error on this side.
const RETRY_AFTER: &str = "5";

/// The name of the alert for a body over the size limit.
const TOO_LARGE: &str = "body_too_large";

/// The result of reading a body.
enum ReadBody {
    Whole(Vec<u8>),
    /// The beginning of a body that exceeds the limit.
    Beginning(Vec<u8>),
    /// It did not arrive in time, or the connection broke.
    Broken,
}

/// The project's files and the sender, as one request uses them from its beginning to its end.
struct IntakeState<'a> {
    server: &'a Server,
    parts: &'a Parts,
    name: &'a str,
    sender: &'a Sender,
}

/// Handles `POST /hooks/<sender>`.
pub(super) async fn take(
    State(server): State<Arc<Server>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let engine = server.engine();
    let estate = engine.parts().catalog.estate().content.as_ref().ok();
    let Some(sender) = estate.and_then(|estate| estate.senders.get(&name)) else {
        server.metrics.count("unknown", PostOutcome::Rejected);
        let message = format!("there is no sender `{}`; `senders` in estate.yaml has their names", name.escape_debug());
        return *error_response(StatusCode::NOT_FOUND, &message);
    };
    let state = IntakeState { server: &server, parts: engine.parts(), name: &name, sender };
    let response = handle(&state, &headers, body).await;
    let outcome = match &response {
        Ok(_) => PostOutcome::Taken,
        Err(response) if response.status() == StatusCode::SERVICE_UNAVAILABLE => PostOutcome::Unavailable,
        Err(_) => PostOutcome::Rejected,
    };
    server.metrics.count(&name, outcome);
    response.unwrap_or_else(|response| *response)
}

async fn handle(state: &IntakeState<'_>, headers: &HeaderMap, body: Body) -> Result<Response, Box<Response>> {
    let IntakeState { server, parts, name, sender } = *state;
    let now = parts.clock.now();
    let admission =
        admit_headers(sender, &parts.secrets, headers, now).map_err(|rejected| rejection(name, &rejected))?;
    let body = match read_body(server, body).await {
        ReadBody::Whole(body) => body,
        ReadBody::Beginning(beginning) if admission == Admission::Granted => {
            let alert = too_large(name, &beginning, now);
            return receipts(server.dispatcher.report(vec![alert]).await);
        }
        ReadBody::Beginning(_) => {
            return Err(error_response(
                StatusCode::PAYLOAD_TOO_LARGE,
                &format!("a body has at most {BODY_LIMIT} bytes"),
            ));
        }
        ReadBody::Broken => {
            return Err(error_response(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time"));
        }
    };
    let post = SenderRequest { headers, body: &body, now };
    authenticate(state, &post).await?;
    let alerts = match intake::read(name, sender, &post) {
        ParsedBody::Alerts(alerts) => alerts,
        ParsedBody::Subscription(subscription) => vec![intake::senders::sns_subscription::alert(&subscription)],
        ParsedBody::Ignored(reason) => {
            return Ok((StatusCode::OK, axum::Json(json!({"ignored": reason}))).into_response());
        }
    };
    receipts(server.dispatcher.report(alerts).await)
}

/// Authenticates a request. Fetches the certificate of its signature if it is not cached.
async fn authenticate(state: &IntakeState<'_>, post: &SenderRequest<'_>) -> Result<(), Box<Response>> {
    let IntakeState { server, parts, name, sender } = *state;
    let admitted = || admit(sender, &parts.secrets, post, &server.certificates);
    let rejected = match admitted() {
        Ok(()) => return Ok(()),
        Err(Rejected::CertificateWanted(url)) => match server.certificates.fetch(&url).await {
            Ok(()) => match admitted() {
                Ok(()) => return Ok(()),
                Err(rejected) => rejected,
            },
            Err(rejected) => rejected,
        },
        Err(rejected) => rejected,
    };
    Err(rejection(name, &rejected))
}

/// Reads a body within the time and size limits. Only a few large bodies are read at a time.
async fn read_body(server: &Server, body: Body) -> ReadBody {
    let read = async {
        let (mut bytes, mut stream) = (Vec::new(), body.into_data_stream());
        let mut permit = None;
        while let Some(chunk) = stream.next().await {
            let Ok(chunk) = chunk else { return ReadBody::Broken };
            if bytes.len() + chunk.len() > BODY_LIMIT {
                bytes.truncate(LARGE_BODY_BYTES);
                return ReadBody::Beginning(bytes);
            }
            bytes.extend_from_slice(&chunk);
            if bytes.len() > LARGE_BODY_BYTES && permit.is_none() {
                permit = server.large.acquire().await.ok();
            }
        }
        drop(permit);
        ReadBody::Whole(bytes)
    };
    tokio::time::timeout(BODY_WITHIN, read).await.unwrap_or(ReadBody::Broken)
}

/// The alert for a body over the size limit, so that people learn of the request.
fn too_large(name: &str, beginning: &[u8], now: Timestamp) -> Alert {
    let beginning = String::from_utf8_lossy(beginning);
    let body = crate::domain::core::text::printable(&beginning).chars().take(1_000).collect();
    Alert {
        sender: name.to_owned(),
        // One firing per hour, however many such bodies the sender posts.
        firing: format!("{TOO_LARGE} {}", now.format("%Y-%m-%dT%H")),
        name: TOO_LARGE.to_owned(),
        summary: Some(format!("`{name}` posted a body of more than {BODY_LIMIT} bytes, which was not read")),
        starts_at: Some(now),
        annotations: [("beginning".to_owned(), body)].into(),
        ..Alert::default()
    }
    .limited()
}

/// The response body: one receipt per alert.
#[derive(Serialize)]
struct AlertReceipt {
    received: Vec<Received>,
}

/// The response, depending on whether the alerts were written.
fn receipts(reported: Result<Vec<Received>, String>) -> Result<Response, Box<Response>> {
    match reported {
        Ok(received) => Ok(axum::Json(AlertReceipt { received }).into_response()),
        Err(error) => {
            tracing::warn!(%error, "the alerts of a request cannot be written");
            Err(unavailable("the alerts cannot be written to the log now; send the request again"))
        }
    }
}

fn rejection(name: &str, rejected: &Rejected) -> Box<Response> {
    tracing::warn!(sender = name, %rejected, "a request was rejected");
    match rejected {
        rejected if rejected.is_internal() => unavailable("the request cannot be authenticated now; send it again"),
        Rejected::Topic(_) => error_response(StatusCode::FORBIDDEN, &rejected.to_string()),
        rejected => {
            let mut response = error_response(StatusCode::UNAUTHORIZED, &rejected.to_string());
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer realm=\"runbook\""));
            response
        }
    }
}

fn unavailable(message: &str) -> Box<Response> {
    let mut response = error_response(StatusCode::SERVICE_UNAVAILABLE, message);
    response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static(RETRY_AFTER));
    response
}

fn error_response(status: StatusCode, message: &str) -> Box<Response> {
    Box::new((status, axum::Json(json!({"error": message}))).into_response())
}
