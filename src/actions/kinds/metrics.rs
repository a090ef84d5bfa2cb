//! The kind `metrics`: reads one number from a metrics page or from a Prometheus, and checks it against limits.
//!
//! A page in Prometheus' text format is scraped and evaluated here, so a service can be measured while the monitoring is
//! down. A PromQL query is evaluated by the Prometheus.
//!
//! **Invariant:** missing data is not zero. A missing value, or one that is not a number, is reported as such and is
//! within no limit.
//!
//! Not here: ranges, graphs, pushing, and PromQL over a scraped page beyond selectors, one aggregate and a quotient.

mod evaluate;
mod exposition;
mod measured;
mod promql;
mod quantile;
mod selector;

use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::AUTHORIZATION;
use reqwest::{Method, Request, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use self::evaluate::Aggregate;
use self::exposition::Page;
use self::measured::Measurement;
use self::selector::Selector;
use super::support::service_address::base_address;
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
const SHOWN_LIMIT: usize = 120;

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
                "The service of the estate whose metrics page is scraped.",
            ),
            effect: EffectClass::Read,
        },
        Verb {
            field: Field::optional("scrape", Shape::Text, "The address of a metrics page in Prometheus' text format."),
            effect: EffectClass::Read,
        },
        Verb {
            field: Field::optional("prometheus", Shape::Text, "The address of a Prometheus that evaluates `query`."),
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
            "How several series become one number. `rate` scrapes twice and gives their total growth per second.",
        ),
        Field::optional(
            "quantile",
            Shape::Number,
            "With a page: this quantile, such as 0.95, of the histogram that `select` names, in its unit.",
        ),
        Field::optional(
            "interval",
            Shape::Duration,
            "The time between the two scrapes of `rate`; 10s unless given, 5m at most. With `quantile`: only observations of this time count.",
        ),
        Field::optional(
            "per",
            Shape::Text,
            "With a page: the series to divide by, aggregated likewise, such as requests for errors per request.",
        ),
        Field::optional("above", Shape::Number, "The value must be above this; otherwise the step fails."),
        Field::optional("below", Shape::Number, "The value must be below this; otherwise the step fails."),
        Field::optional("token", Shape::Secret, "A bearer token: `{secret: name}`."),
        Field::optional("timeout", Shape::Duration, "How long one request may take; 10s unless given, 60s at most."),
    ],
    effect: |_| EffectClass::Read,
    outputs: &[
        OutputField { name: "value", help: "The number; null if there is none." },
        OutputField {
            name: "found",
            help: "The kind of result: `number`; `empty`, no series; `several`, several series without an aggregate; `nan`, such as 0 divided by 0; `infinite`.",
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
        let spec = Self::deserialize(spec).map_err(|error| invalid(&error.to_string()))?;
        let page = [spec.select.is_some(), spec.quantile.is_some(), spec.interval.is_some(), spec.per.is_some()];
        match (&spec.prometheus, &spec.query, &spec.select) {
            (Some(_), None, _) => Err(invalid("`prometheus` needs a `query`")),
            (Some(_), ..) if page.contains(&true) || spec.aggregate.is_some_and(Aggregate::needs_two_scrapes) => {
                Err(invalid("`select`, `per`, `rate`, `quantile` and `interval` are for a page, not for a `query`"))
            }
            (None, Some(_), _) => Err(invalid("a `query` needs a `prometheus`")),
            (None, _, None) => Err(invalid("a page needs a `select`")),
            _ if spec.quantile.is_some() && (spec.aggregate.is_some() || spec.per.is_some()) => {
                Err(invalid("`quantile` cannot be combined with `aggregate` or `per`"))
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
        let mut what = one_line(query, SHOWN_LIMIT);
        if let Some(quantile) = self.quantile {
            what = format!("quantile {quantile} of {what}");
        }
        if let Some(aggregate) = self.aggregate {
            what = format!("{} of {what}", aggregate.code());
        }
        if let Some(per) = &self.per {
            what = format!("{what} per {}", one_line(per, SHOWN_LIMIT));
        }
        what
    }

    /// The address of the metrics page.
    fn page(&self, context: &Context) -> Result<Url, Reason> {
        let Some(name) = &self.service else { return address(self.scrape.as_deref().unwrap_or_default()) };
        let shown = one_line(name, SHOWN_LIMIT);
        let unknown = |message| Reason::new("no_such_service", message);
        let service = context.estate.services.get(name);
        let service = service.ok_or_else(|| unknown(format!("the estate has no service `{shown}`")))?;
        let base = base_address(service)
            .ok_or_else(|| unknown(format!("the estate gives neither `health` nor `port` of `{shown}`")))?;
        address(&format!("{base}{}", service.metrics))
    }

    /// The response to a GET request. Fails if the body is too large.
    async fn get(&self, url: &Url, context: &Context) -> Result<http_client::HttpResponse, Reason> {
        let mut request = Request::new(Method::GET, url.clone());
        if let Some(token) = &self.token {
            let token = token.reveal(&context.secrets).map_err(|reason| Reason::new("secret", reason))?;
            let header = http_client::bearer(&token).map_err(|reason| Reason::new("secret", reason))?;
            request.headers_mut().insert(AUTHORIZATION, header);
        }
        let timeout = self.timeout.map_or(TIMEOUT, |timeout| timeout.0).min(LONGEST_TIMEOUT);
        let response = http_client::send(request, timeout, context).await;
        let response = response.map_err(|error| error.worded(|text| format!("{}: {text}", shown(url))))?;
        if response.is_cut {
            let message = format!("{}: the response is larger than {} bytes", shown(url), http_client::BODY_LIMIT);
            return Err(Reason::new("too_large", message));
        }
        Ok(response)
    }

    async fn scrape(&self, url: &Url, context: &Context) -> Result<Page, Reason> {
        let response = self.get(url, context).await?;
        if !(200..300).contains(&response.status) {
            return Err(Reason::new("status", format!("{}: status {}", shown(url), response.status)));
        }
        let at = context.clock.now();
        Page::parse(&String::from_utf8_lossy(&response.body), at)
            .map_err(|reason| Reason::new("format", format!("{} is not a metrics page: {reason}", shown(url))))
    }
}

fn invalid(message: &str) -> Reason {
    Reason::new("spec", format!("metrics: {message}"))
}

fn address(text: &str) -> Result<Url, Reason> {
    let invalid = |reason: String| {
        Reason::new("request", format!("`{}` is not an address: {reason}", one_line(text, SHOWN_LIMIT)))
    };
    let url: Url = text.parse().map_err(|error: url::ParseError| invalid(error.to_string()))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        scheme => Err(invalid(format!("`{scheme}` is neither http nor https"))),
    }
}

/// The address for people, without user, password and query, which may be secret.
fn shown(url: &Url) -> String {
    let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
    one_line(&format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path()), SHOWN_LIMIT)
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
                    .map(|place| Url::parse(place).map_or_else(|_| one_line(place, SHOWN_LIMIT), |url| shown(&url)));
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
        let outcome = async {
            let spec = Spec::read(spec)?;
            let measurement = match &spec.prometheus {
                Some(prometheus) => promql::query(prometheus, &spec, context).await?,
                None => measure(&spec, context).await?,
            };
            Ok(measurement.outcome(&spec.what(), spec.threshold()))
        };
        outcome.await.unwrap_or_else(|error: Reason| error.outcome(json!({})))
    }
}

