//! Forms of kinds for the tests of the checker, which do not depend on real kinds.

use crate::domain::config::kind_schema::{Field, KindForm, OutputField, Shape, Verb};
use crate::domain::core::effect::EffectClass;

const fn verb(name: &'static str, shape: Shape, effect: EffectClass) -> Verb {
    Verb { field: Field::optional(name, shape, "Does it."), effect }
}

fn by_verb(spec: &serde_json::Value, form: &KindForm) -> EffectClass {
    form.verbs.iter().find(|verb| spec.get(verb.field.name).is_some()).map_or(EffectClass::Once, |verb| verb.effect)
}

static SYSTEMD: KindForm = KindForm {
    name: "systemd",
    summary: "Units.",
    shorthand: None,
    verbs: &[
        verb("status", Shape::OneOrMany(&Shape::Unit), EffectClass::Read),
        verb("restart", Shape::Unit, EffectClass::Once),
        verb("stop", Shape::Unit, EffectClass::Repeatable),
    ],
    fields: &[Field::optional("settle", Shape::Duration, "How long to watch.")],
    effect: |spec| by_verb(spec, &SYSTEMD),
    outputs: &[OutputField { name: "units", help: "Each unit." }],
    example: "systemd: { status: x }",
};

static HEALTH: KindForm = KindForm {
    name: "health",
    summary: "Services.",
    shorthand: Some("service"),
    verbs: &[],
    fields: &[
        Field::optional("service", Shape::Service, "Which."),
        Field::optional("ready", Shape::Boolean, "Readiness too."),
        Field::optional("tries", Shape::Integer { min: 1, max: 9 }, "How often."),
        Field::optional("mode", Shape::OneOf(&["fast", "slow"]), "How."),
    ],
    effect: |_| EffectClass::Read,
    outputs: &[],
    example: "health: gateway",
};

static COMMAND: KindForm = KindForm {
    name: "command",
    summary: "A program.",
    shorthand: Some("argv"),
    verbs: &[],
    fields: &[
        Field::required("argv", Shape::ListOf(&Shape::Text), "The program and its arguments."),
        Field::optional("env", Shape::MapOf(&Shape::Secret), "The environment."),
    ],
    effect: |_| EffectClass::Once,
    outputs: &[OutputField { name: "<name>", help: "Anything." }],
    example: "command: [uptime]",
};

static SHELL: KindForm = KindForm {
    name: "shell",
    summary: "A script.",
    shorthand: Some("script"),
    verbs: &[],
    fields: &[Field::required("script", Shape::Script, "The script.")],
    effect: |_| EffectClass::Once,
    outputs: &[],
    example: "shell: uptime",
};

static NOTIFY: KindForm = KindForm {
    name: "notify",
    summary: "A message.",
    shorthand: None,
    verbs: &[],
    fields: &[
        Field::required("to", Shape::OneOrMany(&Shape::Channel), "The channels."),
        Field::required("message", Shape::Text, "The text."),
        Field::optional("meets", Shape::Text, "The deadline."),
    ],
    effect: |_| EffectClass::Repeatable,
    outputs: &[],
    example: "notify: { to: incidents, message: x }",
};

static SET: KindForm = KindForm {
    name: "set",
    summary: "Values.",
    shorthand: Some("values"),
    verbs: &[],
    fields: &[Field::required("values", Shape::MapOf(&Shape::Any), "The values.")],
    effect: |_| EffectClass::Read,
    outputs: &[OutputField { name: "<name>", help: "Each value." }],
    example: "set: { a: 1 }",
};

static STORE: KindForm = KindForm {
    name: "store",
    summary: "A datastore.",
    shorthand: None,
    verbs: &[],
    fields: &[
        Field::required("datastore", Shape::Datastore, "Which."),
        Field::required("query", Shape::Sql, "What."),
        Field::optional("params", Shape::ListOf(&Shape::Any), "With what."),
    ],
    effect: |_| EffectClass::Read,
    outputs: &[],
    example: "store: { datastore: cache, query: select 1 }",
};

pub(in crate::domain) static FORMS: &[&KindForm] = &[&SYSTEMD, &HEALTH, &COMMAND, &SHELL, &NOTIFY, &SET, &STORE];
