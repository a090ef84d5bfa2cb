//! The schemas accept what the checker accepts, and reject mistakes that a schema can find.

use super::*;
use crate::domain::config::yaml::reader;
use crate::domain::core::diagnostic::Source;
use crate::domain::runbook::check::tests::{ESTATE, FORMS, FULL, HEAD};

fn instance(text: &str) -> Value {
    reader::read(&Source::new("x.yaml", text)).unwrap_or_else(|problem| panic!("{problem:?}")).to_json()
}

fn validator(schema: &Value) -> jsonschema::Validator {
    jsonschema::draft202012::meta::validate(schema).unwrap_or_else(|error| panic!("the schema is no schema: {error}"));
    jsonschema::draft202012::new(schema).expect("the schema compiles")
}

#[test]
fn the_schemas_accept_what_the_checker_accepts() {
    let runbook = validator(&runbook(FORMS));
    let all: Vec<String> =
        runbook.iter_errors(&instance(FULL)).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(all.is_empty(), "{all:#?}");
    let estate = validator(&estate());
    let all: Vec<String> =
        estate.iter_errors(&instance(ESTATE)).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(all.is_empty(), "{all:#?}");
}

#[test]
fn the_schemas_reject_mistakes_in_keys_and_values() {
    let schema = validator(&runbook(FORMS));
    for wrong in [
        "  - name: nothing\n",
        "  - wait: 5s\n    manual: x\n",
        "  - sytemd: { status: x }\n",
        "  - systemd: {}\n",
        "  - systemd: { status: a, stop: b }\n",
        "  - systemd: { status: a, sttle: 5s }\n",
        "  - wait: soon\n",
        "  - wait: 5\n",
        "  - wait: 5s\n    wehn: x\n",
        "  - health: { ready: 'yes' }\n",
        "  - health: { tries: 10 }\n",
        "  - health: { mode: fats }\n",
        "  - notify: { to: x }\n",
        "  - wait: 5s\n    retry: { attempts: 0 }\n",
        "  - wait: 5s\n    on_failure: halt\n",
        "  - wait: 5s\n    id: A b\n",
        "  - parallel: []\n",
        "  - wait: 5s\n    verify: { within: 5s }\n",
        "  - ask: { choice: [a] }\n",
    ] {
        assert!(!schema.is_valid(&instance(&format!("{HEAD}{wrong}"))), "{wrong}");
    }
    for wrong in [
        "runbook: p1\n",
        "runbook: p1\ntitle: x\nseverity: p7\nsteps: [{ wait: 5s }]\n",
        "runbook: p1\ntitle: x\nseverity: p1\nsteps: [{ wait: 5s }]\nparams: { a: { type: choice } }\n",
    ] {
        assert!(!schema.is_valid(&instance(wrong)), "{wrong}");
    }
    let schema = validator(&estate());
    for wrong in [
        "estate: x\n",
        "estate: x\nenvironments: {}\n",
        "estate: x\nenvironments: { a: {} }\nsecrets: { a: { env: A, file: b } }\n",
        "estate: x\nenvironments: { a: {} }\nservices: { a: {} }\n",
    ] {
        assert!(!schema.is_valid(&instance(wrong)), "{wrong}");
    }
}
