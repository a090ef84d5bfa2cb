//! The JSON Schema of a host.

use serde_json::{Map, Value, json};

use super::{closed, one_or_many, text};
use crate::domain::config::estate_check::{HOST_KEYS, SSH_OPTIONS};

/// `local`, or how a machine is reached by SSH.
pub(super) fn host() -> Value {
    let options: Map<String, Value> = SSH_OPTIONS.iter().map(|name| ((*name).to_owned(), text())).collect();
    let ssh = closed(
        HOST_KEYS,
        &json!({
            "ssh": { "type": "string", "pattern": "^([A-Za-z0-9._+][A-Za-z0-9._+-]*@)?[A-Za-z0-9._:][A-Za-z0-9._:-]*$" },
            "port": { "type": "integer", "minimum": 1, "maximum": 65535 },
            "config": text(),
            "options": { "type": "object", "properties": options, "additionalProperties": false },
            "reaches": one_or_many(&text()),
        }),
        &["ssh"],
    );
    json!({ "oneOf": [{ "const": "local" }, ssh] })
}
