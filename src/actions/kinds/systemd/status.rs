//! Performs the verb `status`: reads all named and matching units.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::error::SystemdError;
use super::names::UnitNames;
use super::unit::Unit;
use super::verb::UnitOperation;
use super::{change, dbus};
use crate::actions::Context;
use crate::domain::incident::outcome::Outcome;

/// Maximum number of units that a summary names; it only counts the others.
const NAMED_LIMIT: usize = 5;

/// Reads the units. With `expect`, fails if one is in another state.
pub(super) async fn status(given: &[String], expect: Option<&str>, context: &Context) -> Result<Outcome, SystemdError> {
    let resolved = UnitNames::of(given, &context.estate)?;
    let manager = dbus::manager(context).await?;
    let of_bus = |error: zbus::Error| SystemdError::of_bus(UnitOperation::Read(&given.join(", ")), &error);
    let mut names = resolved.of_estate(&context.estate);
    names.extend(resolved.names.iter().cloned());
    if !resolved.patterns.is_empty() {
        let patterns: Vec<&str> = resolved.patterns.iter().map(String::as_str).collect();
        let rows = manager.list_units_by_patterns(&[], &patterns).await.map_err(of_bus)?;
        names.extend(rows.into_iter().map(|row| row.0));
    }
    if names.is_empty() {
        return Err(SystemdError::new("no_units", format!("no unit matches `{}`", given.join("`, `"))));
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let units = Unit::many(&manager, &names).await.map_err(of_bus)?;
    let report = report(&units, expect);
    Ok(match missing_unit(&resolved, &units, context) {
        // The output still holds the state of the other units.
        Some(error) => change::failed(&error, report.output),
        None => report,
    })
}

/// An error if a unit given by its full name does not exist.
fn missing_unit(resolved: &UnitNames, units: &[Unit], context: &Context) -> Option<SystemdError> {
    let missing = units.iter().find(|unit| unit.load == "not-found" && resolved.names.contains(&unit.name))?;
    let loaded = units.iter().filter(|unit| unit.load != "not-found").map(|unit| unit.name.as_str());
    let known = context.estate.units().chain(loaded).filter(|known| *known != missing.name);
    Some(SystemdError::no_such_unit(&missing.name, &known.map(str::to_owned).collect::<Vec<_>>()))
}

fn report(units: &[Unit], expect: Option<&str>) -> Outcome {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for unit in units {
        *counts.entry(if unit.load == "not-found" { "not-found" } else { &unit.active }).or_default() += 1;
    }
    let is_as_expected = |unit: &Unit| match expect {
        Some("inactive") => unit.active == "inactive" || unit.active == "failed",
        _ => unit.is_up(),
    };
    let failing: Vec<&Unit> = units.iter().filter(|unit| !is_as_expected(unit)).collect();
    let names: BTreeSet<&str> = failing.iter().map(|unit| unit.name.as_str()).collect();
    let output = json!({ "units": units, "counts": counts, "failing": names });
    let summary = summary(units, &counts, &failing);
    if expect.is_some() && !failing.is_empty() {
        Outcome::failed(summary, output)
    } else {
        Outcome::succeeded(summary, output)
    }
}

fn summary(units: &[Unit], counts: &BTreeMap<&str, usize>, failing: &[&Unit]) -> String {
    if let [unit] = units {
        return format!("`{}` is {}", unit.name, unit.state());
    }
    let counted: Vec<String> = counts.iter().map(|(state, count)| format!("{count} {state}")).collect();
    let mut summary = format!("{} units: {}", units.len(), counted.join(", "));
    if !failing.is_empty() {
        let named: Vec<String> =
            failing.iter().take(NAMED_LIMIT).map(|unit| format!("`{}` is {}", unit.name, unit.state())).collect();
        summary.push_str(&format!("; {}", named.join(", ")));
        if failing.len() > NAMED_LIMIT {
            summary.push_str(&format!(" and {} more", failing.len() - NAMED_LIMIT));
        }
    }
    summary
}
