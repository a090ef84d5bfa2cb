//! The page of an incident: how it stands, what is next, who does what, by when, what has happened, and the draft of its
//! post-mortem, for a telephone as well as for a wall.
//!
//! **Invariant:** without the key of its link nothing of an incident is said, not even whether there is one.
//!
//! **Invariant:** foreign words are text. The page has no script, loads nothing, leads nowhere by itself, and its address is
//! told to nobody.
//!
//! Deliberately absent: changing anything.

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

/// Maximum number of pages rendered concurrently, since reading a long log delays more urgent readers.
const AT_ONCE: usize = 4;

/// `Retry-After` in seconds, for an error on our side.
const AGAIN: &str = "5";

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
    form: PageTemplate,
    policy: HeaderValue,
    places: Semaphore,
}

/// The route of the page, `/incidents/<id>?key=<key>`.
pub fn router(engine: Engine) -> Router {
    let form = PageTemplate::new();
    let policy = HeaderValue::from_str(&form.policy()).expect("a policy is made of printable characters");
    let pages = Arc::new(Pages { engine, form, policy, places: Semaphore::new(AT_ONCE) });
    Router::new().route("/incidents/{id}", get(show)).with_state(pages)
}

async fn show(State(pages): State<Arc<Pages>>, Path(id): Path<String>, RawQuery(query): RawQuery) -> Response {
    let mut response = shown(&pages, &id, query.as_deref().unwrap_or_default()).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::CONTENT_SECURITY_POLICY, pages.policy.clone());
    response
}

async fn shown(pages: &Pages, id: &str, query: &str) -> Response {
    let engine = pages.engine.refreshed();
    let key = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "key").map(|(_, key)| key);
    let opened = id.parse::<IncidentId>().ok().filter(|id| key.is_some_and(|key| engine.opens_page(id, &key)));
    let Some(id) = opened else { return nothing() };
    let Ok(_place) = pages.places.acquire().await else { return nothing() };
    match pages.form.page(&engine, &id).await {
        Ok(html) => ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response(),
        Err(EngineError::NotFound(_)) => nothing(),
        Err(error) => {
            tracing::warn!(incident = %id, %error, "its page cannot be shown");
            let words = "The log cannot be read now. Try again in a moment.\n";
            (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, AGAIN)], words).into_response()
        }
    }
}

/// The same response for a wrong key, an unknown incident, and an estate without pages.
fn nothing() -> Response {
    let words = "There is nothing here. A link to an incident is good only as a whole, with its key.\n";
    (StatusCode::NOT_FOUND, words).into_response()
}
