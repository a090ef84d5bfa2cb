//! JSON Schemas (draft 2020-12) of a runbook and of an estate, for editors: completion, help while typing, first checks.
//!
//! They are built from the same tables and key lists that the checker reads. A schema cannot know names, order or
//! what changes the world, so it accepts more than the checker: **Invariant:** what the checker accepts, the schema accepts.
//!
//! Not here: schemas written by hand beside the tables.

mod estate;
mod trigger;

use serde_json::{Map, Value, json};

use crate::domain::config::kind_schema::{Field, KindForm, Shape};
use crate::domain::core::id::NAME_LIMIT;
use crate::domain::runbook::check::{
    APPROVE_KEYS, ASK_KEYS, DEADLINE_KEYS, GRADES, PARAM_TYPES, RETRY_KEYS, START_KEYS, UNDO_KEYS, UNTIL_KEYS,
    VERIFY_KEYS,
};

pub use self::estate::estate;

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The schema of a runbook.
pub fn runbook(forms: &[&KindForm]) -> Value {
    json!({
        "$schema": DIALECT,
        "title": "A runbook",
        "type": "object",
        "additionalProperties": false,
        "required": ["runbook", "title", "severity", "steps"],
        "properties": {
            "runbook": described(name(), "The id: the file's name without `.yaml`."),
            "title": described(text(), "What it is for, in a few words."),
            "severity": { "enum": GRADES.iter().map(|(word, _)| *word).collect::<Vec<_>>(), "description": "The severity of the incident that it opens, or `maintenance` for planned work." },
            "summary": described(text(), "One or two sentences."),
            "environments": one_or_many(&name()),
            "on": described(one_or_many(&trigger::either()), "What starts it by itself: alerts, or the clock."),
            "deadlines": { "type": "object", "description": "What must be done by when.", "propertyNames": name(), "additionalProperties": deadline() },
            "params": { "type": "object", "description": "What the starter may set.", "propertyNames": name(), "additionalProperties": param() },
            "steps": { "type": "array", "minItems": 1, "description": "In order.", "items": { "$ref": "#/$defs/step" } },
            "finally": { "type": "array", "description": "Always run at the end.", "items": { "$ref": "#/$defs/step" } },
        },
        "$defs": definitions(forms),
    })
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

// ── steps ────────────────────────────────────────────────────────────────────────────────────────────────────

fn step(forms: &[&KindForm]) -> Value {
    let mut properties = object(modifiers(forms));
    properties.extend(object(gates()));
    let mut bodies: Vec<&str> = vec!["ask", "manual", "wait", "parallel", "start"];
    for form in forms {
        properties.insert(form.name.to_owned(), json!({ "$ref": format!("#/$defs/{}", kind_name(form)) }));
        bodies.push(form.name);
    }
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
        "oneOf": bodies.iter().map(|body| json!({ "required": [body] })).collect::<Vec<_>>(),
    })
}

fn modifiers(forms: &[&KindForm]) -> Value {
    let expression = || json!({ "$ref": "#/$defs/expression" });
    let span = || json!({ "$ref": "#/$defs/duration" });
    json!({
        "id": described(name(), "Unique in the runbook; later steps refer to `steps.<id>`."),
        "name": described(text(), "What people read."),
        "phase": described(name(), "identify, assess, mitigate, notify, or another word."),
        "why": described(text(), "Why it is done."),
        "when": described(expression(), "Skipped when false."),
        "max_parallel": { "description": "How many items of `for_each` are worked on at the same time.", "type": "integer", "minimum": 1, "maximum": crate::domain::runbook::check::MAX_AT_ONCE },
        "for_each": { "description": "Done once for each `item`.", "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": ["string", "number", "boolean", "null"] } }] },
        "approve": { "description": "Who must agree first.", "anyOf": [{ "type": "null" }, { "const": true }, one_or_many(&text()), approve()] },
        "timeout": described(span(), "How long one attempt may take."),
        "retry": { "description": "Whether and when to try again.", "anyOf": [
            { "type": "integer", "minimum": 1, "maximum": crate::domain::runbook::check::MAX_ATTEMPTS },
            closed(RETRY_KEYS, &json!({ "attempts": { "type": "integer", "minimum": 1, "maximum": crate::domain::runbook::check::MAX_ATTEMPTS }, "backoff": span(), "if": expression() }), &["attempts"]),
        ] },
        "until": { "description": "Repeat a reading until this holds.", "anyOf": [expression(), closed(UNTIL_KEYS, &json!({ "condition": expression(), "every": span() }), &["condition"])] },
        "verify": one_action(forms, VERIFY_KEYS, &json!({ "within": span(), "hold": span(), "every": span(), "effect": effect() })),
        "on_failure": { "enum": ["ask", "stop", "continue"], "description": "What a failure means for the run." },
        "undo": one_action(forms, UNDO_KEYS, &json!({ "effect": effect() })),
        "meets": described(text(), "The deadline that this step meets by succeeding."),
        "host": described(text(), "One of the environment's `hosts`, or `local`; the environment's own `host` unless given."),
        "effect": effect(),
    })
}

