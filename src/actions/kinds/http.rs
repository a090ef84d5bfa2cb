//! The kind `http`: sends one request and checks the response.
//!
//! `GET` and `HEAD` change nothing. `PUT` and `DELETE` are idempotent (RFC 9110, section 9.2.2), so they are
//! repeatable. `POST` and `PATCH` may happen once: whether an interrupted one arrived cannot be checked here, so a
//! person is asked.
//!
//! Not here: redirects to other hosts, proxies, cookies.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Method, Request, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use super::support::one_or_many::OneOrMany;
use crate::actions::transport::http_client;
use crate::actions::transport::http_client::HttpResponse;
use crate::actions::{Context, Kind, SecretText, effect_of_verb};
use crate::domain::config::kind_schema::{Field, KindForm, OutputField, Shape, Verb};
use crate::domain::core::effect::EffectClass;
use crate::domain::core::reason::Reason;
use crate::domain::core::text::{head_and_tail, one_line};
use crate::domain::core::time::Span;
use crate::domain::incident::outcome::Outcome;
use crate::domain::incident::plan::PlannedChange;

/// Default and maximum of `timeout`.
const TIMEOUT: Duration = Duration::from_secs(10);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(600);

/// Bytes of a body that the log keeps: half of what an outcome may hold, so that the headers fit too.
const OUTPUT_BODY_LIMIT: usize = 32 * 1024;

/// Entries of `matches` that are checked.
const EXPECTATIONS: usize = 100;

/// Implements the kind `http`.
#[derive(Debug)]
pub struct Http;

const fn verb(name: &'static str, effect: EffectClass, help: &'static str) -> Verb {
    Verb { field: Field::optional(name, Shape::Text, help), effect }
}

static FORM: KindForm = KindForm {
    name: "http",
    summary: "Sends one HTTP request and checks the response.",
    shorthand: None,
    verbs: &[
        verb("get", EffectClass::Read, "The address to GET."),
        verb("head", EffectClass::Read, "The address to HEAD."),
        verb("put", EffectClass::Repeatable, "The address to PUT to."),
        verb("delete", EffectClass::Repeatable, "The address to DELETE."),
        verb("post", EffectClass::Once, "The address to POST to."),
        verb("patch", EffectClass::Once, "The address to PATCH."),
    ],
    fields: &[
        Field::optional("headers", Shape::MapOf(&Shape::Secret), "Headers by name; a value may be `{secret: name}`."),
        Field::optional("token", Shape::Secret, "A bearer token: `{secret: name}`."),
        Field::optional("body", Shape::Secret, "The body as text, or `{secret: name}`."),
        Field::optional("json", Shape::Any, "The body as JSON; sets the content type."),
        Field::optional(
            "expect",
            Shape::OneOrMany(&Shape::Integer { min: 100, max: 599 }),
            "The expected status codes; 200 to 299 unless given.",
        ),
        Field::optional("contains", Shape::Text, "Text that the body must contain."),
        Field::optional(
            "matches",
            Shape::MapOf(&Shape::Any),
            "Values that the JSON body must have, by JSON pointer: `/status: ok`.",
        ),
        Field::optional("timeout", Shape::Duration, "How long it may take; 10s unless given, 10m at most."),
    ],
    effect: |spec| effect_of_verb(&FORM, spec),
    outputs: &[
        OutputField { name: "code", help: "The status code, a number." },
        OutputField { name: "headers", help: "The headers by name in lower case." },
        OutputField { name: "body", help: "The body: a value if it is JSON, otherwise text; at most 32 KiB." },
        OutputField { name: "latency_ms", help: "How long it took, in milliseconds." },
        OutputField { name: "truncated", help: "Whether the body is longer than the kept part." },
        OutputField {
            name: "trouble",
            help: "When it failed: `{kind, message}`; kinds: dns, refused, unreachable, host_unreachable, host_lost, tls, timeout, closed, status, content, …",
        },
    ],
    example: "http:\n  get: \"https://{{ environment.domain }}/health\"\n  expect: 200\n",
};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    get: Option<String>,
    head: Option<String>,
    put: Option<String>,
    delete: Option<String>,
    post: Option<String>,
    patch: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, SecretText>,
    token: Option<SecretText>,
    body: Option<SecretText>,
    json: Option<Value>,
    expect: Option<OneOrMany<u16>>,
    contains: Option<String>,
    #[serde(default)]
    matches: BTreeMap<String, Value>,
    timeout: Option<Span>,
}

