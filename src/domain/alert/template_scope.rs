//! What expressions see of an alert.

use std::sync::Arc;

use minijinja::value::{Enumerator, Object, ObjectRepr};

use super::Alert;
use crate::domain::template::values::map;

/// What conditions and parameters of a trigger see: the alert's fields by themselves, and all of it as `alert`. A label
/// that an alert does not have is none.
pub fn of(alert: &Alert) -> minijinja::Value {
    let mut fields = serde_json::to_value(alert).unwrap_or_default();
    let known = fields.as_object_mut().map(std::mem::take).unwrap_or_default();
    let plain = NAMES.iter().filter(|name| !["alert", "labels", "annotations"].contains(name));
    let mut scope: Vec<(String, minijinja::Value)> = plain
        .map(|name| {
            let value = known.get(*name).cloned().unwrap_or_default();
            ((*name).to_owned(), minijinja::Value::from(minijinja::value::Serde(&value)))
        })
        .collect();
    for (name, pairs) in [("labels", &alert.labels), ("annotations", &alert.annotations)] {
        let pairs = pairs.iter().map(|(name, text)| (name.clone(), text.clone())).collect();
        scope.push((name.to_owned(), minijinja::Value::from_object(Pairs(pairs))));
    }
    let whole = map(scope.clone());
    scope.push(("alert".to_owned(), whole));
    map(scope)
}

/// Every name that a trigger may speak of.
pub const NAMES: &[&str] = &[
    "alert",
    "labels",
    "annotations",
    "sender",
    "name",
    "status",
    "summary",
    "severity",
    "starts_at",
    "ends_at",
    "value",
    "link",
    "runbook",
    "environment",
    "service",
];

/// Names with texts, of which those that are not there are none.
#[derive(Debug)]
struct Pairs(std::collections::BTreeMap<String, String>);

impl Object for Pairs {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn get_value(self: &Arc<Self>, key: &minijinja::Value) -> Option<minijinja::Value> {
        Some(self.0.get(key.as_str()?).map_or(minijinja::Value::from(()), minijinja::Value::from))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.keys().map(minijinja::Value::from).collect())
    }
}
