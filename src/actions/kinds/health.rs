//! The kind `health`: asks services of the estate whether they live and whether they are ready, all at once.
//!
//! A service answers as `GET <health><live>` with a status below 300, and `GET <health><ready>` the same, with a JSON
//! body `{"status": "ready", "dependencies": {"postgres": "ok"}}` whose dependencies are read.
//!
//! Deliberately absent: waiting until a service is well. That is what `verify`, `until` and `hold` of a step are for.

use std::fmt::Write as _;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream;
use reqwest::{Method, Request};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::support::one_or_many::OneOrMany;
use crate::actions::transport::http_client;
use crate::actions::transport::http_client::{BODY_LIMIT, HttpResponse};
use crate::actions::{Context, Kind};
use crate::domain::config::estate::Service;
use crate::domain::config::kind_schema::{Field, KindForm, OutputField, Shape};
use crate::domain::core::effect::EffectClass;
use crate::domain::core::reason::Reason;
use crate::domain::core::suggest::{nearest, or_did_you_mean};
use crate::domain::core::text::{bytes, one_line};
use crate::domain::core::time::Span;
use crate::domain::incident::outcome::Outcome;
use crate::domain::incident::plan::PlannedChange;

/// Default and maximum of `timeout`.
const TIMEOUT: Duration = Duration::from_secs(3);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Concurrent requests to services: enough for all of a project's, but no storm of connections.
const AT_ONCE: usize = 32;

/// Failing services that a summary names; it only counts the others.
const NAMED: usize = 5;

/// Dependencies of one service that are kept, and the longest text of one in characters.
const DEPENDENCIES: usize = 50;
const LONGEST_TEXT: usize = 200;

/// Values of `status` that mean well.
const WELL: &[&str] = &["ok", "ready", "up", "healthy", "pass", "alive", "connected", "true"];

/// Prefixes of an error, by the request that failed.
const NOT_ALIVE: &str = "not alive: ";
const NOT_READY: &str = "not ready: ";

/// The error code if the service itself reports the problem in its response.
const ANSWER: &str = "answer";

/// Implements the kind `health`.
#[derive(Debug)]
pub struct Health;

static FORM: KindForm = KindForm {
    name: "health",
    summary: "Asks services whether they live and are ready, and reads what they say of their dependencies.",
    shorthand: Some("service"),
    verbs: &[],
    fields: &[
        Field::optional("service", Shape::OneOrMany(&Shape::Service), "The services of the estate to ask."),
        Field::optional(
            "services",
            Shape::OneOf(&["all", "critical"]),
            "All services of the estate, or the critical ones.",
        ),
        Field::optional(
            "ready",
            Shape::Boolean,
            "Whether a service must be ready too, not only alive; true unless given.",
        ),
        Field::optional("timeout", Shape::Duration, "How long one request may take; 3s unless given, 60s at most."),
    ],
    effect: |_| EffectClass::Read,
    outputs: &[
        OutputField {
            name: "services",
            help: "By name: `{live, ready, latency_ms, dependencies: {name: word}, error, reason: {code, text}, remark}`; the latency is the slower of the two requests', the code of a reason is one of `http`'s, `answer` or `address`, the remark says what is odd about an answer that is taken all the same.",
        },
        OutputField { name: "failing", help: "The names of the services that are not well." },
        OutputField { name: "healthy", help: "How many are well." },
    ],
    example: "health:\n  service: \"{{ params.service }}\"\n  ready: true\n",
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    #[serde(default)]
    service: Option<OneOrMany>,
    #[serde(default)]
    services: Option<OneOrMany>,
    #[serde(default)]
    ready: Option<bool>,
    #[serde(default)]
    timeout: Option<Span>,
}

/// The health of one service.
#[derive(Debug, Default, PartialEq, Serialize)]
struct ServiceHealth {
    live: bool,
    ready: bool,
    latency_ms: u64,
    dependencies: Map<String, Value>,
    /// The error, with a prefix for the request that failed.
    error: Option<String>,
    /// The error without the prefix; `None` if the service is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    remark: Option<String>,
}

