//! The kind `health`: probes concurrently whether services of the estate are alive and ready.
//!
//! A service is alive if `GET <health><live>` returns a status from 200 to 299. It is ready if `GET <health><ready>` does
//! too. A JSON body must not report another `status`, nor a dependency that is not well:
//! `{"status": "ready", "dependencies": {"postgres": "ok"}}`.
//!
//! Not here: waiting until a service is well; use a step's `verify`, `until` and `hold`.

use std::fmt::Write as _;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream;
use reqwest::{Method, Request};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::support::one_or_many::OneOrMany;
use super::support::service_address::base_address;
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

/// Maximum number of services that are probed at the same time.
const CONCURRENT: usize = 32;

/// Failing services that a summary names; it only counts the others.
const NAMED_LIMIT: usize = 5;

/// Dependencies of one service that are kept, and characters of a service's text.
const DEPENDENCIES: usize = 50;
const LONGEST_TEXT: usize = 200;

/// Values of `status` and of a dependency that mean well, in lower case.
const WELL: &[&str] = &["ok", "ready", "up", "healthy", "pass", "alive", "connected", "true"];

/// Prefixes of an error, by the request that failed.
const NOT_ALIVE: &str = "not alive: ";
const NOT_READY: &str = "not ready: ";

/// The error code if the response itself reports the problem.
const ANSWER: &str = "answer";

/// Implements the kind `health`.
#[derive(Debug)]
pub struct Health;

