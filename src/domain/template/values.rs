//! Templates within structured values, and values for the scope of an expression.

use std::collections::BTreeMap;

use serde_json::Value;

use super::expression::{self, ExpressionError};

/// A map for a scope.
pub(crate) fn map(pairs: impl IntoIterator<Item = (impl Into<String>, minijinja::Value)>) -> minijinja::Value {
    minijinja::Value::from_object(
        pairs.into_iter().map(|(name, value)| (name.into(), value)).collect::<BTreeMap<String, _>>(),
    )
}

/// A value for a scope; its fields are read when an expression uses them.
pub(crate) fn plain(value: &impl serde::Serialize) -> minijinja::Value {
    minijinja::Value::from(minijinja::value::Serde(value))
}

/// Renders every text of a value in place.
pub fn render(target: &mut Value, scope: &minijinja::Value) -> Result<(), ExpressionError> {
    match target {
        Value::String(source) if source.contains('{') => *target = expression::render(source, scope)?,
        Value::Array(items) => {
            for item in items {
                render(item, scope)?;
            }
        }
        Value::Object(fields) => {
            for field in fields.values_mut() {
                render(field, scope)?;
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    Ok(())
}

/// Collects the texts of a value that may hold a template.
pub fn gather<'a>(source: &'a Value, into: &mut Vec<&'a str>) {
    match source {
        Value::String(text) if text.contains('{') => into.push(text),
        Value::Array(items) => items.iter().for_each(|item| gather(item, into)),
        Value::Object(fields) => fields.values().for_each(|field| gather(field, into)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
