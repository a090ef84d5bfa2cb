//! A sender's post: proven, read, and taken in, in this order.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use serde::Serialize;
use serde_json::json;

use super::metrics::PostOutcome;
use super::{BODY_LIMIT, BODY_WITHIN, LARGE, Server};
use crate::domain::alert::Alert;
use crate::domain::config::sender::Sender;
use crate::domain::core::time::Timestamp;
use crate::engine::Parts;
use crate::engine::dispatcher::Received;
use crate::surface::intake::auth::{Admission, Rejected, admit, admit_headers};
use crate::surface::intake::{self, ParsedBody, SenderRequest};

/// `Retry-After` in seconds, for an error on our side.
const AGAIN: &str = "5";

/// The name of the alert for a body over the size limit.
const TOO_LARGE: &str = "body_too_large";

/// The result of reading a body.
enum ReadBody {
    Whole(Vec<u8>),
    /// It exceeds the limit; this is its beginning.
    Beginning(Vec<u8>),
    /// It did not arrive in time, or the connection broke.
    Broken,
}

/// What one request uses from its beginning to its end, even if the files are reloaded in between.
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
        let known = "its name stands under `senders` in estate.yaml";
        return *error_response(
            StatusCode::NOT_FOUND,
            &format!("there is no sender `{}`: {known}", name.escape_debug()),
        );
    };
    let taken =
        taken(&IntakeState { server: &server, parts: engine.parts(), name: &name, sender }, &headers, body).await;
    let outcome = match &taken {
        Ok(_) => PostOutcome::Taken,
        Err(response) if response.status() == StatusCode::SERVICE_UNAVAILABLE => PostOutcome::Unavailable,
        Err(_) => PostOutcome::Rejected,
    };
    server.metrics.count(&name, outcome);
    taken.unwrap_or_else(|response| *response)
}

async fn taken(input: &IntakeState<'_>, headers: &HeaderMap, body: Body) -> Result<Response, Box<Response>> {
    let IntakeState { server, parts, name, sender } = *input;
    let now = parts.clock.now();
    let admission = admit_headers(sender, &parts.secrets, headers, now).map_err(|rejected| refused(name, &rejected))?;
    let body = match read(server, body).await {
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
            return Err(error_response(StatusCode::REQUEST_TIMEOUT, "the body did not come within the time"));
        }
    };
    let post = SenderRequest { headers, body: &body, now };
    authenticate(input, &post).await?;
    let alerts = match intake::read(name, sender, &post) {
        ParsedBody::Alerts(alerts) => alerts,
        ParsedBody::Subscription(asked) => vec![intake::senders::sns_subscription::alert(&asked)],
        ParsedBody::Ignored(reason) => {
            return Ok((StatusCode::OK, axum::Json(json!({"ignored": reason}))).into_response());
        }
    };
    receipts(server.dispatcher.report(alerts).await)
}

/// Checks the signature of a request; a missing certificate is fetched once.
async fn authenticate(input: &IntakeState<'_>, post: &SenderRequest<'_>) -> Result<(), Box<Response>> {
    let IntakeState { server, parts, name, sender } = *input;
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
    Err(refused(name, &rejected))
}

/// Reads a body within the time and size limits, and large ones only a few at a time.
async fn read(server: &Server, body: Body) -> ReadBody {
    let read = async {
        let (mut kept, mut stream) = (Vec::new(), body.into_data_stream());
        let mut place = None;
        while let Some(piece) = stream.next().await {
            let Ok(piece) = piece else { return ReadBody::Broken };
            if kept.len() + piece.len() > BODY_LIMIT {
                kept.truncate(LARGE);
                return ReadBody::Beginning(kept);
            }
            kept.extend_from_slice(&piece);
            if kept.len() > LARGE && place.is_none() {
                place = server.large.acquire().await.ok();
            }
        }
        drop(place);
        ReadBody::Whole(kept)
    };
    tokio::time::timeout(BODY_WITHIN, read).await.unwrap_or(ReadBody::Broken)
}

/// The alert for a body over the size limit, so that the request is not lost silently.
fn too_large(name: &str, beginning: &[u8], now: Timestamp) -> Alert {
    let shown = String::from_utf8_lossy(beginning);
    let body = crate::domain::core::text::printable(&shown).chars().take(1_000).collect();
    Alert {
        sender: name.to_owned(),
        // One per hour: a sender that keeps posting such bodies is one problem.
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
fn receipts(taken: Result<Vec<Received>, String>) -> Result<Response, Box<Response>> {
    match taken {
        Ok(received) => Ok(axum::Json(AlertReceipt { received }).into_response()),
        Err(why) => {
            tracing::warn!(%why, "a post could not be taken in");
            Err(unavailable("the log cannot take it now; nothing was lost, post it again"))
        }
    }
}

fn refused(name: &str, rejected: &Rejected) -> Box<Response> {
    tracing::warn!(sender = name, %rejected, "a post was rejected");
    match rejected {
        rejected if rejected.is_ours() => unavailable("who you are cannot be checked now; post it again"),
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

fn unavailable(words: &str) -> Box<Response> {
    let mut response = error_response(StatusCode::SERVICE_UNAVAILABLE, words);
    response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static(AGAIN));
    response
}

fn error_response(status: StatusCode, words: &str) -> Box<Response> {
    Box::new((status, axum::Json(json!({"error": words}))).into_response())
}
