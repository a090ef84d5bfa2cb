//! The permissions on systemd units that a project's runbooks need: which verb on which unit.
//!
//! **Invariant:** no permission covers a unit that the estate does not name: a step that names another is refused when it runs.
//!
//! Not here: writing the policy; see the command `unit`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::domain::config::estate::Estate;
use crate::domain::core::glob_name::{matches, suffixed};
use crate::domain::runbook::{Action, Runbook, Step, StepBody};
use crate::domain::template::expression;

/// The verbs of the kind `systemd` that systemd asks polkit about unit by unit.
pub const UNIT_VERBS: [&str; 4] = ["start", "stop", "restart", "reload"];

/// The verbs that change what starts at boot, for which no unit is named to polkit.
const FILE_VERBS: [&str; 2] = ["enable", "disable"];

/// What the account that runs runbooks has to be allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grant {
    /// By verb, the units.
    pub units: BTreeMap<&'static str, BTreeSet<String>>,
    /// Whether a step enables or disables units.
    pub unit_files: bool,
    /// Whether a step makes systemd read its unit files again; enabling does that too.
    pub daemon_reload: bool,
}

impl Grant {
    /// What these runbooks need, undoing included.
    pub fn of<'a>(runbooks: impl IntoIterator<Item = &'a Runbook>, estate: &Estate) -> Self {
        let mut grant = Self::default();
        for step in runbooks.into_iter().flat_map(Runbook::all_steps) {
            actions(step).filter(|action| action.kind == "systemd").for_each(|action| grant.add(&action.spec, estate));
        }
        grant
    }

    fn add(&mut self, spec: &Value, estate: &Estate) {
        for verb in UNIT_VERBS {
            if let Some(words) = spec.get(verb) {
                let units = words_of(words).into_iter().flat_map(|word| meant(word, estate));
                self.units.entry(verb).or_default().extend(units);
            }
        }
        self.unit_files |= FILE_VERBS.iter().any(|verb| spec.get(verb).is_some());
        self.daemon_reload |= self.unit_files || spec.get("daemon_reload").is_some();
    }
}

/// Everything that a step may do.
pub fn actions(step: &Step) -> impl Iterator<Item = &Action> {
    let body = match &step.body {
        StepBody::Action(action) => Some(action),
        StepBody::Ask(_) | StepBody::Manual(_) | StepBody::Wait(_) | StepBody::Parallel(_) | StepBody::Start(_) => None,
    };
    body.into_iter().chain(&step.undo).chain(step.verify.as_ref().map(|verify| &verify.action))
}

/// One word or a list of them.
fn words_of(words: &Value) -> Vec<&str> {
    match words {
        Value::Array(words) => words.iter().filter_map(Value::as_str).collect(),
        word => word.as_str().into_iter().collect(),
    }
}

/// The units of the estate that a word may mean: what a template comes to is known only when it runs, so it means all.
fn meant(word: &str, estate: &Estate) -> Vec<String> {
    let units = estate.units().map(|unit| suffixed(unit.to_owned()));
    if expression::is_template(word) {
        return units.collect();
    }
    let named = estate.services.get(word).map_or(word, |service| &service.unit);
    let named = suffixed(named.to_owned());
    units.filter(|unit| matches(&named, unit)).collect()
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
    fn a_literal_unit_is_granted_and_no_other() {
        let grant = grant(json!([step(json!({"restart": "gateway"})), step(json!({"reload": ["redis-server"]}))]));
        assert_eq!(units(&grant, "restart"), ["shop-gateway.service"]);
        assert_eq!(units(&grant, "reload"), ["redis-server.service"]);
        assert_eq!((grant.units.len(), grant.unit_files, grant.daemon_reload), (2, false, false));
    }

    #[test]
    fn a_template_may_mean_every_unit_and_a_pattern_those_that_fit() {
        let templated = grant(json!([step(json!({"stop": "{{ services[item].unit }}"}))]));
        assert_eq!(units(&templated, "stop").len(), 3);
        assert_eq!(units(&grant(json!([step(json!({"start": "shop-*"}))])), "start").len(), 2);
    }

    #[test]
    fn what_the_estate_does_not_name_is_not_granted() {
        assert_eq!(units(&grant(json!([step(json!({"restart": "sshd.service"}))])), "restart"), [""; 0]);
        assert_eq!(grant(json!([step(json!({"status": "shop-*"}))])), Grant::default());
    }

    #[test]
    fn what_is_inside_groups_and_what_takes_a_change_back_counts() {
        let mut changing = step(json!({"stop": "search"}));
        changing["undo"] = json!({"kind": "systemd", "spec": {"start": "search"}, "effect": "repeatable"});
        let group = json!({"id": "g", "name": "G", "body": {"parallel": [changing]}});
        let grant = grant(json!([group, step(json!({"enable": "search"}))]));
        assert_eq!(units(&grant, "start"), ["shop-search.service"]);
        assert_eq!(units(&grant, "stop"), ["shop-search.service"]);
        assert!(grant.unit_files && grant.daemon_reload, "enabling makes systemd read its files again");
    }
}
