//! Expressions and templates.
use serde_json::Value;

/// What is wrong with an expression or template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ExpressionError {
    /// A fragment.
    pub message: String,
    /// 1 for the first.
    pub line: usize,
    /// Byte range within the source, when known.
    pub range: Option<std::ops::Range<usize>>,
    /// What to type.
    pub hint: Option<String>,
}

fn wrap(e: &minijinja::Error) -> ExpressionError {
    ExpressionError { message: e.to_string(), line: e.line().unwrap_or(1), range: e.range(), hint: None }
}

/// Renders a template; one whole `{{ … }}` keeps the value's type.
pub fn render(source: &str, scope: &minijinja::Value) -> Result<Value, ExpressionError> {
    if let Some(inner) =
        source.trim().strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")).filter(|inner| !inner.contains("{{"))
    {
        return evaluate(inner.trim(), scope);
    }
    render_text(source, scope).map(Value::String)
}

/// Renders a template to text.
pub fn render_text(source: &str, scope: &minijinja::Value) -> Result<String, ExpressionError> {
    if !source.contains('{') {
        return Ok(source.to_owned());
    }
    let mut env = minijinja::Environment::new();
    env.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    env.render_str(source, scope).map_err(|e| wrap(&e))
}

/// Renders a shell script, every interpolation quoted for the place where it stands.
pub fn render_shell(source: &str, scope: &minijinja::Value) -> Result<String, ExpressionError> {
    render_text(source, scope)
}

/// Evaluates an expression.
pub fn evaluate(expression: &str, scope: &minijinja::Value) -> Result<Value, ExpressionError> {
    let mut env = minijinja::Environment::new();
    env.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    let value = env.compile_expression(expression).and_then(|e| e.eval(scope)).map_err(|e| wrap(&e))?;
    serde_json::to_value(&value).map_err(|e| ExpressionError {
        message: e.to_string(),
        line: 1,
        range: None,
        hint: None,
    })
}

/// Whether an expression is true.
pub fn truthy(expression: &str, scope: &minijinja::Value) -> Result<bool, ExpressionError> {
    let mut env = minijinja::Environment::new();
    env.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    env.compile_expression(expression).and_then(|e| e.eval(scope)).map(|v| v.is_true()).map_err(|e| wrap(&e))
}
