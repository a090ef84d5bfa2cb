//! `GET /calendar.ics`: scheduled runs, for calendar programs that subscribe.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Server;
use super::health::check_token;
use crate::domain::runbook::schedule;
use crate::engine::schedule_state::{ScheduleState, entries};

/// The content type of a calendar (RFC 5545, 8.1).
const CALENDAR: &str = "text/calendar; charset=utf-8; method=PUBLISH";

pub(super) async fn calendar(State(server): State<Arc<Server>>, headers: HeaderMap) -> Response {
    if let Err(response) = check_token(&server, &headers) {
        return *response;
    }
    let engine = server.engine();
    let parts = engine.parts();
    // Missed runs are not shown, so the time since when a schedule is active does not matter.
    match engine.schedule_statuses(&ScheduleState::default()).await {
        Ok(statuses) => {
            let name = parts.catalog.estate().content.as_ref().map(|estate| estate.estate.as_str()).unwrap_or_default();
            let now = parts.clock.now();
            let text = schedule::calendar(name, &entries(&statuses, now), now);
            ([(header::CONTENT_TYPE, CALENDAR)], text).into_response()
        }
        Err(error) => {
            tracing::warn!(%error, "the calendar cannot be made");
            let body = json!({"error": "the log cannot be read now"});
            (StatusCode::SERVICE_UNAVAILABLE, axum::Json(body)).into_response()
        }
    }
}
