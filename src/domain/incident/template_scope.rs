//! The values that templates and expressions of a run can use, and the rendering of its actions.
//!
//! **Invariant:** only text from the runbook is rendered. Parameters, alerts and outputs are data; `{{` in them has no meaning.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::Incident;
use super::event::Conclusion;
use super::plan::RenderedAction;
use super::run::Run;
use super::step::{StepState, StepStatus};
use crate::domain::core::id::StepKey;
use crate::domain::runbook::Action;
use crate::domain::template::expression;
use crate::domain::template::expression::ExpressionError;
use crate::domain::template::shell;
use crate::domain::template::values::{gather, map, plain, render};

/// The scope of `sources`, for the step `key`. A large value is included only if a source contains its name.
pub fn of(incident: &Incident, run: &Run, key: &StepKey, sources: &[&str]) -> minijinja::Value {
    let named = |name: &str| sources.iter().any(|source| source.contains(name));
    let mut scope: Vec<(&str, minijinja::Value)> = vec![
        ("params", plain(&run.params)),
        ("incident", plain(&incident_value(incident))),
        ("run", plain(&json!({"number": run.id, "runbook": run.runbook.id, "mode": run.mode}))),
    ];
    if named("environment") {
        scope.push(("environment", plain(&environment_value(incident, run))));
    }
    if named("services") {
        scope.push(("services", plain(&run.estate.services)));
    }
    if named("datastores") {
        scope.push(("datastores", plain(&run.estate.datastores)));
    }
    if named("estate") {
        scope.push(("estate", plain(&*run.estate)));
    }
    if named("steps") {
        scope.push(("steps", steps_value(run, &named)));
    }
    if let Some(item) = item(run, key) {
        scope.push(("item", plain(item)));
    }
    map(scope)
}

/// A step in expressions. A missing field is none and not undefined, because a step that was skipped or failed has no output.
#[derive(Debug)]
struct StepView(Map<String, Value>);

impl minijinja::value::Object for StepView {
    fn get_value(self: &Arc<Self>, key: &minijinja::Value) -> Option<minijinja::Value> {
        let field = self.0.get(key.as_str()?);
        Some(field.map_or_else(|| minijinja::Value::from(()), plain))
    }

    fn enumerate(self: &Arc<Self>) -> minijinja::value::Enumerator {
        minijinja::value::Enumerator::Values(self.0.keys().map(|name| minijinja::Value::from(name.as_str())).collect())
    }
}

/// The item of a `for_each` that the key's index selects.
pub fn item<'a>(run: &'a Run, key: &StepKey) -> Option<&'a Value> {
    let items = run.state(&StepKey::main(key.id.clone()))?.items.as_ref()?;
    items.get(key.index? as usize)
}

fn incident_value(incident: &Incident) -> Value {
    json!({
        "id": incident.id,
        "title": incident.title,
        "severity": incident.severity.to_string(),
        "environment": incident.environment,
        "opened_at": crate::domain::core::time::stamp(incident.opened.at),
        "opened_by": incident.opened.by.name(),
    })
}

fn environment_value(incident: &Incident, run: &Run) -> Value {
    let mut value = run
        .environment(&incident.environment)
        .and_then(|environment| serde_json::to_value(environment).ok())
        .unwrap_or_else(|| json!({}));
    value["name"] = Value::String(incident.environment.clone());
    value
}

fn steps_value(run: &Run, named: &dyn Fn(&str) -> bool) -> minijinja::Value {
    let steps = run.ids.iter().filter(|id| named(id)).map(|id| {
        let key = StepKey::main(id.clone());
        let fields = run.state(&key).map_or_else(unreached_fields, |state| step_fields(run, &key, state));
        (id.clone(), minijinja::Value::from_object(StepView(fields)))
    });
    map(steps)
}

/// The fields of a step that was not reached; `finally` may refer to it.
fn unreached_fields() -> Map<String, Value> {
    Map::from_iter([("status".to_owned(), status(&StepStatus::Pending).into())])
}

fn step_fields(run: &Run, key: &StepKey, state: &StepState) -> Map<String, Value> {
    let mut fields = plain_step(state);
    if let Some(items) = &state.items {
        let members = (0..items.len()).map(|index| {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            run.state(&key.at(index)).map_or(Value::Null, |state| Value::Object(plain_step(state)))
        });
        fields.insert("items".to_owned(), members.collect());
    }
    fields
}