impl Spec {
    fn target(&self) -> Option<(Method, &str)> {
        let verbs = [
            (Method::GET, &self.get),
            (Method::HEAD, &self.head),
            (Method::PUT, &self.put),
            (Method::DELETE, &self.delete),
            (Method::POST, &self.post),
            (Method::PATCH, &self.patch),
        ];
        verbs.into_iter().find_map(|(method, url)| Some((method, url.as_deref()?)))
    }

    fn request(&self, context: &Context) -> Result<Request, Reason> {
        let invalid = |text: String| Reason::new("request", text);
        let (method, url) = self.target().ok_or_else(|| invalid("no address is given".to_owned()))?;
        let url: Url =
            url.parse().map_err(|error| invalid(format!("`{}` is not an address: {error}", one_line(url, 200))))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(invalid(format!("`{}` is neither http nor https", url.scheme())));
        }
        let mut request = Request::new(method, url);
        self.add_headers(&mut request, context).map_err(invalid)?;
        self.add_body(&mut request, context).map_err(invalid)?;
        Ok(request)
    }

    fn add_headers(&self, request: &mut Request, context: &Context) -> Result<(), String> {
        for (name, value) in &self.headers {
            let shown = one_line(name, 80);
            let name: HeaderName = name.parse().map_err(|_| format!("`{shown}` cannot be the name of a header"))?;
            let value = http_client::sensitive_value(&value.reveal(&context.secrets)?)
                .ok_or_else(|| format!("the value of header `{shown}` has a character that no header may have"))?;
            request.headers_mut().insert(name, value);
        }
        if let Some(token) = &self.token {
            request.headers_mut().insert(AUTHORIZATION, http_client::bearer(&token.reveal(&context.secrets)?)?);
        }
        Ok(())
    }

    fn add_body(&self, request: &mut Request, context: &Context) -> Result<(), String> {
        if self.body.is_some() && self.json.is_some() {
            return Err("both `body` and `json` are given".to_owned());
        }
        if let Some(body) = &self.body {
            *request.body_mut() = Some(body.reveal(&context.secrets)?.into());
        }
        if let Some(json) = &self.json {
            *request.body_mut() = Some(json.to_string().into());
            let content_type = request.headers_mut().entry(CONTENT_TYPE);
            content_type.or_insert(HeaderValue::from_static("application/json"));
        }
        Ok(())
    }

    /// The first expectation that the response does not meet.
    fn mismatch(&self, response: &HttpResponse, text: &str, parsed: Option<&Value>) -> Option<Reason> {
        let is_expected = match &self.expect {
            None => (200..300).contains(&response.status),
            Some(codes) => codes.as_slice().contains(&response.status),
        };
        if !is_expected {
            let location = response.headers.get("location").and_then(Value::as_str);
            let location = location.map_or_else(String::new, |location| format!(", to {location}"));
            return Some(Reason::new("status", format!("status {}{location}", response.status)));
        }
        if let Some(expected) = self.contains.as_deref().filter(|expected| !text.contains(expected)) {
            return Some(Reason::new("content", format!("the body does not contain `{}`", one_line(expected, 80))));
        }
        self.matches.iter().take(EXPECTATIONS).find_map(|(pointer, expected)| {
            let found = parsed.and_then(|body| body.pointer(pointer)).unwrap_or(&Value::Null);
            let shown = one_line(&found.to_string(), 80);
            (found != expected).then(|| Reason::new("content", format!("`{pointer}` is {shown}, not {expected}")))
        })
    }
}

