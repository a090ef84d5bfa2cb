//! Triggers: the names of their alerts, their condition, and the params from the alert.

use serde_json::{Map, Value};

use super::RunbookChecker;
use crate::domain::alert::template_scope::NAMES;
use crate::domain::config::yaml::fields::Fields;
use crate::domain::config::yaml::node::{Content, Node};
use crate::domain::core::diagnostic::Problem;
use crate::domain::core::severity::Severity;
use crate::domain::runbook::runbook_schema::{START_MODES, TRIGGER};
use crate::domain::runbook::schedule::Schedule;
use crate::domain::runbook::trigger::{StartMode, Trigger};

/// The most triggers and schedules of a runbook.
const MAX_TRIGGERS: usize = 50;

impl RunbookChecker<'_> {
    /// One trigger or schedule, or a list of them.
    pub(super) fn triggers(&mut self, node: &Node, severity: Option<Severity>) -> (Vec<Trigger>, Vec<Schedule>) {
        let given = match &node.content {
            Content::List(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        if let Some(node) = given.get(MAX_TRIGGERS) {
            self.report.add(Problem::new(node.span.clone(), format!("a runbook has at most {MAX_TRIGGERS} triggers")));
        }
        let (schedules, triggers): (Vec<&Node>, Vec<&Node>) =
            given.iter().partition(|node| node.get("schedule").is_some());
        let schedules: Vec<_> = schedules.into_iter().filter_map(|node| Some((self.schedule(node)?, node))).collect();
        self.schedules_fit(severity, &schedules);
        if let Some(node) = triggers.first().filter(|_| severity == Some(Severity::Maintenance)) {
            let problem = Problem::new(node.span.clone(), "an alert opens an incident, and this is planned work");
            self.report.add(problem.help("Write `schedule` in place of `alert`, or a severity from p1 to p4."));
        }
        let triggers = triggers.into_iter().filter_map(|node| self.trigger(node)).collect();
        (triggers, schedules.into_iter().map(|(schedule, _)| schedule).collect())
    }

    fn trigger(&mut self, node: &Node) -> Option<Trigger> {
        let fields = self.open(node, &TRIGGER)?;
        let alert = fields.required(&mut self.report, "alert", TRIGGER.what).map(|node| self.alert_names(node));
        let condition = fields.get("where").and_then(|node| self.with_only(NAMES, |checker| checker.expression(node)));
        let start = fields.get("start").map_or(Some(StartMode::Ask), |node| self.report.keyword(node, START_MODES));
        let params = fields.get("params").map(|node| self.params_from_alert(node)).unwrap_or_default();
        if start == Some(StartMode::Auto) {
            self.check_params(&fields, &params);
        }
        Some(Trigger { alert: alert?, condition, start: start?, params })
    }

    fn alert_names(&mut self, node: &Node) -> Vec<String> {
        let names = self.report.one_or_many(node);
        if names.is_empty() {
            self.report.add(
                Problem::new(node.span.clone(), "the trigger names no alert")
                    .help("Name one, such as `alert: payment_error_rate`; `*` stands for any text."),
            );
        }
        names.iter().filter_map(|name| self.report.text(name).map(str::to_owned)).collect()
    }

    fn params_from_alert(&mut self, node: &Node) -> Map<String, Value> {
        let entries = self.report.entries(node, "a mapping of params by name").unwrap_or_default();
        let mut given = Map::new();
        for entry in entries {
            if let Some(problem) = self.missing_param(&entry.key) {
                self.report.add(Problem { span: entry.key_span.clone(), ..problem });
            }
            if let Some(text) = entry.value.as_text() {
                self.with_only(NAMES, |checker| checker.template_text(&entry.value, text));
            }
            given.insert(entry.key.clone(), entry.value.to_json());
        }
        given
    }

    /// Reports params without a value: nobody is asked for them when an alert starts the runbook.
    fn check_params(&mut self, fields: &Fields<'_>, given: &Map<String, Value>) {
        let missing: Vec<String> = self
            .params
            .iter()
            .filter(|param| param.default.is_none() && !given.contains_key(&param.name))
            .map(|param| param.name.clone())
            .collect();
        for name in missing {
            let problem = Problem::new(fields.span.clone(), format!("nothing gives the param `{name}` a value"));
            self.report.add(problem.help(format!(
                "Add `params: {{ {name}: \"{{{{ labels.{name} }}}}\" }}` here, or give the param a default."
            )));
        }
    }
}