/// Scrapes the page once or twice, and evaluates it.
async fn measure(spec: &Spec, context: &Context) -> Result<Measurement, Reason> {
    let select = Selector::parse(spec.select.as_deref().unwrap_or_default())?;
    let per = spec.per.as_deref().map(Selector::parse).transpose()?;
    let url = spec.page(context)?;
    let first = spec.scrape(&url, context).await?;
    let is_scraped_twice = spec.interval.is_some() || spec.aggregate.is_some_and(Aggregate::needs_two_scrapes);
    let (before, page) = if is_scraped_twice {
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
    fn fields_that_cannot_be_combined_are_refused() {
        let refused = |spec: Value| Spec::read(&spec).err().map(|error| error.text);
        assert!(refused(json!({ "prometheus": "http://x", "query": "up", "select": "up" })).is_some());
        assert!(refused(json!({ "prometheus": "http://x" })).is_some() && refused(json!({ "service": "a" })).is_some());
        assert!(refused(json!({ "scrape": "http://x", "select": "a", "quantile": 0.9, "per": "b" })).is_some());
        assert_eq!(refused(json!({ "scrape": "http://x", "select": "a", "aggregate": "rate" })), None);
    }

    #[test]
    fn an_address_is_shown_without_password_and_query() {
        let change = Metrics.describe(&json!({ "scrape": "http://u:p4ss@h:9100/metrics?key=k", "select": "a" }));
        assert_eq!((change.what.as_str(), change.place.as_str()), ("measure a", "http://h:9100/metrics"));
    }
}
