//! Grafana's unified alerting: the words of [Alertmanager](super::alertmanager) with the values and pages of Grafana.

use serde_json_borrow::Value;

use super::alertmanager::{self, AlertGroup};
use crate::domain::alert::Alert;
use crate::surface::intake::parse::field_reader;
use crate::surface::intake::parse::field_reader::Object;
use crate::surface::intake::parse::lenient_json;
use crate::surface::intake::{ParsedBody, SenderInput};

/// Further pages of an alert, and the annotation in which each is kept.
const PAGES: [(&str, &str); 4] =
    [("dashboardURL", "dashboard"), ("panelURL", "panel"), ("silenceURL", "silence"), ("imageURL", "image")];

pub(crate) fn read(input: &SenderInput<'_>) -> Result<ParsedBody, String> {
    let body = lenient_json::json(input.post.body)?;
    alertmanager::group(input, &body, |object, group| alert(input, object, group))
}

fn alert(input: &SenderInput<'_>, object: &mut Object<'_>, group: &AlertGroup) -> Alert {
    let mut alert = alertmanager::alert(input, object, group);
    for (key, annotation) in PAGES {
        if let Some(page) = field_reader::link(object.text(key)) {
            alert.annotations.insert(annotation.to_owned(), page);
        }
    }
    let values = values(object);
    // Expressions are lettered in the order of evaluation and the condition comes last; its value is only 0 or 1.
    alert.value = alert.value.or_else(|| values.first().map(|(_, value)| *value));
    let value = |(name, value): (String, f64)| (format!("values.{name}"), value.to_string());
    alert.annotations.extend(values.into_iter().map(value));
    alert.link = alert.link.or_else(|| page_of(object, group));
    alert
}

/// The finite values by the letter of their expression, sorted.
fn values(object: &mut Object<'_>) -> Vec<(String, f64)> {
    let Some(Value::Object(values)) = object.get("values") else { return Vec::new() };
    let mut found: Vec<(String, f64)> =
        values.iter().filter_map(|(name, value)| Some((name.to_owned(), field_reader::number(value)?))).collect();
    found.sort_by(|one, other| one.0.cmp(&other.0));
    found
}

/// The page of the rule, if its address is relative to Grafana's own.
fn page_of(object: &mut Object<'_>, group: &AlertGroup) -> Option<String> {
    let relative = object.text("generatorURL").filter(|path| path.starts_with('/'))?;
    let base = field_reader::link(group.external.clone())?;
    Some(url::Url::parse(&base).ok()?.join(&relative).ok()?.to_string())
}
