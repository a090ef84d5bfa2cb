//! The kind `systemd`.

use async_trait::async_trait;
use serde_json::Value;

use super::{Context, Kind};
use crate::domain::effect::EffectClass;
use crate::domain::form::KindForm;
use crate::domain::outcome::Outcome;
use crate::domain::plan::Change;

/// The kind `systemd`.
#[derive(Debug)]
pub struct Systemd;

static FORM: KindForm = KindForm {
    name: "systemd",
    summary: "",
    shorthand: None,
    verbs: &[],
    fields: &[],
    effect: |_| EffectClass::Once,
    outputs: &[],
    example: "",
};

#[async_trait]
impl Kind for Systemd {
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
