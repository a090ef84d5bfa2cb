//! CloudWatch alarms in SNS messages: a metric alarm or a composite alarm changed its state.
//!
//! A message names the alarm but not its firing. So the identity is that of the alarm, which
//! [recurs](crate::domain::alert::Alert::recurs). An alarm with insufficient data is neither firing nor resolved: it fires
//! another alert, [`NO_DATA`], which any other state of the alarm resolves.

use serde_json_borrow::Value;

use crate::domain::alert::{Alert, AlertStatus};
use crate::domain::core::time::Timestamp;
use crate::surface::intake::parse::field_reader;
use crate::surface::intake::parse::field_reader::Object;
use crate::surface::intake::parse::lenient_json;

/// The name of the alert for an alarm with insufficient data. It differs from the alarm's name, since the runbook of the alarm
/// must not start when nothing was measured.
const NO_DATA: &str = "alarm_without_data";

/// The alerts of a message; none if it is not from CloudWatch. `sent_at` replaces a missing time.
pub(crate) fn read(message: &str, sent_at: Option<Timestamp>) -> Option<Vec<Alert>> {
    if !message.trim_start().starts_with('{') {
        return None;
    }
    let body = lenient_json::json(message.as_bytes()).ok()?;
    let mut alarm = Object::new(&body.value).ok()?;
    let name = alarm.text("AlarmName")?;
    let state = alarm.text("NewStateValue")?;
    let before = alarm.text("OldStateValue").unwrap_or_default();
    let at = alarm.instant("StateChangeTime").or(sent_at);
    let base = firing(&mut alarm, name, at, body.warning);
    let resolved =
        |alert: Alert| Alert { status: AlertStatus::Resolved, starts_at: None, ends_at: at, value: None, ..alert };
    let data_is_back = (before == "INSUFFICIENT_DATA").then(|| resolved(without_data(base.clone())));
    let now = match state.as_str() {
        "ALARM" => base,
        "OK" => resolved(base),
        "INSUFFICIENT_DATA" => return Some(vec![without_data(base)]),
        _ => Alert { warnings: vec!["its `NewStateValue` is not known".to_owned()], ..base },
    };
    Some(data_is_back.into_iter().chain([now]).collect())
}

/// The alarm as a firing alert. `repair` is the warning if the body was repaired.
fn firing(alarm: &mut Object<'_>, name: String, at: Option<Timestamp>, repair: Option<String>) -> Alert {
    let reason = alarm.text("NewStateReason");
    let arn = alarm.text("AlarmArn");
    let mut labels = labels(alarm);
    // `Region` of a message is a display name, so the code is taken from the ARN.
    if let Some(region) = arn.as_deref().and_then(|arn| arn.split(':').nth(3)) {
        labels.push(("region", region.to_owned()));
    }
    labels.push(("alarm", name.clone()));
    let account = labels.iter().find(|(key, _)| *key == "account").map_or("", |(_, account)| account);
    let firing = arn.unwrap_or_else(|| format!("alarm {account} {name}"));
    let annotations = [
        ("description", alarm.text("AlarmDescription")),
        ("reason", reason.clone()),
        ("rule", alarm.text("AlarmRule")),
    ];
    let mut labels: std::collections::BTreeMap<String, String> =
        labels.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    labels.extend(dimensions(alarm));
    Alert {
        firing,
        recurs: true,
        summary: alarm.text("AlarmDescription").or_else(|| reason.clone()),
        starts_at: at,
        value: reason.as_deref().and_then(measured),
        labels,
        annotations: annotations.into_iter().filter_map(|(key, text)| Some((key.to_owned(), text?))).collect(),
        warnings: alarm.warnings.drain(..).chain(repair).collect(),
        name,
        ..Alert::default()
    }
}

fn without_data(alarm: Alert) -> Alert {
    let summary = Some(format!("alarm `{}` has insufficient data", alarm.name));
    Alert { firing: format!("{} without data", alarm.firing), name: NO_DATA.to_owned(), summary, value: None, ..alarm }
}

fn labels(alarm: &mut Object<'_>) -> Vec<(&'static str, String)> {
    let account = alarm.text("AWSAccountId");
    let mut trigger = alarm.object("Trigger");
    let found = [
        ("account", account),
        ("metric", trigger.text("MetricName")),
        ("namespace", trigger.text("Namespace")),
        ("comparison", trigger.text("ComparisonOperator")),
        ("threshold", trigger.get("Threshold").and_then(field_reader::text_of)),
    ];
    alarm.warnings.append(&mut trigger.warnings);
    found.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

/// The dimensions of the metric, as pairs of name and value.
fn dimensions(alarm: &mut Object<'_>) -> Vec<(String, String)> {
    let trigger = alarm.object("Trigger");
    let listed = trigger.get("Dimensions").and_then(Value::as_array);
    let pair = |dimension: &Value<'_>| {
        let dimension = Object::new(dimension).ok()?;
        let text = |key: &str| dimension.get(key).and_then(field_reader::text_of);
        Some((text("name")?, text("value")?))
    };
    listed.into_iter().flatten().filter_map(pair).collect()
}

/// The first value in a reason, which is the newest: `1 datapoint [93.2 (04/12/15 07:17:00)] was greater than …`. Older
/// messages use round brackets.
fn measured(reason: &str) -> Option<f64> {
    let (_, rest) = reason.split_once("datapoint")?;
    let opening = rest.find('[').or_else(|| rest.find('('))?;
    let inside = &rest[opening + 1..];
    let end = inside.find(|c: char| !matches!(c, '0'..='9' | '.' | '-' | '+' | 'E' | 'e'))?;
    field_reader::number(&inside[..end].into())
}
