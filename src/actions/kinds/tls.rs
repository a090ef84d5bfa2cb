//! The kind `tls`: what a server shows in a TLS handshake, whether it can be trusted, and for how long.
//!
//! The handshake is made with any certificate, and the certificate is judged afterwards, so that one that is expired or
//! belongs to another host is told with all its facts, and every fault of it at once.
//!
//! Deliberately absent: revocation, which no browser checks reliably either; STARTTLS; sending anything after the
//! handshake. TLS 1.0 and 1.1 are not spoken: a server that knows only these is a failure.
//!
//! **Invariant:** the server proves that it has the certificate's key, whatever the certificate is worth.

mod certificate;
mod handshake;
mod verify;

use std::time::Duration;

use async_trait::async_trait;
use reqwest::Url;
use rustls::pki_types::ServerName;
use serde::Deserialize;
use serde_json::{Value, json};

use self::certificate::Certificate;
use self::handshake::Handshake;
use crate::actions::transport::timeout::within;
use crate::actions::{Context, Kind};
use crate::domain::config::kind_schema::{Field, KindForm, OutputField, Shape};
use crate::domain::core::effect::EffectClass;
use crate::domain::core::reason::Reason;
use crate::domain::core::text::one_line;
use crate::domain::core::time::Span;
use crate::domain::incident::outcome::Outcome;
use crate::domain::incident::plan::PlannedChange;

/// Default and maximum of `timeout`.
const TIMEOUT: Duration = Duration::from_secs(10);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Characters of an address in a summary.
const SHOWN: usize = 120;

/// Implements the kind `tls`.
#[derive(Debug)]
pub struct Tls;

static FORM: KindForm = KindForm {
    name: "tls",
    summary: "Makes a TLS handshake and checks the certificate: whom it is for, who vouches for it, and for how long.",
    shorthand: Some("address"),
    verbs: &[],
    fields: &[
        Field::required("address", Shape::Text, "The host, or `host:port`; the port is 443 unless given."),
        Field::optional(
            "name",
            Shape::Text,
            "The host that the certificate must be for, asked for by SNI; the address' own unless given.",
        ),
        Field::optional(
            "min_days",
            Shape::Integer { min: 0, max: 3650 },
            "How many days it must still be valid, else the step fails.",
        ),
        Field::optional("ca", Shape::Text, "A PEM file of authorities to trust instead of the machine's."),
        Field::optional("timeout", Shape::Duration, "How long it may take; 10s unless given, 60s at most."),
    ],
    effect: |_| EffectClass::Read,
    outputs: &[
        OutputField {
            name: "valid",
            help: "Whether the certificate is in order: trusted, for this host, and within its time.",
        },
        OutputField {
            name: "problems",
            help: "Why not: expired, not_yet_valid, wrong_host, self_signed, unknown_issuer, untrusted.",
        },
        OutputField { name: "days_left", help: "Whole days until it expires; negative when it has." },
        OutputField { name: "not_before", help: "The instant from which on it is valid." },
        OutputField { name: "not_after", help: "The instant until which it is valid." },
        OutputField { name: "subject", help: "Whom it names." },
        OutputField { name: "issuer", help: "Who signed it." },
        OutputField { name: "names", help: "The hosts and addresses that it is for, at most 100." },
        OutputField { name: "fingerprint", help: "Its SHA-256." },
        OutputField { name: "protocol", help: "`TLS 1.2` or `TLS 1.3`." },
        OutputField { name: "cipher", help: "The cipher suite." },
        OutputField { name: "chain", help: "How many certificates the server sent." },
        OutputField {
            name: "trouble",
            help: "When it failed: `{kind, message}`; kinds: the first of `problems`, expires_soon, refused, dns, timeout, protocol, not_tls, closed, ca, …",
        },
    ],
    example: "tls:\n  address: \"{{ environment.domain }}\"\n  min_days: 14\n",
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    address: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    min_days: Option<i64>,
    #[serde(default)]
    ca: Option<String>,
    #[serde(default)]
    timeout: Option<Span>,
}

impl Spec {
    /// The host and port of `address`; the port is 443 by default.
    fn target(&self) -> Result<(String, u16), Reason> {
        let shown = one_line(&self.address, SHOWN);
        let wrong = || Reason::new("request", format!("`{shown}` is neither a host nor `host:port`"));
        let text = self.address.trim();
        let url = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
        let url = Url::parse(&url).map_err(|_| wrong())?;
        let host = url.host_str().filter(|_| url.scheme() == "https" && url.username().is_empty()).ok_or_else(wrong)?;
        Ok((host.trim_matches(['[', ']']).to_owned(), url.port().unwrap_or(443)))
    }

