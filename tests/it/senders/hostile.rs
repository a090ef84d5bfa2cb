//! Hostile bodies: no panic, no lost alert, no unlimited growth.

use proptest::prelude::*;
use runbook::domain::alert::{ALERT_LIMIT, Alert};
use runbook::surface::intake::{self, ParsedBody, SenderRequest};
use serde_json::{Value, json};

use super::{estate, headers, now, one, read, read_with, sample};

/// A sender of every format.
const FORMATS: [&str; 7] = ["alertmanager", "grafana", "sns", "sns_raw", "github", "pagerduty", "listed"];

fn unrecognised(sender: &str, body: &[u8]) -> Alert {
    match read_with(sender, &[], body) {
        ParsedBody::Alerts(alerts) if alerts.len() == 1 && alerts[0].name == intake::UNRECOGNISED => alerts[0].clone(),
        other => panic!("{sender}: {other:?}"),
    }
}

#[test]
fn an_unrecognised_body_is_one_alert_with_a_stable_identity() {
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    let bodies: [&[u8]; 9] =
        [b"", b"\xef\xbb\xbf", b"\0", b"\xff\xfe\xfd", b"null", b"{}", b"5", b"<xml/>", deep.as_bytes()];
    for sender in FORMATS {
        for body in bodies {
            let (first, again) = (unrecognised(sender, body), unrecognised(sender, body));
            assert_eq!(first.identity(), again.identity());
            assert!(!first.warnings.is_empty() && first.annotations.contains_key("body"));
        }
        assert_ne!(unrecognised(sender, b"a").identity(), unrecognised(sender, b"b").identity());
    }
}

#[test]
fn a_bad_number_or_half_a_character_loses_no_alert() {
    let text = sample("alertmanager_v4_firing_single").to_string();
    let good = one("alertmanager", &sample("alertmanager_v4_firing_single"));
    for (from, to) in [
        ("\"truncatedAlerts\":0", "\"truncatedAlerts\":1e999"),
        ("\"area\":\"heap\"", "\"area\":\"heap\",\"a\":\"\\ud83d\""),
        ("\"version\":\"4\"", "\"version\":\"4\",\"version\":NaN"),
        ("\"version\":\"4\"", "\"version\":\"a\nb\0\""),
    ] {
        assert!(text.contains(from), "{from}");
        let ParsedBody::Alerts(alerts) = read_with("alertmanager", &[], text.replace(from, to).as_bytes()) else {
            panic!("{to}")
        };
        assert_eq!((alerts.len(), alerts[0].firing.as_str()), (1, good.firing.as_str()), "{to}");
        assert!(alerts[0].warnings.iter().any(|warning| warning.contains("repaired")), "{:?}", alerts[0].warnings);
    }
}

#[test]
fn hostile_text_stays_text_and_is_truncated() {
    let huge = "x".repeat(1 << 17);
    let labels: serde_json::Map<String, Value> = (0..200)
        .map(|number| (format!("l{number}"), json!(huge)))
        .chain([("alertname".to_owned(), json!("<script>\u{1b}[2J<!here>{{ 7*7 }}"))])
        .collect();
    let alert = one(
        "alertmanager",
        &json!({ "alerts": [{ "status": "firing", "labels": labels, "annotations": { "summary": huge } }] }),
    );
    assert!(serde_json::to_string(&alert).unwrap().len() < ALERT_LIMIT);
    assert_eq!(alert.name, "<script>␛[2J<!here>{{ 7*7 }}");
    let item = json!({ "check": "{{ 7*7 }}{% raw %}", "id": huge, "state": 2 });
    assert_eq!(read("listed", &json!({ "events": vec![item; 20] }))[0].name, "{{ 7*7 }}{% raw %}");
}

/// A random body, in which known fields of the formats are likely.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(json!("firing")),
        Just(json!("completed")),
        Just(json!("incident.triggered")),
        Just(json!("Notification")),
        Just(json!("ALARM"))
    ];
    let keys = [
        "alerts",
        "labels",
        "annotations",
        "status",
        "startsAt",
        "fingerprint",
        "values",
        "Type",
        "TopicArn",
        "Message",
        "AlarmName",
        "NewStateValue",
        "Trigger",
        "Records",
        "Sns",
        "event",
        "event_type",
        "data",
        "id",
        "action",
        "workflow_run",
        "path",
        "events",
        "check",
        "state",
        "since",
    ];
    let value = scalar.prop_recursive(5, 40, 6, move |inner| {
        let entry = (prop::sample::select(keys.to_vec()), inner.clone());
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            prop::collection::vec(entry, 0..6).prop_map(|entries| Value::Object(
                entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
            ))
        ]
    });
    prop_oneof![value.prop_map(|value| value.to_string().into_bytes()), prop::collection::vec(any::<u8>(), 0..200)]
}

/// A sample with some of its bytes replaced.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let samples = [
        "alertmanager_v4_firing_single",
        "grafana_unified_firing_docs",
        "sns_notification_cloudwatch_alarm_2015",
        "github_workflow_run_completed",
        "middleware_alert_model_UNVERIFIED",
    ];
    (
        prop::sample::select(samples.to_vec()),
        any::<prop::sample::Index>(),
        0..60_usize,
        prop::collection::vec(any::<u8>(), 0..8),
    )
        .prop_map(|(name, from, length, bytes)| {
            let mut body = sample(name).to_string().into_bytes();
            let from = from.index(body.len());
            let end = (from + length).min(body.len());
            body.splice(from..end, bytes);
            body
        })
}

proptest! {
    #[test]
    fn random_bytes_cause_no_panic_and_no_loss(body in prop_oneof![body(), mutated()], event in "[a-z_]{0,12}") {
        let estate = estate();
        let headers = headers(&[("x-github-event", if event.is_empty() { "workflow_run" } else { &event }), ("x-amz-sns-rawdelivery", "true")]);
        for sender in FORMATS {
            let post = SenderRequest { headers: &headers, body: &body, now: now() };
            match intake::read(sender, &estate.senders[sender], &post) {
                ParsedBody::Alerts(alerts) => {
                    prop_assert!(!alerts.is_empty());
                    for alert in alerts {
                        prop_assert!(!alert.name.is_empty() && !alert.firing.is_empty() && alert.sender == sender);
                        prop_assert!(serde_json::to_vec(&alert).unwrap().len() <= ALERT_LIMIT);
                    }
                }
                ParsedBody::Ignored(why) => prop_assert!(!why.is_empty()),
                ParsedBody::Subscription(asked) => prop_assert!(!asked.topic.is_empty()),
            }
        }
    }

    #[test]
    fn random_headers_cause_no_panic_and_are_rejected(body in body(), value in "[ -~]{0,60}", time in "[0-9.-]{0,22}") {
        let estate = estate();
        let names = ["authorization", "x-token", "x-hub-signature-256", "x-grafana-alerting-signature", "x-pagerduty-signature", "webhook-id", "webhook-signature"];
        let mut pairs: Vec<(&str, &str)> = names.iter().map(|name| (*name, value.as_str())).collect();
        pairs.extend([("x-time", time.as_str()), ("webhook-timestamp", &time)]);
        let headers = headers(&pairs);
        for (name, sender) in estate.senders.iter().filter(|(_, sender)| !sender.auth.is_open()) {
            let post = SenderRequest { headers: &headers, body: &body, now: now() };
            prop_assert!(intake::admit(sender, &super::admission::secrets(), &post, &intake::Certificates::default()).is_err(), "{name}");
        }
    }
}
