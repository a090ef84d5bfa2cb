//! Expressions and templates: one strict, bounded evaluator for everything that a runbook computes.
//!
//! A value goes through the evaluator once. Text that came from an alert, a command or a person is data: it is
//! printed into the result and never looked at again for `{{`.
//!
//! **Invariant:** an undefined name is an error with its place, in templates, expressions and conditions alike.
//! **Invariant:** rendering is bounded in work, depth and size, and its result is plain data.
//!
//! Deliberately absent: a loader (no template can include a file), a clock, randomness, and quoting for the shell,
//! which stands in [`super::shell`].

mod reference;
pub(crate) mod scan;

use std::fmt;
use std::ops::Range;
use std::sync::LazyLock;

use minijinja::value::ValueKind;
use minijinja::{Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value};
use serde_json::Value as Json;

pub use reference::Reference;

/// Work that one rendering may do: instructions, and one unit for each 64 bytes handled. Templates of a runbook
/// use tens; the largest text that a step may carry (1 MiB) fits.
pub const FUEL: u64 = 20_000;

/// Nesting that one rendering may reach, far above what a readable template needs.
pub const RECURSION: usize = 50;

/// Bytes that one rendering may produce.
pub const MAX_RENDERED: usize = 1 << 20;

/// Bytes that a template may have, so that the parser's work is bounded too.
pub const MAX_TEMPLATE: usize = 256 << 10;

/// Bytes that one expression may have. The engine's compiler recurses once for each operator of a chain, so this
/// bounds its stack; a readable expression has some dozens.
pub const MAX_CODE: usize = 2 << 10;

/// Blocks (`{% … %}`) that a template may have; `elif` chains recurse too.
pub const MAX_BLOCKS: usize = 500;

/// Nesting that a value computed by an expression may have.
const MAX_VALUE_DEPTH: usize = 64;

/// The most items and characters compared when a suggestion is looked for.
const MAX_SUGGESTED_FROM: usize = 200;

/// Names that are functions of the language and therefore never a reference to data.
const FUNCTIONS: &[&str] = &["range", "dict", "namespace", "loop", "self", "caller"];

/// What is wrong with an expression or a template, and where in its own text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpressionError {
    /// A lowercase fragment with back-ticked values.
    pub message: String,
    /// Line in the source, from 1.
    pub line: usize,
    /// Column in that line in characters, from 1.
    pub column: usize,
    /// The bytes of the source that are meant.
    pub range: Range<usize>,
    /// A sentence that says what to do.
    pub hint: Option<String>,
}

impl fmt::Display for ExpressionError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} (line {}, column {})", self.message, self.line, self.column)
    }
}

impl std::error::Error for ExpressionError {}

