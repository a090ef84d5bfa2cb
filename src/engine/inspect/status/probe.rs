//! Probes one subject with the matching kind of action.
//!
//! The probe of a service or a Meilisearch reads its health, that of a Redis sends `PING`, that of a PostgreSQL a query. For an
//! nginx, any response is enough, with TLS if its port ends in 443. Other subjects are not probed.
//!
//! **Invariant:** every text is redacted before it is returned, since it may contain an address, which may be a secret.

use std::time::Duration;

use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::actions;
use crate::actions::Context;
use crate::actions::transport::host;
use crate::actions::transport::timeout::within;
use crate::domain::config::estate::Datastore;
use crate::domain::core::reason::ReasonCode;
use crate::domain::core::text::one_line;
use crate::domain::core::time::Span;
use crate::domain::host::status::{Probe, StatusSubject};
use crate::domain::incident::outcome::{Outcome, Verdict};

/// The most characters of a subject's error or remark.
const TEXT_LIMIT: usize = 300;

/// The text for every subject behind an unreachable host. The report has the reason once, for systemd.
const UNREACHED: &str = "its host cannot be reached";
const LOST: &str = "the connection to its host was lost";

/// The default port of Meilisearch.
const MEILISEARCH: u16 = 7700;

/// Certificate problems that every client rejects. Other problems, such as an unknown issuer, may be accepted by a
/// proxy in front.
const EXPIRED: [&str; 2] = ["expired", "not_yet_valid"];

/// Probes a subject; `None` if there is nothing to probe.
pub(super) async fn probe(subject: &StatusSubject, limit: Duration, context: &Context) -> Option<Probe> {
    let (kind, spec) = match query(subject, limit, context)? {
        Ok(query) => query,
        Err(reason) => return Some(Probe::not_probed(reason)),
    };
    let kind = actions::kind(kind)?;
    let started = context.clock.now();
    let outcome = within(limit, context, kind.perform(&spec, context)).await;
    let latency = Span::between(started, context.clock.now()).0.as_millis();
    let mut probe = match outcome {
        Ok(outcome) => interpret(subject, &outcome),
        Err(reason) => Probe::not_alive(shorten(reason.code.as_str(), &reason.text)),
    };
    if probe.live == Some(true) && probe.latency_ms.is_none() {
        probe.latency_ms = u64::try_from(latency).ok();
    }
    for text in [&mut probe.error, &mut probe.remark].into_iter().flatten() {
        *text = one_line(&context.redactor.scrub(text), TEXT_LIMIT);
    }
    Some(probe)
}

/// Connects to the host of a subject before the measured time. If that fails, the error is a probe that knows nothing of the
/// subject.
pub(super) async fn connect_host(subject: &StatusSubject, context: &Context) -> Result<(), Probe> {
    if is_behind_host(subject, context) && host::reach(context).await.is_err() {
        return Err(Probe::not_probed(UNREACHED));
    }
    Ok(())
}

/// Whether the subject's address is reached through a remote host.
fn is_behind_host(subject: &StatusSubject, context: &Context) -> bool {
    let Some(ssh) = context.environment.host.ssh() else { return false };
    let address = match context.estate.services.get(&subject.name).filter(|_| subject.is_service()) {
        Some(service) => service.health.clone(),
        None => {
            let store = context.estate.datastores.get(&subject.name);
            let url = store.and_then(|store| store.url.as_ref());
            url.and_then(|url| Some(context.secrets.get(&url.secret).ok()?.expose_secret().trim().to_owned()))
        }
    };
    // Without an address, the subject has a loopback port of that host.
    let url = address.and_then(|address| reqwest::Url::parse(&address).ok());
    url.as_ref().and_then(|url| url.host_str()).is_none_or(|host| ssh.reaches(host))
}

/// A reason that fits into a cell of the table.
fn shorten(code: &str, text: &str) -> String {
    if ReasonCode::REFUSED == *code { "connection refused".to_owned() } else { text.to_owned() }
}

/// The result for a subject that did not answer. After a lost connection to its host, nothing is known of the subject.
fn dead(code: &str, text: &str) -> Probe {
    if ReasonCode::is_of_host(code) { Probe::not_probed(LOST) } else { Probe::not_alive(shorten(code, text)) }
}

