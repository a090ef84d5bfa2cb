//! The intake: authenticates senders of alerts and turns their requests into [`Alert`]s.
//!
//! [`admit`] authenticates a request, and [`read`] parses it. Each sender format has a file in [`senders`].
//!
//! **Invariant:** parsing never fails. A body that does not have the sender's format becomes one alert that quotes its
//! beginning, so that an operator learns of it.
//!
//! Nothing in a request is rendered, fetched or run, with one exception: the certificate of SNS is fetched, from a host of
//! AWS only.

pub mod auth;
pub mod parse;
pub mod senders;
pub mod server;

use axum::http::HeaderMap;
use sha2::{Digest, Sha256};
use url::Url;

use crate::domain::alert::Alert;
use crate::domain::config::sender::{Sender, SenderFormat};
use crate::domain::core::severity::Severity;
use crate::domain::core::text::one_line;
use crate::domain::core::time::Timestamp;

pub use self::auth::{Admission, Certificates, Rejected, admit, admit_headers};

/// The most alerts that are read from one body: ten times as many as Alertmanager groups in a large storm. The rest is
/// counted in one more alert, `alerts_not_read`.
pub const ALERTS_PER_BODY: usize = 5_000;

/// How much of an unrecognised body its alert quotes, in bytes.
const QUOTE_LIMIT: usize = 2 * 1024;

/// The longest summary, in characters: one line on a wide screen.
const SUMMARY_LENGTH: usize = 300;

/// The longest name of an alert, in characters: longer than real names.
const NAME_LENGTH: usize = 200;

/// The name of the alert for a body that does not have the sender's format.
pub const UNRECOGNISED: &str = "unrecognised_body";

/// The name given to an alert that has none.
const UNNAMED: &str = "unnamed_alert";

/// The name of the alert that counts the alerts that were not read.
pub const NOT_READ: &str = "alerts_not_read";

/// One request of a sender.
#[derive(Debug, Clone, Copy)]
pub struct SenderRequest<'a> {
    pub headers: &'a HeaderMap,
    /// The bytes as received, since signatures cover them.
    pub body: &'a [u8],
    pub now: Timestamp,
}

impl<'a> SenderRequest<'a> {
    /// A header that occurs exactly once, as text.
    fn header(&self, name: &str) -> Option<&'a str> {
        parse::field_reader::header(self.headers, name)
    }
}

/// The content of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum ParsedBody {
    /// At least one alert. Each has a status of its own.
    Alerts(Vec<Alert>),
    /// A topic asks for confirmation of its subscription, or reports that the subscription ended.
    Subscription(Box<SnsSubscription>),
    /// Nothing that needs action. The text is the reason.
    Ignored(String),
}

/// The data needed to confirm the subscription of an SNS topic, or to restore one that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnsSubscription {
    /// The name of the sender in the estate.
    pub sender: String,
    pub event: SubscriptionEvent,
    pub topic: String,
    /// The address that confirms it, if it is on a host of AWS.
    pub confirm: Option<Url>,
    /// The token, for `aws sns confirm-subscription --topic-arn … --token …`.
    pub token: Option<String>,
    pub message: String,
    pub sent_at: Option<Timestamp>,
    /// Messages about fields that are not as expected.
    pub warnings: Vec<String>,
}

/// What happened to a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubscriptionEvent {
    /// It waits for confirmation.
    Asked,
    /// It was ended. Confirming it again restores it.
    Ended,
}

/// A request of a known sender, before it is parsed.
pub(crate) struct SenderInput<'a> {
    name: &'a str,
    sender: &'a Sender,
    post: &'a SenderRequest<'a>,
}

/// Parses a request of the sender `name`. The caller must have [admitted](admit) it.
pub fn read(name: &str, sender: &Sender, post: &SenderRequest<'_>) -> ParsedBody {
    let input = SenderInput { name, sender, post };
    match input.read() {
        Ok(ParsedBody::Alerts(alerts)) => {
            ParsedBody::Alerts(alerts.into_iter().map(|alert| input.complete(alert)).collect())
        }
        Ok(other) => other,
        Err(why) => ParsedBody::Alerts(vec![input.complete(input.unrecognised(post.body, &why))]),
    }
}