static FORM: KindForm = KindForm {
    name: "health",
    summary: "Checks whether services are alive and ready, and reads the state of their dependencies.",
    shorthand: Some("service"),
    verbs: &[],
    fields: &[
        Field::optional("service", Shape::OneOrMany(&Shape::Service), "The services of the estate to check."),
        Field::optional(
            "services",
            Shape::OneOf(&["all", "critical"]),
            "All services of the estate, or the critical ones.",
        ),
        Field::optional("ready", Shape::Boolean, "Whether a service must be ready, not only alive; true unless given."),
        Field::optional("timeout", Shape::Duration, "How long one request may take; 3s unless given, 60s at most."),
    ],
    effect: |_| EffectClass::Read,
    outputs: &[
        OutputField {
            name: "services",
            help: "By name: `{live, ready, latency_ms, dependencies: {name: state}, error, reason: {code, text}, remark}`. The latency is that of the slower request. The code of a reason is one of `http`'s, `answer` or `address`. The remark is about an odd answer that does not mean failure.",
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
        for given in [&self.service, &self.services].into_iter().flatten().flat_map(OneOrMany::as_slice) {
            match given.as_str() {
                "all" => names.extend(context.estate.services.keys().cloned()),
                "critical" => names.extend(critical(context)),
                name if context.estate.services.contains_key(name) => names.push(name.to_owned()),
                name => return Err(unknown(name, context)),
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
        let given = spec.get("service").or_else(|| spec.get("services")).unwrap_or(&Value::Null);
        let services = given.as_str().map_or_else(|| given.to_string(), str::to_owned);
        PlannedChange {
            what: format!("check the health of {services}"),
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
        let probes = names.into_iter().map(|name| async move {
            let health = probe(&context.estate.services[&name], timeout, context).await;
            (name, health)
        });
        let services: Vec<(String, ServiceHealth)> = stream::iter(probes).buffered(CONCURRENT).collect().await;
        report(&services, spec.ready.unwrap_or(true))
    }
}

/// Sends both requests to a service concurrently.
async fn probe(service: &Service, timeout: Duration, context: &Context) -> ServiceHealth {
    let Some(base) = base_address(service) else {
        let mut health = ServiceHealth::default();
        health.fail("", Reason::new("address", "the estate gives neither `health` nor `port`"));
        return health;
    };
    let (live, ready) = futures_util::future::join(
        get(&base, &service.live, timeout, context),
        get(&base, &service.ready, timeout, context),
    )
    .await;
    evaluate(live, ready)
}

async fn get(base: &str, path: &str, timeout: Duration, context: &Context) -> Result<HttpResponse, Reason> {
    let url = format!("{base}{path}").parse();
    let url =
        url.map_err(|error| Reason::new("address", format!("`{}` is not an address: {error}", one_line(base, 80))))?;
    http_client::send(Request::new(Method::GET, url), timeout, context).await
}

fn evaluate(live: Result<HttpResponse, Reason>, ready: Result<HttpResponse, Reason>) -> ServiceHealth {
    let mut health = ServiceHealth::default();
    for response in [&live, &ready].into_iter().flatten() {
        health.latency_ms = health.latency_ms.max(u64::try_from(response.latency.as_millis()).unwrap_or(u64::MAX));
    }
    match live {
        Err(reason) => {
            health.fail("", reason);
            return health;
        }
        Ok(response) => match failure(&response) {
            Some(text) => health.fail(NOT_ALIVE, Reason::new(ANSWER, text)),
            None => health.live = true,
        },
    }
    match ready {
        Err(reason) => health.fail(NOT_READY, reason),
        Ok(response) => {
            health.remark = remark(&response);
            health.dependencies = dependencies(&response);
            let unwell: Vec<String> = health
                .dependencies
                .iter()
                .filter(|(_, state)| !is_well(state))
                .map(|(name, state)| format!("{name} is {}", state.as_str().unwrap_or("not ok")))
                .collect();
            let text = if unwell.is_empty() { failure(&response) } else { Some(unwell.join(", ")) };
            health.ready = health.live && text.is_none();
            if let Some(text) = text {
                health.fail(NOT_READY, Reason::new(ANSWER, text));
            }
        }
    }
    health
}

/// Why a response means failure: its status code, or the `status` in its body.
fn failure(response: &HttpResponse) -> Option<String> {
    let reported = body(response).and_then(|body| Some(body.get("status")?.clone()));
    let reported = reported.filter(|status| !is_well(status)).map(|status| format!("it reports `{}`", plain(&status)));
    match response.status {
        200..=299 => reported,
        code => Some(reported.map_or(format!("status {code}"), |reported| format!("status {code}, {reported}"))),
    }
}

/// A remark about an odd readiness response. A bare status code, or a short text, is not odd.
fn remark(response: &HttpResponse) -> Option<String> {
    if response.is_cut {
        return Some(format!("its readiness response is larger than {}", bytes(BODY_LIMIT as u64)));
    }
    let begins_as_json = response.body.trim_ascii_start().first().is_some_and(|first| b"{[".contains(first));
    let is_short_text = std::str::from_utf8(&response.body).is_ok_and(|text| text.chars().count() <= LONGEST_TEXT);
    let is_odd = body(response).is_none() && (begins_as_json || !is_short_text);
    is_odd.then(|| "its readiness response is not JSON".to_owned())
}

/// The state of each dependency that a response lists.
fn dependencies(response: &HttpResponse) -> Map<String, Value> {
    let body = body(response).unwrap_or_default();
    let listed = body.get("dependencies").and_then(Value::as_object).into_iter().flatten();
    let state = |value: &Value| plain(value.get("status").unwrap_or(value));
    listed.take(DEPENDENCIES).map(|(name, value)| (one_line(name, 80), Value::String(state(value)))).collect()
}

fn body(response: &HttpResponse) -> Option<Value> {
    serde_json::from_slice(&response.body).ok()
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| one_line(&value.to_string(), LONGEST_TEXT), |text| one_line(text, LONGEST_TEXT))
}

fn is_well(state: &Value) -> bool {
    WELL.contains(&plain(state).to_ascii_lowercase().as_str())
}

fn report(services: &[(String, ServiceHealth)], must_be_ready: bool) -> Outcome {
    let is_well = |health: &ServiceHealth| health.live && (health.ready || !must_be_ready);
    let failing: Vec<&(String, ServiceHealth)> = services.iter().filter(|(_, health)| !is_well(health)).collect();
    let by_name: Map<String, Value> = services.iter().map(|(name, health)| (name.clone(), json!(health))).collect();
    let output = json!({
        "services": by_name,
        "failing": failing.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        "healthy": services.len() - failing.len(),
    });
    if failing.is_empty() {
        return Outcome::succeeded(success_summary(services, must_be_ready), output);
    }
    Outcome::failed(failure_summary(services.len(), &failing), output)
}

fn success_summary(services: &[(String, ServiceHealth)], must_be_ready: bool) -> String {
    let state = if must_be_ready { "alive and ready" } else { "alive" };
    let slowest = services.iter().map(|(_, health)| health.latency_ms).max().unwrap_or(0);
    match services {
        [(name, _)] => format!("`{name}` is {state} ({slowest} ms)"),
        many => format!("{} services are {state} (slowest {slowest} ms)", many.len()),
    }
}

fn failure_summary(all: usize, failing: &[&(String, ServiceHealth)]) -> String {
    let mut summary = String::new();
    if all > 1 {
        let _ = write!(
            summary,
            "{} of {all} services {} failing: ",
            failing.len(),
            if failing.len() == 1 { "is" } else { "are" }
        );
    }
    let named = failing.iter().take(NAMED_LIMIT);
    let named = named.map(|(name, health)| format!("`{name}` {}", health.error.as_deref().unwrap_or("is not ready")));
    summary.push_str(&named.collect::<Vec<_>>().join("; "));
    if failing.len() > NAMED_LIMIT {
        let _ = write!(summary, "; and {} more", failing.len() - NAMED_LIMIT);
    }
    summary
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, body: &str) -> Result<HttpResponse, Reason> {
        let body = body.as_bytes().to_vec();
        Ok(HttpResponse { status, headers: Map::new(), body, is_cut: false, latency: Duration::from_millis(3) })
    }

    #[test]
    fn a_dependency_that_is_not_well_is_named() {
        let ready =
            response(503, r#"{"status":"not_ready","dependencies":{"postgres":"timeout","redis":{"status":"ok"}}}"#);
        let health = evaluate(response(200, r#"{"status":"ok"}"#), ready);
        assert_eq!((health.live, health.ready), (true, false));
        assert_eq!(health.error.as_deref(), Some("not ready: postgres is timeout"));
        assert_eq!(health.reason, Some(Reason::new("answer", "postgres is timeout")));
        assert_eq!(health.dependencies["redis"], "ok");
    }

    #[test]
    fn a_failure_in_the_body_is_not_alive_and_plain_text_is_alive() {
        assert!(!evaluate(response(200, r#"{"status":"error"}"#), response(200, "")).live);
        assert!(evaluate(response(200, "fine"), response(204, "")).ready);
    }

    #[test]
    fn a_failed_request_keeps_its_code() {
        let lost = Reason::new("host_lost", "the connection to `web1` was lost");
        let health = evaluate(Err(lost.clone()), response(200, ""));
        assert_eq!((health.error.as_deref(), health.reason), (Some(lost.text.as_str()), Some(lost.clone())));
        let health = evaluate(response(200, ""), Err(lost.clone()));
        assert_eq!(health.error, Some(format!("not ready: {}", lost.text)));
        assert_eq!(health.reason, Some(lost));
    }

    #[test]
    fn a_readiness_response_that_is_not_json_has_a_remark() {
        let remark = |ready| evaluate(response(200, "{}"), ready).remark.unwrap_or_default();
        assert_eq!(remark(response(200, "{\"status\": oops")), "its readiness response is not JSON");
        assert_eq!(remark(response(200, &"x".repeat(1000))), "its readiness response is not JSON");
        let cut = response(200, "{").map(|response| HttpResponse { is_cut: true, ..response });
        assert_eq!(remark(cut), "its readiness response is larger than 1 MiB");
        assert_eq!(remark(response(200, "ok")) + &remark(response(204, "")) + &remark(response(200, "{}")), "");
    }

    #[test]
    fn control_characters_of_a_response_do_not_reach_the_report() {
        let ready = response(503, "{\"dependencies\":{\"\\u001b[2J\":\"\\u001b]0;x\"}}");
        let health = evaluate(response(200, "{}"), ready);
        assert!(!json!(health).to_string().contains("\\u001b"), "{health:?}");
    }
}
