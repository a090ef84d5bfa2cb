//! Sanitises foreign text for the terminal and for an incident's log.
//!
//! **Invariant:** secrets are redacted first, then phone numbers are masked, then control characters are escaped. A text is
//! cut only afterwards.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::domain::core::text::printable;
use crate::domain::journal::entry::JournalEntry;
use crate::domain::redact::Redactor;
use crate::surface::cli::output::writer;

/// Sanitises text with a redactor.
#[derive(Debug, Clone)]
pub(super) struct Clean(pub(super) Arc<Redactor>);

impl Clean {
    /// The text, safe to show and to store.
    pub(super) fn text(&self, foreign: &str) -> String {
        let redacted = self.0.scrub(foreign);
        printable(&self.0.mask_phones(&redacted)).into_owned()
    }

    /// A line as one JSON object on one line, unchanged if it is safe. A line that is not JSON becomes an object in pino's
    /// format.
    pub(super) fn json(&self, entry: &JournalEntry) -> String {
        let mut value = match entry.json() {
            Some(_) if self.is_clean(&entry.raw) => return format!("{}\n", self.0.mask_phones(entry.raw.trim())),
            Some(object) => Value::Object(object.clone()),
            None => {
                let level = (entry.level as u64 + 1) * 10;
                json!({"level": level, "time": entry.at.timestamp_millis(), "service": entry.service(), "msg": entry.raw})
            }
        };
        self.0.scrub_value(&mut value);
        self.mask(&mut value);
        writer::json(&value, false)
    }

    /// Whether a text has no secret, control character or line end.
    fn is_clean(&self, raw: &str) -> bool {
        let raw = raw.trim();
        !raw.contains('\n') && printable(raw) == raw && self.0.scrub(raw) == raw
    }

    /// Masks the phone numbers in every text of a value.
    fn mask(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.0.mask_phones(text).into_owned(),
            Value::Array(items) => items.iter_mut().for_each(|item| self.mask(item)),
            Value::Object(fields) => fields.values_mut().for_each(|field| self.mask(field)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}
