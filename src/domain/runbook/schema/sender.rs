//! The schema of the senders of an estate.

use serde_json::{Map, Value, json};

use super::{closed, described, name, one_or_many, text};
use crate::domain::config::estate_check::{AUTH_KEYS, SENDER_KEYS, STATUS_KEYS, WORKFLOW_KEYS, mapping_keys};
use crate::domain::config::sender::{Form, Mapping};
use crate::domain::core::severity::SEVERITIES;

/// The schema of one sender.
pub(super) fn sender() -> Value {
    let forms: Vec<&str> = Form::WORDS.iter().map(|(word, _)| *word).collect();
    let severities: Vec<&str> = SEVERITIES.iter().map(|(word, _)| *word).collect();
    let topic = json!({ "type": "string", "pattern": "^arn:[^:]+:sns:[^:]+:[^:]+:[^:]+$" });
    let workflow = closed(WORKFLOW_KEYS, &json!({ "failure": name(), "success": name(), "environment": name() }), &[]);
    let shapes = json!({
        "form": described(json!({ "enum": forms }), "What it speaks; its name says so unless given."),
        "auth": described(auth(), "How it proves who it is."),
        "topics": described(one_or_many(&topic), "SNS topics that may post."),
        "certificate": described(text(), "A file with the certificate of SNS."),
        "environment": described(name(), "What its alerts are about when they do not say."),
        "catch_up": described(json!({ "type": "string", "pattern": "^https?://\\S+$" }), "An Alertmanager that is asked what fires after a down-time."),
        "severities": { "type": "object", "description": "What its words for severities mean.", "additionalProperties": { "enum": severities } },
        "mapping": described(mapping(), "How its body is read."),
        "workflows": { "type": "object", "description": "The workflows that matter, by file.", "propertyNames": { "pattern": "^[^/]+\\.ya?ml$" }, "additionalProperties": workflow },
    });
    closed(SENDER_KEYS, &shapes, &[])
}

fn auth() -> Value {
    let secrets = || one_or_many(&name());
    let keyed = || closed(&["secret"], &json!({ "secret": secrets() }), &["secret"]);
    let shapes = json!({
        "bearer": keyed(),
        "basic": closed(&["user", "password"], &json!({ "user": text(), "password": keyed() }), &["user", "password"]),
        "header": closed(&["name", "secret"], &json!({ "name": text(), "secret": secrets() }), &["name", "secret"]),
        "github": keyed(),
        "grafana": closed(&["secret", "timestamp_header"], &json!({ "secret": secrets(), "timestamp_header": text() }), &["secret"]),
        "pagerduty": keyed(),
        "standard": keyed(),
        "none": { "const": true },
    });
    let mut schema = closed(AUTH_KEYS, &shapes, &[]);
    schema["minProperties"] = json!(1);
    schema["maxProperties"] = json!(1);
    schema
}

fn mapping() -> Value {
    let expression = || json!({ "type": "string", "pattern": "\\S" });
    let words = || one_or_many(&json!({ "type": ["string", "integer", "boolean"] }));
    let pairs = || json!({ "anyOf": [expression(), { "type": "object", "additionalProperties": expression() }] });
    let status = json!({ "value": expression(), "firing": words(), "resolved": words() });
    let mut shapes: Map<String, Value> =
        Mapping::FIELDS.iter().map(|field| ((*field).to_owned(), expression())).collect();
    shapes.insert("each".to_owned(), expression());
    shapes.insert("status".to_owned(), closed(STATUS_KEYS, &status, &["value", "resolved"]));
    shapes.insert("labels".to_owned(), pairs());
    shapes.insert("annotations".to_owned(), pairs());
    shapes.insert("recurs".to_owned(), json!({ "type": "boolean" }));
    closed(&mapping_keys(), &Value::Object(shapes), &["name"])
}