fn plain_step(state: &StepState) -> Map<String, Value> {
    let outcome = state.outcome.as_ref();
    let output = outcome.map_or(Value::Null, |outcome| outcome.output.clone());
    let mut fields = output.as_object().cloned().unwrap_or_default();
    let summary = outcome.map(|outcome| outcome.summary.clone());
    let failed = matches!(state.conclusion(), Some(Conclusion::Failed | Conclusion::Tolerated));
    let error = state.reason.clone().or_else(|| summary.clone()).filter(|_| failed);
    fields.extend([
        ("status".to_owned(), status(&state.status).into()),
        ("answer".to_owned(), state.answer.clone().unwrap_or(Value::Null)),
        ("error".to_owned(), error.into()),
        ("summary".to_owned(), summary.into()),
        ("output".to_owned(), output),
    ]);
    fields
}

/// A step's `status` in expressions.
pub fn status(status: &StepStatus) -> &'static str {
    match status {
        StepStatus::Pending => "pending",
        StepStatus::Waiting(_) => "waiting",
        StepStatus::Unclear => "unclear",
        StepStatus::Expanded
        | StepStatus::Ready { .. }
        | StepStatus::Running
        | StepStatus::AttemptSucceeded
        | StepStatus::AttemptFailed => "running",
        StepStatus::Concluded(Conclusion::Succeeded) => "succeeded",
        StepStatus::Concluded(Conclusion::Skipped) => "skipped",
        StepStatus::Concluded(Conclusion::Failed | Conclusion::Tolerated) => "failed",
        StepStatus::Concluded(Conclusion::Cancelled) => "cancelled",
    }
}

/// Renders one template to text.
pub fn text(incident: &Incident, run: &Run, key: &StepKey, source: &str) -> Result<String, ExpressionError> {
    if !source.contains('{') {
        return Ok(source.to_owned());
    }
    expression::render_text(source, &of(incident, run, key, &[source]))
}

/// Renders every text of an action. In the fields that are shell scripts, values are quoted.
pub fn action(
    incident: &Incident,
    run: &Run,
    key: &StepKey,
    action: &Action,
) -> Result<RenderedAction, ExpressionError> {
    let mut sources = Vec::new();
    gather(&action.spec, &mut sources);
    let scope = if sources.is_empty() { minijinja::Value::UNDEFINED } else { of(incident, run, key, &sources) };
    let mut spec = action.spec.clone();
    if let Value::Object(fields) = &mut spec {
        for (name, field) in fields.iter_mut() {
            match field {
                Value::String(script) if action.scripts.contains(name) => {
                    *script = shell::render(script, &scope)?;
                }
                field => render(field, &scope)?,
            }
        }
    }
    let host = action.host.as_ref().map(|host| host_of(incident, run, key, host)).transpose()?;
    Ok(RenderedAction { kind: action.kind.clone(), spec, effect: action.effect, host })
}

/// The rendered name of an action's host.
///
/// # Errors
/// The template fails, or the environment has no such host.
fn host_of(incident: &Incident, run: &Run, key: &StepKey, host: &str) -> Result<String, ExpressionError> {
    let name = text(incident, run, key, host)?;
    let found =
        run.environment(&incident.environment).map(|environment| environment.host_called(Some(&name)).map(drop));
    match found {
        Some(Err(reason)) => Err(ExpressionError::at(host, 0..host.len(), reason)),
        _ => Ok(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_a_step_has_not_returned_is_none() {
        let fields = json!({"x": 1}).as_object().unwrap().clone();
        let steps = map([("a".to_owned(), minijinja::Value::from_object(StepView(fields)))]);
        let scope = map([("steps", steps)]);
        for (expression, value) in
            [("steps.a.x + 1", json!(2)), ("steps.a.y", Value::Null), ("steps.a.y or 'none'", json!("none"))]
        {
            assert_eq!(
                expression::evaluate(expression, &scope).map_err(|error| error.message),
                Ok(value),
                "{expression}"
            );
        }
        assert!(expression::evaluate("steps.b", &scope).is_err());
    }
}
