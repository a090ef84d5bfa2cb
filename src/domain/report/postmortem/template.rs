//! The template of a post-mortem, ours or a shop's, and its rendering.
//!
//! A template sees the fields of [`Postmortem`] and these filters: `code` (a code span), `fence` (a fenced block),
//! `yaml` (a quoted scalar for the front matter), and minijinja's own. Filters that would let raw Markdown through
//! (`safe`, `escape`, `tojson`) are not there.

use std::fmt::Write as _;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior};

use super::{Postmortem, markdown};

/// How much work a template may be in any case, in instructions: ours needs a hundredth of it for an empty log.
pub(super) const FUEL: u64 = 200_000;

/// How much more it may be for each fact that a template goes through: ours needs 40.
const FUEL_A_FACT: u64 = 500;

/// How deeply a template may call itself.
const DEPTH: usize = 50;

/// A template with the name that its errors are reported under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// The file, as the estate names it.
    pub file: String,
    /// Its text.
    pub source: String,
}

impl Template {
    /// The template of a report that comes with the program.
    pub fn shipped_report() -> Self {
        Self { file: "report.md.jinja".to_owned(), source: include_str!("report.md.jinja").to_owned() }
    }

    /// The template of a post-mortem that comes with the program.
    pub fn shipped() -> Self {
        Self { file: "postmortem.md.jinja".to_owned(), source: include_str!("postmortem.md.jinja").to_owned() }
    }
}

/// What is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {message}")]
pub struct TemplateError {
    /// The file, as the estate names it.
    pub file: String,
    /// 1 for the first.
    pub line: usize,
    /// A fragment.
    pub message: String,
}

/// The draft: the facts in the template. The same facts and template give the same bytes.
pub fn render(facts: &Postmortem, template: &Template) -> Result<String, TemplateError> {
    let environment = environment(fuel(facts));
    let wrong = |error: Error| wrong(template, &error);
    let parsed = environment.template_from_named_str(&template.file, &template.source).map_err(wrong)?;
    let mut text = parsed.render(Value::from(Serde(facts))).map_err(wrong)?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

fn wrong(template: &Template, error: &Error) -> TemplateError {
    TemplateError { file: template.file.clone(), line: error.line().unwrap_or(1), message: message(error) }
}

fn fuel(facts: &Postmortem) -> u64 {
    let lists = [facts.timeline.len(), facts.findings.len(), facts.changes.len(), facts.messages.len()];
    FUEL + FUEL_A_FACT * lists.iter().map(|length| *length as u64).sum::<u64>()
}

/// What reads templates, with so much work for each.
pub(super) fn environment(fuel: u64) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(fuel));
    environment.set_recursion_limit(DEPTH);
    // A line that holds only a block leaves nothing behind.
    environment.set_syntax(syntax());
    environment.set_auto_escape_callback(|_| AutoEscape::Custom("markdown".into()));
    environment.set_formatter(|out, _, value| {
        let written = match value {
            value if value.is_safe() => out.write_str(value.as_str().unwrap_or_default()),
            value if value.is_undefined() || value.is_none() => {
                return Err(Error::new(ErrorKind::UndefinedError, "there is nothing here to show; ask with `if`"));
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
