//! The permissions on systemd units that a project's runbooks need: which verb on which unit.
//!
//! **Invariant:** every permitted unit is in the estate, because a step on any other unit is refused.
//!
//! Not here: writing the policy; see the command `unit`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::domain::config::estate::Estate;
use crate::domain::core::glob_name::{matches, suffixed};
use crate::domain::runbook::{Action, Runbook, Step, StepBody};
use crate::domain::template::expression;

/// The verbs of the kind `systemd` that polkit authorises for each unit.
pub const UNIT_VERBS: [&str; 4] = ["start", "stop", "restart", "reload"];

/// The verbs that polkit authorises for all units at once.
const FILE_VERBS: [&str; 2] = ["enable", "disable"];

/// The permissions that the account which runs runbooks needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grant {
    /// The units by verb.
    pub units: BTreeMap<&'static str, BTreeSet<String>>,
    /// Whether a step enables or disables units.
    pub unit_files: bool,
    /// Whether a step reloads systemd's unit files. Enabling and disabling do that too.
    pub daemon_reload: bool,
}

impl Grant {
    /// The permissions that these runbooks need, also for undo.
    pub fn of<'a>(runbooks: impl IntoIterator<Item = &'a Runbook>, estate: &Estate) -> Self {
        let mut grant = Self::default();
        for step in runbooks.into_iter().flat_map(Runbook::all_steps) {
            actions(step).filter(|action| action.kind == "systemd").for_each(|action| grant.add(&action.spec, estate));
        }
        grant
    }

    fn add(&mut self, spec: &Value, estate: &Estate) {
        for verb in UNIT_VERBS {
            if let Some(object) = spec.get(verb) {
                let units = texts(object).into_iter().flat_map(|text| possible_units(text, estate));
                self.units.entry(verb).or_default().extend(units);
            }
        }
        self.unit_files |= FILE_VERBS.iter().any(|verb| spec.get(verb).is_some());
        self.daemon_reload |= self.unit_files || spec.get("daemon_reload").is_some();
    }
}

/// The actions of a step: its own, undo and verify.
pub fn actions(step: &Step) -> impl Iterator<Item = &Action> {
    let body = match &step.body {
        StepBody::Action(action) => Some(action),
        StepBody::Ask(_) | StepBody::Manual(_) | StepBody::Wait(_) | StepBody::Parallel(_) | StepBody::Start(_) => None,
    };
    body.into_iter().chain(&step.undo).chain(step.verify.as_ref().map(|verify| &verify.action))
}

/// The texts of a value that is one text or a list.
pub(super) fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        value => value.as_str().into_iter().collect(),
    }
}

/// The units of the estate that a text may refer to: a service, a unit or a pattern. The value of a template is not known before
/// the run, so it may be any unit.
fn possible_units(text: &str, estate: &Estate) -> Vec<String> {
    let units = estate.units().map(|unit| suffixed(unit.to_owned()));
    if expression::is_template(text) {
        return units.collect();
    }
    let pattern = estate.services.get(text).map_or(text, |service| &service.unit);
    let pattern = suffixed(pattern.to_owned());
    units.filter(|unit| matches(&pattern, unit)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn grant(steps: Value) -> Grant {
        let estate = serde_json::from_value(json!({
            "estate": "shop",
            "services": { "gateway": { "unit": "shop-gateway" }, "search": { "unit": "shop-search.service" } },
            "datastores": { "cache": { "kind": "redis", "unit": "redis-server.service" } },
        }));
        let runbook = json!({"id": "drill", "title": "Drill", "severity": "p1", "steps": steps});
        let runbook: Runbook = serde_json::from_value(runbook).expect("the test's runbook");
        Grant::of([&runbook], &estate.expect("the test's estate"))
    }

    fn step(action: Value) -> Value {
        let action = json!({"kind": "systemd", "spec": action, "effect": "once"});
        json!({"id": "a", "name": "A", "body": {"action": action}})
    }

    fn units(grant: &Grant, verb: &str) -> Vec<String> {
        grant.units.get(verb).into_iter().flatten().cloned().collect()
    }

    #[test]
    fn only_the_named_units_are_permitted() {
        let grant = grant(json!([step(json!({"restart": "gateway"})), step(json!({"reload": ["redis-server"]}))]));
        assert_eq!(units(&grant, "restart"), ["shop-gateway.service"]);
        assert_eq!(units(&grant, "reload"), ["redis-server.service"]);
        assert_eq!((grant.units.len(), grant.unit_files, grant.daemon_reload), (2, false, false));
    }

    #[test]
    fn a_template_permits_every_unit_and_a_pattern_those_that_match() {
        let templated = grant(json!([step(json!({"stop": "{{ services[item].unit }}"}))]));
        assert_eq!(units(&templated, "stop").len(), 3);
        assert_eq!(units(&grant(json!([step(json!({"start": "shop-*"}))])), "start").len(), 2);
    }

    #[test]
    fn a_unit_that_is_not_in_the_estate_is_not_permitted() {
        assert_eq!(units(&grant(json!([step(json!({"restart": "sshd.service"}))])), "restart"), [""; 0]);
        assert_eq!(grant(json!([step(json!({"status": "shop-*"}))])), Grant::default());
    }

    #[test]
    fn steps_in_groups_and_undo_actions_are_included() {
        let mut changing = step(json!({"stop": "search"}));
        changing["undo"] = json!({"kind": "systemd", "spec": {"start": "search"}, "effect": "repeatable"});
        let group = json!({"id": "g", "name": "G", "body": {"parallel": [changing]}});
        let grant = grant(json!([group, step(json!({"enable": "search"}))]));
        assert_eq!(units(&grant, "start"), ["shop-search.service"]);
        assert_eq!(units(&grant, "stop"), ["shop-search.service"]);
        assert!(grant.unit_files && grant.daemon_reload, "enabling reloads unit files");
    }
}