impl ServiceHealth {
    /// Records an error, unless there is one already.
    fn fail(&mut self, front: &str, reason: Reason) {
        if self.reason.is_none() {
            self.error = Some(format!("{front}{}", reason.text));
            self.reason = Some(reason);
        }
    }
}

impl Spec {
    /// The names of the services to ask, each once.
    fn names(&self, context: &Context) -> Result<Vec<String>, String> {
        let mut names: Vec<String> = Vec::new();
        for words in [&self.service, &self.services].into_iter().flatten() {
            for word in words.as_slice() {
                match word.as_str() {
                    "all" => names.extend(context.estate.services.keys().cloned()),
                    "critical" => names.extend(critical(context)),
                    name if context.estate.services.contains_key(name) => names.push(name.to_owned()),
                    name => return Err(unknown(name, context)),
                }
            }
        }
        names.sort();
        names.dedup();
        if names.is_empty() { Err("no service is named".to_owned()) } else { Ok(names) }
    }
}

fn critical(context: &Context) -> impl Iterator<Item = String> {
    let is_critical = |service: &Service| service.criticality == crate::domain::config::estate::Criticality::Critical;
    context.estate.services.iter().filter(move |(_, service)| is_critical(service)).map(|(name, _)| name.clone())
}

fn unknown(name: &str, context: &Context) -> String {
    let hint = or_did_you_mean(nearest(name, context.estate.services.keys().map(String::as_str)));
    format!("the estate has no service `{}`{hint}", one_line(name, 80))
}

#[async_trait]
impl Kind for Health {
    fn form(&self) -> &'static KindForm {
        &FORM
    }

    fn describe(&self, spec: &Value) -> PlannedChange {
        let asked = spec.get("service").or_else(|| spec.get("services")).unwrap_or(&Value::Null);
        let asked = asked.as_str().map_or_else(|| asked.to_string(), str::to_owned);
        PlannedChange {
            what: format!("ask {asked} for its health"),
            place: "the services".to_owned(),
            ..PlannedChange::default()
        }
    }

    async fn perform(&self, spec: &Value, context: &Context) -> Outcome {
        let spec = match Spec::deserialize(spec) {
            Ok(spec) => spec,
            Err(error) => return Outcome::failed(format!("health: {error}"), Value::Null),
        };
        let names = match spec.names(context) {
            Ok(names) => names,
            Err(reason) => return Outcome::failed(reason, Value::Null),
        };
        let timeout = spec.timeout.map_or(TIMEOUT, |timeout| timeout.0).min(LONGEST_TIMEOUT);
        let asked = names.into_iter().map(|name| async move {
            let found = ask(&context.estate.services[&name], timeout, context).await;
            (name, found)
        });
        let found: Vec<(String, ServiceHealth)> = stream::iter(asked).buffered(AT_ONCE).collect().await;
        report(&found, spec.ready.unwrap_or(true))
    }
}

/// Sends both requests to a service at once.
async fn ask(service: &Service, timeout: Duration, context: &Context) -> ServiceHealth {
    let base = match (&service.health, service.port) {
        (Some(health), _) => health.trim_end_matches('/').to_owned(),
        (None, Some(port)) => format!("http://127.0.0.1:{port}"),
        (None, None) => {
            let mut found = ServiceHealth::default();
            found.fail("", Reason::new("address", "the estate gives neither `health` nor `port`"));
            return found;
        }
    };
    let (live, ready) = futures_util::future::join(
        get(&base, &service.live, timeout, context),
        get(&base, &service.ready, timeout, context),
    )
    .await;
    judged(live, ready)
}

async fn get(base: &str, path: &str, timeout: Duration, context: &Context) -> Result<HttpResponse, Reason> {
    let url = format!("{base}{path}").parse();
    let url =
        url.map_err(|error| Reason::new("address", format!("`{}` is no address: {error}", one_line(base, 80))))?;
    http_client::send(Request::new(Method::GET, url), timeout, context).await
}