#[async_trait]
impl Kind for Http {
    fn form(&self) -> &'static KindForm {
        &FORM
    }

    fn describe(&self, spec: &Value) -> PlannedChange {
        let verb = FORM.verbs.iter().map(|verb| verb.field.name).find(|name| spec.get(name).is_some()).unwrap_or("get");
        let url = spec.get(verb).and_then(Value::as_str).unwrap_or_default();
        let place = Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
        PlannedChange {
            what: format!("{} {}", verb.to_uppercase(), one_line(url, 200)),
            place,
            ..PlannedChange::default()
        }
    }

    async fn perform(&self, spec: &Value, context: &Context) -> Outcome {
        let spec = match Spec::deserialize(spec) {
            Ok(spec) => spec,
            Err(error) => return Reason::new("request", format!("http: {error}")).outcome(json!({})),
        };
        let request = match spec.request(context) {
            Ok(request) => request,
            Err(reason) => return reason.outcome(json!({})),
        };
        let request_line = format!("{} {}", request.method(), shown(request.url()));
        let timeout = spec.timeout.map_or(TIMEOUT, |timeout| timeout.0).min(LONGEST_TIMEOUT);
        match http_client::send(request, timeout, context).await {
            Ok(response) => report(&spec, &request_line, &response, context),
            Err(reason) => failed(&request_line, &reason, json!({})),
        }
    }
}

/// An address without user, password and query, which may be secret.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_password(None);
    let _ = url.set_username("");
    let has_query = url.query().is_some();
    url.set_query(None);
    url.set_fragment(None);
    let address = if has_query { format!("{url}?…") } else { url.as_str().trim_end_matches('/').to_owned() };
    one_line(&address, 200)
}

fn report(spec: &Spec, request_line: &str, response: &HttpResponse, context: &Context) -> Outcome {
    let text = String::from_utf8_lossy(&response.body);
    let parsed: Option<Value> = if response.is_cut { None } else { serde_json::from_slice(&response.body).ok() };
    let latency = u64::try_from(response.latency.as_millis()).unwrap_or(u64::MAX);
    // Redacted before it is cut: half a secret would not be found.
    let scrubbed = context.redactor.scrub(&text);
    let is_long = scrubbed.len() > OUTPUT_BODY_LIMIT;
    let body = match &parsed {
        Some(parsed) if !is_long => parsed.clone(),
        _ => Value::String(head_and_tail(&scrubbed, OUTPUT_BODY_LIMIT, 0)),
    };
    let output = json!({
        "code": response.status, "headers": response.headers, "body": body, "latency_ms": latency,
        "truncated": is_long || response.is_cut,
    });
    match spec.mismatch(response, &text, parsed.as_ref()) {
        None => Outcome::succeeded(format!("{request_line}: status {} in {latency} ms", response.status), output),
        Some(reason) => failed(request_line, &reason, output),
    }
}

/// A failure whose summary begins with the request.
fn failed(request_line: &str, reason: &Reason, output: Value) -> Outcome {
    Outcome { summary: format!("{request_line}: {}", reason.text), ..Outcome::of_reason(reason, output) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_idempotent_methods_may_be_repeated() {
        let effect = |verb: &str| (FORM.effect)(&json!({ verb: "http://x" }));
        assert_eq!((effect("get"), effect("head")), (EffectClass::Read, EffectClass::Read));
        assert_eq!((effect("put"), effect("delete")), (EffectClass::Repeatable, EffectClass::Repeatable));
        assert_eq!((effect("post"), effect("patch")), (EffectClass::Once, EffectClass::Once));
    }

    #[test]
    fn an_address_is_shown_without_password_and_query() {
        let url: Url = "https://u:p4ss@example.org/a?token=s3cret".parse().unwrap();
        assert_eq!(shown(&url), "https://example.org/a?…");
    }
}