impl ExpressionError {
    pub(super) fn at(source: &str, range: Range<usize>, message: impl Into<String>) -> Self {
        let start = floor(source, range.start);
        let end = ceil(source, range.end.max(start));
        let (line, column) = place(source, start);
        Self { message: message.into(), line, column, range: start..end, hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same error seen from a longer source in which this one's text starts at `offset`.
    fn shifted(self, source: &str, offset: usize) -> Self {
        let range = self.range.start + offset..self.range.end + offset;
        Self { hint: self.hint, ..Self::at(source, range, self.message) }
    }
}

/// Renders a source. One whole `{{ … }}` keeps the value's type; everything else becomes text.
///
/// # Errors
/// A syntax error, an undefined name, or a limit, with its place in `source`.
pub fn render(source: &str, scope: &Value) -> Result<Json, ExpressionError> {
    match scan::whole_expression(source) {
        Some(inner) => evaluate_slice(source, inner, scope),
        None => render_text(source, scope).map(Json::String),
    }
}

/// Renders a source to text: strings stand as they are, every other value in its JSON form.
///
/// # Errors
/// As [`render`].
pub fn render_text(source: &str, scope: &Value) -> Result<String, ExpressionError> {
    guard(source)?;
    let template = TEXT.template_from_named_str(NAME, source).map_err(|error| explain(source, &error, scope))?;
    let text = template.render(scope.clone()).map_err(|error| explain(source, &error, scope))?;
    within_limit(source, text.len())?;
    Ok(text)
}

/// Evaluates a bare expression such as `steps.cause.answer == 'code'`.
///
/// # Errors
/// As [`render`]; an undefined result names what is undefined.
pub fn evaluate(expression: &str, scope: &Value) -> Result<Json, ExpressionError> {
    let value = evaluate_value(expression, scope)?;
    plain(&value, 0)
        .and_then(|json| size_checked(json).ok_or(TOO_LARGE))
        .map_err(|why| ExpressionError::at(expression, whole(expression), why))
}

/// Evaluates a condition: empty, zero, `false` and `none` are false.
///
/// # Errors
/// As [`evaluate`].
pub fn truthy(expression: &str, scope: &Value) -> Result<bool, ExpressionError> {
    evaluate_value(expression, scope).map(|value| value.is_true())
}

/// Renders a shell script; every interpolation becomes data of the place in which it stands.
///
/// # Errors
/// As [`render`], and where a value cannot be written safely.
pub fn render_shell(script: &str, scope: &Value) -> Result<String, ExpressionError> {
    super::shell::render(script, scope)
}

/// The free names that a template mentions, in order of appearance.
///
/// # Errors
/// The syntax error that keeps the template from being read, or an unknown filter.
pub fn references(source: &str) -> Result<Vec<Reference>, ExpressionError> {
    if let Some(inner) = scan::whole_expression(source) {
        return references_of_slice(source, inner);
    }
    guard(source)?;
    let template =
        TEXT.template_from_named_str(NAME, source).map_err(|error| explain(source, &error, &Value::UNDEFINED))?;
    let roots = template.undeclared_variables(false);
    let (found, filters) = reference::in_template(source, &|name| roots.contains(name) && !FUNCTIONS.contains(&name));
    known_filters(source, &filters)?;
    Ok(found)
}

/// The free names that a bare expression mentions, in order of appearance.
///
/// # Errors
/// As [`references`].
pub fn references_of_expression(expression: &str) -> Result<Vec<Reference>, ExpressionError> {
    references_of_slice(expression, whole(expression))
}

/// Whether a source holds any code at all.
pub fn is_template(source: &str) -> bool {
    scan::pieces(source).iter().any(|piece| piece.kind != scan::PieceKind::Text)
}

/// The name that the engine gives to a source; it is never shown.
pub(super) const NAME: &str = "<template>";

const TOO_LARGE: &str = "the result is larger than 1 MiB";

static TEXT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = environment();
    environment.set_formatter(print);
    environment
});

/// A strict, bounded environment without a loader and without auto-escaping.
pub(super) fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_debug(true);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(RECURSION);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.remove_global("debug");
    environment
}

/// Prints a value as text: strings as they are, everything else as JSON.
fn print(out: &mut Output<'_>, _: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let text = text_of(value)?;
    out.write_str(&text)?;
    Ok(())
}

/// The text form of a value, shared by templates and scripts.
pub(super) fn text_of(value: &Value) -> Result<String, Error> {
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    match plain(value, 0) {
        Ok(Json::String(text)) => Ok(text),
        Ok(json) => Ok(json.to_string()),
        Err(why) => Err(Error::new(ErrorKind::BadSerialization, why)),
    }
}

/// Turns a value into plain data, or says why it is none.
pub(super) fn plain(value: &Value, depth: usize) -> Result<Json, &'static str> {
    if depth > MAX_VALUE_DEPTH {
        return Err("the value is nested too deeply");
    }
    match value.kind() {
        ValueKind::None => Ok(Json::Null),
        ValueKind::Bool => Ok(Json::Bool(value.is_true())),
        ValueKind::Number => {
            serde_json::to_value(value).ok().filter(Json::is_number).ok_or("the number is not finite or too large")
        }
        ValueKind::String => Ok(Json::String(value.as_str().unwrap_or_default().to_owned())),
        ValueKind::Seq | ValueKind::Iterable => items(value)?.iter().map(|item| plain(item, depth + 1)).collect(),
        ValueKind::Map => entries(value, depth),
        ValueKind::Undefined => Err("a part of the value is not defined"),
        _ => Err("the value is not plain data"),
    }
}

fn items(value: &Value) -> Result<Vec<Value>, &'static str> {
    Ok(value.try_iter().map_err(|_| "the value cannot be listed")?.take(MAX_RENDERED).collect())
}

fn entries(value: &Value, depth: usize) -> Result<Json, &'static str> {
    let mut map = serde_json::Map::new();
    for key in items(value)? {
        let held = value.get_item(&key).map_err(|_| "a part of the value is not defined")?;
        let name = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
        map.insert(name, plain(&held, depth + 1)?);
    }
    Ok(Json::Object(map))
}

