//! Errors of expressions and templates, with their places: undefined names with a suggestion, syntax errors, limits.

use crate::domain::core::suggest::{MAX_SUGGESTED_FROM, did_you_mean, nearest};
use std::fmt;
use std::ops::Range;

use minijinja::{Error, ErrorKind, Value};

use super::{Reference, is_template, references, references_of_expression};
use crate::domain::core::diagnostic;

/// An error of an expression or a template, and its place in the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpressionError {
    /// A lowercase fragment with back-ticked values.
    pub message: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The place, in bytes of the source.
    pub range: Range<usize>,
    /// What to do, as a sentence.
    pub hint: Option<String>,
}

impl fmt::Display for ExpressionError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} (line {}, column {})", self.message, self.line, self.column)
    }
}

impl std::error::Error for ExpressionError {}

impl ExpressionError {
    pub(in crate::domain) fn at(source: &str, range: Range<usize>, message: impl Into<String>) -> Self {
        let span = diagnostic::span_in(source, range);
        Self { message: message.into(), line: span.line, column: span.column, range: span.range, hint: None }
    }

    pub(in crate::domain) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same error for a longer source, in which the error's source begins at `offset`.
    pub(super) fn shifted(self, source: &str, offset: usize) -> Self {
        let range = self.range.start + offset..self.range.end + offset;
        Self { hint: self.hint, ..Self::at(source, range, self.message) }
    }
}

/// Converts an error of the engine.
pub(in crate::domain) fn explain(source: &str, error: &Error, scope: &Value) -> ExpressionError {
    let range =
        error.range().filter(|range| range.end <= source.len()).unwrap_or_else(|| line_range(source, error.line()));
    if error.kind() == ErrorKind::UndefinedError {
        return undefined(source, range, scope);
    }
    let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    let message = match error.kind() {
        ErrorKind::OutOfFuel => "the template does more work than is allowed".to_owned(),
        ErrorKind::SyntaxError => format!("syntax error: {detail}"),
        ErrorKind::TemplateNotFound => "templates cannot include other templates".to_owned(),
        _ => detail,
    };
    ExpressionError::at(source, range, message.replace('"', "`"))
}

pub(super) fn undefined(source: &str, range: Range<usize>, scope: &Value) -> ExpressionError {
    let (path, range) = undefined_path(source, range, scope);
    let error = ExpressionError::at(source, range, format!("`{path}` is not defined"));
    match suggestion(&path, scope) {
        Some(known) => error.hint(did_you_mean(&known)),
        None => error,
    }
}

/// The first reference that touches `range` and that the scope does not define. If there is none, the text of the range.
/// The engine marks only the attribute that failed, so a reference may begin before the range.
fn undefined_path(source: &str, range: Range<usize>, scope: &Value) -> (String, Range<usize>) {
    let touches =
        |found: &Reference| found.range.start < range.end.max(range.start + 1) && range.start <= found.range.end;
    let references = if is_template(source) { references(source) } else { references_of_expression(source) };
    let missing = references
        .unwrap_or_default()
        .into_iter()
        .filter(touches)
        .find(|reference| lookup(scope, &reference.path).is_none());
    match missing {
        Some(reference) => (reference.path, reference.range),
        None => {
            let code = &source[diagnostic::span_in(source, range.clone()).range];
            (diagnostic::visible(code.trim(), diagnostic::MAX_QUOTED), range)
        }
    }
}

fn lookup(scope: &Value, path: &str) -> Option<Value> {
    let mut value = scope.clone();
    for part in path.split('.') {
        value = value.get_attr(part).ok().filter(|found| !found.is_undefined())?;
    }
    Some(value)
}

/// The path up to its first undefined part, with a similar name in place of that part.
fn suggestion(path: &str, scope: &Value) -> Option<String> {
    let parts: Vec<&str> = path.split('.').collect();
    let mut value = scope.clone();
    for (index, part) in parts.iter().enumerate() {
        match value.get_attr(part).ok().filter(|found| !found.is_undefined()) {
            Some(found) => value = found,
            None => {
                // Data from outside may have any number of names, so only as many are listed as are compared.
                let names = value.try_iter().ok()?.take(MAX_SUGGESTED_FROM);
                let names: Vec<String> = names.filter_map(|key| key.as_str().map(str::to_owned)).collect();
                let near = nearest(part, names.iter().map(String::as_str))?.to_owned();
                let mut known: Vec<&str> = parts[..index].to_vec();
                known.push(&near);
                return Some(known.join("."));
            }
        }
    }
    None
}

/// The range of a source without the blanks around it.
pub(super) fn whole(source: &str) -> Range<usize> {
    let start = source.len() - source.trim_start().len();
    start..start + source.trim().len()
}

fn line_range(source: &str, line: Option<usize>) -> Range<usize> {
    let mut start = 0;
    for (number, text) in source.split_inclusive('\n').enumerate() {
        if Some(number + 1) == line {
            let lead = text.len() - text.trim_start().len();
            return start + lead..start + text.trim_end().len().max(lead);
        }
        start += text.len();
    }
    whole(source)
}
