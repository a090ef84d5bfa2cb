//! The intake: what senders of alerts post becomes [`Alert`]s, and who they are is proven over the raw bytes.
//!
//! Two pure functions: [`admit`] says whether a post is its sender's, [`read`] what it says. A file a sender beside this
//! one, and [`auth`] for what proves them.
//!
//! **Invariant:** reading never fails. A body that fits nothing is one alert that says so, with the body's beginning, so
//! that an operator learns of it; nothing is refused for its shape.
//!
//! **Invariant:** no byte of a post is rendered, fetched or run. The one address that is ever asked is that of the
//! certificate of SNS, which has to be on AWS's own host.
//!
//! Deliberately absent: listening, storing, and what an alert starts.

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

/// Maximum number of alerts read from one body: ten times what Alertmanager groups in a bad storm. The rest is counted
/// in one more alert, `alerts_not_read`.
pub const ALERTS_A_BODY: usize = 5_000;

/// How much of a body that does not fit is kept, in bytes.
const KEPT_OF_BODY: usize = 2 * 1024;

/// The longest summary and the longest name, in characters: one line on a wide screen, and longer than real names.
const SUMMARY_LENGTH: usize = 300;
const NAME_LENGTH: usize = 200;

/// The name of the alert for a body that does not fit.
pub const UNRECOGNISED: &str = "unrecognised_body";

/// The name given to an alert that has none.
const UNNAMED: &str = "unnamed_alert";

/// The name of the alert that counts the alerts that were not read.
pub const NOT_READ: &str = "alerts_not_read";

/// One request of a sender.
#[derive(Debug, Clone, Copy)]
pub struct SenderRequest<'a> {
    pub headers: &'a HeaderMap,
    /// Byte for byte as received, since signatures cover it.
    pub body: &'a [u8],
    pub now: Timestamp,
}

impl<'a> SenderRequest<'a> {
    /// A header that occurs exactly once, as text.
    fn header(&self, name: &str) -> Option<&'a str> {
        parse::field_reader::header(self.headers, name)
    }
}

/// What a request contains.
#[derive(Debug, Clone, PartialEq)]
pub enum ParsedBody {
    /// At least one; each is firing or resolved by itself.
    Alerts(Vec<Alert>),
    /// A topic asks for confirmation of its subscription, or reports that it ended. Nothing was sent in response.
    Subscription(Box<SnsSubscription>),
    /// Nothing that needs action, and why.
    Ignored(String),
}

/// The data needed to confirm the subscription of an SNS topic, or to restore one that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnsSubscription {
    /// The name of the sender in the estate.
    pub sender: String,
    pub event: SubscriptionEvent,
    pub topic: String,
    /// The address that confirms it; kept only if it is on AWS's own host.
    pub confirm: Option<Url>,
    /// The token, for `aws sns confirm-subscription --topic-arn … --token …`.
    pub token: Option<String>,
    pub message: String,
    pub sent_at: Option<Timestamp>,
    pub warnings: Vec<String>,
}

/// What happened to a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubscriptionEvent {
    /// It waits for confirmation.
    Asked,
    /// It was ended; confirming restores it.
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
            ParsedBody::Alerts(alerts.into_iter().map(|alert| input.finished(alert)).collect())
        }
        Ok(other) => other,
        Err(why) => ParsedBody::Alerts(vec![input.finished(input.unrecognised(post.body, &why))]),
    }
}

impl SenderInput<'_> {
    /// Parses the body in the sender's format, or gives the reason why it does not fit.
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

    /// Completes an alert with the estate's facts about its sender, and limits its size.
    fn finished(&self, alert: Alert) -> Alert {
        let environment = alert.environment.or_else(|| self.sender.environment.clone());
        let summary = alert.summary.map(|summary| one_line(&summary, SUMMARY_LENGTH)).filter(|line| !line.is_empty());
        let name = match one_line(&alert.name, NAME_LENGTH) {
            blank if blank.is_empty() => UNNAMED.to_owned(),
            name => name,
        };
        Alert { sender: self.name.to_owned(), name, environment, summary, ..alert }.limited()
    }

    /// The alert for input that does not fit. The same input gives the same identity, so a repeat is recognised.
    fn unrecognised(&self, bytes: &[u8], why: &str) -> Alert {
        let beginning = &bytes[..bytes.len().min(KEPT_OF_BODY)];
        Alert {
            firing: format!("body {}", digest(&[bytes])),
            recurs: true,
            name: UNRECOGNISED.to_owned(),
            summary: Some(format!("a body from `{}` was not understood: {why}", self.name)),
            severity: Some(Severity::P4),
            starts_at: Some(self.post.now),
            annotations: [("body".to_owned(), String::from_utf8_lossy(beginning).into_owned())].into(),
            warnings: vec![why.to_owned()],
            ..Alert::default()
        }
    }

    /// The alert that stands for those that were not read.
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

    /// Every item as an alert, up to the limit; the rest is counted in one more alert.
    fn each<Item: std::fmt::Display>(
        &self,
        items: &[Item],
        identity: &[u8],
        mut read: impl FnMut(&Item) -> Result<Alert, String>,
    ) -> Vec<Alert> {
        let one = |item: &Item| {
            read(item).unwrap_or_else(|why| self.unrecognised(item.to_string().as_bytes(), &format!("an item: {why}")))
        };
        let mut alerts: Vec<Alert> = items.iter().take(ALERTS_A_BODY).map(one).collect();
        if let Some(more) = items.len().checked_sub(ALERTS_A_BODY).filter(|more| *more > 0) {
            let why = format!("a body is read up to {ALERTS_A_BODY} alerts");
            alerts.push(self.not_read(more as u64, identity, &why));
        }
        alerts
    }
}

/// The alerts; no alert is [`ParsedBody::Ignored`].
fn alerts(alerts: Vec<Alert>) -> ParsedBody {
    if alerts.is_empty() {
        ParsedBody::Ignored("there is no alert in it".to_owned())
    } else {
        ParsedBody::Alerts(alerts)
    }
}

/// 16 bytes of SHA-256 over the parts, in hex. Lengths are hashed too, so a byte that moves between parts changes the
/// digest.
fn digest(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hex::encode(&hasher.finalize()[..16])
}