fn gates() -> Value {
    let list = json!({ "type": "array", "minItems": 1, "items": text() });
    let flag = json!({ "type": "boolean" });
    json!({
        "ask": { "description": "A question to a person.", "anyOf": [
            { "type": "null" },
            list,
            closed(ASK_KEYS, &json!({ "choices": list, "suggest": text(), "auto": flag, "many": flag }), &[]),
        ] },
        "manual": described(text(), "A person does it by hand and says when it is done."),
        "wait": { "$ref": "#/$defs/duration" },
        "parallel": { "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/step" }, "description": "All of these at once." },
        "start": { "description": "Another runbook, in the same incident.", "anyOf": [name(), closed(START_KEYS, &json!({ "runbook": name(), "params": { "type": "object" } }), &["runbook"])] },
    })
}

fn effect() -> Value {
    json!({ "enum": ["read", "repeatable", "once"], "description": "How often it may happen, where the kind cannot know." })
}

/// A mapping with exactly one kind, and some other keys.
fn one_action(forms: &[&KindForm], extra: &[&str], shapes: &Value) -> Value {
    let mut properties = Map::new();
    for key in extra {
        properties.insert((*key).to_owned(), shapes[*key].clone());
    }
    for form in forms {
        properties.insert(form.name.to_owned(), json!({ "$ref": format!("#/$defs/{}", kind_name(form)) }));
    }
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
        "oneOf": forms.iter().map(|form| json!({ "required": [form.name] })).collect::<Vec<_>>(),
    })
}

fn approve() -> Value {
    let people = json!({ "anyOf": [{ "type": "integer", "minimum": 1, "maximum": crate::domain::runbook::check::MAX_PEOPLE }, { "$ref": "#/$defs/template" }] });
    closed(
        APPROVE_KEYS,
        &json!({
            "by": described(one_or_many(&text()), "Any of these roles or people."),
            "count": described(people, "How many people."),
            "not_requester": described(json!({ "type": "boolean" }), "Whether who started the run does not count."),
            "expires": described(json!({ "$ref": "#/$defs/duration" }), "How long the question stands; then the step has failed."),
        }),
        &[],
    )
}

fn deadline() -> Value {
    let span = json!({ "$ref": "#/$defs/duration" });
    closed(
        DEADLINE_KEYS,
        &json!({
            "within": span, "every": span, "from": { "enum": ["opened", "resolved"] }, "warn_at": span, "fallback_at": span,
            "role": name(), "to": one_or_many(&text()), "escalate": one_or_many(&text()),
        }),
        &[],
    )
}

fn param() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["type"],
        "properties": {
            "type": { "enum": PARAM_TYPES },
            "default": { "type": ["string", "number", "boolean"] },
            "choices": { "type": "array", "minItems": 1, "items": text() },
            "help": text(),
        },
        "if": { "properties": { "type": { "const": "choice" } } },
        "then": { "required": ["choices"] },
    })
}

// ── kinds ────────────────────────────────────────────────────────────────────────────────────────────────────

fn kind(form: &KindForm) -> Value {
    let fields = || crate::domain::runbook::check::all_fields(form);
    let mut whole = record(fields());
    if !form.verbs.is_empty() {
        whole["oneOf"] = form.verbs.iter().map(|verb| json!({ "required": [verb.field.name] })).collect();
    }
    let mut ways = vec![whole];
    if form.verbs.is_empty() && fields().all(|field| !field.required) {
        ways.push(json!({ "type": "null" }));
    }
    if let Some(field) = fields().find(|field| Some(field.name) == form.shorthand) {
        ways.push(shape(&field.shape));
    }
    json!({ "description": form.summary, "anyOf": ways })
}

fn record<'f>(fields: impl Iterator<Item = &'f Field>) -> Value {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for field in fields {
        properties.insert(field.name.to_owned(), described(shape(&field.shape), field.help));
        if field.required {
            required.push(field.name);
        }
    }
    json!({ "type": "object", "additionalProperties": false, "properties": properties, "required": required })
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
        Shape::Record(fields) => record(fields.iter()),
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

fn duration() -> Value {
    json!({ "type": "string", "pattern": "^\\s*([0-9]+\\s*[A-Za-zµ]+\\s*)+$|\\{[{%#]|^0$", "examples": ["90s", "15m", "24h"] })
}

fn one_or_many(item: &Value) -> Value {
    json!({ "anyOf": [item, { "type": "array", "items": item }] })
}

fn described(mut schema: Value, description: &str) -> Value {
    schema["description"] = Value::String(description.to_owned());
    schema
}

/// A mapping with exactly these keys known; `shapes` must know each.
fn closed(keys: &[&str], shapes: &Value, required: &[&str]) -> Value {
    let properties: Map<String, Value> = keys.iter().map(|key| ((*key).to_owned(), shapes[*key].clone())).collect();
    json!({ "type": "object", "additionalProperties": false, "properties": properties, "required": required })
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests;
