//! The kind `tls`: makes a TLS handshake and checks the server's certificate.
//!
//! The handshake accepts any certificate, and the certificate is checked afterwards. So an expired certificate, or one
//! for another host, is reported with all its facts and problems.
//!
//! **Invariant:** the server proves that it has the private key of the certificate, even if the certificate is invalid.
//!
//! Not here: revocation, which browsers do not check reliably either; STARTTLS; TLS 1.0 and 1.1, with which the
//! handshake fails.

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
const SHOWN_LIMIT: usize = 120;

/// Implements the kind `tls`.
#[derive(Debug)]
pub struct Tls;

static FORM: KindForm = KindForm {
    name: "tls",
    summary: "Makes a TLS handshake and checks the certificate: its hosts, its issuer, and its validity.",
    shorthand: Some("address"),
    verbs: &[],
    fields: &[
        Field::required("address", Shape::Text, "The host, or `host:port`; the port is 443 unless given."),
        Field::optional(
            "name",
            Shape::Text,
            "The host that the certificate must be for, which is sent by SNI; that of the address unless given.",
        ),
        Field::optional(
            "min_days",
            Shape::Integer { min: 0, max: 3650 },
            "How many days it must still be valid; otherwise the step fails.",
        ),
        Field::optional("ca", Shape::Text, "A PEM file of certificate authorities to trust instead of the machine's."),
        Field::optional("timeout", Shape::Duration, "How long it may take; 10s unless given, 60s at most."),
    ],
    effect: |_| EffectClass::Read,
    outputs: &[
        OutputField {
            name: "valid",
            help: "Whether the certificate is trusted, for this host, and within its validity.",
        },
        OutputField {
            name: "problems",
            help: "The problems: expired, not_yet_valid, wrong_host, self_signed, unknown_issuer, untrusted.",
        },
        OutputField { name: "days_left", help: "Whole days until it expires; negative if it has expired." },
        OutputField { name: "not_before", help: "The instant at which its validity begins." },
        OutputField { name: "not_after", help: "The instant at which its validity ends." },
        OutputField { name: "subject", help: "Its subject." },
        OutputField { name: "issuer", help: "Its issuer." },
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
        let shown = one_line(&self.address, SHOWN_LIMIT);
        let invalid = || Reason::new("request", format!("`{shown}` is neither a host nor `host:port`"));
        let text = self.address.trim();
        let url = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
        let url = Url::parse(&url).map_err(|_| invalid())?;
        let host = url.host_str().filter(|_| url.scheme() == "https" && url.username().is_empty());
        let host = host.ok_or_else(invalid)?;
        Ok((host.trim_matches(['[', ']']).to_owned(), url.port().unwrap_or(443)))
    }

    fn name(&self, host: &str) -> Result<ServerName<'static>, Reason> {
        let name = self.name.as_deref().unwrap_or(host);
        let invalid =
            |_| Reason::new("request", format!("`{}` cannot be the name of a host", one_line(name, SHOWN_LIMIT)));
        ServerName::try_from(name.to_owned()).map_err(invalid)
    }
}

#[async_trait]
impl Kind for Tls {
    fn form(&self) -> &'static KindForm {
        &FORM
    }

    fn describe(&self, spec: &Value) -> PlannedChange {
        let address = spec.get("address").unwrap_or(spec).as_str().unwrap_or_default();
        let what = "check the certificate".to_owned();
        PlannedChange { what, place: one_line(address, SHOWN_LIMIT), ..PlannedChange::default() }
    }

    async fn perform(&self, spec: &Value, context: &Context) -> Outcome {
        let outcome = async {
            let spec = Spec::deserialize(spec).map_err(|error| Reason::new("spec", format!("tls: {error}")))?;
            inspect_certificate(&spec, context).await
        };
        outcome.await.unwrap_or_else(|error: Reason| error.outcome(json!({})))
    }
}

async fn inspect_certificate(spec: &Spec, context: &Context) -> Result<Outcome, Reason> {
    let (host, port) = spec.target()?;
    let name = spec.name(&host)?;
    let timeout = spec.timeout.map_or(TIMEOUT, |timeout| timeout.0).min(LONGEST_TIMEOUT);
    let roots = verify::roots(spec.ca.as_deref(), timeout, context).await?;
    let address = one_line(&format!("{host}:{port}"), SHOWN_LIMIT);
    let at_address = |error: Reason| error.worded(|text| format!("{address}: {text}"));
    let handshake = within(timeout, context, handshake::make(&host, port, name.clone(), context)).await;
    let handshake = handshake.and_then(|handshake| handshake).map_err(at_address)?;
    let certificate = Certificate::read(handshake.leaf()).map_err(at_address)?;
    let problems = verify::problems(&handshake, &certificate, &roots, &name, context.clock.now());
    Ok(report(spec, &address, &name, &handshake, &certificate, &problems, context))
}

fn report(
    spec: &Spec,
    address: &str,
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
        let texts: Vec<String> =
            problems.iter().map(|problem| problem_text(problem, name, certificate, days)).collect();
        return Reason::new(*first, format!("{address}: {}", texts.join("; "))).outcome(output);
    }
    let (protocol, issuer) = (handshake.protocol.as_str(), certificate.issuer.as_str());
    let line = format!("{address}: valid for {days} more days, until {date}, {protocol}, by {issuer}");
    match spec.min_days.filter(|min_days| days < *min_days) {
        Some(min_days) => Reason::new("expires_soon", format!("{line}; {min_days} days are required")).outcome(output),
        None => Outcome::succeeded(line, output),
    }
}

/// The text for the code of a problem.
fn problem_text(problem: &str, name: &ServerName<'_>, certificate: &Certificate, days: i64) -> String {
    match problem {
        "expired" => format!("the certificate expired on {}, {} days ago", certificate.not_after.date_naive(), -days),
        "not_yet_valid" => format!("the certificate is valid from {} only", certificate.not_before),
        "wrong_host" => {
            let names = one_line(&certificate.names.join(", "), SHOWN_LIMIT);
            let names = if names.is_empty() { "no host" } else { &names };
            format!("the certificate is for {names}, not for {}", name.to_str())
        }
        "self_signed" => "the certificate is self-signed".to_owned(),
        "unknown_issuer" => format!("no trusted authority has signed {}", certificate.issuer),
        _ => "the certificate chain is invalid".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_with_or_without_a_port() {
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
