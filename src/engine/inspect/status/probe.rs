//! One subject asked what it answers itself, by the kind of action that knows how.
//!
//! A service is asked for its health; a Redis PING; a PostgreSQL a query; a Meilisearch for its health; an nginx for an
//! answer, by TLS on a port that ends in 443. Whatever else it is, there is nothing to ask.
//!
//! **Invariant:** no address leaves this room unscrubbed: it may be a secret.

use std::time::Duration;

use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::actions;
use crate::actions::Context;
use crate::actions::transport::host;
use crate::actions::transport::timeout::within;
use crate::domain::config::estate::Datastore;
use crate::domain::core::text::one_line;
use crate::domain::core::time::Span;
use crate::domain::host::status::{Probe, StatusSubject};
use crate::domain::incident::outcome::{Outcome, Verdict};

/// The longest text of a subject that is kept.
const SAID: usize = 300;

/// What is said of all that stands behind a host without a connection to it; why there is none is said once.
const UNREACHED: &str = "its host cannot be reached";
const LOST: &str = "the connection to its host was lost";

/// The port that a Meilisearch listens on unless the estate says otherwise.
const MEILISEARCH: u16 = 7700;

/// What is wrong with a certificate that every client refuses. Who has signed it may be nobody's business but the edge's.
const EXPIRED: [&str; 2] = ["expired", "not_yet_valid"];

/// Asks a subject; none when there is nothing to ask.
pub(super) async fn probe(subject: &StatusSubject, limit: Duration, context: &Context) -> Option<Probe> {
    let (kind, spec) = match question(subject, limit, context)? {
        Ok(question) => question,
        Err(reason) => return Some(Probe::unasked(reason)),
    };
    let kind = actions::kind(kind)?;
    let began = context.clock.now();
    let outcome = within(limit, context, kind.perform(&spec, context)).await;
    let latency = Span::between(began, context.clock.now()).0.as_millis();
    let mut probe = match outcome {
        Ok(outcome) => read(subject, &outcome),
        Err(trouble) => Probe::dead(trouble.message),
    };
    if probe.live == Some(false) && probe.trouble.as_ref().is_some_and(|trouble| is_of_connection(trouble, context)) {
        return Some(Probe::unasked(LOST));
    }
    if probe.live == Some(true) && probe.latency_ms.is_none() {
        probe.latency_ms = u64::try_from(latency).ok();
    }
    for text in [&mut probe.trouble, &mut probe.remark].into_iter().flatten() {
        *text = one_line(&context.redactor.scrub(&short(text)), SAID);
    }
    Some(probe)
}

/// Makes the connection behind which a subject is, outside of the time that is measured. Where there is none, nothing is known of
/// the subject, and that is its answer.
pub(super) async fn approach(subject: &StatusSubject, context: &Context) -> Result<(), Probe> {
    if is_asked_there(subject, context) && host::reach(context).await.is_err() {
        return Err(Probe::unasked(UNREACHED));
    }
    Ok(())
}

/// Whether the environment's host is another machine, and what is asked stands behind it.
fn is_asked_there(subject: &StatusSubject, context: &Context) -> bool {
    let Some(ssh) = context.environment.host.ssh() else { return false };
    let address = match context.estate.services.get(&subject.name).filter(|_| subject.is_service()) {
        Some(service) => service.health.clone(),
        None => {
            let store = context.estate.datastores.get(&subject.name);
            let url = store.and_then(|store| store.url.as_ref());
            url.and_then(|url| Some(context.secrets.get(&url.secret).ok()?.expose_secret().trim().to_owned()))
        }
    };
    // Where no address is written it is a port of loopback.
    let url = address.and_then(|address| reqwest::Url::parse(&address).ok());
    url.as_ref().and_then(|url| url.host_str()).is_none_or(|host| ssh.reaches(host))
}

/// Whether the connection to the environment's host broke off, which says nothing about who was asked through it.
fn is_of_connection(trouble: &str, context: &Context) -> bool {
    let Some(ssh) = context.environment.host.ssh() else { return false };
    let begins = |words: String| trouble.contains(&words);
    begins(format!("the connection to `{}` was lost", ssh.to)) || begins(format!("`{}` cannot be reached", ssh.to))
}

