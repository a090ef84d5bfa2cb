//! The alert policy: which alerts belong to one incident, and which changes may happen automatically.
//!
//! Not here: the environment and group of an alert (see [`alert_placement`](super::alert_placement)), and the runbook that it
//! starts (see `domain::runbook::trigger`).

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::core::glob_name::matches;
use crate::domain::core::time::Span;

/// `alerts` of the estate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AlertPolicy {
    /// The environment of alerts that name none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// An expression over the alert that gives its environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment_from: Option<String>,
    /// An expression over the alert that gives its service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_from: Option<String>,
    /// The properties that are the same in all alerts of an incident.
    pub group_by: Vec<GroupBy>,
    /// An alert joins an open incident only within this time after the previous alert.
    pub window: Span,
    /// How long no alert may fire before the incident is resolved automatically.
    pub resolve_after: Span,
    /// How long a runbook is not started again in the same incident after it has ended.
    pub cool_down: Span,
    /// The channels that are notified of alerts without a runbook, and of runbooks that a person has to start.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notify: Vec<String>,
    /// How often the same change may happen automatically, across incidents.
    pub budget: Budget,
    /// The changes that may happen automatically.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub automatic: Vec<Permission>,
}

/// A property by which alerts are grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupBy {
    Environment,
    Service,
    /// The alert's name.
    Name,
    Sender,
}

/// The limit of a rate: at most so many changes within so much time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    pub at_most: NonZeroU32,
    pub within: Span,
}

/// The permission of changes to happen automatically.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permission {
    /// The kind, or kind and verb: `systemd.restart`.
    pub action: String,
    /// Patterns of its objects; empty means any object.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub of: Vec<String>,
    /// The environments; empty means every environment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environments: Vec<String>,
}

impl Default for AlertPolicy {
    fn default() -> Self {
        Self {
            environment: None,
            environment_from: None,
            service_from: None,
            group_by: vec![GroupBy::Environment, GroupBy::Service],
            window: Span::seconds(30 * 60),
            resolve_after: Span::seconds(5 * 60),
            cool_down: Span::seconds(15 * 60),
            notify: Vec::new(),
            budget: Budget { at_most: NonZeroU32::MIN.saturating_add(2), within: Span::seconds(60 * 60) },
            automatic: Vec::new(),
        }
    }
}

impl AlertPolicy {
    /// Whether a change may happen automatically in an environment.
    pub fn allows(&self, environment: &str, kind: &str, spec: &Value) -> bool {
        self.automatic.iter().any(|permission| permission.covers(environment, kind, spec))
    }
}

impl Permission {
    fn covers(&self, environment: &str, kind: &str, spec: &Value) -> bool {
        let (allowed, verb) = self.action.split_once('.').map_or((self.action.as_str(), None), |(k, v)| (k, Some(v)));
        let object = match verb {
            None => Some(spec),
            Some(verb) => spec.get(verb),
        };
        let here = self.environments.is_empty() || self.environments.iter().any(|name| name == environment);
        here && allowed == kind && object.is_some_and(|object| self.of.is_empty() || self.fits(object))
    }

    /// Whether every text of the object matches a pattern. Other scalars match none.
    fn fits(&self, object: &Value) -> bool {
        match object {
            Value::String(text) => self.of.iter().any(|pattern| matches(pattern, text)),
            Value::Array(items) => !items.is_empty() && items.iter().all(|item| self.fits(item)),
            Value::Object(fields) => !fields.is_empty() && fields.values().all(|field| self.fits(field)),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::alert::Alert;
    use crate::domain::config::estate::Estate;

    fn estate() -> Estate {
        serde_json::from_value(json!({
            "estate": "shop",
            "environments": {"production": {}, "staging": {}},
            "services": {"gateway": {"unit": "shop-gateway.service"}},
        }))
        .unwrap()
    }

    fn alert(labels: &[(&str, &str)]) -> Alert {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Alert { name: "slow".into(), labels, ..Alert::default() }
    }

    #[test]
    fn labels_give_the_environment_and_the_service() {
        let policy = AlertPolicy { environment: Some("production".into()), ..AlertPolicy::default() };
        let place = |labels: &[(&str, &str)]| policy.place(&alert(labels), &estate()).group;
        assert_eq!(place(&[("env", "staging"), ("service", "gateway")]), "staging / gateway");
        assert_eq!(place(&[("env", "staging"), ("job", "shop-gateway")]), "staging / gateway");
        assert_eq!(place(&[("env", "elsewhere"), ("service", "unknown")]), "production / slow");
    }

    #[test]
    fn the_rule_of_the_policy_takes_precedence_over_labels() {
        let rule = "{'prod': 'production'}[labels.stack]";
        let policy = AlertPolicy { environment_from: Some(rule.into()), ..AlertPolicy::default() };
        let environment = |labels: &[(&str, &str)]| policy.place(&alert(labels), &estate()).environment;
        assert_eq!(environment(&[("stack", "prod"), ("env", "staging")]), "production");
        assert_eq!(environment(&[("stack", "other"), ("env", "staging")]), "staging", "a rule that fails is ignored");
    }

    #[test]
    fn a_permission_limits_the_action_its_objects_and_the_environment() {
        let permission = Permission {
            action: "systemd.restart".into(),
            of: vec!["shop-*".into()],
            environments: vec!["staging".into()],
        };
        let policy = AlertPolicy { automatic: vec![permission], ..AlertPolicy::default() };
        let allows = |environment: &str, spec: Value| policy.allows(environment, "systemd", &spec);
        assert!(allows("staging", json!({"restart": "shop-gateway.service"})));
        assert!(allows("staging", json!({"restart": ["shop-gateway.service", "shop-search.service"]})));
        assert!(!allows("production", json!({"restart": "shop-gateway.service"})));
        assert!(!allows("staging", json!({"stop": "shop-gateway.service"})));
        assert!(!allows("staging", json!({"restart": ["shop-gateway.service", "sshd.service"]})));
    }
}
