//! Grafana's unified alerting: the format of [Alertmanager](super::alertmanager) with Grafana's values and pages.

use serde_json_borrow::Value;

use super::alertmanager::{self, AlertGroup};
use crate::domain::alert::Alert;
use crate::surface::intake::parse::field_reader;
use crate::surface::intake::parse::field_reader::Object;
use crate::surface::intake::parse::lenient_json;
use crate::surface::intake::{ParsedBody, SenderInput};

/// The fields with addresses of pages, and the annotation for each.
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
    // The letters of expressions follow the order of evaluation. The condition, whose value is only 0 or 1, comes last.
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

/// The page of the rule, if its address is relative to the address of Grafana.
fn page_of(object: &mut Object<'_>, group: &AlertGroup) -> Option<String> {
    let relative = object.text("generatorURL").filter(|path| path.starts_with('/'))?;
    let base = field_reader::link(group.external.clone())?;
    Some(url::Url::parse(&base).ok()?.join(&relative).ok()?.to_string())
}