/// A kind of action and its spec.
type ProbeQuery = (&'static str, Value);

/// The action that probes a subject, or why it cannot be probed. `None` if there is nothing to probe.
fn query(subject: &StatusSubject, limit: Duration, context: &Context) -> Option<Result<ProbeQuery, String>> {
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

fn interpret(subject: &StatusSubject, outcome: &Outcome) -> Probe {
    let output = &outcome.output;
    if subject.is_service() {
        return health(&output["services"][&subject.name], outcome);
    }
    let succeeded = outcome.verdict == Verdict::Succeeded;
    let code = outcome.reason_code().unwrap_or_default();
    match code {
        // No request was sent, since the address or the secret is not known here.
        "secret" | "address" | "spec" | "no_such_datastore" | "request" if !succeeded => {
            return Probe::not_probed(outcome.summary.clone());
        }
        _ if succeeded => {}
        _ if !output["protocol"].is_string() => return dead(code, outcome.reason_text()),
        _ if EXPIRED.contains(&code) => {
            let error = Some(outcome.summary.clone());
            return Probe { live: Some(true), ready: Some(false), error, ..Probe::default() };
        }
        _ => {}
    }
    let latency_ms = output["latency_ms"].as_u64();
    Probe { live: Some(true), ready: Some(true), latency_ms, ..Probe::default() }
}

/// Interprets the health of a service.
fn health(found: &Value, outcome: &Outcome) -> Probe {
    let Some(live) = found["live"].as_bool() else { return Probe::not_probed(outcome.summary.clone()) };
    let reason = |part: &str| found["reason"][part].as_str();
    let (code, text) = (reason("code").unwrap_or_default(), reason("text"));
    if !live && ReasonCode::is_of_host(code) {
        return Probe::not_probed(LOST);
    }
    let dependencies = found["dependencies"].as_object().into_iter().flatten();
    Probe {
        live: Some(live),
        ready: found["ready"].as_bool(),
        latency_ms: found["latency_ms"].as_u64().filter(|_| live),
        dependencies: dependencies
            .map(|(name, state)| (name.clone(), state.as_str().unwrap_or_default().to_owned()))
            .collect(),
        // The row already shows whether the service is alive and ready.
        error: text.map(|text| shorten(code, text)),
        remark: found["remark"].as_str().map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::core::reason::Reason;

    fn subject(kind: &str) -> StatusSubject {
        StatusSubject { name: "a".to_owned(), kind: kind.to_owned(), critical: false, unit: None }
    }

    fn of_service(code: &'static str, text: &str) -> Probe {
        let reason = Reason::new(code, text);
        let output = json!({ "services": { "a": { "live": false, "ready": false, "error": text, "reason": reason } } });
        interpret(&subject("service"), &Outcome::failed(format!("`a` {text}"), output))
    }

    #[test]
    fn after_a_lost_connection_to_the_host_nothing_is_known_of_the_subject() {
        for code in ["host_lost", "host_unreachable"] {
            assert_eq!(of_service(code, "any text"), Probe::not_probed(LOST));
            assert_eq!(
                interpret(&subject("redis"), &Reason::new(code, "any text").outcome(json!({}))),
                Probe::not_probed(LOST)
            );
        }
        // The same text in an error of the subject itself is about the subject.
        let text = "the connection to `web1` was lost";
        assert_eq!(of_service("answer", text), Probe { ready: Some(false), ..Probe::not_alive(text) });
        assert_eq!(
            interpret(&subject("redis"), &Reason::new("server", text).outcome(json!({}))),
            Probe::not_alive(text)
        );
    }

    #[test]
    fn a_refused_connection_has_a_short_text() {
        let text = "127.0.0.1:1: the connection was refused: nothing listens there";
        assert_eq!(of_service("refused", text).error.as_deref(), Some("connection refused"));
        let outcome = Reason::new("refused", text).outcome(json!({}));
        assert_eq!(interpret(&subject("postgres"), &outcome).error.as_deref(), Some("connection refused"));
    }
}
