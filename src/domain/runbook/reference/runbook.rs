//! The part of the reference about runbooks, made of their table.

use std::fmt::Write as _;

use super::{link, row, section, table};
use crate::domain::runbook::runbook_schema::{BODIES, DEADLINE, RunbookSection, RunbookShape, TITLED};

/// How the linter computes the worst case of a deadline.
const WORST_CASE: &str = "\
`runbook lint` refuses a runbook whose notice can come after its deadline. It adds up the longest times of all steps before the
first step that `meets` the deadline, or the first such step without `when` if there is one. It assumes that each of them is
needed, uses its whole `timeout`, fails, and is tried as often as it may be. These times count:

* `timeout`, and ten seconds to end the action; `verify.within`, and ten seconds likewise
* every attempt of `retry`, and the pauses between them
* the duration of a `wait`
* every item of a `for_each`: 200 if the list is not in the file
* the longest step of a `parallel`
* every step of a runbook that `start` starts

Some steps have no known end, so they cannot stand before a notice: a question, a step done by hand, an approval without both
`expires` and `on_failure: continue`, and a step whose failure asks a person or stops the run. What a mode asks in addition, such
as `guided` before each change, does not count.

With `fallback_at` the worst case does not matter. At that time the engine notifies stakeholders itself: with the runbook's
message if all its values are known, otherwise with its own. At least 30 seconds must be left then.";

/// Every section of a runbook that has a heading.
pub(super) fn runbook(out: &mut String) {
    for of in TITLED {
        section(out, of.title, None);
        table(out);
        if std::ptr::eq(*of, &BODIES) {
            let _ = writeln!(out, "| the name of a kind | {} | An action on a system. |", link("its keys", "Kinds"));
        }
        for field in of.fields {
            let required = if field.required { ", required" } else { "" };
            row(out, field, &format!("{}{required}", shape(&field.shape)));
        }
        if std::ptr::eq(*of, &DEADLINE) {
            section(out, "The worst case of a deadline", Some(WORST_CASE));
        }
    }
}

fn shape(of: &RunbookShape) -> String {
    match of {
        RunbookShape::Text => "text".to_owned(),
        RunbookShape::Template => "template".to_owned(),
        RunbookShape::Expression => "expression".to_owned(),
        RunbookShape::Name => "name".to_owned(),
        RunbookShape::NameOf(what) => (*what).to_owned(),
        RunbookShape::Duration => "duration".to_owned(),
        RunbookShape::Cron => "cron expression".to_owned(),
        RunbookShape::TimeZone => "time zone".to_owned(),
        RunbookShape::Integer { min, max } => format!("whole number, {min} to {max}"),
        RunbookShape::Boolean => "`true` or `false`".to_owned(),
        RunbookShape::True => "`true`".to_owned(),
        RunbookShape::Empty => "nothing".to_owned(),
        RunbookShape::Scalar => "text, number or boolean".to_owned(),
        RunbookShape::OneOf(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" "),
        RunbookShape::List { item, .. } => format!("list of: {}", shape(item)),
        RunbookShape::OneOrMany(item) => format!("{}, or a list of them", shape(item)),
        RunbookShape::Steps { .. } => format!("list of {}", link("steps", BODIES.title)),
        RunbookShape::Entries(value) => format!("mapping of names to: {}", shape(value)),
        RunbookShape::Params => "mapping of params to: any value".to_owned(),
        RunbookShape::Section(of) if of.title.is_empty() => format!("`{}`", braces(of)),
        RunbookShape::Section(of) => link(of.what, of.title),
        RunbookShape::Either(shapes) => shapes.iter().map(shape).collect::<Vec<_>>().join(", or "),
    }
}

/// A small section in one line: `{ attempts, backoff, if }`.
fn braces(of: &RunbookSection) -> String {
    let action = of.has_action.then_some("<kind>: …");
    let keys: Vec<&str> = action.into_iter().chain(of.fields.iter().map(|field| field.name)).collect();
    format!("{{ {} }}", keys.join(", "))
}
