//! The parameters of a run: the given values and defaults, each converted to its type.

use serde_json::{Map, Value};

use super::suggest;
use crate::domain::core::time::Span;
use crate::domain::incident::command::{Refused, StartRequest, TEXT_LIMIT};
use crate::domain::runbook::{Param, ParamKind, Runbook};

/// Every parameter of the runbook with its value: the given one, or the default.
///
/// # Errors
/// A parameter is unknown, is missing, or has a value of another type.
pub(super) fn params(runbook: &Runbook, start: &StartRequest) -> Result<Map<String, Value>, Refused> {
    let known: Vec<&str> = runbook.params.iter().map(|param| param.name.as_str()).collect();
    if let Some(unknown) = start.params.keys().find(|name| !known.contains(&name.as_str())) {
        let refused = Refused::usage(format!("`{}` has no parameter `{}`", runbook.id, unknown.escape_debug()));
        return Err(refused.hint(suggest(unknown, &known, "--param ")));
    }
    let mut values = Map::new();
    for param in &runbook.params {
        let given = start.params.get(&param.name).or(param.default.as_ref());
        let given = given.ok_or_else(|| {
            Refused::usage(format!("`{}` needs the parameter `{}`", runbook.id, param.name)).hint(format!(
                "Type `--param {}=…`{}.",
                param.name,
                help(param)
            ))
        })?;
        values.insert(param.name.clone(), param_value(param, given, start)?);
    }
    Ok(values)
}

fn help(param: &Param) -> String {
    param.help.as_ref().map(|help| format!(": {}", help.trim_end_matches('.'))).unwrap_or_default()
}

/// A number without a needless fraction: 80, not 80.0.
fn shortest(number: f64) -> Value {
    /// Below 2⁵³, a float represents every whole number exactly.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let is_whole = number.fract() == 0.0 && number.abs() < EXACT;
    let whole = is_whole.then(|| format!("{number:.0}").parse::<i64>().ok()).flatten();
    whole.map_or(Value::from(number), Value::from)
}

/// A parameter's value, converted to its type. A text, as from a command line, is parsed.
fn param_value(param: &Param, given: &Value, start: &StartRequest) -> Result<Value, Refused> {
    let text = match given {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let wrong = |expected: &str| {
        Refused::usage(format!("parameter `{}` is {expected}, not `{}`", param.name, text.escape_debug()))
    };
    if text.len() > TEXT_LIMIT {
        return Err(Refused::usage(format!("parameter `{}` is longer than {TEXT_LIMIT} bytes", param.name)));
    }
    let one_of = |known: Vec<&str>, expected: &str| {
        if known.contains(&text.as_str()) {
            return Ok(Value::String(text.clone()));
        }
        Err(wrong(expected).hint(suggest(&text, &known, &format!("--param {}=", param.name))))
    };
    match &param.kind {
        ParamKind::Text if text.contains('\0') => Err(wrong("text without NUL")),
        ParamKind::Text => Ok(Value::String(text)),
        ParamKind::Integer => text.parse::<i64>().map(Value::from).map_err(|_| wrong("a whole number")),
        ParamKind::Number => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(shortest(number)),
            _ => Err(wrong("a number")),
        },
        ParamKind::Boolean => text.parse::<bool>().map(Value::from).map_err(|_| wrong("`true` or `false`")),
        ParamKind::Duration => {
            text.parse::<Span>().map(|_| Value::String(text.clone())).map_err(|_| wrong("a length of time"))
        }
        ParamKind::Service => one_of(start.estate.services.keys().map(String::as_str).collect(), "a service"),
        ParamKind::Unit => one_of(start.estate.units().collect(), "a unit of the estate"),
        ParamKind::Choice(choices) => one_of(choices.iter().map(String::as_str).collect(), "one of the choices"),
    }
}
