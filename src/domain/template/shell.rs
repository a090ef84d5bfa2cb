//! Shell scripts with values: each value is quoted for its place in the script.
//!
//! Single-quoting every value is not enough: inside `"…"` single quotes are ordinary characters and `$(…)` runs. So a
//! script is rendered with a mark for each value. Then the [`lexer`] reads the script as a shell would and knows the place of
//! each mark: bare, in quotes, in a here-document, in arithmetic or in a comment. It quotes the value for that place, or
//! refuses the script.
//!
//! **Invariant:** the shell reads every value as data: as one word, for a list as one word for each item, or as a part of the
//! quoted text around it. If that is impossible, the script is refused before anything runs.
//!
//! Not here: protection from a *second* evaluation by a program that the script calls (`sh -c "$1"`, `ssh host "$cmd"`) or by
//! arithmetic over a variable (`x={{ v }}; echo $((x))` in bash), and from values that start with `-`. Values in the arguments
//! of builtins that evaluate them again (`eval`, `let`, `[[`, `declare` …) are refused.

mod lexer;
mod quoting;

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::{Environment, Error, ErrorKind, Value};
use serde_json::Value as Json;

use super::expression::scanner;
use super::expression::scanner::PieceKind;
use super::expression::{self, ExpressionError};

/// Opens a mark. It is a noncharacter of Unicode, so no meaningful text holds it.
const MARK: char = '\u{FDD0}';

/// Closes a mark.
const MARK_END: char = '\u{FDD1}';

/// Limit of values in one script.
const MAX_VALUES: usize = 10_000;

/// A value to be quoted.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Datum {
    /// One word.
    Text(String),
    /// One word for each item; only outside quotes.
    Words(Vec<String>),
    /// A value that the checker does not know yet.
    Unknown,
    /// A value that cannot be written in a script.
    Unfit(&'static str),
}

/// Renders a script with its values quoted.
///
/// # Errors
/// A template error, an undefined name, or an unsafe interpolation, with its place in `script`.
pub(crate) fn render(script: &str, scope: &Value) -> Result<String, ExpressionError> {
    expression::guard(script)?;
    no_marks(script)?;
    let values = Arc::new(Mutex::new(Vec::new()));
    let environment = marking(Arc::clone(&values));
    let failed = |error: Error| expression::explain(script, &error, scope);
    let template = environment.template_from_named_str(expression::NAME, script).map_err(failed)?;
    let (marked, spans) = template.render_with_spans(scope.clone()).map_err(failed)?;
    let values = values.lock().unwrap_or_else(PoisonError::into_inner);
    let lexed = lexer::read(&marked, &values);
    if let Some(refusal) = lexed.refusals.into_iter().next() {
        let span = spans.iter().find(|span| span.output_range().contains(&refusal.at));
        return Err(refusal.into_error(script, span.map_or(0..script.len(), minijinja::OutputSpan::source_range)));
    }
    expression::within_limit(script, lexed.script.len())?;
    Ok(lexed.script)
}

/// The interpolations that [`render`] refuses for every value. A script with `{% … %}` is not checked, because its text
/// differs from run to run.
pub(crate) fn lint(script: &str) -> Vec<ExpressionError> {
    if expression::guard(script).is_err() {
        return Vec::new(); // The check of references reports this error.
    }
    if let Err(error) = no_marks(script) {
        return vec![error];
    }
    let pieces = scanner::pieces(script);
    if pieces.iter().any(|piece| piece.kind == PieceKind::Block) {
        return Vec::new();
    }
    let (marked, places) = mark_statically(script, &pieces);
    let unknown = vec![Datum::Unknown; places.len()];
    let refusals = lexer::read(&marked, &unknown).refusals;
    refusals
        .into_iter()
        .map(|refusal| {
            let place = refusal.value.and_then(|value| places.get(value)).cloned().unwrap_or(0..script.len());
            refusal.into_error(script, place)
        })
        .collect()
}

