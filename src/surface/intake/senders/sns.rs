//! AWS SNS: subscriptions, and messages that are plain text.
//!
//! Not here: the [envelope](crate::surface::intake::parse::sns_envelope) around every message, [CloudWatch](super::cloudwatch)
//! alarms, and confirming a subscription. A person confirms, because the address comes from outside.

use super::cloudwatch;
use crate::domain::alert::Alert;
use crate::domain::core::time::Timestamp;
use crate::surface::intake::parse::sns_envelope::{Envelope, envelopes, on_aws};
use crate::surface::intake::{ParsedBody, SenderInput, SnsSubscription, SubscriptionEvent, alerts};

pub(crate) fn read(input: &SenderInput<'_>) -> Result<ParsedBody, String> {
    let envelopes = match envelopes(input.post.body) {
        Ok(envelopes) => envelopes,
        Err(reason) => return raw(input).map(alerts).ok_or(reason),
    };
    let mut found = Vec::new();
    for envelope in envelopes {
        match envelope.kind.as_str() {
            "Notification" => found.extend(notification(envelope)),
            "SubscriptionConfirmation" => return Ok(subscription(envelope, input, SubscriptionEvent::Asked)),
            "UnsubscribeConfirmation" => return Ok(subscription(envelope, input, SubscriptionEvent::Ended)),
            _ => return Err("its `Type` is not known".to_owned()),
        }
    }
    Ok(alerts(found))
}

/// A message about the subscription itself.
fn subscription(envelope: Envelope, input: &SenderInput<'_>, event: SubscriptionEvent) -> ParsedBody {
    let confirm = envelope.confirm.as_deref().and_then(on_aws);
    let mut warnings = envelope.warnings;
    if confirm.is_none() {
        warnings.push("its `SubscribeURL` is not on a host of AWS and was dropped".to_owned());
    }
    ParsedBody::Subscription(Box::new(SnsSubscription {
        sender: input.name.to_owned(),
        event,
        topic: envelope.topic,
        confirm,
        token: envelope.token,
        message: envelope.message,
        sent_at: envelope.sent_at,
        warnings,
    }))
}

/// The alerts of a message: those of a CloudWatch alarm, or one for the message itself.
fn notification(envelope: Envelope) -> Vec<Alert> {
    cloudwatch::read(&envelope.message, envelope.sent_at).unwrap_or_else(|| {
        let subject = envelope.subject.filter(|subject| !subject.is_empty());
        vec![plain(&envelope.message, subject, &envelope.id, &envelope.topic, envelope.sent_at, envelope.warnings)]
    })
}

/// The alerts of a message with raw delivery, which has no envelope; none if the headers do not show raw delivery.
fn raw(input: &SenderInput<'_>) -> Option<Vec<Alert>> {
    let message = String::from_utf8_lossy(input.post.body);
    if let Some(alerts) = cloudwatch::read(&message, Some(input.post.now)) {
        return Some(alerts);
    }
    input.post.header("x-amz-sns-rawdelivery").filter(|value| value.eq_ignore_ascii_case("true"))?;
    let header = |name| input.post.header(name).unwrap_or_default();
    let (id, topic) = (header("x-amz-sns-message-id"), header("x-amz-sns-topic-arn"));
    Some(vec![plain(&message, None, id, topic, Some(input.post.now), Vec::new())])
}

/// The alert for a message that is not an alarm. It fires once, and nothing resolves it.
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
