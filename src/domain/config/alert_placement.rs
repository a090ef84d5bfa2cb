//! The placement of an alert: its environment, service and group, by the alert policy and the estate.

use serde_json::Value;

use super::alert_policy::{AlertPolicy, GroupBy};
use super::estate::Estate;
use crate::domain::alert::{Alert, template_scope};
use crate::domain::template::expression;

/// The placement of an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertPlacement {
    /// An environment of the estate.
    pub environment: String,
    /// A service of the estate.
    pub service: Option<String>,
    /// The name of its group. Alerts of one group belong to one incident.
    pub group: String,
}

/// The labels in which senders usually name the environment.
const ENVIRONMENT_LABELS: [&str; 3] = ["environment", "env", "stage"];

/// The labels in which senders usually name the service.
const SERVICE_LABELS: [&str; 4] = ["service", "service_name", "unit", "job"];

/// The separator between the parts of a group's name.
const SEPARATOR: &str = " / ";

impl AlertPolicy {
    /// The placement of an alert.
    pub fn place(&self, alert: &Alert, estate: &Estate) -> AlertPlacement {
        let environment = self.environment(alert, estate);
        let service = self.service(alert, estate);
        let part = |grouping: &GroupBy| match grouping {
            GroupBy::Environment => environment.as_str(),
            // Alerts without a known service are not grouped with each other.
            GroupBy::Service => service.as_deref().unwrap_or(&alert.name),
            GroupBy::Name => &alert.name,
            GroupBy::Sender => &alert.sender,
        };
        let group = self.group_by.iter().map(part).collect::<Vec<_>>().join(SEPARATOR);
        AlertPlacement { group, environment, service }
    }

    fn environment(&self, alert: &Alert, estate: &Estate) -> String {
        let from_rule = self.environment_from.as_deref().and_then(|rule| evaluated(rule, alert));
        let from_label = ENVIRONMENT_LABELS.iter().find_map(|label| alert.labels.get(*label).cloned());
        let candidates = [from_rule, alert.environment.clone(), from_label, self.environment.clone()];
        let known = |name: &String| estate.environments.contains_key(name);
        let chosen = candidates.into_iter().chain([estate.default_environment.clone()]).flatten().find(known);
        // With several environments, the checker has made sure that there is a default.
        chosen.or_else(|| estate.environments.keys().next().cloned()).unwrap_or_default()
    }

    fn service(&self, alert: &Alert, estate: &Estate) -> Option<String> {
        let from_rule = self.service_from.as_deref().and_then(|rule| evaluated(rule, alert));
        let from_labels = SERVICE_LABELS.iter().filter_map(|label| alert.labels.get(*label).cloned());
        let mut candidates = from_rule.into_iter().chain(alert.service.clone()).chain(from_labels);
        candidates.find_map(|name| known_service(&name, estate))
    }
}

/// The text that a rule of the policy gives; none if it fails or gives no text.
fn evaluated(rule: &str, alert: &Alert) -> Option<String> {
    match expression::evaluate(rule, &template_scope::of(alert)).ok()? {
        Value::String(text) if !text.is_empty() => Some(text),
        _ => None,
    }
}

/// The service that has this name, or whose unit has it. The suffix `.service` is ignored in the names of units.
fn known_service(name: &str, estate: &Estate) -> Option<String> {
    if estate.services.contains_key(name) {
        return Some(name.to_owned());
    }
    let stem = |unit: &str| unit.strip_suffix(".service").unwrap_or(unit).to_owned();
    let wanted = stem(name);
    estate.services.iter().find(|(_, service)| stem(&service.unit) == wanted).map(|(name, _)| name.clone())
}
