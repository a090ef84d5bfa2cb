//! Prometheus Alertmanager: its webhook, version 4, and the list of firing alerts that its API returns.
//!
//! A body with the status `firing` may contain resolved alerts, so the status of each alert counts. The identity of a firing
//! is the fingerprint of the labels with the start time: the resolved alert has both, and all peers of a cluster send the same.
//!
//! `groupKey` is not an identity: it is `{}:{}` for every alert that is not grouped.

use std::collections::BTreeMap;

use chrono::SecondsFormat;
use serde_json_borrow::Value;

use crate::domain::alert::{Alert, AlertStatus};
use crate::domain::core::time::Timestamp;
use crate::surface::intake::parse::field_reader;
use crate::surface::intake::parse::field_reader::Object;
use crate::surface::intake::parse::lenient_json;
use crate::surface::intake::{ParsedBody, SenderInput};

/// Labels that name the environment, in order of preference.
const ENVIRONMENT_LABELS: [&str; 3] = ["environment", "env", "deployment_environment"];

/// Labels that name the service, in order of preference.
const SERVICE_LABELS: [&str; 3] = ["service", "service_name", "app"];

/// Labels and annotations that name the runbook: an id, or an address that ends in one.
const RUNBOOK_NAMES: [&str; 3] = ["runbook", "runbook_url", "runbook_id"];

pub(crate) fn read(input: &SenderInput<'_>) -> Result<ParsedBody, String> {
    let body = lenient_json::json(input.post.body)?;
    if let Value::Array(listed) = &body.value {
        return Ok(crate::surface::intake::alerts(active(input, listed)));
    }
    group(input, &body, |object, group| alert(input, object, group))
}

/// The alerts of a webhook body, each parsed by `read`.
pub(crate) fn group(
    input: &SenderInput<'_>,
    body: &lenient_json::Body<'_>,
    read: impl Fn(&mut Object<'_>, &AlertGroup) -> Alert,
) -> Result<ParsedBody, String> {
    let mut whole = Object::new(&body.value)?;
    let Some(Value::Array(items)) = whole.get("alerts") else { return Err("it has no list `alerts`".to_owned()) };
    let group = AlertGroup {
        status: whole.get("status").and_then(status),
        external: whole.text("externalURL"),
        warnings: body.warning.iter().cloned().collect(),
    };
    let identity = whole.text("groupKey").unwrap_or_default();
    let mut alerts = input.each(items, identity.as_bytes(), |item| {
        let mut object = Object::new(item)?;
        let alert = read(&mut object, &group);
        let warnings = alert.warnings.into_iter().chain(object.warnings).chain(group.warnings.iter().cloned());
        Ok(Alert { warnings: warnings.collect(), ..alert })
    });
    if let Some(cut) = whole.count("truncatedAlerts").filter(|cut| *cut > 0) {
        alerts.push(input.not_read(
            cut,
            format!("truncated {identity}").as_bytes(),
            "its sender has truncated the list",
        ));
    }
    Ok(crate::surface::intake::alerts(alerts))
}

/// The fields of a body that apply to all its alerts.
#[derive(Debug, Default)]
pub(crate) struct AlertGroup {
    status: Option<AlertStatus>,
    /// The base address of the sender's pages.
    pub external: Option<String>,
    warnings: Vec<String>,
}

/// The firing alerts in the list of the API. Silenced and inhibited alerts are dropped, as the webhook does not send them.
fn active(input: &SenderInput<'_>, listed: &[Value<'_>]) -> Vec<Alert> {
    let is_suppressed = |item: &Value<'_>| {
        let mut item = Object::new(item).ok();
        item.as_mut().and_then(|item| item.object("status").text("state")).is_some_and(|state| state == "suppressed")
    };
    let firing: Vec<Value<'_>> = listed.iter().filter(|item| !is_suppressed(item)).cloned().collect();
    let group = AlertGroup { status: Some(AlertStatus::Firing), ..AlertGroup::default() };
    input.each(&firing, b"listed", |item| {
        let mut object = Object::new(item)?;
        let alert = alert(input, &mut object, &group);
        Ok(Alert { warnings: alert.warnings.into_iter().chain(object.warnings).collect(), ..alert })
    })
}

