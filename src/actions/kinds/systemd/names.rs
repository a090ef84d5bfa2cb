//! Converts the unit names of a step into systemd's unit names.

use std::collections::BTreeSet;

use super::error::SystemdError;
use crate::domain::config::estate::Estate;
use crate::domain::core::glob_name::{is_unit_pattern, matches_unit, suffixed};
use crate::domain::core::text::one_line;

/// Maximum number of units that one step names or matches.
const UNIT_LIMIT: usize = 500;

/// systemd's limit for a unit name, in bytes.
const NAME_BYTES_LIMIT: usize = 255;

/// The units to read: names and patterns.
#[derive(Debug, Default, PartialEq)]
pub(super) struct UnitNames {
    pub names: Vec<String>,
    pub patterns: Vec<String>,
}

impl UnitNames {
    /// Resolves each name: a unit, a service of the estate, or a pattern.
    pub fn of(given: &[String], estate: &Estate) -> Result<Self, SystemdError> {
        let mut resolved = Self::default();
        for name in limited(given)? {
            let name = full(name, estate)?;
            if is_unit_pattern(&name) { resolved.patterns.push(name) } else { resolved.names.push(name) }
        }
        Ok(resolved)
    }

    /// The estate's units that match a pattern. They are included even if systemd has not loaded them.
    pub fn of_estate(&self, estate: &Estate) -> BTreeSet<String> {
        let units = estate.units().map(|unit| suffixed(unit.to_owned()));
        units.filter(|unit| self.patterns.iter().any(|pattern| matches_unit(pattern, unit))).take(UNIT_LIMIT).collect()
    }
}

/// The units to change, each once. A pattern, or a unit outside the estate, is an error.
pub(super) fn named(given: &[String], estate: &Estate) -> Result<Vec<String>, SystemdError> {
    let known: Vec<String> = estate.units().map(|unit| suffixed(unit.to_owned())).collect();
    let mut names: Vec<String> = Vec::new();
    for given in limited(given)? {
        let name = full(given, estate)?;
        if is_unit_pattern(&name) {
            let message = format!("`{given}` is a pattern, and a change must name each unit");
            return Err(SystemdError::new("pattern", message));
        }
        if !known.contains(&name) {
            return Err(SystemdError::outside_estate(&name, &known));
        }
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

fn limited(given: &[String]) -> Result<&[String], SystemdError> {
    match given.len() {
        0 => Err(SystemdError::new("no_units", "no unit is named")),
        1..=UNIT_LIMIT => Ok(given),
        count => Err(SystemdError::new("too_many_units", format!("{count} units are named; the most is {UNIT_LIMIT}"))),
    }
}

/// The unit of a service of the estate, or the name with `.service` if it has no suffix. A name that no unit can have is
/// an error.
fn full(given: &str, estate: &Estate) -> Result<String, SystemdError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@*?[]!^".contains(c);
    if given.is_empty() || given.len() > NAME_BYTES_LIMIT || given.starts_with('-') || !given.chars().all(allowed) {
        let shown = one_line(given, 80);
        return Err(SystemdError::new("invalid_name", format!("`{shown}` cannot be the name of a unit")));
    }
    let unit = estate.services.get(given).map_or(given, |service| &service.unit);
    Ok(suffixed(unit.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::config::estate::Service;

    fn estate() -> Estate {
        let service = |name: &str| {
            let unit = format!("pakashop-{name}.service");
            (name.to_owned(), serde_json::from_value::<Service>(serde_json::json!({ "unit": unit })).unwrap())
        };
        Estate { services: [service("gateway"), service("search")].into(), ..Estate::default() }
    }

    fn strings(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_service_and_a_unit_with_or_without_suffix_are_the_same() {
        let all = named(&strings(&["gateway", "pakashop-gateway", "pakashop-gateway.service"]), &estate());
        assert_eq!(all.unwrap(), ["pakashop-gateway.service"]);
    }

    #[test]
    fn a_change_outside_the_estate_is_refused_with_the_nearest_name() {
        let refused = named(&strings(&["sshd.service"]), &estate()).unwrap_err();
        assert_eq!(refused.kind, "outside_estate");
        let refused = named(&strings(&["pakashop-serch"]), &estate()).unwrap_err();
        assert!(refused.message.contains("`pakashop-search.service`"), "{}", refused.message);
        assert_eq!(named(&strings(&["pakashop-*"]), &estate()).unwrap_err().kind, "pattern");
    }

    #[test]
    fn names_that_no_unit_can_have_are_refused() {
        for hostile in ["--now", "-H root@x", "../../x", "a b", "a\nb", "a\0b", "\u{1b}[31m", "", "é"] {
            assert_eq!(UnitNames::of(&strings(&[hostile]), &estate()).unwrap_err().kind, "invalid_name", "{hostile:?}");
        }
    }

    #[test]
    fn a_pattern_matches_units_of_the_estate() {
        let found = |pattern: &str| UnitNames::of(&strings(&[pattern]), &estate()).unwrap().of_estate(&estate()).len();
        assert_eq!(found("pakashop-*"), 2);
        assert_eq!(found("pakashop-[a-h]*"), 1);
        assert_eq!(found("*.socket"), 0);
        assert_eq!(found("pakashop-[!s]*"), 1);
    }
}
