//! The envelope that AWS SNS puts around every message. It contains the signature, so it is parsed before it is authenticated.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regex::Regex;
use serde_json_borrow::Value;
use url::Url;

use super::field_reader::Object;
use super::lenient_json;
use crate::domain::core::time::Timestamp;
use crate::surface::intake::SenderRequest;

/// The most envelopes in a body. SNS sends one per request, and so does a Lambda function that forwards it.
const ENVELOPE_LIMIT: usize = 100;

/// The signed JSON object around a message.
#[derive(Debug, Default)]
pub(crate) struct Envelope {
    pub kind: String,
    pub id: String,
    pub topic: String,
    pub subject: Option<String>,
    pub message: String,
    pub token: Option<String>,
    pub confirm: Option<String>,
    pub timestamp: String,
    pub sent_at: Option<Timestamp>,
    pub signature_version: String,
    pub signature: Vec<u8>,
    /// The address of the certificate, not checked yet.
    pub certificate_url: String,
    pub warnings: Vec<String>,
}

/// The envelopes of a body: one, or those in `Records`, the format that a Lambda function receives.
///
/// # Errors
/// The reason why the body is not an envelope.
pub(crate) fn envelopes(bytes: &[u8]) -> Result<Vec<Envelope>, String> {
    let body = lenient_json::json(bytes)?;
    let whole = Object::new(&body.value).ok();
    let records = whole.as_ref().and_then(|whole| whole.get("Records")?.as_array());
    let found: Vec<Envelope> = match records {
        Some(records) if records.len() > ENVELOPE_LIMIT => {
            return Err(format!("it has more than {ENVELOPE_LIMIT} records"));
        }
        Some(records) => records
            .iter()
            .map(|record| {
                Envelope::read(Object::new(record).ok().and_then(|fields| fields.get("Sns")).unwrap_or(record))
            })
            .collect::<Result<_, _>>()?,
        None => vec![Envelope::read(&body.value)?],
    };
    if found.is_empty() { Err("it has no record".to_owned()) } else { Ok(found) }
}

impl Envelope {
    fn read(value: &Value<'_>) -> Result<Self, String> {
        let mut fields = Object::new(value)?;
        let kind = fields.text("Type").ok_or("it has no `Type`")?;
        let topic = fields.text("TopicArn").ok_or("it has no `TopicArn`")?;
        let signature = fields.text("Signature").unwrap_or_default();
        Ok(Self {
            id: fields.text("MessageId").unwrap_or_default(),
            // An empty subject is part of the signed text, so it differs from an absent one.
            subject: fields.get("Subject").and_then(Value::as_str).map(str::to_owned),
            message: fields.text("Message").unwrap_or_default(),
            token: fields.text("Token"),
            confirm: fields.text_of_any(&["SubscribeURL", "SubscribeUrl"]),
            timestamp: fields.text("Timestamp").unwrap_or_default(),
            sent_at: fields.instant("Timestamp"),
            signature_version: fields.text("SignatureVersion").unwrap_or_default(),
            signature: STANDARD.decode(signature).unwrap_or_default(),
            certificate_url: fields.text_of_any(&["SigningCertURL", "SigningCertUrl"]).unwrap_or_default(),
            warnings: fields.warnings,
            kind,
            topic,
        })
    }

    /// The text that SNS signs: certain fields sorted by name, each as a line with the name and a line with the value.
    pub fn signed_text(&self) -> String {
        let middle = if self.kind == "Notification" {
            vec![("Subject", self.subject.as_deref()), ("Timestamp", Some(self.timestamp.as_str()))]
        } else {
            vec![
                ("SubscribeURL", Some(self.confirm.as_deref().unwrap_or_default())),
                ("Timestamp", Some(self.timestamp.as_str())),
                ("Token", Some(self.token.as_deref().unwrap_or_default())),
            ]
        };
        let first = [("Message", Some(self.message.as_str())), ("MessageId", Some(self.id.as_str()))];
        let last = [("TopicArn", Some(self.topic.as_str())), ("Type", Some(self.kind.as_str()))];
        let lines = first.into_iter().chain(middle).chain(last);
        lines.filter_map(|(name, value)| Some(format!("{name}\n{}\n", value?))).collect()
    }
}

/// The topics of a request: those in its envelopes or, with raw delivery, the one in a header.
pub(crate) fn topics(post: &SenderRequest<'_>) -> Vec<String> {
    match envelopes(post.body) {
        Ok(envelopes) => envelopes.into_iter().map(|envelope| envelope.topic).collect(),
        Err(_) => post.header("x-amz-sns-topic-arn").map(str::to_owned).into_iter().collect(),
    }
}

/// The address, if it is on a host of AWS for SNS.
pub(crate) fn on_aws(text: &str) -> Option<Url> {
    static HOST: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^sns\.[a-zA-Z0-9-]{3,}\.amazonaws\.com(\.cn)?$").expect("a constant pattern is right")
    });
    let url = Url::parse(text).ok()?;
    let is_plain =
        url.username().is_empty() && url.password().is_none() && url.port().is_none() && url.fragment().is_none();
    (url.scheme() == "https" && is_plain && HOST.is_match(url.host_str()?)).then_some(url)
}