/// A reason as a cell of a table has room for it: what was asked, and where, stands in the row already.
fn short(reason: &str) -> String {
    match reason.split_once("the connection was refused") {
        Some(_) => "connection refused".to_owned(),
        None if reason.starts_with("GET http") => {
            reason.split_once(": ").map_or(reason, |(_, reason)| reason).to_owned()
        }
        None => reason.to_owned(),
    }
}

/// A kind of action, and what is asked of it.
type ProbeQuery = (&'static str, Value);

fn question(subject: &StatusSubject, limit: Duration, context: &Context) -> Option<Result<ProbeQuery, String>> {
    let (name, timeout) = (&subject.name, Span(limit));
    if subject.is_service() {
        let service = context.estate.services.get(name)?;
        let has_address = service.health.is_some() || service.port.is_some();
        return has_address.then(|| Ok(("health", json!({ "service": name, "timeout": timeout }))));
    }
    let store = context.estate.datastores.get(name)?;
    match store.kind.as_str() {
        "redis" => Some(Ok(("redis", json!({ "ping": true, "datastore": name, "timeout": timeout })))),
        "postgres" => Some(Ok(("postgres", json!({ "query": "select 1", "datastore": name, "timeout": timeout })))),
        "meilisearch" => {
            Some(meilisearch(store, context).map(|url| ("http", json!({ "get": url, "timeout": timeout }))))
        }
        "nginx" => store.port.map(|port| Ok(nginx(port, timeout, context))),
        _ => None,
    }
}

fn meilisearch(store: &Datastore, context: &Context) -> Result<String, String> {
    let base = match &store.url {
        Some(reference) => context.secrets.get(&reference.secret)?.expose_secret().trim().to_owned(),
        None => format!("http://127.0.0.1:{}", store.port.unwrap_or(MEILISEARCH)),
    };
    Ok(format!("{}/health", base.trim_end_matches('/')))
}

fn nginx(port: u16, timeout: Span, context: &Context) -> ProbeQuery {
    if port % 1000 != 443 {
        let any: Vec<u16> = (200..500).collect();
        return ("http", json!({ "get": format!("http://127.0.0.1:{port}/"), "expect": any, "timeout": timeout }));
    }
    let mut spec = json!({ "address": format!("127.0.0.1:{port}"), "timeout": timeout });
    if let Some(domain) = &context.environment.domain {
        spec["name"] = json!(domain);
    }
    ("tls", spec)
}

/// What the outcome of a question says.
fn read(subject: &StatusSubject, outcome: &Outcome) -> Probe {
    let output = &outcome.output;
    if subject.is_service() {
        return health(&output["services"][&subject.name], outcome);
    }
    let is_well = outcome.verdict == Verdict::Succeeded;
    let problem = output["trouble"]["kind"].as_str().unwrap_or_default();
    match problem {
        // Nobody was asked: where it is, or how one gets in, is not known here.
        "secret" | "address" | "spec" | "no_such_datastore" | "request" if !is_well => {
            return Probe::unasked(outcome.summary.clone());
        }
        _ if is_well => {}
        _ if !output["protocol"].is_string() => return Probe::dead(outcome.summary.clone()),
        _ if EXPIRED.contains(&problem) => {
            let trouble = Some(outcome.summary.clone());
            return Probe { live: Some(true), ready: Some(false), trouble, ..Probe::default() };
        }
        _ => {}
    }
    let latency_ms = output["latency_ms"].as_u64();
    Probe { live: Some(true), ready: Some(true), latency_ms, ..Probe::default() }
}

/// What a service says of itself.
fn health(found: &Value, outcome: &Outcome) -> Probe {
    let Some(live) = found["live"].as_bool() else { return Probe::unasked(outcome.summary.clone()) };
    let text = |name: &str| found[name].as_str().map(str::to_owned);
    // The word before says already whether it is alive or ready.
    let plain = |error: String| match error.split_once(": ") {
        Some(("not ready" | "not alive", reason)) => reason.to_owned(),
        _ => error,
    };
    let dependencies = found["dependencies"].as_object().into_iter().flatten();
    Probe {
        live: Some(live),
        ready: found["ready"].as_bool(),
        latency_ms: found["latency_ms"].as_u64().filter(|_| live),
        dependencies: dependencies
            .map(|(name, word)| (name.clone(), word.as_str().unwrap_or_default().to_owned()))
            .collect(),
        trouble: text("error").map(plain),
        remark: text("remark"),
    }
}
