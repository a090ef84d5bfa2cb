//! The language reference as Markdown: every key, its type and meaning; every kind with its fields, effects and outputs.
//!
//! What the forms, the table of the estate and the scope know is generated; what only a person can say about the language
//! itself stands here as text. Not here: anything about a kind or the estate that is not in its form or table.

mod deadline;
mod estate;
mod trigger;

use std::fmt::Write as _;

use crate::domain::config::kind_schema::{Field, KindForm, Shape};
use crate::domain::core::effect::EffectClass;
use crate::domain::runbook::check::all_fields;

use self::deadline::{APPROVE, DEADLINE, LONGEST};
use self::trigger::{SCHEDULE, TRIGGER};

/// A table of keys: the key, its type, and what it means.
type Keys = &'static [(&'static str, &'static str, &'static str)];

const RUNBOOK: Keys = &[
    ("runbook", "name, required", "The id. The file is called `<id>.yaml`."),
    ("title", "text, required", "What it is for, in a few words."),
    (
        "severity",
        "`p1` `p2` `p3` `p4` `maintenance`, required",
        "The severity of the incident that it opens. `maintenance` opens the record of planned work: it has no deadlines, is over when the work is, and has a report in place of a post-mortem.",
    ),
    ("summary", "text", "One or two sentences."),
    ("environments", "name or list", "The environments it may run in; every one unless given."),
    ("on", "mapping, or a list of them", "The alerts or the schedule that start it; see below."),
    ("deadlines", "mapping", "What must be done by when, by name; see below."),
    ("params", "mapping", "What the starter may set, by name; see below."),
    ("steps", "list of steps, required", "In order."),
    ("finally", "list of steps", "Always run at the end, however the steps ended."),
];

const PARAM: Keys = &[
    ("type", "word, required", "`text`, `integer`, `number`, `boolean`, `duration`, `service`, `unit` or `choice`."),
    ("choices", "list", "The words of a `choice`."),
    ("default", "value", "Without one, the param must be given."),
    ("help", "text", "One sentence for whoever starts the runbook."),
];

const BODIES: Keys = &[
    ("a kind", "see below", "An action on the world."),
    (
        "ask",
        "mapping, list of choices, or nothing",
        "A question to a person; `name` is the question. Keys: `choices`, `suggest` (the answer that the evidence suggests), `auto: true` (an automatic run takes `suggest`), `many: true` (the answer is a list).",
    ),
    ("manual", "text", "A person does it by hand and says when it is done."),
    ("wait", "duration", "A timer."),
    (
        "parallel",
        "list of steps",
        "All of them at once. They do not see each other's results; steps behind the group see all.",
    ),
    ("start", "name, or `{ runbook, params }`", "Another runbook, as a further run of the same incident."),
];

const MODIFIERS: Keys = &[
    ("id", "name", "Unique in the runbook. Later steps refer to `steps.<id>`. Made from `name` unless given."),
    ("name", "template", "What people read."),
    ("phase", "name", "`identify`, `assess`, `mitigate`, `notify`, or another word."),
    ("why", "template", "Why it is done; shown before a change."),
    ("when", "expression", "The step is skipped when it is false."),
    (
        "for_each",
        "expression or list",
        "Done once for each `item`, one after the other unless `max_parallel` says more.",
    ),
    (
        "max_parallel",
        "number",
        "How many items of `for_each` are worked on at the same time. When one fails and stops the run, no further one begins.",
    ),
    ("host", "template", "One of the environment's `hosts`, or `local`; the environment's own `host` unless given."),
    ("approve", "role, list, or mapping", "Who must agree first; anybody when empty. See below."),
    ("timeout", "duration", "How long one attempt may take."),
    (
        "retry",
        "number, or `{ attempts, backoff, if }`",
        "Whether and when to try again. `if` is an expression over `outcome`.",
    ),
    (
        "until",
        "expression, or `{ condition, every }`",
        "A reading is repeated until this holds. It sees `output`, `summary` and `succeeded`.",
    ),
    (
        "verify",
        "`{ <kind>: …, within, hold, every }`",
        "How it is known that a change has worked: a reading that succeeds `within` a time (1m unless given) and goes on to for `hold`. Every step that changes something needs one; a message does not.",
    ),
    ("on_failure", "`ask`, `stop` or `continue`", "What a failure means for the run; `ask` unless given."),
    ("undo", "`{ <kind>: … }`", "How the change is taken back, on request."),
    ("meets", "name", "The deadline that the step keeps by succeeding."),
    (
        "effect",
        "`read`, `repeatable` or `once`",
        "How often a program may run without harm, where the kind cannot know.",
    ),
];

