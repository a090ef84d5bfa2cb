//! The JSON Schema of a runbook, made of its table and of the forms of kinds.

use serde_json::{Map, Value, json};

use super::{DIALECT, kind, mapping, name, one_or_many, text};
use crate::domain::config::kind_schema::KindForm;
use crate::domain::runbook::runbook_schema::{BODIES, MODIFIERS, PARAM, RUNBOOK, RunbookSection, RunbookShape};

/// The schema of a runbook.
pub fn runbook(forms: &[&KindForm]) -> Value {
    let mut schema = section(&RUNBOOK, forms);
    schema["$schema"] = json!(DIALECT);
    schema["title"] = json!("A runbook");
    schema["$defs"] = definitions(forms);
    schema
}

fn definitions(forms: &[&KindForm]) -> Value {
    let mut definitions = Map::new();
    definitions.insert("step".to_owned(), step(forms));
    definitions.insert("duration".to_owned(), duration());
    definitions.insert("template".to_owned(), json!({ "type": "string", "pattern": "\\{[{%#]" }));
    definitions.insert("expression".to_owned(), json!({ "type": ["string", "boolean"] }));
    for form in forms {
        definitions.insert(kind_name(form), kind(form));
    }
    Value::Object(definitions)
}

fn kind_name(form: &KindForm) -> String {
    format!("kind_{}", form.name)
}

fn duration() -> Value {
    json!({ "type": "string", "pattern": "^\\s*([0-9]+\\s*[A-Za-zµ]+\\s*)+$|\\{[{%#]|^0$", "examples": ["90s", "15m", "24h"] })
}

fn step(forms: &[&KindForm]) -> Value {
    let mut schema = mapping(BODIES.fields.iter().chain(MODIFIERS.fields), |of| shape(of, forms));
    require_one(&mut schema, &BODIES.keys(), forms);
    schema
}

fn section(of: &RunbookSection, forms: &[&KindForm]) -> Value {
    let mut schema = mapping(of.fields, |of| shape(of, forms));
    if of.has_action {
        require_one(&mut schema, &[], forms);
    }
    if std::ptr::eq(of, &PARAM) {
        schema["if"] = json!({ "properties": { "type": { "const": "choice" } } });
        schema["then"] = json!({ "required": ["choices"] });
    }
    schema
}

/// Adds the kinds to a mapping and requires exactly one of them or of `bodies`.
fn require_one(schema: &mut Value, bodies: &[&str], forms: &[&KindForm]) {
    for form in forms {
        schema["properties"][form.name] = json!({ "$ref": format!("#/$defs/{}", kind_name(form)) });
    }
    let names = bodies.iter().copied().chain(forms.iter().map(|form| form.name));
    schema["oneOf"] = names.map(|name| json!({ "required": [name] })).collect();
}

fn shape(of: &RunbookShape, forms: &[&KindForm]) -> Value {
    match of {
        RunbookShape::Text | RunbookShape::Template | RunbookShape::Cron | RunbookShape::TimeZone => text(),
        RunbookShape::Expression => json!({ "$ref": "#/$defs/expression" }),
        RunbookShape::Name | RunbookShape::NameOf(_) => name(),
        RunbookShape::Duration => json!({ "$ref": "#/$defs/duration" }),
        RunbookShape::Integer { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        RunbookShape::Boolean => json!({ "type": "boolean" }),
        RunbookShape::True => json!({ "const": true }),
        RunbookShape::Empty => json!({ "type": "null" }),
        RunbookShape::Scalar => json!({ "type": ["string", "number", "boolean"] }),
        RunbookShape::OneOf(words) => json!({ "enum": words }),
        RunbookShape::List { item, min } => json!({ "type": "array", "minItems": min, "items": shape(item, forms) }),
        RunbookShape::OneOrMany(item) => one_or_many(&shape(item, forms)),
        RunbookShape::Steps { min } => {
            json!({ "type": "array", "minItems": min, "items": { "$ref": "#/$defs/step" } })
        }
        RunbookShape::Entries(value) => {
            json!({ "type": "object", "propertyNames": name(), "additionalProperties": shape(value, forms) })
        }
        RunbookShape::Params => json!({ "type": "object", "propertyNames": name() }),
        RunbookShape::Section(of) => section(of, forms),
        RunbookShape::Either(shapes) => {
            json!({ "anyOf": shapes.iter().map(|of| shape(of, forms)).collect::<Vec<_>>() })
        }
    }
}
