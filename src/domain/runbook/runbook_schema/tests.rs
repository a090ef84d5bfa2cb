//! The table against the structs, the checker and the schema.

use serde_json::Value;

use super::*;
use crate::domain::config::estate_schema::tests::{names_of, without};
use crate::domain::config::yaml::reader;
use crate::domain::core::diagnostic::Source;
use crate::domain::runbook::check::tests::{FORMS, HEAD, checked};
use crate::domain::runbook::json_schema;
use crate::domain::runbook::schedule::Schedule;
use crate::domain::runbook::trigger::Trigger;
use crate::domain::runbook::{Approve, Ask, DeadlineRule, Param, Retry, Runbook, Start, Step, StepBody, Until, Verify};

/// A runbook with every key except those of a schedule.
const WHOLE: &str = include_str!("whole.yaml");

const SCHEDULED: &str = "\
runbook: p1
title: Audit
severity: maintenance
on: { schedule: 0 9 * * mon, timezone: UTC, environments: staging, overlap: queue, catch_up: none, params: { most: 3 } }
params: { most: { type: integer } }
steps: [{ wait: 5s }]
";

static UNTITLED: [&RunbookSection; 5] = [&START, &RETRY, &UNTIL, &VERIFY, &UNDO];

fn sections() -> impl Iterator<Item = &'static RunbookSection> {
    TITLED.iter().chain(&UNTITLED).copied()
}

#[track_caller]
fn same(section: &RunbookSection, names: &[&'static str]) {
    let (mut keys, mut names) = (section.keys(), names.to_vec());
    keys.sort_unstable();
    names.sort_unstable();
    assert_eq!(keys, names, "{}", section.what);
}

#[test]
fn the_table_and_the_structs_have_the_same_fields() {
    // The key `runbook` is the field `id`; `on` holds triggers and schedules.
    same(&RUNBOOK, &[without(without(names_of::<Runbook>(), "id"), "schedules"), vec!["runbook"]].concat());
    same(&TRIGGER, &names_of::<Trigger>());
    same(&SCHEDULE, &names_of::<Schedule>());
    // The name of a deadline or a param is the key of its mapping; `every` sets `within` and `repeats`.
    same(&DEADLINE, &[without(without(names_of::<DeadlineRule>(), "name"), "repeats"), vec!["every"]].concat());
    same(&PARAM, &[without(names_of::<Param>(), "name"), vec!["choices"]].concat());
    same(&BODIES, &without(names_of::<StepBody>(), "action"));
    // The effect and the host are fields of the step's actions.
    same(&MODIFIERS, &[without(names_of::<Step>(), "body"), vec!["effect", "host"]].concat());
    same(&ASK, &names_of::<Ask>());
    same(&START, &names_of::<Start>());
    same(&APPROVE, &names_of::<Approve>());
    same(&RETRY, &names_of::<Retry>());
    same(&UNTIL, &names_of::<Until>());
    same(&VERIFY, &[without(names_of::<Verify>(), "action"), vec!["effect"]].concat());
    same(&UNDO, &["effect"]);
}

fn json(text: &str) -> Value {
    reader::read(&Source::new("p1.yaml", text)).expect("it is YAML").to_json()
}

#[test]
fn the_checker_and_the_schema_accept_a_runbook_with_every_key() {
    let schema = jsonschema::draft202012::new(&json_schema::runbook(FORMS)).expect("the schema compiles");
    for text in [WHOLE, SCHEDULED] {
        checked(text).1.unwrap_or_else(|problems| panic!("{problems:#?}"));
        let errors: Vec<String> =
            schema.iter_errors(&json(text)).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }
}

/// Collects the fields of the table that a value has.
fn collect(value: &Value, shape: &RunbookShape, fields: &mut Vec<*const RunbookField>) {
    match shape {
        RunbookShape::Section(of) => collect_section(value, of, fields),
        RunbookShape::Either(shapes) => shapes.iter().for_each(|shape| collect(value, shape, fields)),
        RunbookShape::OneOrMany(item) => match value.as_array() {
            Some(items) => items.iter().for_each(|value| collect(value, item, fields)),
            None => collect(value, item, fields),
        },
        RunbookShape::Steps { .. } => {
            for step in value.as_array().into_iter().flatten() {
                collect_section(step, &BODIES, fields);
                collect_section(step, &MODIFIERS, fields);
            }
        }
        RunbookShape::Entries(item) => {
            value.as_object().into_iter().flatten().for_each(|(_, value)| collect(value, item, fields));
        }
        _ => {}
    }
}

fn collect_section(value: &Value, section: &RunbookSection, fields: &mut Vec<*const RunbookField>) {
    for field in section.fields {
        if let Some(value) = value.get(field.name) {
            fields.push(field);
            collect(value, &field.shape, fields);
        }
    }
}

#[test]
fn the_runbook_with_every_key_has_every_key() {
    let mut fields = Vec::new();
    for text in [WHOLE, SCHEDULED] {
        collect_section(&json(text), &RUNBOOK, &mut fields);
    }
    for section in sections() {
        for field in section.fields {
            let is_there = fields.iter().any(|known| std::ptr::eq(*known, field));
            assert!(is_there, "{} has `{}`, which is not in whole.yaml", section.what, field.name);
        }
    }
}

#[test]
fn a_key_with_its_default_means_the_same_as_no_key() {
    let step = |step: &str| format!("{HEAD}  - {step}\n");
    let examples = [
        (&TRIGGER, HEAD.replace("steps:", "on: { alert: x@ }\nsteps: [{ wait: 5s }]")),
        (
            &SCHEDULE,
            SCHEDULED.replace("overlap: queue, catch_up: none, params", "params").replace(" }\nparams", "@ }\nparams"),
        ),
        (
            &DEADLINE,
            HEAD.replace("steps:\n", "deadlines: { notice: { within: 15m@ } }\nsteps:\n")
                + "  - { notify: { to: incidents, message: x }, meets: notice }\n",
        ),
        (&MODIFIERS, step("{ wait: 5s@ }")),
        (&ASK, step("{ name: x, ask: { choices: [a], suggest: a@ } }")),
        (&APPROVE, step("{ health: gateway, approve: { by: commander@ } }")),
        (&RETRY, step("{ health: gateway, retry: { attempts: 2@ } }")),
        (&UNTIL, step("{ health: gateway, until: { condition: succeeded@ } }")),
        (&VERIFY, step("{ systemd: { restart: shop-gateway }, verify: { health: gateway@ } }")),
    ];
    let runbook = |text: String| checked(&text).1.unwrap_or_else(|problems| panic!("{text}\n{problems:#?}"));
    for section in sections() {
        for field in section.fields {
            let Some(default) = field.default else { continue };
            let (_, text) = examples.iter().find(|(of, _)| std::ptr::eq(*of, section)).expect(section.what);
            let given = text.replace('@', &format!(", {}: {default}", field.name));
            assert_eq!(runbook(given), runbook(text.replace('@', "")), "{}: {}", section.what, field.name);
        }
    }
}