const INTRODUCTION: &str = "\
# The language of runbooks

<!-- Generated from the forms that the checker itself reads: `runbook reference > docs/language.md`. -->

A runbook is one YAML file in `runbooks/`. `runbook lint` reports every problem of every file at once, with line, column and
remedy; `runbook schema` prints a JSON Schema for editors.

## Values

* **name**: a lower-case letter, then lower-case letters, digits, `-` and `_`; at most 64.
* **duration**: a number and a unit, such as `90s`, `15m`, `24h`.
* **template**: text in which `{{ … }}` is replaced by a value. A text that is one whole `{{ … }}` keeps the value's type. Strings
  stand as they are; other values are written as JSON. `{% if %}` and `{% for %}` work as in Jinja.
* **expression**: what stands between the braces, without them: `steps.cause.answer == 'code'`.
* An undefined name is an error. A value is never evaluated again, whatever it holds. Besides minijinja's filters there are
  `days_since` and `hours_since`: `incident.opened_at | days_since('2026-08-01')`.
* **script**: a template in which every value is quoted for the place where it stands, so that the shell sees data and
  nothing else. Where that is impossible (back-ticks, `${ … }`, `$'…'`, after a backslash) the script is refused.
* **SQL**: as it stands. Nothing is interpolated; `$1`, `$2` are bound to values that are given beside it.
* **secret**: `{ secret: <name> }` with a secret of the estate, only in fields that take one. Templates cannot hold secrets.
* Booleans are `true` and `false`. Unknown keys, doubled keys and YAML tags are problems.
";

/// The whole reference.
pub fn language_reference(forms: &[&KindForm]) -> String {
    let mut out = INTRODUCTION.to_owned();
    section(&mut out, "What templates may refer to", None);
    let _ = writeln!(out, "| name | meaning |\n|---|---|");
    for (name, meaning) in crate::domain::runbook::scope_names::NAMES {
        let _ = writeln!(out, "| `{name}` | {} |", cell(meaning));
    }
    keys(&mut out, "A runbook", RUNBOOK);
    keys(&mut out, "A trigger, `on`", TRIGGER);
    keys(&mut out, "A schedule, `on`", SCHEDULE);
    keys(&mut out, "A deadline", DEADLINE);
    section(&mut out, "The longest way to a notice", Some(LONGEST));
    keys(&mut out, "A param", PARAM);
    keys(&mut out, "A step does exactly one of these", BODIES);
    keys(&mut out, "Around it", MODIFIERS);
    keys(&mut out, "An agreement, `approve`", APPROVE);
    estate::estate(&mut out);
    section(
        &mut out,
        "Kinds",
        Some(
            "How often an action may happen: **read** changes nothing; **repeatable** twice is the same as once; **once** twice is not.",
        ),
    );
    for form in forms {
        kind(&mut out, form);
    }
    out
}

fn section(out: &mut String, title: &str, words: Option<&str>) {
    let _ = writeln!(out, "\n## {title}\n");
    if let Some(words) = words {
        let _ = writeln!(out, "{words}");
    }
}

fn keys(out: &mut String, title: &str, keys: Keys) {
    section(out, title, None);
    table(out, keys);
}

fn table(out: &mut String, keys: Keys) {
    let _ = writeln!(out, "| key | type | meaning |\n|---|---|---|");
    for (key, shape, meaning) in keys {
        let key = if key.contains(' ') { (*key).to_owned() } else { format!("`{key}`") };
        let _ = writeln!(out, "| {key} | {} | {} |", cell(shape), cell(meaning));
    }
}

