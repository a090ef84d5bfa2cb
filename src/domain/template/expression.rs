//! Expressions and templates: one strict, bounded evaluator for everything that a runbook computes.
//!
//! A value is evaluated once. Text from an alert, a command or a person is data: it is copied into the result, and `{{` in
//! it has no meaning.
//!
//! **Invariant:** an undefined name is an error with its place, in templates, expressions and conditions alike.
//! **Invariant:** rendering is bounded in work, depth and size, and its result is plain data.
//!
//! Not here: a loader (so no template can include a file), a clock, random numbers, and quoting for the shell (see
//! [`super::shell`]).

mod duration_between;
mod error;
mod limit;
mod references;
pub(crate) mod scanner;
mod value;

use std::ops::Range;
use std::sync::LazyLock;

use minijinja::{Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value};
use serde_json::Value as Json;

pub use self::error::ExpressionError;
pub use self::references::Reference;
use crate::domain::core::suggest::{did_you_mean, nearest};

pub(in crate::domain) use self::error::explain;
pub(in crate::domain) use self::limit::{guard, within_limit};
pub(in crate::domain) use self::value::plain;

use self::error::{undefined, whole};
use self::limit::guard_expression;
use self::value::size_checked;

/// Limit of work in one rendering: one unit for each instruction, and one for each 64 bytes. Templates of runbooks use
/// tens; the largest text of a step (1 MiB) fits.
pub const FUEL: u64 = 20_000;

/// Limit of nesting in one rendering. A readable template needs far less.
pub const RECURSION: usize = 50;

/// Limit of a result, in bytes.
pub const MAX_RENDERED: usize = 1 << 20;

/// Limit of a template, in bytes. It bounds the parser's work.
pub const MAX_TEMPLATE: usize = 256 << 10;

/// Limit of an expression, in bytes. The engine's compiler recurses once for each operator of a chain, so this bounds its
/// stack. A readable expression has some dozens.
pub const MAX_CODE: usize = 2 << 10;

/// Limit of blocks (`{% … %}`) in a template. The compiler recurses for chains of `elif` too.
pub const MAX_BLOCKS: usize = 500;

/// Functions of the template language. Their names never refer to data.
const FUNCTIONS: &[&str] = &["range", "dict", "namespace", "loop", "self", "caller"];

/// Renders a source. A source that is one `{{ … }}` keeps the value's type; any other becomes text.
///
/// # Errors
/// A syntax error, an undefined name, or an exceeded limit, with its place in `source`.
pub fn render(source: &str, scope: &Value) -> Result<Json, ExpressionError> {
    match scanner::whole_expression(source) {
        Some(inner) => evaluate_slice(source, inner, scope),
        None => render_text(source, scope).map(Json::String),
    }
}

/// Renders a source to text: strings as they are, every other value as JSON.
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
/// As [`render`]. An undefined result is an error too.
pub fn evaluate(expression: &str, scope: &Value) -> Result<Json, ExpressionError> {
    Evaluator::new(expression)?.evaluate(scope)
}

/// Evaluates a condition: empty, zero, `false` and `none` are false.
///
/// # Errors
/// As [`evaluate`].
pub fn truthy(expression: &str, scope: &Value) -> Result<bool, ExpressionError> {
    evaluate_value(expression, scope).map(|value| value.is_true())
}

/// A compiled expression, to be evaluated several times.
pub struct Evaluator<'s> {
    source: &'s str,
    compiled: minijinja::Expression<'s, 's>,
}

impl<'s> Evaluator<'s> {
    /// Compiles an expression.
    ///
    /// # Errors
    /// A syntax error, or an exceeded limit.
    pub fn new(source: &'s str) -> Result<Self, ExpressionError> {
        guard_expression(source)?;
        let compiled = TEXT.compile_expression(source);
        let compiled = compiled.map_err(|error| explain(source, &error, &Value::UNDEFINED))?;
        Ok(Self { source, compiled })
    }

    /// Evaluates the expression in a scope. Returns plain data.
    ///
    /// # Errors
    /// As [`evaluate`].
    pub fn evaluate(&self, scope: &Value) -> Result<Json, ExpressionError> {
        let value = self.value(scope)?;
        plain(&value, 0)
            .and_then(|json| size_checked(json).ok_or(TOO_LARGE))
            .map_err(|why| ExpressionError::at(self.source, whole(self.source), why))
    }

