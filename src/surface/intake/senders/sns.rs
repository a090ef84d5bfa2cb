//! AWS SNS: the envelope around every message, subscriptions, and plain texts. What CloudWatch puts into it has its own
//! [file](super::cloudwatch).
//!
//! Deliberately absent: confirming. The address that confirms comes from outside, so a person has to want it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json_borrow::Value;

use super::cloudwatch;
use crate::domain::alert::Alert;
use crate::domain::core::time::Timestamp;
use crate::surface::intake::auth::on_aws;
use crate::surface::intake::parse::field_reader::Object;
use crate::surface::intake::parse::lenient_json;
use crate::surface::intake::{ParsedBody, SenderInput, SenderRequest, SnsSubscription, SubscriptionEvent, alerts};

/// Maximum number of envelopes in a body. SNS sends one per request, and so does a Lambda function that forwards it.
const ENVELOPES: usize = 100;

/// The signed JSON object around every message.
#[derive(Debug, Default)]
pub(crate) struct Envelope {
    kind: String,
    id: String,
    pub topic: String,
    subject: Option<String>,
    message: String,
    token: Option<String>,
    confirm: Option<String>,
    timestamp: String,
    sent_at: Option<Timestamp>,
    pub signature_version: String,
    pub signature: Vec<u8>,
    /// The address of the certificate, not checked yet.
    pub certificate_url: String,
    warnings: Vec<String>,
}

/// The envelopes of a body: one, or those in `Records`, the format that a Lambda function receives.
///
/// # Errors
/// Why the body holds no envelope.
pub(crate) fn envelopes(bytes: &[u8]) -> Result<Vec<Envelope>, String> {
    let body = lenient_json::json(bytes)?;
    let whole = Object::new(&body.value).ok();
    let records = whole.as_ref().and_then(|whole| whole.get("Records")?.as_array());
    let found: Vec<Envelope> = match records {
        Some(records) if records.len() > ENVELOPES => return Err(format!("it has more than {ENVELOPES} records")),
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

    /// The signed text: some of the fields sorted by name, each as a line with the name and a line with the value.
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

    fn subscription(self, input: &SenderInput<'_>, event: SubscriptionEvent) -> ParsedBody {
        let confirm = self.confirm.as_deref().and_then(on_aws);
        let mut warnings = self.warnings;
        if confirm.is_none() {
            warnings.push("its `SubscribeURL` is not on AWS's own host and was not kept".to_owned());
        }
        ParsedBody::Subscription(Box::new(SnsSubscription {
            sender: input.name.to_owned(),
            event,
            topic: self.topic,
            confirm,
            token: self.token,
            message: self.message,
            sent_at: self.sent_at,
            warnings,
        }))
    }

    fn notification(self) -> Vec<Alert> {
        cloudwatch::read(&self.message, self.sent_at).unwrap_or_else(|| {
            let subject = self.subject.filter(|subject| !subject.is_empty());
            vec![plain(&self.message, subject, &self.id, &self.topic, self.sent_at, self.warnings)]
        })
    }
}

pub(crate) fn read(input: &SenderInput<'_>) -> Result<ParsedBody, String> {
    let envelopes = match envelopes(input.post.body) {
        Ok(envelopes) => envelopes,
        Err(why) => return raw(input).map(alerts).ok_or(why),
    };
    let mut found = Vec::new();
    for envelope in envelopes {
        match envelope.kind.as_str() {
            "Notification" => found.extend(envelope.notification()),
            "SubscriptionConfirmation" => return Ok(envelope.subscription(input, SubscriptionEvent::Asked)),
            "UnsubscribeConfirmation" => return Ok(envelope.subscription(input, SubscriptionEvent::Ended)),
            _ => return Err("its `Type` is no word that is known".to_owned()),
        }
    }
    Ok(alerts(found))
}

/// The topics that a request names: in its envelopes or, with raw delivery, in a header.
pub(crate) fn topics(post: &SenderRequest<'_>) -> Vec<String> {
    match envelopes(post.body) {
        Ok(envelopes) => envelopes.into_iter().map(|envelope| envelope.topic).collect(),
        Err(_) => post.header("x-amz-sns-topic-arn").map(str::to_owned).into_iter().collect(),
    }
}

/// A message with raw delivery: it has no envelope.
fn raw(input: &SenderInput<'_>) -> Option<Vec<Alert>> {
    let message = String::from_utf8_lossy(input.post.body);
    if let Some(alerts) = cloudwatch::read(&message, Some(input.post.now)) {
        return Some(alerts);
    }
    input.post.header("x-amz-sns-rawdelivery").filter(|word| word.eq_ignore_ascii_case("true"))?;
    let header = |name| input.post.header(name).unwrap_or_default();
    let (id, topic) = (header("x-amz-sns-message-id"), header("x-amz-sns-topic-arn"));
    Some(vec![plain(&message, None, id, topic, Some(input.post.now), Vec::new())])
}

/// A message that is not an alarm: it fires once, and nothing resolves it.
fn plain(
    message: &str,
    subject: Option<String>,
    id: &str,
    topic: &str,
    sent_at: Option<Timestamp>,
    warnings: Vec<String>,
) -> Alert {
    let identity = if id.is_empty() {
        crate::surface::intake::digest(&[topic.as_bytes(), message.as_bytes()])
    } else {
        id.to_owned()
    };
    let labels = [("topic", Some(topic.to_owned())), ("subject", subject.clone())];
    Alert {
        firing: format!("message {identity}"),
        recurs: id.is_empty(),
        name: "sns_message".to_owned(),
        summary: subject.or_else(|| message.lines().find(|line| !line.trim().is_empty()).map(str::to_owned)),
        starts_at: sent_at,
        labels: labels.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect(),
        annotations: [("message".to_owned(), message.to_owned())].into(),
        warnings,
        ..Alert::default()
    }
}
