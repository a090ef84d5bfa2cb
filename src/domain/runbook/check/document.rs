//! The document: its keys, its params and their values.

use serde_json::Value;

use super::RunbookChecker;
use crate::domain::config::kind_schema::Shape;
use crate::domain::config::yaml::fields::{Fields, list};
use crate::domain::config::yaml::node::{Content, Entry, Node};
use crate::domain::core::diagnostic::{MAX_QUOTED, Problem, visible};
use crate::domain::core::severity::Severity;
use crate::domain::runbook::runbook_schema::{PARAM, PARAM_TYPES, RUNBOOK, RUNBOOK_SEVERITIES};
use crate::domain::runbook::{Param, ParamKind, Runbook};

/// The most params of a runbook: nobody fills in more at night.
const MAX_PARAMS: usize = 50;

impl RunbookChecker<'_> {
    pub(super) fn document(&mut self, node: &Node) -> Option<Runbook> {
        let fields = self.open(node, &RUNBOOK)?;
        let id = self.id(&fields);
        let title = fields
            .required(&mut self.report, "title", RUNBOOK.what)
            .and_then(|node| self.report.text(node).map(str::to_owned));
        let severity = fields
            .required(&mut self.report, "severity", RUNBOOK.what)
            .and_then(|node| self.report.keyword(node, RUNBOOK_SEVERITIES));
        let summary = fields.get("summary").and_then(|node| self.report.text(node).map(str::to_owned));
        let environments = fields.get("environments").map(|node| self.environments(node)).unwrap_or_default();
        if let Some(entry) = fields.entry("deadlines").filter(|_| severity == Some(Severity::Maintenance)) {
            let problem = Problem::new(entry.key_span.clone(), "maintenance has no deadlines: nothing is wrong");
            self.report.add(problem.help("Take them away, or write a severity from p1 to p4."));
        }
        let deadlines = fields.get("deadlines").map(|node| self.deadlines(node)).unwrap_or_default();
        self.params = fields.get("params").map(|node| self.declared_params(node)).unwrap_or_default();
        let (on, schedules) = fields.get("on").map(|node| self.triggers(node, severity)).unwrap_or_default();
        let steps = fields.required(&mut self.report, "steps", RUNBOOK.what);
        for given in [steps, fields.get("finally")].into_iter().flatten() {
            self.gather_ids(given);
        }
        let steps = steps.and_then(|node| self.steps(node, "steps"));
        let finally = fields.get("finally").and_then(|node| self.steps(node, "finally")).unwrap_or_default();
        self.deadlines_are_met();
        self.number_of_steps(&fields);
        if let Some(steps) = &steps
            && self.report.problems.is_empty()
        {
            self.deadlines_can_be_met(&deadlines, steps, &finally);
        }
        let params = std::mem::take(&mut self.params);
        Some(Runbook {
            id: id?,
            title: title?,
            severity: severity?,
            summary,
            environments,
            deadlines,
            params,
            on,
            schedules,
            steps: steps?,
            finally,
        })
    }

    fn id(&mut self, fields: &Fields<'_>) -> Option<String> {
        let node = fields.required(&mut self.report, "runbook", RUNBOOK.what)?;
        let id = self.report.name(node)?;
        let stem = self.report.source.stem();
        if id != stem {
            let message = format!("the runbook is called `{id}` and its file `{}.yaml`", visible(stem, MAX_QUOTED));
            self.report.add(Problem::new(node.span.clone(), message).help(format!(
                "Rename one of the two: the file to `{id}.yaml`, or write `runbook: {}`.",
                visible(stem, MAX_QUOTED)
            )));
        }
        Some(id)
    }

    pub(super) fn environments(&mut self, node: &Node) -> Vec<String> {
        let known: Option<Vec<&str>> =
            self.context.estate.map(|estate| estate.environments.keys().map(String::as_str).collect());
        let items = self.report.one_or_many(node);
        items
            .iter()
            .filter_map(|item| {
                self.name_of_the_estate(item, "environment", known.clone());
                item.as_text().map(str::to_owned)
            })
            .collect()
    }

    // ── params ───────────────────────────────────────────────────────────────────────────────────────────────

    fn declared_params(&mut self, node: &Node) -> Vec<Param> {
        let entries = self.report.entries(node, "a mapping of params by name").unwrap_or_default();
        if let Some(entry) = entries.get(MAX_PARAMS) {
            self.report.add(Problem::new(entry.key_span.clone(), format!("a runbook has at most {MAX_PARAMS} params")));
        }
        entries.into_iter().map(|entry| self.param(entry)).collect()
    }

    /// A param. One with problems is declared too, so that its uses are not reported.
    fn param(&mut self, entry: &Entry) -> Param {
        self.report.named(&entry.key, &entry.key_span);
        if entry.key.contains('-') {
            let problem = Problem::new(
                entry.key_span.clone(),
                format!("`params.{}` would be a subtraction", visible(&entry.key, MAX_QUOTED)),
            );
            self.report.add(problem.help(format!("Call it `{}`.", visible(&entry.key.replace('-', "_"), MAX_QUOTED))));
        }
        let mut param = Param { name: entry.key.clone(), kind: ParamKind::Text, default: None, help: None };
        let Some(fields) = self.open_entry(entry, &PARAM) else { return param };
        if let Some(kind) = self.param_kind(&fields) {
            param.kind = kind;
            param.default = fields.get("default").map(|node| self.default_value(node, &param.kind));
        }
        param.help = fields.get("help").and_then(|node| self.report.text(node).map(str::to_owned));
        param
    }

    fn param_kind(&mut self, fields: &Fields<'_>) -> Option<ParamKind> {
        let node = fields.required(&mut self.report, "type", PARAM.what)?;
        let name = self.report.text(node)?;
        let choices = fields.get("choices");
        if let Some(choices) = choices.filter(|_| name != "choice") {
            self.report.add(
                Problem::new(choices.span.clone(), "`choices` belongs to `type: choice`").help("Write `type: choice`."),
            );
        }
        Some(match name {
            "text" => ParamKind::Text,
            "integer" => ParamKind::Integer,
            "number" => ParamKind::Number,
            "boolean" => ParamKind::Boolean,
            "duration" => ParamKind::Duration,
            "service" => ParamKind::Service,
            "unit" => ParamKind::Unit,
            "choice" => ParamKind::Choice(self.choices_of(fields)?),
            other => {
                self.report.unknown_keyword(node, other, PARAM_TYPES);
                return None;
            }
        })
    }

    fn choices_of(&mut self, fields: &Fields<'_>) -> Option<Vec<String>> {
        let node = fields.required(&mut self.report, "choices", "a param of type `choice`")?;
        let items = self.report.items(node)?;
        let choices: Vec<String> = items.iter().filter_map(|item| self.report.text(item).map(str::to_owned)).collect();
        if items.is_empty() {
            self.report.add(Problem::new(node.span.clone(), "there is nothing to choose from"));
        }
        Some(choices)
    }

    /// Checks a literal value against the type of a param.
    pub(super) fn default_value(&mut self, node: &Node, kind: &ParamKind) -> Value {
        match kind {
            ParamKind::Text => drop(self.report.text(node)),
            ParamKind::Integer => drop(self.report.integer(node, i64::MIN, i64::MAX)),
            ParamKind::Number if matches!(node.content, Content::Integer(_) | Content::Number(_)) => {}
            ParamKind::Number => drop(self.report.expected::<()>(node, "a number")),
            ParamKind::Boolean => drop(self.report.boolean(node)),
            ParamKind::Duration => drop(self.report.duration(node)),
            ParamKind::Service => self.service(node),
            ParamKind::Unit => drop(self.shaped(node, &Shape::Unit)),
            ParamKind::Choice(choices) => {
                let known: Vec<&str> = choices.iter().map(String::as_str).collect();
                if let Some(text) = self.report.text(node).filter(|text| !known.contains(text)) {
                    let problem = Problem::new(
                        node.span.clone(),
                        format!("`{}` is not one of the choices", visible(text, MAX_QUOTED)),
                    );
                    self.report.add(
                        problem
                            .did_you_mean(text, known.iter().copied())
                            .or_help(format!("The choices are {}.", list(&known))),
                    );
                }
            }
        }
        node.to_json()
    }
}
