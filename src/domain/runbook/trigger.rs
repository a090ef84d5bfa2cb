//! Chooses the runbook for an alert, with its params, and the reason why each other runbook was passed over.
//!
//! **Invariant:** the same alert and the same runbooks give the same choice. A runbook that the alert names comes first; then
//! an exact name comes before a pattern, a trigger with a condition before one without, and then the order of ids decides.
//!
//! **Invariant:** an alert is data. Conditions and templates come from the runbook and see the alert as values.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Runbook;
use crate::domain::alert::{Alert, template_scope};
use crate::domain::core::glob_name::matches;
use crate::domain::template::expression;

/// The alerts that a runbook is for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trigger {
    /// The alerts, by name or pattern.
    pub alert: Vec<String>,
    /// An expression over the alert that must hold.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// Whether the alert starts the runbook or a person is asked.
    #[serde(default)]
    pub start: StartMode,
    /// The runbook's params; templates over the alert.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub params: Map<String, Value>,
}

/// Whether an alert starts a runbook.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartMode {
    /// The alert starts it.
    Auto,
    /// A person is asked to start it.
    #[default]
    Ask,
}

/// The runbook that was chosen for an alert.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice<'a> {
    pub runbook: &'a Runbook,
    /// The params that the trigger gives.
    pub params: Map<String, Value>,
    /// Why a person is asked to start it; `None` if the alert starts it.
    pub asks: Option<String>,
}

/// A runbook that was not chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PassedOver {
    pub runbook: String,
    pub reason: String,
}

/// The result for an alert.
#[derive(Debug, Clone, PartialEq)]
pub struct TriggerMatch<'a> {
    /// The chosen runbook, if there is one.
    pub choice: Option<Choice<'a>>,
    /// The other runbooks.
    pub passed_over: Vec<PassedOver>,
}

/// A runbook that is for the alert, and what decides between several.
struct Candidate<'a> {
    runbook: &'a Runbook,
    trigger: Option<&'a Trigger>,
    named: bool,
    exact: bool,
}

impl Candidate<'_> {
    /// The candidate with the highest rank is chosen.
    fn rank(&self) -> (bool, bool, bool, Reverse<&str>) {
        let has_condition = self.trigger.is_some_and(|trigger| trigger.condition.is_some());
        (self.named, self.exact, has_condition, Reverse(self.runbook.id.as_str()))
    }
}

/// Whether any trigger of a runbook is for alerts of this name.
pub fn is_for_alert(runbook: &Runbook, name: &str) -> bool {
    runbook.on.iter().flat_map(|trigger| &trigger.alert).any(|pattern| matches(pattern, name))
}

/// Chooses the runbook for an alert.
pub fn choose<'a>(alert: &Alert, runbooks: impl IntoIterator<Item = &'a Runbook>) -> TriggerMatch<'a> {
    let (mut candidates, mut passed_over) = (Vec::new(), Vec::new());
    let scope = template_scope::of(alert);
    for runbook in runbooks {
        match candidate(alert, runbook, &scope) {
            Ok(candidate) => candidates.push(candidate),
            Err(reason) => passed_over.push(PassedOver { runbook: runbook.id.clone(), reason }),
        }
    }
    candidates.sort_by(|one, other| one.rank().cmp(&other.rank()));
    let best = candidates.pop();
    if let Some(best) = &best {
        let others = candidates.iter().rev().map(|other| PassedOver {
            runbook: other.runbook.id.clone(),
            reason: format!("it fits, but `{}` comes before it", best.runbook.id),
        });
        passed_over.extend(others);
    }
    let choice = best.map(|best| chosen(&best, &scope));
    TriggerMatch { choice, passed_over }
}

fn candidate<'a>(alert: &Alert, runbook: &'a Runbook, scope: &minijinja::Value) -> Result<Candidate<'a>, String> {
    let named = alert.runbook.as_deref().is_some_and(|reference| names(reference, &runbook.id));
    let mut reason = match (runbook.on.is_empty(), runbook.schedules.is_empty()) {
        (true, true) => "it has no `on`".to_owned(),
        (true, false) => "its `on` has no `alert`".to_owned(),
        (false, _) => format!("its `on` does not name `{}`", alert.name.escape_debug()),
    };
    for trigger in runbook.on.iter().filter(|trigger| trigger.alert.iter().any(|pattern| matches(pattern, &alert.name)))
    {
        let exact = trigger.alert.contains(&alert.name);
        match holds(trigger, scope) {
            Ok(()) => return Ok(Candidate { runbook, trigger: Some(trigger), named, exact }),
            Err(why) => reason = why,
        }
    }
    if named { Ok(Candidate { runbook, trigger: None, named, exact: false }) } else { Err(reason) }
}

fn holds(trigger: &Trigger, scope: &minijinja::Value) -> Result<(), String> {
    let Some(condition) = &trigger.condition else { return Ok(()) };
    match expression::truthy(condition, scope) {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("its `where` is false: `{condition}`")),
        Err(error) => Err(format!("its `where` cannot be evaluated: {error}")),
    }
}

fn chosen<'a>(best: &Candidate<'a>, scope: &minijinja::Value) -> Choice<'a> {
    let runbook = best.runbook;
    let Some(trigger) = best.trigger else {
        let asks = Some("the alert names it, but its `on` does not name the alert".to_owned());
        return Choice { runbook, params: Map::new(), asks };
    };
    let (params, failure) = params(trigger, scope);
    let asks = match (failure, trigger.start) {
        (Some(failure), _) => Some(failure),
        (None, StartMode::Auto) => None,
        (None, StartMode::Ask) => Some("a person has to start it".to_owned()),
    };
    Choice { runbook, params, asks }
}

