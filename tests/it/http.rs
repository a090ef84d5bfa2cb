//! The kind `http` with real servers on loopback.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use runbook::domain::incident::outcome::Verdict;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::kind_harness::KindHarness;

/// Method, path, headers and body of each request.
type Seen = Arc<Mutex<Vec<(Method, String, HeaderMap, Bytes)>>>;

/// A server whose answer depends on the path; it ends with the test's runtime.
async fn server() -> (String, Seen) {
    let seen = Seen::default();
    let record = Arc::clone(&seen);
    let answer = move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| async move {
        record.lock().unwrap().push((method, uri.path().to_owned(), headers, body));
        respond(uri.path()).await
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, Router::new().fallback(answer)).into_future());
    (url, seen)
}

async fn respond(path: &str) -> Response {
    match path {
        "/json" => ([("content-type", "application/json")], r#"{"status":"ok","n":[1,2]}"#).into_response(),
        "/large" => vec![b'x'; 3 * 1024 * 1024].into_response(),
        "/hostile" => ([("x-note", "a\tb")], "\u{1b}]0;title\u{7}{{ 7*7 }} $(reboot)").into_response(),
        "/binary" => vec![0xff, 0xfe, 0, 1].into_response(),
        "/cookie" => ([("set-cookie", "session=s3cret")], "").into_response(),
        "/here" => Redirect::temporary("/json").into_response(),
        "/loop" => Redirect::temporary("/loop").into_response(),
        "/away" => Redirect::temporary("http://localhost.example/").into_response(),
        "/slow" => std::future::pending().await,
        "/500" => (StatusCode::INTERNAL_SERVER_ERROR, "broken").into_response(),
        _ => "fine".into_response(),
    }
}

fn harness() -> KindHarness {
    KindHarness::new(json!({}), json!({})).with_secrets(&[("key", "k-17-secret")])
}

#[tokio::test]
async fn a_json_body_stays_json_and_is_matched_by_pointer() {
    let (url, _) = server().await;
    let spec = json!({ "get": format!("{url}/json"), "matches": { "/status": "ok", "/n/1": 2 }, "expect": [200, 204] });
    let outcome = harness().perform("http", spec).await;
    assert!(outcome.is_success(), "{outcome:?}");
    assert_eq!(outcome.output["body"]["n"], json!([1, 2]));
    assert_eq!(outcome.output["headers"]["content-type"], "application/json");
    let wrong = json!({ "get": format!("{url}/json"), "matches": { "/status": "down" } });
    let outcome = harness().perform("http", wrong).await;
    assert_eq!(outcome.output["trouble"]["kind"], "content");
    assert!(outcome.summary.ends_with(r#"`/status` is "ok", not "down""#), "{}", outcome.summary);
}

#[tokio::test]
async fn every_verb_arrives_with_its_body_and_its_secret_header() {
    let (url, seen) = server().await;
    for verb in ["get", "head", "put", "delete", "post", "patch"] {
        let spec = json!({ verb: format!("{url}/x"), "headers": { "X-Key": { "secret": "key" } },
            "token": { "secret": "key" }, "json": { "a": 1 } });
        let outcome = harness().perform("http", spec).await;
        assert!(outcome.is_success(), "{outcome:?}");
        assert!(!json!(outcome).to_string().contains("k-17-secret"));
    }
    let seen = seen.lock().unwrap();
    let methods: Vec<&str> = seen.iter().map(|(method, ..)| method.as_str()).collect();
    assert_eq!(methods, ["GET", "HEAD", "PUT", "DELETE", "POST", "PATCH"]);
    assert!(
        seen.iter().all(|(_, _, headers, body)| headers["x-key"] == "k-17-secret" && body.as_ref() == b"{\"a\":1}")
    );
    assert!(seen.iter().all(|(_, _, headers, _)| headers["authorization"] == "Bearer k-17-secret"));
}

#[tokio::test]
async fn an_unexpected_status_is_a_failure_with_the_body() {
    let (url, _) = server().await;
    let outcome = harness().perform("http", json!({ "get": format!("{url}/500") })).await;
    assert_eq!(outcome.verdict, Verdict::Failed);
    assert_eq!((&outcome.output["trouble"]["kind"], &outcome.output["body"]), (&json!("status"), &json!("broken")));
    assert!(harness().perform("http", json!({ "get": format!("{url}/500"), "expect": 500 })).await.is_success());
    let missing = harness().perform("http", json!({ "get": format!("{url}/x"), "contains": "fin\u{1b}" })).await;
    assert_eq!(missing.output["trouble"]["kind"], "content");
}

#[tokio::test]
async fn a_very_large_body_is_truncated_and_fits_the_log() {
    let (url, _) = server().await;
    let outcome = harness().perform("http", json!({ "get": format!("{url}/large") })).await;
    assert!(outcome.is_success(), "{}", outcome.summary);
    assert_eq!(outcome.output["truncated"], true);
    let body = outcome.output["body"].as_str().unwrap();
    assert!(body.len() < 40_000 && body.contains("bytes cut"), "{} bytes", body.len());
}

#[tokio::test]
async fn redirects_to_the_same_host_are_followed_and_others_reported() {
    let (url, _) = server().await;
    assert!(harness().perform("http", json!({ "get": format!("{url}/here") })).await.is_success());
    let away = harness().perform("http", json!({ "get": format!("{url}/away") })).await;
    assert!(away.summary.ends_with("status 307, to http://localhost.example/"), "{}", away.summary);
    assert_eq!(harness().perform("http", json!({ "get": format!("{url}/loop") })).await.output["code"], 307);
}

#[tokio::test]
async fn connection_errors_have_different_codes() {
    let (url, _) = server().await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let kind = async |spec: Value| {
        let outcome = harness().perform("http", spec).await;
        outcome.output["trouble"]["kind"].as_str().unwrap_or(&outcome.summary).to_owned()
    };
    assert_eq!(kind(json!({ "get": format!("http://{free}/") })).await, "refused");
    assert_eq!(kind(json!({ "get": format!("{url}/slow"), "timeout": "200ms" })).await, "timeout");
    assert_eq!(kind(json!({ "get": url.replace("http:", "https:") })).await, "tls");
    // The resolver refuses a label of more than 63 letters without using the network.
    assert_eq!(kind(json!({ "get": format!("http://{}.example/", "a".repeat(64)) })).await, "dns");
    for nonsense in ["ftp://x/", "file:///etc/passwd", "", "--proxy", "http://", "\u{1b}[2J"] {
        assert_eq!(kind(json!({ "get": nonsense })).await, "request", "{nonsense:?}");
    }
}

#[tokio::test]
async fn hostile_answers_stay_data() {
    let (url, _) = server().await;
    let outcome = harness().perform("http", json!({ "get": format!("{url}/hostile") })).await;
    assert!(outcome.is_success(), "{outcome:?}");
    assert!(!outcome.summary.contains('\u{1b}'));
    assert!(harness().perform("http", json!({ "get": format!("{url}/binary") })).await.is_success());
    let cookie = harness().perform("http", json!({ "get": format!("{url}/cookie") })).await;
    assert_eq!(cookie.output["headers"]["set-cookie"], "(not kept)");
}

#[tokio::test]
async fn a_cancelled_request_returns_at_once() {
    let (url, _) = server().await;
    let harness = harness();
    let cancel = harness.context.cancel.clone();
    let request = harness.perform("http", json!({ "post": format!("{url}/slow"), "body": { "secret": "key" } }));
    let (outcome, ()) = tokio::join!(request, async { cancel.cancel() });
    assert_eq!(outcome.output["trouble"]["kind"], "cancelled", "{outcome:?}");
}
