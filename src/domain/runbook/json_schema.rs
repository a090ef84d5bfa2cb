//! JSON Schemas (draft 2020-12) of a runbook and of an estate, for editors: completion, help while typing, first checks.
//!
//! They are made of the tables and forms that the checker reads. A schema cannot know names, order or effects, so it accepts
//! more than the checker.
//!
//! **Invariant:** a schema accepts every file that the checker accepts.

mod estate;
mod runbook;

use serde_json::{Map, Value, json};

use crate::domain::config::kind_schema::{Field, KindForm, Shape};
use crate::domain::config::yaml::reader;
use crate::domain::core::diagnostic::Source;
use crate::domain::core::id::NAME_LIMIT;

pub use self::estate::estate;
pub use self::runbook::runbook;

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

// ── kinds ────────────────────────────────────────────────────────────────────────────────────────────────────

fn kind(form: &KindForm) -> Value {
    let fields = || crate::domain::runbook::check::all_fields(form);
    let mut whole = mapping(fields(), shape);
    if !form.verbs.is_empty() {
        whole["oneOf"] = form.verbs.iter().map(|verb| json!({ "required": [verb.field.name] })).collect();
    }
    let mut alternatives = vec![whole];
    if form.verbs.is_empty() && fields().all(|field| !field.required) {
        alternatives.push(json!({ "type": "null" }));
    }
    if let Some(field) = fields().find(|field| Some(field.name) == form.shorthand) {
        alternatives.push(shape(&field.shape));
    }
    json!({ "description": form.summary, "anyOf": alternatives })
}

/// The schema of a shape. Every shape but scripts and expressions may be a template instead.
fn shape(of: &Shape) -> Value {
    let plain = match of {
        Shape::Text | Shape::Script | Shape::Sql | Shape::Unit | Shape::Service | Shape::Datastore | Shape::Channel => {
            return text();
        }
        Shape::Expression => return json!({ "$ref": "#/$defs/expression" }),
        Shape::Any => return json!({}),
        Shape::Duration => return json!({ "$ref": "#/$defs/duration" }),
        Shape::Secret => return json!({ "anyOf": [text(), secret()] }),
        Shape::Integer { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Shape::Number => json!({ "type": "number" }),
        Shape::Boolean => json!({ "type": "boolean" }),
        Shape::OneOf(words) => json!({ "enum": words }),
        Shape::ListOf(item) => json!({ "type": "array", "items": shape(item) }),
        Shape::OneOrMany(item) => return one_or_many(&shape(item)),
        Shape::MapOf(held) => json!({ "type": "object", "additionalProperties": shape(held) }),
        Shape::Record(fields) => mapping(*fields, shape),
    };
    json!({ "anyOf": [plain, { "$ref": "#/$defs/template" }] })
}

// ── pieces ───────────────────────────────────────────────────────────────────────────────────────────────────

fn name() -> Value {
    json!({ "type": "string", "pattern": "^[a-z][a-z0-9_-]*$", "maxLength": NAME_LIMIT })
}

fn text() -> Value {
    json!({ "type": "string", "pattern": "\\S" })
}

fn secret() -> Value {
    json!({ "type": "object", "additionalProperties": false, "required": ["secret"], "properties": { "secret": name() } })
}

fn one_or_many(item: &Value) -> Value {
    json!({ "anyOf": [item, { "type": "array", "items": item }] })
}

/// A mapping with these fields and no others. `value` is the schema of a field's shape.
fn mapping<'f, S: 'f>(fields: impl IntoIterator<Item = &'f Field<S>>, value: impl Fn(&S) -> Value) -> Value {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for field in fields {
        properties.insert(field.name.to_owned(), property(field, value(&field.shape)));
        if field.required {
            required.push(field.name);
        }
    }
    json!({ "type": "object", "additionalProperties": false, "properties": properties, "required": required })
}

/// The schema of a field: `value` with the field's help and default.
fn property<S>(field: &Field<S>, mut value: Value) -> Value {
    if let Some(default) = field.default.and_then(|text| reader::read(&Source::new(field.name, text)).ok()) {
        value["default"] = default.to_json();
    }
    value["description"] = json!(field.help);
    value
}

#[cfg(test)]
mod tests;
