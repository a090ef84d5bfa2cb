//! Templates and expressions of a runbook: their syntax, and whether every name in them is defined.
//!
//! Not here: whether an optional output of a step exists. That is known only when the step has run.

use super::RunbookChecker;
use crate::domain::config::yaml::fields::list;
use crate::domain::config::yaml::node::{Content, Node};
use crate::domain::core::diagnostic::{MAX_QUOTED, Problem, SourceSpan, visible};
use crate::domain::runbook::scope_names::{NAMES, STEP_FIELDS};
use crate::domain::runbook::{Param, ParamKind};
use crate::domain::template::expression;
use crate::domain::template::expression::{ExpressionError, Reference};
use crate::domain::template::shell;

/// The root names of every template.
fn roots() -> Vec<&'static str> {
    NAMES.iter().map(|(name, _)| *name).filter(|name| *name != "item").collect()
}

/// The fields of an environment.
const ENVIRONMENT: &[&str] =
    &["name", "branch", "domain", "host", "hosts", "hostname", "systemd", "repository", "journal", "vars"];

impl RunbookChecker<'_> {
    /// Checks a text that may hold `{{ … }}`.
    pub(super) fn template(&mut self, node: &Node) -> Option<String> {
        let text = self.report.text(node)?;
        self.template_text(node, text);
        Some(text.to_owned())
    }

    /// The same for a node that is text, and may be empty.
    pub(super) fn template_text(&mut self, node: &Node, text: &str) {
        match expression::references(text) {
            Ok(references) => self.references(node, text, &references),
            Err(error) => self.add_error(node, error),
        }
    }

    /// Checks a script as a template, and whether every interpolation can be quoted.
    pub(super) fn script(&mut self, node: &Node, text: &str) {
        self.template_text(node, text);
        for error in shell::lint(text) {
            self.add_error(node, error);
        }
    }

    /// Checks an expression, which has no braces.
    pub(super) fn expression(&mut self, node: &Node) -> Option<String> {
        if let Content::Boolean(value) = node.content {
            return Some(value.to_string());
        }
        let text = self.report.text(node)?;
        if let Some(inner) = expression::scanner::whole_expression(text) {
            let problem = Problem::new(node.span.clone(), "an expression stands without `{{` and `}}`");
            self.report.add(problem.help(format!("Write `{}`.", visible(text[inner].trim(), MAX_QUOTED))));
            return None;
        }
        match expression::references_of_expression(text) {
            Ok(references) => {
                self.references(node, text, &references);
                Some(text.to_owned())
            }
            Err(error) => {
                self.add_error(node, error);
                None
            }
        }
    }

    fn add_error(&mut self, node: &Node, error: ExpressionError) {
        let span = node.span_within(self.report.source, error.range);
        let problem = Problem::new(span, error.message);
        self.report.add(match error.hint {
            Some(hint) => problem.help(hint),
            None => problem,
        });
    }

    /// Checks the references of an expression or template.
    fn references(&mut self, node: &Node, text: &str, references: &[Reference]) {
        for reference in references {
            if let Some(problem) = self.missing(reference) {
                let span = node.span_within(self.report.source, reference.range.clone());
                self.report.add(Problem { span, ..problem });
            } else {
                self.compared_answer(node, text, reference);
            }
        }
    }

    /// Why a name is not defined. The caller sets the place of the problem.
    fn missing(&self, reference: &Reference) -> Option<Problem> {
        let parts: Vec<&str> = reference.parts().collect();
        let place = SourceSpan::default();
        match (parts[0], parts.get(1)) {
            (root, _) if self.only.is_some_and(|names| names.contains(&root)) => None,
            (root, _) if self.only.is_some() => {
                let names = self.only.unwrap_or_default();
                let problem = Problem::new(place, format!("`{root}` is not defined here"))
                    .did_you_mean(root, names.iter().copied());
                Some(problem.or_help(format!("This condition sees only {}.", list(names))))
            }
            ("item", _) if self.has_item => None,
            ("secrets" | "secret", _) => Some(
                Problem::new(place, "secrets cannot be interpolated")
                    .help("Give `{secret: name}` to a field that takes a secret, such as an entry of `env`."),
            ),
            ("item", _) => Some(Problem::new(place, "`item` exists only in a step with `for_each`")),
            (root, _) if !roots().contains(&root) => {
                let problem = Problem::new(place, format!("`{root}` is not defined")).did_you_mean(root, roots());
                Some(problem.or_help(format!("Templates may refer to {}.", list(&roots()))))
            }
            ("steps", Some(id)) => self.missing_step(id).or_else(|| self.missing_output(id, parts.get(2).copied()?)),
            ("params", Some(name)) => self.missing_param(name),
            ("environment", Some(field)) => self.missing_environment_field(field, parts.get(2).copied()),
            ("services", Some(name)) => self.missing_service(name),
            _ => None,
        }
    }

    fn missing_step(&self, id: &str) -> Option<Problem> {
        let place = SourceSpan::default();
        if self.visible.contains(id) {
            return None;
        }
        Some(match self.ids.get(id) {
            Some(given) => Problem::new(place, format!("step `{id}` has not run yet at this place"))
                .related(given.clone(), "it is given here")
                .help("Move the step that uses it behind it; steps inside one `parallel` do not see each other."),
            None => {
                let known: Vec<&str> = self.ids.keys().map(String::as_str).collect();
                let hyphened =
                    known.iter().find(|name| name.strip_prefix(id).is_some_and(|rest| rest.starts_with('-')));
                let problem = Problem::new(place, format!("there is no step `{id}`"));
                match hyphened {
                    Some(name) => problem.help(format!("Write `steps[\"{name}\"]`, or use `_` in its id.")),
                    None => problem.did_you_mean(id, known),
                }
            }
        })
    }

    /// Why a step has no such field. Only known if its kind lists all outputs.
    fn missing_output(&self, id: &str, field: &str) -> Option<Problem> {
        let kind = self.kinds.get(id)?;
        let outputs = self.form(kind).map(|form| form.outputs).filter(|outputs| !outputs.is_empty())?;
        let known: Vec<&str> = STEP_FIELDS.iter().copied().chain(outputs.iter().map(|output| output.name)).collect();
        if known.contains(&field) || known.iter().any(|name| name.starts_with('<')) {
            return None;
        }
        let problem = Problem::new(SourceSpan::default(), format!("step `{id}` has no output `{field}`"));
        Some(
            problem
                .did_you_mean(field, known.iter().copied())
                .or_help(format!("`{kind}` has the outputs {}.", list(&known))),
        )
    }

    /// Why there is no such param. The caller sets the place of the problem.
    pub(super) fn missing_param(&self, name: &str) -> Option<Problem> {
        if self.params.iter().any(|param| param.name == name) {
            return None;
        }
        let known: Vec<&str> = self.params.iter().map(|param| param.name.as_str()).collect();
        let shown = visible(name, MAX_QUOTED);
        let problem = Problem::new(SourceSpan::default(), format!("there is no param `{shown}`"));
        let problem = problem.did_you_mean(name, known);
        Some(problem.or_help(format!("Declare it under `params`: `{shown}: {{ type: text }}`.")))
    }

    fn missing_environment_field(&self, field: &str, variable: Option<&str>) -> Option<Problem> {
        let place = SourceSpan::default();
        if !ENVIRONMENT.contains(&field) {
            let problem = Problem::new(place, format!("an environment has no `{field}`"));
            let help = format!("Put your own values under `vars` in the estate and write `environment.vars.{field}`.");
            return Some(problem.did_you_mean(field, ENVIRONMENT.iter().copied()).or_help(help));
        }
        let (estate, variable) = (self.context.estate?, variable.filter(|_| field == "vars")?);
        let environments = || estate.environments.values();
        if environments().any(|environment| environment.vars.contains_key(variable)) {
            return None;
        }
        let known: Vec<&str> =
            environments().flat_map(|environment| environment.vars.keys().map(String::as_str)).collect();
        Some(
            Problem::new(place, format!("no environment of the estate has the variable `{variable}`"))
                .did_you_mean(variable, known),
        )
    }

    fn missing_service(&self, name: &str) -> Option<Problem> {
        let estate = self.context.estate?;
        let problem = || Problem::new(SourceSpan::default(), format!("there is no service `{name}` in the estate"));
        (!estate.services.contains_key(name))
            .then(|| problem().did_you_mean(name, estate.services.keys().map(String::as_str)))
    }

    /// Reports a comparison with an answer that is not a choice, such as `steps.cause.answer == 'cod'`.
    fn compared_answer(&mut self, node: &Node, text: &str, reference: &Reference) {
        let Some(step) = reference.path.strip_prefix("steps.").and_then(|rest| rest.strip_suffix(".answer")) else {
            return;
        };
        let Some(choices) = self.choices.get(step) else { return };
        let rest = &text[reference.range.end..];
        let trimmed = rest.trim_start();
        let Some(literal) = trimmed.strip_prefix("==").or_else(|| trimmed.strip_prefix("!=")).map(str::trim_start)
        else {
            return;
        };
        let Some(quote) = literal.chars().next().filter(|c| matches!(c, '\'' | '"')) else { return };
        let Some((answer, _)) = literal[1..].split_once(quote) else { return };
        if choices.iter().any(|choice| choice == answer) {
            return;
        }
        let start = text.len() - literal.len();
        let span = node.span_within(self.report.source, start..start + answer.len() + 2);
        let known: Vec<&str> = choices.iter().map(String::as_str).collect();
        let problem = Problem::new(span, format!("`{}` is not a choice of step `{step}`", visible(answer, MAX_QUOTED)));
        self.report.add(
            problem.did_you_mean(answer, known.iter().copied()).or_help(format!("Its choices are {}.", list(&known))),
        );
    }

    /// Whether a template gives only values that a program does not take for an option.
    pub(super) fn is_closed(&self, text: &str) -> bool {
        let Some(inner) = expression::scanner::whole_expression(text) else { return false };
        let code = text[inner].trim();
        if code.ends_with("| int") || code.ends_with("|int") {
            return true;
        }
        match expression::references_of_expression(code).as_deref() {
            Ok([reference]) if reference.range == (0..code.len()) => self.is_closed_path(&reference.path),
            _ => false,
        }
    }

    fn is_closed_path(&self, path: &str) -> bool {
        let parts: Vec<&str> = path.split('.').collect();
        match parts.as_slice() {
            ["environment" | "estate" | "services" | "datastores" | "run", ..]
            | ["incident", "id" | "severity" | "environment"] => true,
            ["params", name] => self.params.iter().any(|param| param.name == *name && is_closed_param(param)),
            ["steps", step, "answer"] => self.choices.contains_key(*step),
            _ => false,
        }
    }
}

const fn is_closed_param(param: &Param) -> bool {
    !matches!(param.kind, ParamKind::Text)
}
