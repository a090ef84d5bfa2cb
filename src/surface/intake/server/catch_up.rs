//! Catching up after a down-time: reads the list of firing alerts from an Alertmanager, reports them, and resolves the others.
//!
//! Source: Alertmanager's API, version 2, `GET /api/v2/alerts`.
//!
//! **Invariant:** an alert counts as resolved only if the whole list was read.

use std::time::Duration;

use axum::http::HeaderMap;
use serde_json::{Value, json};

use super::{BODY_LIMIT, Server};
use crate::domain::config::sender::Sender;
use crate::engine::dispatcher::Received;
use crate::surface::intake::{self, ParsedBody, SenderRequest};

/// How long a request to an Alertmanager may take.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);

/// The path of the list, limited to the alerts that the webhook would send: neither silenced nor inhibited.
const PATH: &str = "api/v2/alerts?active=true&silenced=false&inhibited=false&unprocessed=false";

/// Reports the alerts that the sender's Alertmanager lists as firing.
///
/// # Errors
/// The reason why the list could not be read, or could not be written to the log.
pub async fn catch_up(server: &Server, name: &str, sender: &Sender) -> Result<Vec<Received>, String> {
    let Some(address) = &sender.catch_up else { return Ok(Vec::new()) };
    let listed = tokio::time::timeout(REQUEST_LIMIT, list(address)).await;
    let listed = listed.unwrap_or_else(|_| Err(format!("no answer within {} s", REQUEST_LIMIT.as_secs())))?;
    let body = json!({"version": "4", "status": "firing", "receiver": "catch-up", "alerts": listed}).to_string();
    let post =
        SenderRequest { headers: &HeaderMap::new(), body: body.as_bytes(), now: server.engine.parts().clock.now() };
    let alerts = match intake::read(name, sender, &post) {
        _ if listed.is_empty() => Vec::new(),
        ParsedBody::Alerts(alerts) => alerts,
        ParsedBody::Subscription(_) | ParsedBody::Ignored(_) => {
            return Err("its list is not a list of alerts".to_owned());
        }
    };
    if alerts.iter().any(|alert| alert.name == intake::UNRECOGNISED || alert.name == intake::NOT_READ) {
        return Err("an alert in its list cannot be parsed, or the list is too long".to_owned());
    }
    server.dispatcher.report_all_firing(name, alerts).await
}

/// The firing alerts, each in the format of the webhook.
async fn list(address: &str) -> Result<Vec<Value>, String> {
    let client = crate::actions::transport::http_client::client().map_err(|error| error.text)?;
    let url = format!("{}/{PATH}", address.trim_end_matches('/'));
    let mut response = client.get(url).send().await.map_err(|error| error.without_url().to_string())?;
    if !response.status().is_success() {
        return Err(format!("it answered {}", response.status()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| error.without_url().to_string())? {
        body.extend_from_slice(&chunk);
        if body.len() > BODY_LIMIT {
            return Err(format!("its list has more than {BODY_LIMIT} bytes"));
        }
    }
    let list: Vec<Value> = serde_json::from_slice(&body).map_err(|error| format!("its list is not JSON: {error}"))?;
    Ok(list.into_iter().map(as_webhook_alert).collect())
}

fn as_webhook_alert(mut alert: Value) -> Value {
    alert["status"] = json!("firing");
    // In the list, `endsAt` is the time until which the alert counts as firing. In a webhook it is the time when it ended.
    alert["endsAt"] = json!("0001-01-01T00:00:00Z");
    alert
}
