//! The template of a post-mortem, shipped or from the project, and its rendering.
//!
//! A template can use the fields of [`Postmortem`], the filters `code` (a code span), `fence` (a fenced block) and `yaml` (a quoted
//! scalar for the front matter), and those of minijinja. Filters that would let raw Markdown through (`safe`, `escape`, `tojson`)
//! are removed.

use std::fmt::Write as _;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior};

use super::{Postmortem, markdown};

/// The instructions that a template may always execute. The shipped one needs a hundredth for an incident without facts.
pub(super) const FUEL: u64 = 200_000;

/// The further instructions for each fact. The shipped template needs 40.
const FUEL_A_FACT: u64 = 500;

/// The deepest recursion of a template.
const DEPTH: usize = 50;

/// A template with the file name for its errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// The file's name in the estate.
    pub file: String,
    pub source: String,
}

impl Template {
    /// The shipped template of a report.
    pub fn shipped_report() -> Self {
        Self { file: "report.md.jinja".to_owned(), source: include_str!("report.md.jinja").to_owned() }
    }

    /// The shipped template of a post-mortem.
    pub fn shipped() -> Self {
        Self { file: "postmortem.md.jinja".to_owned(), source: include_str!("postmortem.md.jinja").to_owned() }
    }
}

/// A problem of a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {message}")]
pub struct TemplateError {
    /// The file's name in the estate.
    pub file: String,
    /// 1 for the first.
    pub line: usize,
    pub message: String,
}

/// Renders the facts with the template. The same facts and template give the same bytes.
pub fn render(facts: &Postmortem, template: &Template) -> Result<String, TemplateError> {
    let environment = environment(fuel(facts));
    let problem = |error: Error| problem(template, &error);
    let parsed = environment.template_from_named_str(&template.file, &template.source).map_err(problem)?;
    let mut text = parsed.render(Value::from(Serde(facts))).map_err(problem)?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

fn problem(template: &Template, error: &Error) -> TemplateError {
    TemplateError { file: template.file.clone(), line: error.line().unwrap_or(1), message: message(error) }
}

fn fuel(facts: &Postmortem) -> u64 {
    let lists = [facts.timeline.len(), facts.findings.len(), facts.changes.len(), facts.messages.len()];
    FUEL + FUEL_A_FACT * lists.iter().map(|length| *length as u64).sum::<u64>()
}

/// The environment that renders a template with at most `fuel` instructions.
pub(super) fn environment(fuel: u64) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(fuel));
    environment.set_recursion_limit(DEPTH);
    // A line that contains only a block produces no line.
    environment.set_syntax(syntax());
    environment.set_auto_escape_callback(|_| AutoEscape::Custom("markdown".into()));
    environment.set_formatter(|out, _, value| {
        let written = match value {
            value if value.is_safe() => out.write_str(value.as_str().unwrap_or_default()),
            value if value.is_undefined() || value.is_none() => {
                return Err(Error::new(ErrorKind::UndefinedError, "the value is missing; test it with `if` first"));
            }
            value => out.write_str(&markdown::escape(&text(value))),
        };
        written.map_err(|_| Error::new(ErrorKind::WriteFailure, "the draft cannot be written"))
    });
    for filter in ["safe", "escape", "e", "tojson", "urlencode"] {
        environment.remove_filter(filter);
    }
    environment.add_filter("code", |value: Value| Value::from_safe_string(markdown::code(&text(&value))));
    environment.add_filter("fence", |value: Value| Value::from_safe_string(markdown::fence(&text(&value))));
    environment.add_filter("yaml", |value: Value| Value::from_safe_string(yaml(&value)));
    environment
}

fn syntax() -> SyntaxConfig {
    SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .keep_trailing_newline(true)
        .build()
        .expect("the usual delimiters are valid")
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A list of texts as a flow sequence, anything else as a scalar.
fn yaml(value: &Value) -> String {
    if value.as_str().is_none()
        && let Ok(items) = value.try_iter()
    {
        let items: Vec<String> = items.map(|item| markdown::yaml(&text(&item))).collect();
        return format!("[{}]", items.join(", "));
    }
    markdown::yaml(&text(value))
}

fn message(error: &Error) -> String {
    let mut message = error.kind().to_string();
    if let Some(detail) = error.detail() {
        // Writing to a string cannot fail.
        let _ = write!(message, ": {detail}");
    }
    crate::domain::core::text::one_line(&message, 300)
}