fn judged(live: Result<HttpResponse, Reason>, ready: Result<HttpResponse, Reason>) -> ServiceHealth {
    let mut found = ServiceHealth::default();
    for answer in [&live, &ready].into_iter().flatten() {
        found.latency_ms = found.latency_ms.max(u64::try_from(answer.latency.as_millis()).unwrap_or(u64::MAX));
    }
    match live {
        Err(reason) => {
            found.fail("", reason);
            return found;
        }
        Ok(answer) => match refusal(&answer) {
            Some(text) => found.fail(NOT_ALIVE, Reason::new(ANSWER, text)),
            None => found.live = true,
        },
    }
    match ready {
        Err(reason) => found.fail(NOT_READY, reason),
        Ok(answer) => {
            found.remark = remark(&answer);
            found.dependencies = dependencies(&answer);
            let missing: Vec<String> = found
                .dependencies
                .iter()
                .filter(|(_, state)| !is_well(state))
                .map(|(name, state)| format!("{name} is {}", state.as_str().unwrap_or("not ok")))
                .collect();
            let text = if missing.is_empty() { refusal(&answer) } else { Some(missing.join(", ")) };
            found.ready = found.live && text.is_none();
            if let Some(text) = text {
                found.fail(NOT_READY, Reason::new(ANSWER, text));
            }
        }
    }
    found
}

/// Why a response means failure: its status code, or the `status` in its body.
fn refusal(answer: &HttpResponse) -> Option<String> {
    let said = body(answer).and_then(|body| Some(body.get("status")?.clone()));
    let word = said.as_ref().filter(|word| !is_well(word)).map(|word| format!("it says `{}`", plain(word)));
    match answer.status {
        200..=299 => word,
        status => Some(word.map_or(format!("status {status}"), |word| format!("status {status}, {word}"))),
    }
}

/// A remark about an odd readiness response. A bare status code, or a short text, is not odd.
fn remark(answer: &HttpResponse) -> Option<String> {
    if answer.is_cut {
        return Some(format!("it says more than {} of its readiness", bytes(BODY_LIMIT as u64)));
    }
    let begins_as_json = answer.body.trim_ascii_start().first().is_some_and(|first| b"{[".contains(first));
    let is_word = std::str::from_utf8(&answer.body).is_ok_and(|text| text.chars().count() <= LONGEST_TEXT);
    let is_odd = body(answer).is_none() && (begins_as_json || !is_word);
    is_odd.then(|| "what it says of its readiness is no JSON".to_owned())
}

fn dependencies(answer: &HttpResponse) -> Map<String, Value> {
    let body = body(answer).unwrap_or_default();
    let listed = body.get("dependencies").and_then(Value::as_object).into_iter().flatten();
    let word = |state: &Value| plain(state.get("status").unwrap_or(state));
    listed.take(DEPENDENCIES).map(|(name, state)| (one_line(name, 80), Value::String(word(state)))).collect()
}

fn body(answer: &HttpResponse) -> Option<Value> {
    serde_json::from_slice(&answer.body).ok()
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| one_line(&value.to_string(), LONGEST_TEXT), |text| one_line(text, LONGEST_TEXT))
}

fn is_well(state: &Value) -> bool {
    WELL.contains(&plain(state).to_ascii_lowercase().as_str())
}

fn report(found: &[(String, ServiceHealth)], must_be_ready: bool) -> Outcome {
    let is_well = |found: &ServiceHealth| found.live && (found.ready || !must_be_ready);
    let failing: Vec<&(String, ServiceHealth)> = found.iter().filter(|(_, found)| !is_well(found)).collect();
    let services: Map<String, Value> = found.iter().map(|(name, found)| (name.clone(), json!(found))).collect();
    let output = json!({
        "services": services,
        "failing": failing.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        "healthy": found.len() - failing.len(),
    });
    if failing.is_empty() {
        return Outcome::succeeded(well(found, must_be_ready), output);
    }
    Outcome::failed(unwell(found.len(), &failing), output)
}

