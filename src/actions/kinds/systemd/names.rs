//! The names of units as a step gives them, made the names that systemd knows.

use std::collections::BTreeSet;

use super::error::SystemdError;
use crate::domain::config::estate::Estate;
use crate::domain::core::glob_name::{is_unit_pattern, matches_unit, suffixed};

/// Units that one step may name or match.
const MOST: usize = 500;

/// The longest unit name in bytes.
const LONGEST: usize = 255;

/// The units to read: names and patterns.
#[derive(Debug, Default, PartialEq)]
pub(super) struct UnitNames {
    pub names: Vec<String>,
    pub patterns: Vec<String>,
}

impl UnitNames {
    /// Resolves words: a unit, a service of the estate, or a pattern.
    pub fn of(words: &[String], estate: &Estate) -> Result<Self, SystemdError> {
        let mut wanted = Self::default();
        for word in limited(words)? {
            let name = full(word, estate)?;
            if is_unit_pattern(&name) { wanted.patterns.push(name) } else { wanted.names.push(name) }
        }
        Ok(wanted)
    }

    /// The estate's units that match a pattern. They are included even if systemd has not loaded them.
    pub fn of_estate(&self, estate: &Estate) -> BTreeSet<String> {
        let units = estate.units().map(|unit| suffixed(unit.to_owned()));
        units.filter(|unit| self.patterns.iter().any(|pattern| matches_unit(pattern, unit))).take(MOST).collect()
    }
}

/// The units to change. Each must be named completely and be in the estate.
pub(super) fn named(words: &[String], estate: &Estate) -> Result<Vec<String>, SystemdError> {
    let known: Vec<String> = estate.units().map(|unit| suffixed(unit.to_owned())).collect();
    let mut names: Vec<String> = Vec::new();
    for word in limited(words)? {
        let name = full(word, estate)?;
        if is_unit_pattern(&name) {
            let message = format!("`{word}` is a pattern, and a change must name each unit");
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

fn limited(words: &[String]) -> Result<&[String], SystemdError> {
    match words.len() {
        0 => Err(SystemdError::new("no_units", "no unit is named")),
        1..=MOST => Ok(words),
        many => Err(SystemdError::new("too_many_units", format!("{many} units are named, and {MOST} is the most"))),
    }
}

/// The unit of a service, or the name with its missing suffix. Refuses names that no unit can have.
fn full(word: &str, estate: &Estate) -> Result<String, SystemdError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@*?[]!^".contains(c);
    if word.is_empty() || word.len() > LONGEST || word.starts_with('-') || !word.chars().all(allowed) {
        let shown = crate::domain::core::text::one_line(word, 80);
        return Err(SystemdError::new("invalid_name", format!("`{shown}` cannot be the name of a unit")));
    }
    let unit = estate.services.get(word).map_or(word, |service| &service.unit);
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

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn a_service_a_bare_name_and_a_unit_mean_the_same() {
        let all = named(&words(&["gateway", "pakashop-gateway", "pakashop-gateway.service"]), &estate());
        assert_eq!(all.unwrap(), ["pakashop-gateway.service"]);
    }

    #[test]
    fn a_change_outside_the_estate_is_refused_with_the_nearest_name() {
        let refused = named(&words(&["sshd.service"]), &estate()).unwrap_err();
        assert_eq!(refused.kind, "outside_estate");
        let refused = named(&words(&["pakashop-serch"]), &estate()).unwrap_err();
        assert!(refused.message.contains("`pakashop-search.service`"), "{}", refused.message);
        assert_eq!(named(&words(&["pakashop-*"]), &estate()).unwrap_err().kind, "pattern");
    }

    #[test]
    fn hostile_names_are_refused_before_they_leave() {
        for hostile in ["--now", "-H root@x", "../../x", "a b", "a\nb", "a\0b", "\u{1b}[31m", "", "é"] {
            assert_eq!(UnitNames::of(&words(&[hostile]), &estate()).unwrap_err().kind, "invalid_name", "{hostile:?}");
        }
    }

    #[test]
    fn a_pattern_finds_the_units_of_the_estate() {
        let found = |pattern: &str| UnitNames::of(&words(&[pattern]), &estate()).unwrap().of_estate(&estate()).len();
        assert_eq!(found("pakashop-*"), 2);
        assert_eq!(found("pakashop-[a-h]*"), 1);
        assert_eq!(found("*.socket"), 0);
        assert_eq!(found("pakashop-[!s]*"), 1);
    }
}