/// The params from an alert, and why one of them cannot be rendered. A param whose template gives nothing has its default.
fn params(trigger: &Trigger, scope: &minijinja::Value) -> (Map<String, Value>, Option<String>) {
    let (mut params, mut failure) = (Map::new(), None);
    for (name, source) in &trigger.params {
        let mut value = source.clone();
        match crate::domain::template::values::render(&mut value, scope) {
            Ok(()) if value.is_null() || value.as_str() == Some("") => {}
            Ok(()) => drop(params.insert(name.clone(), value)),
            Err(error) => failure = Some(format!("its parameter `{name}` cannot be made from the alert: {error}")),
        }
    }
    (params, failure)
}

/// Whether a reference in an alert, an id or an address, names a runbook. Its last part counts, without the file extension.
fn names(reference: &str, id: &str) -> bool {
    let path = reference.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    let last = path.rsplit('/').next().unwrap_or_default();
    let stem = last.split_once('.').map_or(last, |(stem, _)| stem);
    stem == id
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn runbook(id: &str, on: Value) -> Runbook {
        serde_json::from_value(json!({"id": id, "title": id, "severity": "p2", "steps": [], "on": on})).unwrap()
    }

    fn alert() -> Alert {
        let labels = [("env".to_owned(), "production".to_owned())].into();
        Alert { name: "payment_error_rate".into(), value: Some(7.5), labels, ..Alert::default() }
    }

    /// The chosen runbook with its params, and the reasons why it or the others do not start.
    fn outcome(alert: &Alert, runbooks: &[Runbook]) -> Vec<String> {
        let found = choose(alert, runbooks);
        let choice = found.choice.map(|choice| {
            let asks = choice.asks.map(|asks| format!(", asks: {asks}")).unwrap_or_default();
            format!("{} {}{asks}", choice.runbook.id, Value::Object(choice.params))
        });
        let others = found.passed_over.into_iter().map(|other| format!("not {}: {}", other.runbook, other.reason));
        choice.into_iter().chain(others).collect()
    }

    #[test]
    fn the_condition_and_the_parameters_see_the_alert() {
        let on = json!([{"alert": ["payment_error_rate"], "where": "labels.env == 'production' and value > 5",
            "start": "auto", "params": {"rate": "{{ value }}", "who": "{{ alert.labels.nobody }}"}}]);
        assert_eq!(outcome(&alert(), &[runbook("pay", on.clone())]), [r#"pay {"rate":7.5}"#]);
        let calm = Alert { value: Some(1.0), ..alert() };
        assert_eq!(
            outcome(&calm, &[runbook("pay", on.clone())]),
            ["not pay: its `where` is false: `labels.env == 'production' and value > 5`"]
        );
        let silent = Alert { value: None, ..alert() };
        assert!(outcome(&silent, &[runbook("pay", on)])[0].starts_with("not pay: its `where`"));
    }

    #[test]
    fn an_exact_name_comes_before_a_pattern_and_a_condition_before_none() {
        let any = runbook("any", json!([{"alert": ["*"]}]));
        let exact = runbook("exact", json!([{"alert": ["payment_error_rate"], "start": "auto"}]));
        let narrow =
            runbook("narrow", json!([{"alert": ["payment_error_rate"], "where": "value > 5", "start": "auto"}]));
        let none = runbook("none", json!([]));
        let first = |runbooks: &[Runbook]| outcome(&alert(), runbooks).remove(0);
        assert_eq!(first(&[any.clone(), none.clone()]), "any {}, asks: a person has to start it");
        assert_eq!(first(&[any.clone(), exact.clone()]), "exact {}");
        assert_eq!(
            outcome(&alert(), &[any, exact, narrow, none]),
            [
                "narrow {}",
                "not none: it has no `on`",
                "not exact: it fits, but `narrow` comes before it",
                "not any: it fits, but `narrow` comes before it"
            ]
        );
    }

    #[test]
    fn a_runbook_that_only_a_schedule_starts_has_no_alert() {
        let mut weekly = runbook("weekly", json!([]));
        weekly.schedules = serde_json::from_value(json!([{"schedule": "0 6 * * 1", "timezone": "UTC"}])).unwrap();
        assert_eq!(outcome(&alert(), &[weekly]), ["not weekly: its `on` has no `alert`"]);
    }

    #[test]
    fn a_runbook_that_an_alert_names_is_chosen_and_a_person_is_asked() {
        let other = runbook("other", json!([{"alert": ["payment_error_rate"], "start": "auto"}]));
        let quiet = runbook("search-down", json!([]));
        for reference in ["search-down", "https://wiki.example/runbooks/search-down.md?x=1#top"] {
            let alert = Alert { runbook: Some(reference.into()), ..alert() };
            let outcome = outcome(&alert, &[other.clone(), quiet.clone()]);
            assert!(outcome[0].starts_with("search-down {}, asks: the alert names it"), "{outcome:?}");
        }
    }

    #[test]
    fn text_of_an_alert_is_not_evaluated() {
        let on = json!([{"alert": ["*"], "start": "auto", "params": {"text": "{{ labels.env }} {{ name }}"}}]);
        let labels = [("env".to_owned(), "{{ 7 * 7 }}".to_owned())].into();
        let alert = Alert { labels, name: "{{ secrets.x }}".into(), ..alert() };
        assert_eq!(outcome(&alert, &[runbook("any", on)]), [r#"any {"text":"{{ 7 * 7 }} {{ secrets.x }}"}"#]);
    }
}
