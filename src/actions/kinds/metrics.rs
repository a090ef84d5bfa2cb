//! The kind `metrics`: one number out of a page of metrics, or out of a Prometheus, and what it must be.
//!
//! A page in Prometheus' text format is scraped and evaluated here, so that a service can be asked when nothing else of
//! the monitoring is up. A Prometheus is asked by PromQL.
//!
//! Deliberately absent: ranges and graphs, pushing, and PromQL over a scraped page; a selector and one aggregate are.
//!
//! **Invariant:** no data is not zero. A value that is not there, or no number, is said to be so and fits no limit.

mod evaluate;
mod exposition;
mod measured;
mod promql;
mod quantile;
mod selector;

use std::time::Duration;

use async_trait::async_trait;
use reqwest::{Method, Request, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use self::evaluate::Aggregate;
use self::exposition::Page;
use self::measured::Measurement;
use self::selector::Selector;
use super::support::threshold::Threshold;
use crate::actions::transport::http_client;
use crate::actions::transport::timeout::pause;
use crate::actions::{Context, Kind, SecretText};
use crate::domain::config::kind_schema::{Field, KindForm, OutputField, Shape, Verb};
use crate::domain::core::effect::EffectClass;
use crate::domain::core::reason::Reason;
use crate::domain::core::text::one_line;
use crate::domain::core::time::Span;
use crate::domain::incident::outcome::Outcome;
use crate::domain::incident::plan::PlannedChange;

/// Default and maximum of `timeout`.
const TIMEOUT: Duration = Duration::from_secs(10);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Default and maximum of `interval`, the time between two scrapes.
const INTERVAL: Span = Span::seconds(10);
const LONGEST_INTERVAL: Span = Span::seconds(300);

/// Characters of a query or address in a summary.
const SHOWN: usize = 120;

/// Implements the kind `metrics`.
#[derive(Debug)]
pub struct Metrics;

static FORM: KindForm = KindForm {
    name: "metrics",
    summary: "Reads one number from a service's metrics or from a Prometheus, and checks it.",
    shorthand: None,
    verbs: &[
        Verb {
            field: Field::optional(
                "service",
                Shape::Service,
                "The service of the estate whose page of metrics is scraped.",
            ),
            effect: EffectClass::Read,
        },
        Verb {
            field: Field::optional("scrape", Shape::Text, "The address of a page in Prometheus' text format."),
            effect: EffectClass::Read,
        },
        Verb {
            field: Field::optional("prometheus", Shape::Text, "The address of a Prometheus that answers `query`."),
            effect: EffectClass::Read,
        },
    ],
    fields: &[
        Field::optional("query", Shape::Text, "With `prometheus`: an instant query in PromQL."),
        Field::optional(
            "select",
            Shape::Text,
            "With a page: the series, as in PromQL: `payments_total{outcome=\"error\", route=~\"/pay.*\"}`.",
        ),
        Field::optional(
            "aggregate",
            Shape::OneOf(&["sum", "avg", "min", "max", "count", "rate"]),
            "What becomes of several series. `rate` scrapes twice and gives the growth of all of them a second.",
        ),
        Field::optional(
            "quantile",
            Shape::Number,
            "With a page: this quantile, such as 0.95, of the histogram that `select` names, in its own unit.",
        ),
        Field::optional(
            "interval",
            Shape::Duration,
            "The time between the two scrapes of `rate`; 10s unless given, 5m at most. With `quantile`: only what this time brings.",
        ),
        Field::optional(
            "per",
            Shape::Text,
            "With a page: other series, aggregated likewise, that the value is divided by: errors per request.",
        ),
        Field::optional("above", Shape::Number, "The value must be above this, else the step fails."),
        Field::optional("below", Shape::Number, "The value must be below this, else the step fails."),
        Field::optional("token", Shape::Secret, "A bearer token for whoever is asked: `{secret: name}`."),
        Field::optional("timeout", Shape::Duration, "How long one request may take; 10s unless given, 60s at most."),
    ],
    effect: |_| EffectClass::Read,
    outputs: &[
        OutputField { name: "value", help: "The number; null when there is none." },
        OutputField {
            name: "found",
            help: "What the value is: `number`; `empty`, no series; `several`, series without an aggregate; `nan`, such as none of none; `infinite`.",
        },
        OutputField { name: "count", help: "How many series there are." },
        OutputField { name: "series", help: "The first twenty: `{name, labels, value}`." },
        OutputField {
            name: "trouble",
            help: "When it failed: `{kind, message}`; kinds: threshold, empty, several, nan, selector, query, format, too_large, status, refused, timeout, …",
        },
    ],
    example: "metrics:\n  service: \"{{ params.service }}\"\n  select: 'payments_total{outcome=\"error\"}'\n  per: payments_total\n  aggregate: rate\n  above: 0.05\n",
};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Spec {
    service: Option<String>,
    scrape: Option<String>,
    prometheus: Option<String>,
    query: Option<String>,
    select: Option<String>,
    aggregate: Option<Aggregate>,
    quantile: Option<f64>,
    interval: Option<Span>,
    per: Option<String>,
    above: Option<f64>,
    below: Option<f64>,
    token: Option<SecretText>,
    timeout: Option<Span>,
}

impl Spec {
    fn read(spec: &Value) -> Result<Self, Reason> {
        let spec = Self::deserialize(spec).map_err(|error| wrong(&error.to_string()))?;
        let page = [spec.select.is_some(), spec.quantile.is_some(), spec.interval.is_some(), spec.per.is_some()];
        match (&spec.prometheus, &spec.query, &spec.select) {
            (Some(_), None, _) => Err(wrong("`prometheus` needs a `query`")),
            (Some(_), ..) if page.contains(&true) || spec.aggregate.is_some_and(Aggregate::needs_time) => Err(wrong(
                "a `query` says all of it: `select`, `per`, `rate`, `quantile` and `interval` belong to a page",
            )),
            (None, Some(_), _) => Err(wrong("a `query` needs a `prometheus`")),
            (None, _, None) => Err(wrong("a page needs a `select`")),
            _ if spec.quantile.is_some() && (spec.aggregate.is_some() || spec.per.is_some()) => {
                Err(wrong("`quantile` stands alone"))
            }
            _ => Ok(spec),
        }
    }

    fn threshold(&self) -> Threshold {
        Threshold { above: self.above, below: self.below }
    }

    /// A short description of the measurement, for people.
    fn what(&self) -> String {
        let query = self.query.as_ref().or(self.select.as_ref()).map_or("", String::as_str);
        let mut what = one_line(query, SHOWN);
        if let Some(quantile) = self.quantile {
            what = format!("quantile {quantile} of {what}");
        }
        if let Some(aggregate) = self.aggregate {
            what = format!("{} of {what}", aggregate.code());
        }
        if let Some(per) = &self.per {
            what = format!("{what} per {}", one_line(per, SHOWN));
        }
        what
    }

    /// The address of the metrics page.
    fn page(&self, context: &Context) -> Result<Url, Reason> {
        let Some(name) = &self.service else { return address(self.scrape.as_deref().unwrap_or_default()) };
        let shown = one_line(name, SHOWN);
        let unknown = |message| Reason::new("no_such_service", message);
        let service = context.estate.services.get(name);
        let service = service.ok_or_else(|| unknown(format!("the estate has no service `{shown}`")))?;
        let base = match (&service.health, service.port) {
            (Some(health), _) => health.trim_end_matches('/').to_owned(),
            (None, Some(port)) => format!("http://127.0.0.1:{port}"),
            (None, None) => return Err(unknown(format!("the estate gives neither `health` nor `port` of `{shown}`"))),
        };
        address(&format!("{base}{}", service.metrics))
    }

    /// The response to a GET request. Fails if the body is too large.
    async fn get(&self, url: &Url, context: &Context) -> Result<http_client::HttpResponse, Reason> {
        let mut request = Request::new(Method::GET, url.clone());
        if let Some(token) = &self.token {
            let token = token.reveal(&context.secrets).map_err(|reason| Reason::new("secret", reason))?;
            let header = format!("Bearer {}", token.trim()).parse();
            let mut header: reqwest::header::HeaderValue =
                header.map_err(|_| Reason::new("secret", "the token holds what no header may hold"))?;
            header.set_sensitive(true);
            request.headers_mut().insert(reqwest::header::AUTHORIZATION, header);
        }
        let timeout = self.timeout.map_or(TIMEOUT, |timeout| timeout.0).min(LONGEST_TIMEOUT);
        let answer = http_client::send(request, timeout, context).await;
        let answer = answer.map_err(|error| error.worded(|text| format!("{}: {text}", place(url))))?;
        if answer.is_cut {
            let message = format!("{}: the answer is larger than {} bytes", place(url), http_client::BODY_LIMIT);
            return Err(Reason::new("too_large", message));
        }
        Ok(answer)
    }

    async fn scrape(&self, url: &Url, context: &Context) -> Result<Page, Reason> {
        let answer = self.get(url, context).await?;
        if !(200..300).contains(&answer.status) {
            return Err(Reason::new("status", format!("{}: status {}", place(url), answer.status)));
        }
        let at = context.clock.now();
        Page::parse(&String::from_utf8_lossy(&answer.body), at)
            .map_err(|reason| Reason::new("format", format!("{} is no page of metrics: {reason}", place(url))))
    }
}

fn wrong(message: &str) -> Reason {
    Reason::new("spec", format!("metrics: {message}"))
}

fn address(text: &str) -> Result<Url, Reason> {
    let wrong = |reason: String| Reason::new("request", format!("`{}` is no address: {reason}", one_line(text, SHOWN)));
    let url: Url = text.parse().map_err(|error: url::ParseError| wrong(error.to_string()))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        scheme => Err(wrong(format!("`{scheme}` is neither http nor https"))),
    }
}

