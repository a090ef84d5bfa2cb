//! The kind `set`: gives names to values, so that later steps are easier to read. It changes nothing; the renderer has
//! computed the values.

use async_trait::async_trait;
use serde_json::Value;

use crate::actions::{Context, Kind};
use crate::domain::config::kind_schema::{Field, KindForm, OutputField, Shape};
use crate::domain::core::effect::EffectClass;
use crate::domain::incident::outcome::Outcome;
use crate::domain::incident::plan::PlannedChange;

/// Implements the kind `set`.
#[derive(Debug)]
pub struct Set;

static FORM: KindForm = KindForm {
    name: "set",
    summary: "Gives names to values for later steps.",
    shorthand: Some("values"),
    verbs: &[],
    fields: &[Field::required("values", Shape::MapOf(&Shape::Any), "The values by name.")],
    effect: |_| EffectClass::Read,
    outputs: &[OutputField { name: "<name>", help: "Each value, under its name." }],
    example: "set:\n  values:\n    suspect: \"{{ params.service }}\"\n",
};

#[async_trait]
impl Kind for Set {
    fn form(&self) -> &'static KindForm {
        &FORM
    }

    fn describe(&self, spec: &Value) -> PlannedChange {
        let names: Vec<&str> = values(spec).map(|(name, _)| name.as_str()).collect();
        PlannedChange {
            what: format!("set {}", names.join(", ")),
            place: "this run".to_owned(),
            ..PlannedChange::default()
        }
    }

    async fn perform(&self, spec: &Value, _context: &Context) -> Outcome {
        let lines: Vec<String> = values(spec).map(|(name, value)| format!("{name} = {value}")).collect();
        Outcome::succeeded(lines.join(", "), spec.get("values").cloned().unwrap_or(Value::Null))
    }
}

fn values(spec: &Value) -> impl Iterator<Item = (&String, &Value)> {
    spec.get("values").and_then(Value::as_object).into_iter().flatten()
}
