//! The schema of a channel: exactly one way out, with what belongs to it.

use serde_json::{Value, json};

use super::{closed, name, one_or_many, secret, text};
use crate::domain::config::estate_check::{EMAIL_KEYS, PROGRAM_KEYS, TLS, WEBHOOK_KEYS};

pub(super) fn channel() -> Value {
    let address = json!({ "type": "string", "pattern": "^https?://\\S+$" });
    let tls: Vec<&str> = TLS.iter().map(|(word, _)| *word).collect();
    let email = json!({
        "to": one_or_many(&text()), "from": text(), "server": text(),
        "port": { "type": "integer", "minimum": 1, "maximum": 65535 },
        "tls": { "enum": tls }, "user": text(), "password": secret(), "trust": text(),
    });
    let variable = json!({ "anyOf": [text(), secret()] });
    let argv = json!({ "type": "array", "minItems": 1, "items": text() });
    let program = json!({ "argv": argv, "env": { "type": "object", "additionalProperties": variable } });
    let key = json!({ "anyOf": [name(), secret()] });
    let way = |keys: &[&str], shapes: Value, required: &[&str]| {
        let (mut keys, mut shapes) = (keys.to_vec(), shapes);
        keys.push("fallback");
        shapes["fallback"] = one_or_many(&name());
        closed(&keys, &shapes, required)
    };
    json!({ "oneOf": [
        way(&["slack", "token", "api"], json!({ "slack": text(), "token": secret(), "api": address }), &["slack", "token"]),
        way(&["slack_webhook"], json!({ "slack_webhook": secret() }), &["slack_webhook"]),
        way(&["email"], json!({ "email": closed(EMAIL_KEYS, &email, &["to", "from", "server"]) }), &["email"]),
        way(&["webhook"], json!({ "webhook": closed(WEBHOOK_KEYS, &json!({ "url": address, "secret": key }), WEBHOOK_KEYS) }), &["webhook"]),
        way(&["command"], json!({ "command": { "anyOf": [argv, closed(PROGRAM_KEYS, &program, &["argv"])] } }), &["command"]),
    ] })
}