/// The address for people, without user, password and query.
fn place(url: &Url) -> String {
    let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
    one_line(&format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path()), SHOWN)
}

#[async_trait]
impl Kind for Metrics {
    fn form(&self) -> &'static KindForm {
        &FORM
    }

    fn describe(&self, spec: &Value) -> PlannedChange {
        match Spec::read(spec) {
            Ok(spec) => {
                let place = [&spec.service, &spec.scrape, &spec.prometheus].into_iter().flatten().next();
                let place = place
                    .map(|place| Url::parse(place).map_or_else(|_| one_line(place, SHOWN), |url| self::place(&url)));
                PlannedChange {
                    what: format!("measure {}", spec.what()),
                    place: place.unwrap_or_default(),
                    ..PlannedChange::default()
                }
            }
            Err(_) => PlannedChange { what: crate::actions::as_written(&FORM, spec), ..PlannedChange::default() },
        }
    }

    async fn perform(&self, spec: &Value, context: &Context) -> Outcome {
        let read = async {
            let spec = Spec::read(spec)?;
            let reading = match &spec.prometheus {
                Some(prometheus) => promql::ask(prometheus, &spec, context).await?,
                None => measure(&spec, context).await?,
            };
            Ok(reading.judged(&spec.what(), spec.threshold()))
        };
        read.await.unwrap_or_else(|trouble: Reason| trouble.outcome(json!({})))
    }
}