fn evaluate_slice(source: &str, inner: Range<usize>, scope: &Value) -> Result<Json, ExpressionError> {
    evaluate(&source[inner.clone()], scope).map_err(|error| error.shifted(source, inner.start))
}

fn evaluate_value(expression: &str, scope: &Value) -> Result<Value, ExpressionError> {
    guard_expression(expression)?;
    let failed = |error: Error| explain(expression, &error, scope);
    let value = TEXT.compile_expression(expression).map_err(failed)?.eval(scope.clone()).map_err(failed)?;
    if value.is_undefined() {
        return Err(undefined(expression, whole(expression), scope));
    }
    Ok(value)
}

fn references_of_slice(source: &str, code: Range<usize>) -> Result<Vec<Reference>, ExpressionError> {
    let expression = &source[code.clone()];
    let placed = |error: ExpressionError| error.shifted(source, code.start);
    guard_expression(expression).map_err(placed)?;
    let compiled =
        TEXT.compile_expression(expression).map_err(|error| placed(explain(expression, &error, &Value::UNDEFINED)))?;
    let roots = compiled.undeclared_variables(false);
    let (mut found, mut filters) = (Vec::new(), Vec::new());
    let free = |name: &str| roots.contains(name) && !FUNCTIONS.contains(&name);
    reference::in_code(source, code, &free, &mut found, &mut filters);
    known_filters(source, &filters)?;
    Ok(found)
}

fn known_filters(source: &str, filters: &[reference::FilterUse]) -> Result<(), ExpressionError> {
    let known = TEXT.compile_expression("name is filter").expect("a constant expression parses");
    for filter in filters {
        let scope = minijinja::context! { name => filter.name.as_str() };
        if !known.eval(scope).is_ok_and(|answer| answer.is_true()) {
            let error = ExpressionError::at(source, filter.range.clone(), format!("unknown filter `{}`", filter.name));
            return Err(match nearest(&filter.name, FILTERS.iter().copied()) {
                Some(name) => error.hint(format!("Did you mean `{name}`?")),
                None => error,
            });
        }
    }
    Ok(())
}

/// The filters worth suggesting; a test holds every one to exist.
const FILTERS: &[&str] = &[
    "abs",
    "attr",
    "batch",
    "bool",
    "capitalize",
    "chain",
    "count",
    "default",
    "dictsort",
    "first",
    "float",
    "format",
    "groupby",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "lines",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "pprint",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "select",
    "selectattr",
    "slice",
    "sort",
    "split",
    "string",
    "sum",
    "title",
    "tojson",
    "trim",
    "unique",
    "upper",
    "zip",
];

/// Refuses what the recursive parser and compiler should not see at all.
pub(super) fn guard(source: &str) -> Result<(), ExpressionError> {
    if source.len() > MAX_TEMPLATE {
        return Err(ExpressionError::at(source, 0..0, "the template is larger than 256 KiB"));
    }
    if let Some(range) = scan::unclosed(source) {
        let opening = source[range.clone()].to_owned();
        let error = ExpressionError::at(source, range, format!("`{opening}` is never closed"));
        return Err(error.hint(format!("Close it, or write `{{{{ '{opening}' }}}}` for the characters themselves.")));
    }
    let pieces = scan::pieces(source);
    let code = |kind| matches!(kind, scan::PieceKind::Expression | scan::PieceKind::Block);
    if let Some(long) = pieces.iter().find(|piece| code(piece.kind) && piece.inner.len() > MAX_CODE) {
        return Err(ExpressionError::at(
            source,
            long.outer.start..long.outer.start + 2,
            "the expression is longer than 2 KiB",
        ));
    }
    match pieces.iter().filter(|piece| piece.kind == scan::PieceKind::Block).nth(MAX_BLOCKS) {
        Some(piece) => Err(ExpressionError::at(source, piece.outer.clone(), "the template has too many blocks")),
        None => Ok(()),
    }
}

/// The same for code that stands without delimiters.
fn guard_expression(expression: &str) -> Result<(), ExpressionError> {
    if expression.len() > MAX_CODE {
        return Err(ExpressionError::at(expression, 0..0, "the expression is longer than 2 KiB"));
    }
    Ok(())
}

pub(super) fn within_limit(source: &str, bytes: usize) -> Result<(), ExpressionError> {
    if bytes > MAX_RENDERED { Err(ExpressionError::at(source, whole(source), TOO_LARGE)) } else { Ok(()) }
}