pub(crate) fn alert(input: &SenderInput<'_>, object: &mut Object<'_>, group: &AlertGroup) -> Alert {
    let mut warnings = Vec::new();
    let (labels, annotations) = (object.texts("labels"), object.texts("annotations"));
    let status = object.get("status").and_then(status).or(group.status).unwrap_or_else(|| {
        warnings.push("it has no status".to_owned());
        AlertStatus::Firing
    });
    let starts_at = object.instant("startsAt");
    let fingerprint = object.text("fingerprint").unwrap_or_else(|| fingerprint(&labels));
    let any = |names: &[&str], from: &BTreeMap<String, String>| names.iter().find_map(|name| from.get(*name)).cloned();
    Alert {
        firing: firing(&fingerprint, starts_at),
        recurs: starts_at.is_none(),
        status,
        name: labels.get("alertname").cloned().unwrap_or_else(|| {
            warnings.push("it has no label `alertname`".to_owned());
            crate::surface::intake::UNNAMED.to_owned()
        }),
        summary: any(&["summary", "description", "message"], &annotations),
        severity: severity(input, &labels, &mut warnings),
        starts_at,
        ends_at: object.instant("endsAt").filter(|_| status == AlertStatus::Resolved),
        value: value(&annotations, &mut warnings),
        link: field_reader::link(object.text("generatorURL")),
        runbook: any(&RUNBOOK_NAMES, &annotations).or_else(|| any(&RUNBOOK_NAMES, &labels)),
        environment: any(&ENVIRONMENT_LABELS, &labels),
        service: any(&SERVICE_LABELS, &labels),
        labels,
        annotations,
        warnings,
        ..Alert::default()
    }
}

/// The status of a webhook alert. In the list of the API `status` is an object, which this ignores.
fn status(value: &Value<'_>) -> Option<AlertStatus> {
    match value.as_str()? {
        "firing" => Some(AlertStatus::Firing),
        "resolved" => Some(AlertStatus::Resolved),
        _ => None,
    }
}

fn firing(fingerprint: &str, starts_at: Option<Timestamp>) -> String {
    match starts_at {
        Some(at) => format!("{fingerprint} {}", at.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
        None => fingerprint.to_owned(),
    }
}

fn severity(
    input: &SenderInput<'_>,
    labels: &BTreeMap<String, String>,
    warnings: &mut Vec<String>,
) -> Option<crate::domain::core::severity::Severity> {
    let label = labels.get("severity").or_else(|| labels.get("priority"))?;
    let severity = input.sender.severity(label);
    if severity.is_none() {
        warnings.push("its severity is not known".to_owned());
    }
    severity
}

/// The measured value, if the author of the rule put it into annotation `value`.
fn value(annotations: &BTreeMap<String, String>, warnings: &mut Vec<String>) -> Option<f64> {
    let text = annotations.get("value")?;
    let value = field_reader::number(&text.as_str().into());
    if value.is_none() {
        warnings.push("its annotation `value` is not a finite number".to_owned());
    }
    value
}

/// Prometheus' fingerprint of labels: 64-bit FNV-1a over the sorted names and values, each followed by 0xff
/// (`model.LabelSet.Fingerprint`). So an alert without a fingerprint gets the same identity as one with it.
fn fingerprint(labels: &BTreeMap<String, String>) -> String {
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let bytes = labels.iter().flat_map(|(name, value)| [name.as_bytes(), &[0xff], value.as_bytes(), &[0xff]]).flatten();
    let sum = bytes.fold(BASIS, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(PRIME));
    format!("{sum:016x}")
}
