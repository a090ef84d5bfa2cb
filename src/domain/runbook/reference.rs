//! The language reference as Markdown: every key, its type and meaning; every kind with its fields, effects and outputs.
//!
//! It is made of the forms of kinds, the tables of the estate and of a runbook, and the names of the scope. Only text about the
//! language as a whole is written here.

mod estate;
mod runbook;

use std::fmt::Write as _;

use crate::domain::config::kind_schema::{Field, KindForm, Shape};
use crate::domain::core::effect::EffectClass;
use crate::domain::runbook::check::all_fields;

const INTRODUCTION: &str = "\
# The language of runbooks

<!-- Generated from the tables and forms that the checker reads: `runbook reference > docs/language.md`. -->

A runbook is one YAML file in `runbooks/`. `runbook lint` reports every problem of every file at once, with line, column and
remedy; `runbook schema` prints a JSON Schema for editors.

## Values

* **name**: a lower-case letter, then lower-case letters, digits, `-` and `_`; at most 64.
* **duration**: a number and a unit, such as `90s`, `15m`, `24h`.
* **template**: text in which `{{ … }}` is replaced by a value. A text that is one whole `{{ … }}` keeps the value's type. Strings
  stand as they are; other values are written as JSON. `{% if %}` and `{% for %}` work as in Jinja.
* **expression**: the code between the braces, without them: `steps.cause.answer == 'code'`.
* An undefined name is an error. A value is never evaluated again, whatever it holds. Besides minijinja's filters there are
  `days_since` and `hours_since`: `incident.opened_at | days_since('2026-08-01')`.
* **script**: a template in which every value is quoted for the place where it stands, so that the shell reads it as
  data. Where that is impossible (back-ticks, `${ … }`, `$'…'`, after a backslash) the script is refused.
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
    runbook::runbook(&mut out);
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

fn section(out: &mut String, title: &str, text: Option<&str>) {
    let _ = writeln!(out, "\n## {title}\n");
    if let Some(text) = text {
        let _ = writeln!(out, "{text}");
    }
}

/// The head of a table of keys.
fn table(out: &mut String) {
    let _ = writeln!(out, "| key | type | meaning |\n|---|---|---|");
}

/// A row of a table of keys. `shape` is the type of the field's values.
fn row<S>(out: &mut String, field: &Field<S>, shape: &str) {
    let default = field.default.map(|default| format!(" Default: `{default}`.")).unwrap_or_default();
    let _ = writeln!(out, "| `{}` | {} | {} |", field.name, cell(shape), cell(&format!("{}{default}", field.help)));
}

/// A link to a section of the page, by its heading.
fn link(text: &str, title: &str) -> String {
    let anchor = title.to_lowercase().replace(' ', "-");
    let anchor: String = anchor.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect();
    format!("[{text}](#{anchor})")
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
    table(out);
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

/// The class of a kind's example.
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
