//! The page of an incident: state, next step, roles, deadlines, timeline and the post-mortem draft, for phones and large
//! screens.
//!
//! **Invariant:** without the key in the link, a response does not even show whether the incident exists.
//!
//! The page is read-only. Foreign text is escaped. The page has no script, loads nothing, and sends no referrer.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::Semaphore;
use url::form_urlencoded;

use self::template::PageTemplate;
use crate::domain::core::id::IncidentId;
use crate::engine::{Engine, EngineError};

mod markdown;
mod page_model;
mod template;

/// The most pages that are rendered at the same time, since reading a long log delays more urgent work.
const CONCURRENT_PAGES: usize = 4;

/// The value of `Retry-After` in seconds, for an error on this side.
const RETRY_AFTER: &str = "5";

/// Headers of every response, besides the content security policy.
const HEADERS: [(HeaderName, &str); 5] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("x-robots-tag"), "noindex, nofollow"),
];

/// The state that all requests share.
struct Pages {
    engine: Engine,
    template: PageTemplate,
    policy: HeaderValue,
    permits: Semaphore,
}

/// The route of the page, `/incidents/<id>?key=<key>`.
pub fn router(engine: Engine) -> Router {
    let template = PageTemplate::new();
    let policy = HeaderValue::from_str(&template.policy()).expect("a policy has only printable characters");
    let pages = Arc::new(Pages { engine, template, policy, permits: Semaphore::new(CONCURRENT_PAGES) });
    Router::new().route("/incidents/{id}", get(show)).with_state(pages)
}

async fn show(State(pages): State<Arc<Pages>>, Path(id): Path<String>, RawQuery(query): RawQuery) -> Response {
    let mut response = response(&pages, &id, query.as_deref().unwrap_or_default()).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::CONTENT_SECURITY_POLICY, pages.policy.clone());
    response
}

async fn response(pages: &Pages, id: &str, query: &str) -> Response {
    let engine = pages.engine.refreshed();
    let key = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "key").map(|(_, key)| key);
    let allowed = id.parse::<IncidentId>().ok().filter(|id| key.is_some_and(|key| engine.opens_page(id, &key)));
    let Some(id) = allowed else { return not_found() };
    let Ok(_permit) = pages.permits.acquire().await else { return not_found() };
    match pages.template.page(&engine, &id).await {
        Ok(html) => ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response(),
        Err(EngineError::NotFound(_)) => not_found(),
        Err(error) => {
            tracing::warn!(incident = %id, %error, "the page of the incident cannot be shown");
            let message = "The log cannot be read now. Try again in a moment.\n";
            (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, RETRY_AFTER)], message).into_response()
        }
    }
}

/// The same response for a wrong key, an unknown incident, and an estate without pages.
fn not_found() -> Response {
    let message = "There is nothing here. A link to an incident works only with its key.\n";
    (StatusCode::NOT_FOUND, message).into_response()
}