fn kind(out: &mut String, form: &KindForm) {
    let _ = writeln!(out, "\n### `{}`\n\n{}\n", form.name, form.summary);
    let _ = writeln!(out, "```yaml\n{}\n```\n", form.example.trim_end());
    if let Some(shorthand) = form.shorthand {
        let _ = writeln!(out, "A value that is no mapping of these keys stands for `{shorthand}`.\n");
    }
    if all_fields(form).next().is_some() {
        fields(out, form);
    }
    if form.verbs.is_empty() {
        let _ = writeln!(out, "Effect: **{}** for the example above.", effect_of_example(form));
    }
    if !form.outputs.is_empty() {
        let _ = writeln!(out, "\nLater steps see under `steps.<id>`:\n\n| output | meaning |\n|---|---|");
        for output in form.outputs {
            let _ = writeln!(out, "| `{}` | {} |", output.name, cell(output.help));
        }
    }
}

fn fields(out: &mut String, form: &KindForm) {
    let _ = writeln!(out, "| key | type | meaning |\n|---|---|---|");
    for verb in form.verbs {
        let effect = format!("**{}**. {}", verb.effect, verb.field.help);
        let _ =
            writeln!(out, "| `{}` | {}, one of these | {} |", verb.field.name, shape(&verb.field.shape), cell(&effect));
        inner(out, &verb.field.shape, verb.field.name);
    }
    for field in form.fields {
        nested(out, field, "");
    }
    let _ = writeln!(out);
}

fn nested(out: &mut String, field: &Field, path: &str) {
    let name = format!("{path}{}", field.name);
    let required = if field.required { ", required" } else { "" };
    let _ = writeln!(out, "| `{name}` | {}{required} | {} |", shape(&field.shape), cell(field.help));
    inner(out, &field.shape, &name);
}

/// The keys of a mapping within a field.
fn inner(out: &mut String, shape: &Shape, name: &str) {
    let fields = match shape {
        Shape::Record(fields) | Shape::ListOf(Shape::Record(fields)) | Shape::OneOrMany(Shape::Record(fields)) => {
            *fields
        }
        _ => return,
    };
    for field in fields {
        nested(out, field, &format!("{name}."));
    }
}

fn shape(of: &Shape) -> String {
    match of {
        Shape::Text => "template".to_owned(),
        Shape::Script => "script".to_owned(),
        Shape::Integer { min, max } if *max == i64::MAX => format!("whole number from {min}"),
        Shape::Integer { min, max } => format!("whole number, {min} to {max}"),
        Shape::Number => "number".to_owned(),
        Shape::Boolean => "`true` or `false`".to_owned(),
        Shape::Duration => "duration".to_owned(),
        Shape::Any => "any value".to_owned(),
        Shape::OneOf(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" "),
        Shape::Unit => "unit or pattern".to_owned(),
        Shape::Service => "service".to_owned(),
        Shape::Datastore => "datastore".to_owned(),
        Shape::Channel => "channel".to_owned(),
        Shape::Secret => "template or secret".to_owned(),
        Shape::Expression => "expression".to_owned(),
        Shape::Sql => "SQL".to_owned(),
        Shape::ListOf(item) => format!("list of: {}", shape(item)),
        Shape::OneOrMany(item) => format!("{}, or a list of them", shape(item)),
        Shape::MapOf(held) => format!("mapping of free names to: {}", shape(held)),
        Shape::Record(_) => "mapping".to_owned(),
    }
}

/// The class that the kind gives to its own example.
fn effect_of_example(form: &KindForm) -> EffectClass {
    let example = crate::domain::core::diagnostic::Source::new("example", form.example);
    let spec = crate::domain::config::yaml::reader::read(&example)
        .ok()
        .and_then(|node| node.get(form.name).map(crate::domain::config::yaml::node::Node::to_json));
    (form.effect)(&spec.unwrap_or_default())
}

/// Text within a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
