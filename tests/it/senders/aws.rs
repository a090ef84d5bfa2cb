//! AWS SNS: alarms of CloudWatch, plain messages, subscriptions.

use runbook::domain::alert::AlertStatus;
use runbook::surface::intake::{ParsedBody, SubscriptionEvent};
use serde_json::{Value, json};

use super::{at, one, read, read_with, sample};

/// The SNS notification of a CloudWatch alarm with these changes.
fn alarm(changes: &Value) -> Value {
    let mut body = sample("sns_notification_cloudwatch_alarm_2015");
    let mut message: Value = serde_json::from_str(body["Message"].as_str().unwrap()).unwrap();
    for (key, value) in changes.as_object().unwrap() {
        message[key] = value.clone();
    }
    body["Message"] = json!(message.to_string());
    body
}

#[test]
fn a_resolved_cloudwatch_alarm_has_the_identity_of_its_firing() {
    let firing = one("sns", &sample("sns_notification_cloudwatch_alarm_2015"));
    assert_eq!((firing.name.as_str(), firing.value), ("api-1 - Network In", Some(2_024_818.75)));
    assert_eq!(firing.labels["InstanceId"], "i-bc8dcaa5");
    assert_eq!((firing.starts_at, firing.environment.as_deref()), (at("2015-12-04T07:22:14.394Z"), Some("live")));
    let change =
        json!({ "NewStateValue": "OK", "OldStateValue": "ALARM", "StateChangeTime": "2015-12-04T08:00:00.000+0000" });
    let resolved = one("sns", &alarm(&change));
    assert_eq!(
        (resolved.status, resolved.identity(), resolved.ends_at),
        (AlertStatus::Resolved, firing.identity(), at("2015-12-04T08:00:00Z"))
    );
    assert!(firing.recurs && resolved.recurs, "the server distinguishes firings by their times");
}

#[test]
fn newer_and_composite_alarms_are_identified_by_their_arn() {
    let arn = "arn:aws:cloudwatch:eu-west-1:1:alarm:shop";
    let reason = "Threshold Crossed: 1 out of the last 1 datapoints [93.2 (04/12/15 07:17:00)] was greater than 90";
    let newer = one("sns", &alarm(&json!({ "AlarmArn": arn, "NewStateReason": reason, "AlarmDescription": "Hot" })));
    assert_eq!((newer.firing.as_str(), newer.value, newer.summary.as_deref()), (arn, Some(93.2), Some("Hot")));
    assert_eq!(newer.labels["region"], "eu-west-1");
    let composite =
        one("sns", &alarm(&json!({ "AlarmArn": arn, "Trigger": null, "AlarmRule": "ALARM(a) OR ALARM(b)" })));
    assert_eq!((composite.annotations["rule"].as_str(), composite.value), ("ALARM(a) OR ALARM(b)", Some(2_024_818.75)));
}

#[test]
fn an_alarm_with_insufficient_data_is_an_alert_of_its_own() {
    let without_data = one("sns", &alarm(&json!({ "NewStateValue": "INSUFFICIENT_DATA", "OldStateValue": "ALARM" })));
    assert!(without_data.is_firing() && without_data.name == "alarm_without_data");
    let alerts = read("sns", &alarm(&json!({ "NewStateValue": "OK", "OldStateValue": "INSUFFICIENT_DATA" })));
    assert_eq!((alerts.len(), alerts[0].identity()), (2, without_data.identity()));
    assert!(alerts.iter().all(|alert| !alert.is_firing()), "both alerts are resolved");
}

#[test]
fn a_plain_message_of_sns_fires_once() {
    let mut body = sample("sns_notification_cloudwatch_alarm_2015");
    body["Message"] = json!("\n<b>disk</b> is full\nreally");
    body["Subject"] = Value::Null;
    let alert = one("sns", &body);
    assert_eq!((alert.name.as_str(), alert.summary.as_deref()), ("sns_message", Some("<b>disk</b> is full")));
    assert_eq!(alert.firing, "message f1cd789a-df69-5dc4-bd54-36419e0f72c4");
}

#[test]
fn sns_is_read_without_an_envelope_and_from_the_records_of_a_function() {
    let body = sample("sns_notification_cloudwatch_alarm_2015");
    let message = body["Message"].as_str().unwrap();
    let enveloped = one("sns_raw", &body);
    let ParsedBody::Alerts(raw) = read_with("sns_raw", &[], message.as_bytes()) else { panic!("no alert") };
    assert_eq!(raw[0].identity(), enveloped.identity());
    let raw = [("x-amz-sns-rawdelivery", "true"), ("x-amz-sns-message-id", "m1")];
    let ParsedBody::Alerts(raw) = read_with("sns_raw", &raw, b"hello") else { panic!("no alert") };
    assert_eq!((raw[0].firing.as_str(), raw[0].summary.as_deref()), ("message m1", Some("hello")));
    assert_eq!(one("sns_raw", &json!({ "Records": [{ "Sns": body }] })).identity(), enveloped.identity());
}

#[test]
fn a_subscription_is_not_an_alert_and_its_url_must_be_of_aws() {
    let mut body = sample("sns_subscription_confirmation");
    let ParsedBody::Subscription(asked) = read_with("sns", &[], body.to_string().as_bytes()) else {
        panic!("no subscription")
    };
    assert_eq!(
        (asked.event, asked.topic.as_str()),
        (SubscriptionEvent::Asked, "arn:aws:sns:ap-northeast-1:863886017929:developers")
    );
    assert_eq!(asked.confirm.as_ref().and_then(|url| url.host_str()), Some("sns.ap-northeast-1.amazonaws.com"));
    assert!(asked.token.is_some_and(|token| token.starts_with("2336412f")));
    body["Type"] = json!("UnsubscribeConfirmation");
    for elsewhere in [
        "http://sns.eu-west-1.amazonaws.com/?x",
        "https://sns.eu-west-1.amazonaws.com.evil.org/",
        "https://169.254.169.254/",
        "https://sns.eu-west-1.amazonaws.com:8443/",
        "https://a@sns.eu-west-1.amazonaws.com/",
    ] {
        body["SubscribeURL"] = json!(elsewhere);
        let ParsedBody::Subscription(ended) = read_with("sns", &[], body.to_string().as_bytes()) else {
            panic!("no subscription")
        };
        assert_eq!(
            (ended.event, ended.confirm, ended.warnings.len()),
            (SubscriptionEvent::Ended, None, 1),
            "{elsewhere}"
        );
    }
}