    fn name(&self, host: &str) -> Result<ServerName<'static>, Reason> {
        let name = self.name.as_deref().unwrap_or(host);
        let wrong = |_| Reason::new("request", format!("`{}` cannot be the name of a host", one_line(name, SHOWN)));
        ServerName::try_from(name.to_owned()).map_err(wrong)
    }
}

#[async_trait]
impl Kind for Tls {
    fn form(&self) -> &'static KindForm {
        &FORM
    }

    fn describe(&self, spec: &Value) -> PlannedChange {
        let address = spec.get("address").unwrap_or(spec).as_str().unwrap_or_default();
        let what = "look at the certificate".to_owned();
        PlannedChange { what, place: one_line(address, SHOWN), ..PlannedChange::default() }
    }

    async fn perform(&self, spec: &Value, context: &Context) -> Outcome {
        let looked = async {
            let spec = Spec::deserialize(spec).map_err(|error| Reason::new("spec", format!("tls: {error}")))?;
            inspect_certificate(&spec, context).await
        };
        looked.await.unwrap_or_else(|trouble: Reason| trouble.outcome(json!({})))
    }
}

async fn inspect_certificate(spec: &Spec, context: &Context) -> Result<Outcome, Reason> {
    let (host, port) = spec.target()?;
    let name = spec.name(&host)?;
    let timeout = spec.timeout.map_or(TIMEOUT, |timeout| timeout.0).min(LONGEST_TIMEOUT);
    let roots = verify::roots(spec.ca.as_deref(), timeout, context).await?;
    let place = one_line(&format!("{host}:{port}"), SHOWN);
    let at_place = |trouble: Reason| trouble.worded(|text| format!("{place}: {text}"));
    let made = within(timeout, context, handshake::make(&host, port, name.clone(), context)).await;
    let handshake = made.and_then(|made| made).map_err(at_place)?;
    let certificate = Certificate::read(handshake.leaf()).map_err(at_place)?;
    let problems = verify::problems(&handshake, &certificate, &roots, &name, context.clock.now());
    Ok(report(spec, &place, &name, &handshake, &certificate, &problems, context))
}

fn report(
    spec: &Spec,
    place: &str,
    name: &ServerName<'_>,
    handshake: &Handshake,
    certificate: &Certificate,
    problems: &[&'static str],
    context: &Context,
) -> Outcome {
    let days = certificate.days_left(context.clock.now());
    let output = json!({
        "valid": problems.is_empty(), "problems": problems, "days_left": days,
        "not_before": certificate.not_before, "not_after": certificate.not_after,
        "subject": certificate.subject, "issuer": certificate.issuer, "names": certificate.names,
        "fingerprint": certificate.fingerprint,
        "protocol": handshake.protocol, "cipher": handshake.cipher, "chain": handshake.chain.len(),
    });
    let date = certificate.not_after.date_naive();
    if let Some(first) = problems.first() {
        let said: Vec<String> = problems.iter().map(|problem| problem_text(problem, name, certificate, days)).collect();
        return Reason::new(*first, format!("{place}: {}", said.join("; "))).outcome(output);
    }
    let line =
        format!("{place}: valid for {days} more days, until {date}, {}, by {}", handshake.protocol, certificate.issuer);
    match spec.min_days.filter(|wanted| days < *wanted) {
        Some(wanted) => Reason::new("expires_soon", format!("{line}; {wanted} days are wanted")).outcome(output),
        None => Outcome::succeeded(line, output),
    }
}

fn problem_text(problem: &str, name: &ServerName<'_>, certificate: &Certificate, days: i64) -> String {
    match problem {
        "expired" => format!("the certificate expired on {}, {} days ago", certificate.not_after.date_naive(), -days),
        "not_yet_valid" => format!("the certificate is valid from {} only", certificate.not_before),
        "wrong_host" => {
            let names = one_line(&certificate.names.join(", "), SHOWN);
            let names = if names.is_empty() { "nobody" } else { &names };
            format!("the certificate is for {names}, not for {}", name.to_str())
        }
        "self_signed" => "the certificate is signed by itself".to_owned(),
        "unknown_issuer" => format!("nobody that is trusted vouches for {}", certificate.issuer),
        _ => "the chain of certificates is not in order".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_perhaps_with_a_port() {
        let target = |address: &str| {
            let spec: Spec = serde_json::from_value(json!({ "address": address })).unwrap();
            spec.target().ok()
        };
        assert_eq!(target("pakashop.store"), Some(("pakashop.store".to_owned(), 443)));
        assert_eq!(target("[::1]:8443"), Some(("::1".to_owned(), 8443)));
        assert_eq!(target("https://a.b/c"), Some(("a.b".to_owned(), 443)));
        for wrong in ["", "http://a", "u@a", "a:b", "a:99999", "--x y"] {
            assert_eq!(target(wrong), None, "{wrong}");
        }
    }
}