fn size_checked(json: Json) -> Option<Json> {
    (size(&json) <= MAX_RENDERED).then_some(json)
}

fn size(json: &Json) -> usize {
    match json {
        Json::String(text) => text.len() + 2,
        Json::Array(items) => items.iter().map(size).sum::<usize>() + items.len() + 2,
        Json::Object(map) => map.iter().map(|(key, held)| key.len() + 4 + size(held)).sum::<usize>() + 2,
        Json::Null | Json::Bool(_) | Json::Number(_) => 8,
    }
}

/// Says in our words what the engine found, at its place.
pub(super) fn explain(source: &str, error: &Error, scope: &Value) -> ExpressionError {
    let range =
        error.range().filter(|range| range.end <= source.len()).unwrap_or_else(|| line_range(source, error.line()));
    if error.kind() == ErrorKind::UndefinedError {
        return undefined(source, range, scope);
    }
    let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    let message = match error.kind() {
        ErrorKind::OutOfFuel => "the template does more work than is allowed".to_owned(),
        ErrorKind::SyntaxError => format!("syntax error: {detail}"),
        ErrorKind::UnknownFilter | ErrorKind::UnknownTest | ErrorKind::UnknownFunction => detail.clone(),
        ErrorKind::TemplateNotFound => "templates cannot include other templates".to_owned(),
        _ => detail.clone(),
    };
    ExpressionError::at(source, range, message.replace('"', "`"))
}

fn undefined(source: &str, range: Range<usize>, scope: &Value) -> ExpressionError {
    let (path, range) = undefined_path(source, range, scope);
    let error = ExpressionError::at(source, range, format!("`{path}` is not defined"));
    match suggestion(&path, scope) {
        Some(known) => error.hint(format!("Did you mean `{known}`?")),
        None => error,
    }
}

/// The first mention that touches `range` and that the scope does not hold, else the text of the range itself. The
/// engine marks only the attribute that failed, so a mention may begin before the range.
fn undefined_path(source: &str, range: Range<usize>, scope: &Value) -> (String, Range<usize>) {
    let touches =
        |mention: &Reference| mention.range.start < range.end.max(range.start + 1) && range.start <= mention.range.end;
    let templated = if is_template(source) { references(source) } else { references_of_expression(source) };
    let missing = templated
        .unwrap_or_default()
        .into_iter()
        .filter(touches)
        .find(|mention| lookup(scope, &mention.path).is_none());
    match missing {
        Some(mention) => (mention.path, mention.range),
        None => {
            let code = &source[floor(source, range.start)..ceil(source, range.end.max(range.start))];
            (super::problem::visible(code.trim(), super::problem::MAX_QUOTED), range)
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

/// A name close to the first part of `path` that the scope does not hold.
fn suggestion(path: &str, scope: &Value) -> Option<String> {
    let parts: Vec<&str> = path.split('.').collect();
    let mut value = scope.clone();
    for (index, part) in parts.iter().enumerate() {
        match value.get_attr(part).ok().filter(|found| !found.is_undefined()) {
            Some(found) => value = found,
            None => {
                let names: Vec<String> =
                    items(&value).ok()?.iter().filter_map(|key| key.as_str().map(str::to_owned)).collect();
                let near = nearest(part, names.iter().map(String::as_str))?.to_owned();
                let mut known: Vec<&str> = parts[..index].to_vec();
                known.push(&near);
                return Some(known.join("."));
            }
        }
    }
    None
}

/// The known name that a wrong one was most likely meant to be.
pub(crate) fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if wrong.chars().count() > 64 {
        return None;
    }
    known
        .into_iter()
        .take(MAX_SUGGESTED_FROM)
        .map(|name| (strsim::jaro_winkler(&wrong.to_lowercase(), &name.to_lowercase()), name))
        .filter(|(score, name)| *score > 0.82 || (wrong.len() > 2 && strsim::osa_distance(wrong, name) == 1))
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, name)| name)
}

fn whole(source: &str) -> Range<usize> {
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

fn place(source: &str, at: usize) -> (usize, usize) {
    let before = &source[..at];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

fn floor(source: &str, at: usize) -> usize {
    (0..=at.min(source.len())).rev().find(|&at| source.is_char_boundary(at)).unwrap_or(0)
}

fn ceil(source: &str, at: usize) -> usize {
    (at..source.len()).find(|&at| source.is_char_boundary(at)).unwrap_or(source.len())
}

#[cfg(test)]
mod tests;