impl SenderInput<'_> {
    /// Parses the body. The error is the reason why it does not have the sender's format.
    fn read(&self) -> Result<ParsedBody, String> {
        match self.sender.form {
            SenderFormat::Alertmanager => senders::alertmanager::read(self),
            SenderFormat::Grafana => senders::grafana::read(self),
            SenderFormat::Sns => senders::sns::read(self),
            SenderFormat::Github => senders::github::read(self),
            SenderFormat::Pagerduty => senders::pagerduty::read(self),
            SenderFormat::Mapping => senders::custom::read(self),
        }
    }

    /// Adds the sender's name and environment to an alert, and limits its size.
    fn complete(&self, alert: Alert) -> Alert {
        let environment = alert.environment.or_else(|| self.sender.environment.clone());
        let summary = alert.summary.map(|summary| one_line(&summary, SUMMARY_LENGTH)).filter(|line| !line.is_empty());
        let name = match one_line(&alert.name, NAME_LENGTH) {
            blank if blank.is_empty() => UNNAMED.to_owned(),
            name => name,
        };
        Alert { sender: self.name.to_owned(), name, environment, summary, ..alert }.limited()
    }

    /// The alert for a body or an item that cannot be parsed. Its identity is a digest of the input, so that a repeat is
    /// recognised.
    fn unrecognised(&self, bytes: &[u8], why: &str) -> Alert {
        let beginning = &bytes[..bytes.len().min(QUOTE_LIMIT)];
        Alert {
            firing: format!("body {}", digest(&[bytes])),
            recurs: true,
            name: UNRECOGNISED.to_owned(),
            summary: Some(format!("a request of `{}` cannot be parsed: {why}", self.name)),
            severity: Some(Severity::P4),
            starts_at: Some(self.post.now),
            annotations: [("body".to_owned(), String::from_utf8_lossy(beginning).into_owned())].into(),
            warnings: vec![why.to_owned()],
            ..Alert::default()
        }
    }

    /// The alert that counts the alerts that were not read.
    fn not_read(&self, count: u64, identity: &[u8], why: &str) -> Alert {
        Alert {
            firing: format!("not read {}", digest(&[identity])),
            recurs: true,
            name: NOT_READ.to_owned(),
            summary: Some(format!("{count} alerts of `{}` were not read: {why}", self.name)),
            severity: Some(Severity::P4),
            starts_at: Some(self.post.now),
            #[expect(clippy::cast_precision_loss, reason = "a count of alerts is far below 2^53")]
            value: Some(count as f64),
            ..Alert::default()
        }
    }

    /// Parses every item as an alert, up to [`ALERTS_PER_BODY`]. The rest is counted in one more alert.
    fn each<Item: std::fmt::Display>(
        &self,
        items: &[Item],
        identity: &[u8],
        mut read: impl FnMut(&Item) -> Result<Alert, String>,
    ) -> Vec<Alert> {
        let one = |item: &Item| {
            read(item).unwrap_or_else(|why| self.unrecognised(item.to_string().as_bytes(), &format!("an item: {why}")))
        };
        let mut alerts: Vec<Alert> = items.iter().take(ALERTS_PER_BODY).map(one).collect();
        if let Some(more) = items.len().checked_sub(ALERTS_PER_BODY).filter(|more| *more > 0) {
            let why = format!("at most {ALERTS_PER_BODY} alerts of a request are read");
            alerts.push(self.not_read(more as u64, identity, &why));
        }
        alerts
    }
}

/// The alerts as a parsed body. Without any, the body is ignored.
fn alerts(alerts: Vec<Alert>) -> ParsedBody {
    if alerts.is_empty() {
        ParsedBody::Ignored("there is no alert in it".to_owned())
    } else {
        ParsedBody::Alerts(alerts)
    }
}

/// The first 16 bytes of SHA-256 over the parts, in hex. The lengths are hashed too, so that a byte that moves from one part
/// to another changes the digest.
fn digest(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hex::encode(&hasher.finalize()[..16])
}