    /// Evaluates the expression in a scope. Returns the engine's value, which is not copied.
    ///
    /// # Errors
    /// As [`evaluate`].
    pub fn value(&self, scope: &Value) -> Result<Value, ExpressionError> {
        let value = self.compiled.eval(scope.clone()).map_err(|error| explain(self.source, &error, scope))?;
        if value.is_undefined() {
            return Err(undefined(self.source, whole(self.source), scope));
        }
        Ok(value)
    }
}

/// The references of a template, in order of appearance.
///
/// # Errors
/// A syntax error, or an unknown filter.
pub fn references(source: &str) -> Result<Vec<Reference>, ExpressionError> {
    if let Some(inner) = scanner::whole_expression(source) {
        return references_of_slice(source, inner);
    }
    guard(source)?;
    let template =
        TEXT.template_from_named_str(NAME, source).map_err(|error| explain(source, &error, &Value::UNDEFINED))?;
    let roots = template.undeclared_variables(false);
    let (found, filters) = references::in_template(source, &|name| roots.contains(name) && !FUNCTIONS.contains(&name));
    known_filters(source, &filters)?;
    Ok(found)
}

/// The references of a template whose root is `free`. Unknown filters are accepted.
pub(in crate::domain) fn mentions(source: &str, free: &dyn Fn(&str) -> bool) -> Vec<Reference> {
    references::in_template(source, &|name| free(name) && !FUNCTIONS.contains(&name)).0
}

/// The references of a bare expression, in order of appearance.
///
/// # Errors
/// As [`references()`].
pub fn references_of_expression(expression: &str) -> Result<Vec<Reference>, ExpressionError> {
    references_of_slice(expression, whole(expression))
}

/// Whether a source holds code.
pub fn is_template(source: &str) -> bool {
    scanner::pieces(source).iter().any(|piece| piece.kind != scanner::PieceKind::Text)
}

/// The name of every template for the engine; it is never shown.
pub(crate) const NAME: &str = "<template>";

const TOO_LARGE: &str = "the result is larger than 1 MiB";

static TEXT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = environment();
    environment.set_formatter(print);
    environment
});

/// A strict, bounded environment without a loader and without auto-escaping.
pub(crate) fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_debug(true);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(RECURSION);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.remove_global("debug");
    environment.add_filter("days_since", duration_between::days_since);
    environment.add_filter("hours_since", duration_between::hours_since);
    environment
}

fn print(out: &mut Output<'_>, _: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let text = text_of(value)?;
    out.write_str(&text)?;
    Ok(())
}

/// The text form of a value: a string as it is, everything else as JSON.
pub(crate) fn text_of(value: &Value) -> Result<String, Error> {
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    match plain(value, 0) {
        Ok(Json::String(text)) => Ok(text),
        Ok(json) => Ok(json.to_string()),
        Err(why) => Err(Error::new(ErrorKind::BadSerialization, why)),
    }
}

fn evaluate_slice(source: &str, inner: Range<usize>, scope: &Value) -> Result<Json, ExpressionError> {
    evaluate(&source[inner.clone()], scope).map_err(|error| error.shifted(source, inner.start))
}

fn evaluate_value(expression: &str, scope: &Value) -> Result<Value, ExpressionError> {
    Evaluator::new(expression)?.value(scope)
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
    references::in_code(source, code, &free, &mut found, &mut filters);
    known_filters(source, &filters)?;
    Ok(found)
}

fn known_filters(source: &str, filters: &[references::FilterUse]) -> Result<(), ExpressionError> {
    let known = TEXT.compile_expression("name is filter").expect("a constant expression parses");
    for filter in filters {
        let scope = minijinja::context! { name => filter.name.as_str() };
        if !known.eval(scope).is_ok_and(|known| known.is_true()) {
            let error = ExpressionError::at(source, filter.range.clone(), format!("unknown filter `{}`", filter.name));
            return Err(match nearest(&filter.name, FILTERS.iter().copied()) {
                Some(name) => error.hint(did_you_mean(name)),
                None => error,
            });
        }
    }
    Ok(())
}

/// The filters that are suggested. A test checks that each exists.
const FILTERS: &[&str] = &[
    "abs",
    "attr",
    "batch",
    "bool",
    "capitalize",
    "chain",
    "count",
    "days_since",
    "default",
    "dictsort",
    "first",
    "float",
    "format",
    "groupby",
    "hours_since",
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

#[cfg(test)]
mod tests;
