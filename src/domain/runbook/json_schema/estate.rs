//! The JSON Schema of an estate, made of its table.

use serde_json::{Map, Value, json};

use super::{DIALECT, name, one_or_many, property, text};
use crate::domain::config::estate_schema::pattern::MAILBOX;
use crate::domain::config::estate_schema::{
    Alternative, ESTATE, Entries, EntryKey, EstateShape, Items, Pattern, SECRET_REF, Section,
};

/// The schema of an estate.
pub fn estate() -> Value {
    let mut schema = section(&ESTATE);
    schema["$schema"] = json!(DIALECT);
    schema["title"] = json!("An estate");
    schema
}

fn section(of: &Section) -> Value {
    match of.alternatives {
        None => record(of, of.fields.iter().filter(|field| field.required).map(|field| field.name)),
        Some(alternatives) => {
            json!({ "oneOf": alternatives.list.iter().map(|one| one_alternative(of, one)).collect::<Vec<_>>() })
        }
    }
}

/// A section with the keys of one of its alternatives, and those that belong to none.
fn one_alternative(of: &Section, alternative: &Alternative) -> Value {
    let common = of.common().filter(|field| field.required).map(|field| field.name);
    let mut schema = record(of, common.chain([alternative.key]).chain(alternative.required.iter().copied()));
    let keys: Vec<&str> = alternative.keys().chain(of.common().map(|field| field.name)).collect();
    if let Some(properties) = schema["properties"].as_object_mut() {
        properties.retain(|key, _| keys.contains(&key.as_str()));
    }
    schema
}

fn record<'f>(of: &Section, required: impl Iterator<Item = &'f str>) -> Value {
    let properties: Map<String, Value> =
        of.fields.iter().map(|field| (field.name.to_owned(), property(field, shape(&field.shape)))).collect();
    json!({
        "type": if of.may_be_empty { json!(["object", "null"]) } else { json!("object") },
        "additionalProperties": false,
        "properties": properties,
        "required": required.collect::<Vec<_>>(),
    })
}

fn shape(of: &EstateShape) -> Value {
    match of {
        EstateShape::Text | EstateShape::ExpressionOver(_) => text(),
        EstateShape::Name | EstateShape::NameIn(_) => name(),
        EstateShape::Word => json!({ "type": ["string", "integer", "boolean"] }),
        EstateShape::Integer { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        EstateShape::Boolean => json!({ "type": "boolean" }),
        EstateShape::True => json!({ "const": true }),
        EstateShape::Duration => {
            json!({ "type": "string", "pattern": "^\\s*([0-9]+\\s*[A-Za-zµ]+\\s*)+$|^0$", "examples": ["90s", "15m", "24h"] })
        }
        EstateShape::Any => json!({}),
        EstateShape::OneOf(words) => json!({ "enum": words }),
        EstateShape::Pattern(of) => pattern(of),
        EstateShape::Recipient => json!({ "anyOf": [name(), pattern(&MAILBOX)] }),
        EstateShape::SecretKey => json!({ "anyOf": [name(), section(&SECRET_REF)] }),
        EstateShape::ListOf(item) => json!({ "type": "array", "items": shape(item) }),
        EstateShape::OneOrMany(item) => one_or_many(&shape(item)),
        EstateShape::Items(of) => items(of),
        EstateShape::Entries(of) => entries(of),
        EstateShape::Section(of) => section(of),
        EstateShape::MappingOr { mapping, other } => json!({ "anyOf": [shape(other), shape(mapping)] }),
    }
}

fn items(of: &Items) -> Value {
    let item = shape(&of.item);
    let mut list = json!({ "type": "array", "items": item, "minItems": of.min });
    if of.max < usize::MAX {
        list["maxItems"] = json!(of.max);
    }
    if of.one { json!({ "anyOf": [item, list] }) } else { list }
}

fn entries(of: &Entries) -> Value {
    let nothing_fits = of.may_be_null && of.needed.is_none();
    let mut schema = json!({
        "type": if nothing_fits { json!(["object", "null"]) } else { json!("object") },
        "additionalProperties": shape(&of.value),
    });
    match of.key {
        EntryKey::Free => {}
        EntryKey::Name => schema["propertyNames"] = name(),
        EntryKey::Pattern(of) => schema["propertyNames"] = pattern(of),
    }
    if of.needed.is_some() {
        schema["minProperties"] = json!(1);
    }
    schema
}

fn pattern(of: &Pattern) -> Value {
    if of.regex.is_empty() {
        let words: Vec<String> = of.words.iter().map(|word| in_any_case(word)).collect();
        return json!({ "type": "string", "pattern": format!("^({})$", words.join("|")) });
    }
    json!({ "type": "string", "pattern": of.regex })
}

/// A regular expression for a word of letters: JSON Schema has no flag for it.
fn in_any_case(word: &str) -> String {
    word.chars().map(|c| format!("[{}{}]", c.to_ascii_uppercase(), c.to_ascii_lowercase())).collect()
}
