//! Typed access to the fields of a body. A value of another type than expected is converted if possible, and otherwise
//! ignored. In most cases that adds a warning.

use std::collections::BTreeMap;

use axum::http::HeaderMap;
use chrono::DateTime;
use serde_json_borrow::{ObjectAsVec, Value};

use crate::domain::core::time::Timestamp;

/// The value from which a number is milliseconds since 1970, not seconds: as seconds it would be the year 5138.
const MILLISECONDS_FROM: f64 = 1e11;

/// A header that occurs exactly once, as text.
pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let only = values.next().filter(|_| values.next().is_none())?;
    only.to_str().ok()
}

/// An object in a body, and the warnings about its fields.
#[derive(Debug)]
pub(crate) struct Object<'a> {
    fields: &'a ObjectAsVec<'a>,
    pub warnings: Vec<String>,
}

impl<'a> Object<'a> {
    /// Wraps a value that is an object.
    ///
    /// # Errors
    /// When the value is not an object.
    pub fn new(value: &'a Value<'a>) -> Result<Self, String> {
        match value {
            Value::Object(fields) => Ok(Self { fields, warnings: Vec::new() }),
            other => Err(format!("it is {} where an object was expected", type_name(other))),
        }
    }

    /// A field that is present and not null. Of two fields with the same name, the last counts.
    pub fn get(&self, key: &str) -> Option<&'a Value<'a>> {
        let mut fields = self.fields.as_vec().iter().rev();
        fields.find(|(name, _)| *name == key).map(|(_, value)| value).filter(|value| !value.is_null())
    }

    /// A field with a text that is not empty. A number or a boolean is converted, with a warning.
    pub fn text(&mut self, key: &str) -> Option<String> {
        let value = self.get(key)?;
        match (text_of(value), value) {
            (Some(text), Value::Str(_)) => Some(text).filter(|text| !text.is_empty()),
            (Some(text), _) => {
                self.unexpected::<()>(key, value, "text");
                Some(text)
            }
            (None, _) => self.unexpected(key, value, "text"),
        }
    }

    /// The text of the first of these fields that has one.
    pub fn text_of_any(&mut self, keys: &[&str]) -> Option<String> {
        keys.iter().find_map(|key| self.text(key))
    }

    /// A whole number that is not negative, or one written as text.
    pub fn count(&mut self, key: &str) -> Option<u64> {
        let value = self.get(key)?;
        value.as_u64().or_else(|| value.as_str()?.parse().ok()).or_else(|| self.unexpected(key, value, "a count"))
    }

    /// An instant. Go's zero time counts as absent.
    pub fn instant(&mut self, key: &str) -> Option<Timestamp> {
        let value = self.get(key).filter(|value| !matches!(value.as_str(), Some("")))?;
        match instant(value) {
            Some(at) => Some(at).filter(|at| *at > DateTime::UNIX_EPOCH),
            None => self.unexpected(key, value, "an instant"),
        }
    }

    /// A nested object; empty when it is absent or of another type.
    pub fn object(&mut self, key: &str) -> Self {
        static EMPTY: std::sync::LazyLock<ObjectAsVec<'static>> =
            std::sync::LazyLock::new(|| Vec::<(&'static str, Value<'static>)>::new().into());
        let fields = match self.get(key) {
            None => &EMPTY,
            Some(Value::Object(fields)) => fields,
            Some(other) => {
                self.unexpected::<()>(key, other, "an object");
                &EMPTY
            }
        };
        Object { fields, warnings: Vec::new() }
    }

    /// Every field of a nested object, as text.
    pub fn texts(&mut self, key: &str) -> BTreeMap<String, String> {
        let object = self.object(key);
        let mut has_other_types = false;
        let mut texts = BTreeMap::new();
        for (name, value) in object.fields.iter() {
            has_other_types |= !value.is_string();
            if let Some(text) = loose_text(value) {
                texts.insert(name.to_owned(), text);
            }
        }
        if has_other_types {
            self.warnings.push(format!("not every value of `{key}` is text"));
        }
        texts
    }

    fn unexpected<T>(&mut self, key: &str, value: &Value<'_>, expected: &str) -> Option<T> {
        self.warnings.push(format!("`{key}` is {} where {expected} was expected", type_name(value)));
        None
    }
}

/// The name of a value's type, for messages.
pub(crate) fn type_name(value: &Value<'_>) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::Str(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The text of a scalar that is not null.
pub(crate) fn text_of(value: &Value<'_>) -> Option<String> {
    match value {
        Value::Str(text) => Some(text.to_string()),
        Value::Number(number) => Some(serde_json::Number::from(*number).to_string()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The text of a scalar that is not null, or the JSON of a list or an object.
pub(crate) fn loose_text(value: &Value<'_>) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Array(_) | Value::Object(_) => Some(value.to_string()),
        scalar => text_of(scalar),
    }
}

/// A finite number, or one written as text with or without a per cent sign.
pub(crate) fn number(value: &Value<'_>) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::Str(text) => text.trim().trim_end_matches('%').trim_end().parse().ok(),
        _ => None,
    };
    number.filter(|number| number.is_finite())
}

/// An instant: RFC 3339, the same with an offset without a colon (CloudWatch), or seconds or milliseconds since 1970.
pub(crate) fn instant(value: &Value<'_>) -> Option<Timestamp> {
    if let Some(text) = value.as_str() {
        let parsed =
            DateTime::parse_from_rfc3339(text).or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z"));
        if let Ok(at) = parsed {
            return Some(at.to_utc());
        }
    }
    let number = number(value)?;
    let milliseconds = if number.abs() < MILLISECONDS_FROM { number * 1000.0 } else { number };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a cast of a float saturates, and the result is not an instant"
    )]
    DateTime::from_timestamp_millis(milliseconds as i64)
}

/// An address that may be shown as a link: only `http` and `https`.
pub(crate) fn link(text: Option<String>) -> Option<String> {
    text.filter(|text| text.starts_with("https://") || text.starts_with("http://"))
}