/// Why an interpolation is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
struct UnsafeInterpolation {
    /// The place of the mark in the marked script.
    at: usize,
    /// The index of the value, if the mark is whole.
    value: Option<usize>,
    message: String,
    hint: &'static str,
}

impl UnsafeInterpolation {
    fn into_error(self, source: &str, range: Range<usize>) -> ExpressionError {
        ExpressionError::at(source, range, self.message).hint(self.hint)
    }
}

fn no_marks(script: &str) -> Result<(), ExpressionError> {
    match script.find([MARK, MARK_END, '\0']) {
        Some(at) => Err(ExpressionError::at(script, at..at, "the script holds a character that no script may hold")),
        None => Ok(()),
    }
}

/// An environment whose output holds a mark for each value. The filters `safe` and `escape` are removed: only the place
/// decides how a value is quoted.
fn marking(values: Arc<Mutex<Vec<Datum>>>) -> Environment<'static> {
    let mut environment = expression::environment();
    for filter in ["safe", "escape", "e"] {
        environment.remove_filter(filter);
    }
    environment.set_formatter(move |out, _, value| {
        let datum = datum(value)?;
        let mut values = values.lock().unwrap_or_else(PoisonError::into_inner);
        if values.len() >= MAX_VALUES {
            return Err(Error::new(ErrorKind::InvalidOperation, "the script interpolates more than 10,000 values"));
        }
        values.push(datum);
        write_mark(values.len() - 1, |text| out.write_str(text).map_err(Error::from))
    });
    environment
}

fn write_mark<E>(index: usize, mut write: impl FnMut(&str) -> Result<(), E>) -> Result<(), E> {
    write(&format!("{MARK}{index}{MARK_END}"))
}

fn datum(value: &Value) -> Result<Datum, Error> {
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    let json = expression::plain(value, 0).map_err(|why| Error::new(ErrorKind::BadSerialization, why))?;
    Ok(match json {
        Json::Array(items) => match items.iter().map(word).collect() {
            Some(words) => Datum::Words(words),
            None => Datum::Unfit("a list of lists or mappings"),
        },
        Json::Object(_) => Datum::Unfit("a mapping"),
        Json::Null => Datum::Unfit("`none`"),
        scalar => word(&scalar).map_or(Datum::Unfit("this value"), Datum::Text),
    })
}

fn word(json: &Json) -> Option<String> {
    match json {
        Json::String(text) => Some(text.clone()),
        Json::Bool(_) | Json::Number(_) => Some(json.to_string()),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

/// The script with a mark for each `{{ … }}`, without comments, and with blanks trimmed at `{{-` and `-}}`. Also returns the
/// place of each mark in the script.
fn mark_statically(script: &str, pieces: &[scanner::Piece]) -> (String, Vec<Range<usize>>) {
    let mut marked = String::with_capacity(script.len());
    let mut places = Vec::new();
    let trims_before = |piece: &scanner::Piece| script[piece.outer.clone()].as_bytes().get(2) == Some(&b'-');
    let trims_after = |piece: &scanner::Piece| script[..piece.outer.end.saturating_sub(2)].ends_with('-');
    for (index, piece) in pieces.iter().enumerate() {
        match piece.kind {
            PieceKind::Text => {
                let mut text = &script[piece.outer.clone()];
                if index > 0 && trims_after(&pieces[index - 1]) {
                    text = text.trim_start();
                }
                if pieces.get(index + 1).is_some_and(trims_before) {
                    text = text.trim_end();
                }
                marked.push_str(text);
            }
            PieceKind::Expression => {
                marked.push_str(&format!("{MARK}{}{MARK_END}", places.len()));
                places.push(piece.outer.clone());
            }
            PieceKind::Comment | PieceKind::Block => {}
        }
    }
    (marked, places)
}

#[cfg(test)]
mod tests;
