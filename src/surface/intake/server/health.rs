//! The routes for monitoring the process: liveness, readiness and metrics.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Server;
use crate::surface::intake::auth::bearer;

/// The content type of Prometheus' text format.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// `GET /health`: the process is alive.
pub(super) async fn live(State(server): State<Arc<Server>>, headers: HeaderMap) -> Response {
    if let Err(response) = check_token(&server, &headers) {
        return *response;
    }
    axum::Json(json!({"status": "ok", "service": "runbook"})).into_response()
}

/// `GET /health/ready`: the log can be written and the dispatcher is running.
pub(super) async fn ready(State(server): State<Arc<Server>>, headers: HeaderMap) -> Response {
    if let Err(response) = check_token(&server, &headers) {
        return *response;
    }
    match server.is_ready().await {
        Ok(()) => axum::Json(json!({"status": "ready", "dependencies": {"log": "ok"}})).into_response(),
        Err(error) => {
            tracing::warn!(%error, "not ready");
            let body = json!({"status": "unready", "dependencies": {"log": "unavailable"}});
            (StatusCode::SERVICE_UNAVAILABLE, axum::Json(body)).into_response()
        }
    }
}

/// `GET /metrics`.
pub(super) async fn metrics(State(server): State<Arc<Server>>, headers: HeaderMap) -> Response {
    if let Err(response) = check_token(&server, &headers) {
        return *response;
    }
    ([(header::CONTENT_TYPE, TEXT)], server.metrics.text(server.dispatcher.metrics())).into_response()
}

/// Any other path is 404, with the list of paths.
pub(super) async fn not_found() -> Response {
    let paths = "there is /hooks/<sender>, /incidents/<id>, /health, /health/ready, /metrics and /calendar.ics";
    (StatusCode::NOT_FOUND, axum::Json(json!({"error": paths}))).into_response()
}

/// Checks the bearer token, if the routes without a sender require one. The error is the response.
pub(super) fn check_token(server: &Server, headers: &HeaderMap) -> Result<(), Box<Response>> {
    if server.tokens.is_empty() {
        return Ok(());
    }
    bearer(headers, &server.tokens, &server.engine().parts().secrets).map(drop).map_err(|rejected| {
        let status = if rejected.is_internal() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::UNAUTHORIZED };
        Box::new((status, axum::Json(json!({"error": rejected.to_string()}))).into_response())
    })
}
