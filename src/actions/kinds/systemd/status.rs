//! The verb `status`: every unit that is meant, in one call.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::error::SystemdError;
use super::names::UnitNames;
use super::unit::Unit;
use super::{change, dbus};
use crate::actions::Context;
use crate::domain::incident::outcome::Outcome;

/// Units that a summary names; it only counts the others.
const NAMED: usize = 5;

/// Reads the units. With `expect`, fails if one is in another state.
pub(super) async fn status(words: &[String], expect: Option<&str>, context: &Context) -> Result<Outcome, SystemdError> {
    let wanted = UnitNames::of(words, &context.estate)?;
    let manager = dbus::manager(context).await?;
    let trouble = |error: zbus::Error| SystemdError::of_bus("be looked at", &words.join(", "), &error);
    let mut names = wanted.of_estate(&context.estate);
    names.extend(wanted.names.iter().cloned());
    if !wanted.patterns.is_empty() {
        let patterns: Vec<&str> = wanted.patterns.iter().map(String::as_str).collect();
        let rows = manager.list_units_by_patterns(&[], &patterns).await.map_err(trouble)?;
        names.extend(rows.into_iter().map(|row| row.0));
    }
    if names.is_empty() {
        return Err(SystemdError::new("no_units", format!("no unit matches `{}`", words.join("`, `"))));
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let units = Unit::many(&manager, &names).await.map_err(trouble)?;
    let report = report(&units, expect);
    // The state of the other units is kept.
    Ok(match unknown(&wanted, &units, context) {
        Some(trouble) => change::failed(&trouble, report.output),
        None => report,
    })
}

/// An error if a unit given by its complete name does not exist.
fn unknown(wanted: &UnitNames, units: &[Unit], context: &Context) -> Option<SystemdError> {
    let missing = units.iter().find(|unit| unit.load == "not-found" && wanted.names.contains(&unit.name))?;
    let loaded = units.iter().filter(|unit| unit.load != "not-found").map(|unit| unit.name.as_str());
    let known = context.estate.units().chain(loaded).filter(|known| *known != missing.name);
    Some(SystemdError::no_such_unit(&missing.name, &known.map(str::to_owned).collect::<Vec<_>>()))
}

fn report(units: &[Unit], expect: Option<&str>) -> Outcome {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for unit in units {
        *counts.entry(if unit.load == "not-found" { "not-found" } else { &unit.active }).or_default() += 1;
    }
    let is_right = |unit: &Unit| match expect {
        Some("inactive") => unit.active == "inactive" || unit.active == "failed",
        _ => unit.is_up(),
    };
    let wrong: Vec<&Unit> = units.iter().filter(|unit| !is_right(unit)).collect();
    let failing: BTreeSet<&str> = wrong.iter().map(|unit| unit.name.as_str()).collect();
    let output = json!({ "units": units, "counts": counts, "failing": failing });
    let summary = summary(units, &counts, &wrong);
    if expect.is_some() && !wrong.is_empty() {
        Outcome::failed(summary, output)
    } else {
        Outcome::succeeded(summary, output)
    }
}

fn summary(units: &[Unit], counts: &BTreeMap<&str, usize>, wrong: &[&Unit]) -> String {
    if let [unit] = units {
        return format!("`{}` is {}", unit.name, unit.state());
    }
    let counted: Vec<String> = counts.iter().map(|(state, count)| format!("{count} {state}")).collect();
    let mut summary = format!("{} units: {}", units.len(), counted.join(", "));
    if !wrong.is_empty() {
        let named: Vec<String> =
            wrong.iter().take(NAMED).map(|unit| format!("`{}` is {}", unit.name, unit.state())).collect();
        summary.push_str(&format!("; {}", named.join(", ")));
        if wrong.len() > NAMED {
            summary.push_str(&format!(" and {} more", wrong.len() - NAMED));
        }
    }
    summary
}
