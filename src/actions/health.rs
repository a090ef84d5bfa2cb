//! The kind `health`.

use async_trait::async_trait;
use serde_json::Value;

use super::{Context, Kind};
use crate::domain::effect::EffectClass;
use crate::domain::form::KindForm;
use crate::domain::outcome::Outcome;
use crate::domain::plan::Change;

/// The kind `health`.
#[derive(Debug)]
pub struct Health;

static FORM: KindForm = KindForm {
    name: "health",
    summary: "",
    shorthand: None,
    verbs: &[],
    fields: &[],
    effect: |_| EffectClass::Once,
    outputs: &[],
    example: "",
};

#[async_trait]
impl Kind for Health {
    fn form(&self) -> &'static KindForm {
        &FORM
    }

    fn describe(&self, _spec: &Value) -> Change {
        Change::default()
    }

    async fn perform(&self, _spec: &Value, _context: &Context) -> Outcome {
        Outcome::failed("not built yet", Value::Null)
    }
}