/// Scrapes the page once or twice, and evaluates it.
async fn measure(spec: &Spec, context: &Context) -> Result<Measurement, Reason> {
    let select = Selector::parse(spec.select.as_deref().unwrap_or_default())?;
    let per = spec.per.as_deref().map(Selector::parse).transpose()?;
    let url = spec.page(context)?;
    let first = spec.scrape(&url, context).await?;
    let takes_time = spec.interval.is_some() || spec.aggregate.is_some_and(Aggregate::needs_time);
    let (before, page) = if takes_time {
        pause(spec.interval.unwrap_or(INTERVAL).min(LONGEST_INTERVAL).0, context).await?;
        let second = spec.scrape(&url, context).await?;
        (Some(first), second)
    } else {
        (None, first)
    };
    if let Some(quantile) = spec.quantile {
        return quantile::measurement(quantile, &select, before.as_ref(), &page);
    }
    Ok(evaluate::measurement(spec.aggregate, &select, per.as_ref(), before.as_ref(), &page))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let refused = |spec: Value| Spec::read(&spec).err().map(|trouble| trouble.text);
        assert!(refused(json!({ "prometheus": "http://x", "query": "up", "select": "up" })).is_some());
        assert!(refused(json!({ "prometheus": "http://x" })).is_some() && refused(json!({ "service": "a" })).is_some());
        assert!(refused(json!({ "scrape": "http://x", "select": "a", "quantile": 0.9, "per": "b" })).is_some());
        assert_eq!(refused(json!({ "scrape": "http://x", "select": "a", "aggregate": "rate" })), None);
    }

    #[test]
    fn an_address_is_shown_without_what_may_be_secret() {
        let change = Metrics.describe(&json!({ "scrape": "http://u:p4ss@h:9100/metrics?key=k", "select": "a" }));
        assert_eq!((change.what.as_str(), change.place.as_str()), ("measure a", "http://h:9100/metrics"));
    }
}
