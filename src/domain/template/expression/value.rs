//! The engine's values as plain data, with limits of depth and size.

use minijinja::Value;
use minijinja::value::ValueKind;
use serde_json::Value as Json;

use super::MAX_RENDERED;

/// Limit of nesting in a value.
const MAX_VALUE_DEPTH: usize = 64;

/// Converts a value to plain data. The error is the reason why that is impossible.
pub(in crate::domain) fn plain(value: &Value, depth: usize) -> Result<Json, &'static str> {
    if depth > MAX_VALUE_DEPTH {
        return Err("the value is nested too deeply");
    }
    match value.kind() {
        ValueKind::None => Ok(Json::Null),
        ValueKind::Bool => Ok(Json::Bool(value.is_true())),
        ValueKind::Number => {
            serde_json::to_value(value).ok().filter(Json::is_number).ok_or("the number is not finite or too large")
        }
        ValueKind::String => Ok(Json::String(value.as_str().unwrap_or_default().to_owned())),
        ValueKind::Seq | ValueKind::Iterable => items(value)?.iter().map(|item| plain(item, depth + 1)).collect(),
        ValueKind::Map => entries(value, depth),
        ValueKind::Undefined => Err("a part of the value is not defined"),
        _ => Err("the value is not plain data"),
    }
}

fn items(value: &Value) -> Result<Vec<Value>, &'static str> {
    Ok(value.try_iter().map_err(|_| "the value cannot be listed")?.take(MAX_RENDERED).collect())
}

fn entries(value: &Value, depth: usize) -> Result<Json, &'static str> {
    let mut map = serde_json::Map::new();
    for key in items(value)? {
        let held = value.get_item(&key).map_err(|_| "a part of the value is not defined")?;
        let name = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
        map.insert(name, plain(&held, depth + 1)?);
    }
    Ok(Json::Object(map))
}

/// The value, if it has at most [`MAX_RENDERED`] bytes as JSON.
pub(super) fn size_checked(json: Json) -> Option<Json> {
    (size(&json) <= MAX_RENDERED).then_some(json)
}

/// The size as JSON, approximately.
fn size(json: &Json) -> usize {
    match json {
        Json::String(text) => text.len() + 2,
        Json::Array(items) => items.iter().map(size).sum::<usize>() + items.len() + 2,
        Json::Object(map) => map.iter().map(|(key, held)| key.len() + 4 + size(held)).sum::<usize>() + 2,
        Json::Null | Json::Bool(_) | Json::Number(_) => 8,
    }
}