fn well(found: &[(String, ServiceHealth)], must_be_ready: bool) -> String {
    let state = if must_be_ready { "alive and ready" } else { "alive" };
    let slowest = found.iter().map(|(_, found)| found.latency_ms).max().unwrap_or(0);
    match found {
        [(name, _)] => format!("`{name}` is {state} ({slowest} ms)"),
        many => format!("{} services are {state} (slowest {slowest} ms)", many.len()),
    }
}

fn unwell(all: usize, failing: &[&(String, ServiceHealth)]) -> String {
    let mut summary = String::new();
    if all > 1 {
        let _ = write!(
            summary,
            "{} of {all} services {} failing: ",
            failing.len(),
            if failing.len() == 1 { "is" } else { "are" }
        );
    }
    let named = failing.iter().take(NAMED);
    let named = named.map(|(name, found)| format!("`{name}` {}", found.error.as_deref().unwrap_or("is not ready")));
    summary.push_str(&named.collect::<Vec<_>>().join("; "));
    if failing.len() > NAMED {
        let _ = write!(summary, "; and {} more", failing.len() - NAMED);
    }
    summary
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Result<HttpResponse, Reason> {
        let body = body.as_bytes().to_vec();
        Ok(HttpResponse { status, headers: Map::new(), body, is_cut: false, latency: Duration::from_millis(3) })
    }

    #[test]
    fn the_dependency_that_is_missing_is_named() {
        let ready =
            answer(503, r#"{"status":"not_ready","dependencies":{"postgres":"timeout","redis":{"status":"ok"}}}"#);
        let found = judged(answer(200, r#"{"status":"ok"}"#), ready);
        assert_eq!((found.live, found.ready), (true, false));
        assert_eq!(found.error.as_deref(), Some("not ready: postgres is timeout"));
        assert_eq!(found.reason, Some(Reason::new("answer", "postgres is timeout")));
        assert_eq!(found.dependencies["redis"], "ok");
    }

    #[test]
    fn a_good_status_with_a_bad_word_is_not_alive_and_plain_text_is() {
        assert!(!judged(answer(200, r#"{"status":"error"}"#), answer(200, "")).live);
        assert!(judged(answer(200, "fine"), answer(204, "")).ready);
    }

    #[test]
    fn why_there_is_no_answer_keeps_its_code() {
        let gone = Reason::new("host_lost", "the connection to `web1` was lost");
        let found = judged(Err(gone.clone()), answer(200, ""));
        assert_eq!((found.error.as_deref(), found.reason), (Some(gone.text.as_str()), Some(gone.clone())));
        let found = judged(answer(200, ""), Err(gone.clone()));
        assert_eq!(found.error, Some(format!("not ready: {}", gone.text)));
        assert_eq!(found.reason, Some(gone));
    }

    #[test]
    fn an_answer_that_cannot_be_read_is_remarked_upon() {
        let remark = |ready| judged(answer(200, "{}"), ready).remark.unwrap_or_default();
        assert_eq!(remark(answer(200, "{\"status\": oops")), "what it says of its readiness is no JSON");
        assert_eq!(remark(answer(200, &"x".repeat(1000))), "what it says of its readiness is no JSON");
        let cut = answer(200, "{").map(|answer| HttpResponse { is_cut: true, ..answer });
        assert_eq!(remark(cut), "it says more than 1 MiB of its readiness");
        assert_eq!(remark(answer(200, "ok")) + &remark(answer(204, "")) + &remark(answer(200, "{}")), "");
    }

    #[test]
    fn control_characters_of_a_service_do_not_reach_the_report() {
        let found = judged(answer(200, "{}"), answer(503, "{\"dependencies\":{\"\\u001b[2J\":\"\\u001b]0;x\"}}"));
        assert!(!json!(found).to_string().contains("\\u001b"), "{found:?}");
    }
}
