//! Templates and expressions of a runbook: that they parse, and that every name in them will be there.
//!
//! Deliberately absent: values. Whether a step really leaves a field is known when it has run.

use super::RunbookChecker;
use crate::domain::config::yaml::fields::list;
use crate::domain::config::yaml::node::{Content, Node};
use crate::domain::core::diagnostic::{MAX_QUOTED, Problem, visible};
use crate::domain::runbook::{Param, ParamKind};
use crate::domain::template::expression;
use crate::domain::template::expression::{ExpressionError, Reference};
use crate::domain::template::shell;

/// The names that every template may start with.
fn roots() -> Vec<&'static str> {
    crate::domain::runbook::scope_names::NAMES.iter().map(|(name, _)| *name).filter(|name| *name != "item").collect()
}

/// What every step has besides the outputs of its kind.
const STEP_FACTS: &[&str] = &["status", "answer", "summary", "error", "output", "items"];

/// The facts of an environment.
pub(super) const ENVIRONMENT: &[&str] =
    &["name", "branch", "domain", "host", "hosts", "hostname", "systemd", "repository", "journal", "vars"];

impl RunbookChecker<'_> {
    /// A text that may hold `{{ … }}`: its syntax and its names.
    pub(super) fn template(&mut self, node: &Node) -> Option<String> {
        let text = self.report.text(node)?;
        self.template_text(node, text);
        Some(text.to_owned())
    }

    /// The same for a node that is known to be text, which may be empty.
    pub(super) fn template_text(&mut self, node: &Node, text: &str) {
        match expression::references(text) {
            Ok(references) => self.references(node, text, &references),
            Err(error) => self.wrong(node, error),
        }
    }

    /// A script: as a template, and whether every interpolation can be quoted.
    pub(super) fn script(&mut self, node: &Node, text: &str) {
        self.template_text(node, text);
        for error in shell::lint(text) {
            self.wrong(node, error);
        }
    }

    /// An expression, which stands without braces.
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
                self.wrong(node, error);
                None
            }
        }
    }

    fn wrong(&mut self, node: &Node, error: ExpressionError) {
        let span = node.span_within(self.report.source, error.range);
        let problem = Problem::new(span, error.message);
        self.report.add(match error.hint {
            Some(hint) => problem.help(hint),
            None => problem,
        });
    }

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

    /// Why a name will not be there, as a problem whose place is still to be set.
    fn missing(&self, reference: &Reference) -> Option<Problem> {
        let parts: Vec<&str> = reference.parts().collect();
        let place = crate::domain::core::diagnostic::SourceSpan::default();
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
            ("environment", Some(fact)) => self.missing_fact(fact, parts.get(2).copied()),
            ("services", Some(name)) => self.missing_service(name),
            _ => None,
        }
    }

    fn missing_step(&self, id: &str) -> Option<Problem> {
        let place = crate::domain::core::diagnostic::SourceSpan::default();
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

    /// A field that a step of this kind does not leave, where the kind lists all that it leaves.
    fn missing_output(&self, id: &str, field: &str) -> Option<Problem> {
        let kind = self.kinds.get(id)?;
        let outputs = self.form(kind).map(|form| form.outputs).filter(|outputs| !outputs.is_empty())?;
        let known: Vec<&str> = STEP_FACTS.iter().copied().chain(outputs.iter().map(|output| output.name)).collect();
        if known.contains(&field) || known.iter().any(|name| name.starts_with('<')) {
            return None;
        }
        let problem = Problem::new(
            crate::domain::core::diagnostic::SourceSpan::default(),
            format!("step `{id}` leaves no `{field}`"),
        );
        Some(problem.did_you_mean(field, known.iter().copied()).or_help(format!("`{kind}` leaves {}.", list(&known))))
    }

    fn missing_param(&self, name: &str) -> Option<Problem> {
        if self.params.iter().any(|param| param.name == name) {
            return None;
        }
        let known: Vec<&str> = self.params.iter().map(|param| param.name.as_str()).collect();
        let problem =
            Problem::new(crate::domain::core::diagnostic::SourceSpan::default(), format!("there is no param `{name}`"));
        Some(
            problem
                .did_you_mean(name, known)
                .or_help(format!("Declare it under `params`: `{name}: {{ type: text }}`.")),
        )
    }

    fn missing_fact(&self, fact: &str, variable: Option<&str>) -> Option<Problem> {
        let place = crate::domain::core::diagnostic::SourceSpan::default();
        if !ENVIRONMENT.contains(&fact) {
            let problem = Problem::new(place, format!("an environment has no `{fact}`"));
            let help = format!("Put free facts under `vars` in the estate and write `environment.vars.{fact}`.");
            return Some(problem.did_you_mean(fact, ENVIRONMENT.iter().copied()).or_help(help));
        }
        let (estate, variable) = (self.world.estate?, variable.filter(|_| fact == "vars")?);
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
        let estate = self.world.estate?;
        let problem = || {
            Problem::new(
                crate::domain::core::diagnostic::SourceSpan::default(),
                format!("there is no service `{name}` in the estate"),
            )
        };
        (!estate.services.contains_key(name))
            .then(|| problem().did_you_mean(name, estate.services.keys().map(String::as_str)))
    }

    /// `steps.cause.answer == 'cod'`: a comparison with an answer that nobody can give is never true.
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

    /// Whether a template can only give values of a closed set, none of which an option of a program can be.
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
