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
use crate::domain::config::sender::{Form, Sender};
use crate::domain::core::severity::Severity;
use crate::domain::core::text::one_line;
use crate::domain::core::time::Timestamp;

pub use self::auth::{Admission, Certificates, Rejected, admit, admit_headers};

/// The most alerts that are read of one body: ten times what Alertmanager groups in a bad storm. The rest is counted in
/// an alert of its own, `alerts_not_read`.
pub const ALERTS_A_BODY: usize = 5_000;

/// What is kept of a body that fits nothing, in bytes.
const KEPT_OF_BODY: usize = 2 * 1024;

/// The longest summary and the longest name, in characters: one line on a wide screen, and more than any name has.
const SUMMARY_LENGTH: usize = 300;
const NAME_LENGTH: usize = 200;

/// The name of the alert that a body becomes when it fits nothing.
pub const UNRECOGNISED: &str = "unrecognised_body";

/// The name of an alert that has none.
const UNNAMED: &str = "unnamed_alert";

/// The name of the alert that counts those of a body that were not read.
pub const NOT_READ: &str = "alerts_not_read";

/// One request of a sender.
#[derive(Debug, Clone, Copy)]
pub struct SenderRequest<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its body, every byte as it came.
    pub body: &'a [u8],
    /// When it came.
    pub now: Timestamp,
}

impl<'a> SenderRequest<'a> {
    /// A header that is there once, as text.
    fn header(&self, name: &str) -> Option<&'a str> {
        parse::field_reader::header(self.headers, name)
    }
}

/// What a post says.
#[derive(Debug, Clone, PartialEq)]
pub enum ParsedBody {
    /// Alerts, at least one, each firing or resolved by itself.
    Alerts(Vec<Alert>),
    /// A topic asks whether it may post here, or says that it does no longer. Nothing was asked in return.
    Subscription(Box<Subscription>),
    /// Nothing that anybody has to act on, and why.
    Ignored(String),
}

/// What a command needs that confirms (or takes up again) the subscription of an SNS topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The sender by its name in the estate.
    pub sender: String,
    /// What happened.
    pub event: SubscriptionEvent,
    /// The topic's ARN.
    pub topic: String,
    /// The address that confirms; only one on AWS's own host is kept.
    pub confirm: Option<Url>,
    /// The token, for `aws sns confirm-subscription --topic-arn … --token …`.
    pub token: Option<String>,
    /// What the topic says of it.
    pub message: String,
    /// When the topic sent it.
    pub sent_at: Option<Timestamp>,
    /// What was strange, in words.
    pub warnings: Vec<String>,
}

/// What happened to a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubscriptionEvent {
    /// It waits to be confirmed.
    Asked,
    /// It was ended; confirming takes it up again.
    Ended,
}

/// A post at the desk: whose it is, and what is known before it is read.
pub(crate) struct SenderInput<'a> {
    name: &'a str,
    sender: &'a Sender,
    post: &'a SenderRequest<'a>,
}

/// Reads a post of the sender `name`. It is the caller's to have [admitted](admit) it.
pub fn read(name: &str, sender: &Sender, post: &SenderRequest<'_>) -> ParsedBody {
    let desk = SenderInput { name, sender, post };
    match desk.read() {
        Ok(ParsedBody::Alerts(alerts)) => {
            ParsedBody::Alerts(alerts.into_iter().map(|alert| desk.finished(alert)).collect())
        }
        Ok(other) => other,
        Err(why) => ParsedBody::Alerts(vec![desk.finished(desk.unrecognised(post.body, &why))]),
    }
}

impl SenderInput<'_> {
    /// What the body says in the words of the sender's form; else why it does not fit.
    fn read(&self) -> Result<ParsedBody, String> {
        match self.sender.form {
            Form::Alertmanager => senders::alertmanager::read(self),
            Form::Grafana => senders::grafana::read(self),
            Form::Sns => senders::sns::read(self),
            Form::Github => senders::github::read(self),
            Form::Pagerduty => senders::pagerduty::read(self),
            Form::Mapping => senders::custom::read(self),
        }
    }

    /// An alert with what the estate knows of its sender, and nothing larger than is kept.
    fn finished(&self, alert: Alert) -> Alert {
        let environment = alert.environment.or_else(|| self.sender.environment.clone());
        let summary = alert.summary.map(|summary| one_line(&summary, SUMMARY_LENGTH)).filter(|line| !line.is_empty());
        let name = match one_line(&alert.name, NAME_LENGTH) {
            blank if blank.is_empty() => UNNAMED.to_owned(),
            name => name,
        };
        Alert { sender: self.name.to_owned(), name, environment, summary, ..alert }.limited()
    }

    /// The alert that something becomes when it fits nothing. Sent again, it is the same.
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

    /// The alert that stands for those of a body that were not read.
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

    /// Every item as an alert, up to the limit; the rest is counted.
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

/// Alerts, or why there are none.
fn alerts(alerts: Vec<Alert>) -> ParsedBody {
    if alerts.is_empty() {
        ParsedBody::Ignored("there is no alert in it".to_owned())
    } else {
        ParsedBody::Alerts(alerts)
    }
}

/// 16 bytes of SHA-256 over the parts, in hex; no byte moves from one part to the next.
fn digest(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hex::encode(&hasher.finalize()[..16])
}
