//! The kind `notify`: sends a message to channels of the estate.
//!
//! Not here: delivery. The message is pending when the step's intent is recorded, and the engine delivers it; see
//! [`crate::domain::incident::message`].

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;

use super::support::one_or_many::OneOrMany;
use crate::actions::{Context, Kind};
use crate::domain::config::kind_schema::{Field, KindForm, OutputField, Shape};
use crate::domain::core::effect::EffectClass;
use crate::domain::core::text::one_line;
use crate::domain::incident::outcome::Outcome;
use crate::domain::incident::plan::PlannedChange;

/// Characters of a message that are shown to an approver: a few lines.
const SHOWN_LIMIT: usize = 300;

/// Implements the kind `notify`.
#[derive(Debug)]
pub struct Notify;

static FORM: KindForm = KindForm {
    name: "notify",
    summary: "Sends a message to channels; the first of an incident opens a thread, further ones follow in it.",
    shorthand: None,
    verbs: &[],
    fields: &[
        Field::required("to", Shape::OneOrMany(&Shape::Channel), "The channels of the estate."),
        Field::required("message", Shape::Text, "The text, at most 3,000 characters."),
        Field::optional("meets", Shape::Text, "The deadline that a delivery meets; the same as the step's `meets`."),
    ],
    effect: |_| EffectClass::Repeatable,
    outputs: &[
        OutputField { name: "delivered", help: "The channels that were reached." },
        OutputField { name: "failed", help: "The channels that were not: `{channel, error}` each." },
    ],
    example: "notify:\n  to: [incidents]\n  message: \"{{ incident.title }}: we are on it\"\n",
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    to: OneOrMany,
    message: String,
    #[serde(default, rename = "meets")]
    _meets: Option<String>,
}

impl Spec {
    fn channels(&self) -> &[String] {
        self.to.as_slice()
    }
}

#[async_trait]
impl Kind for Notify {
    fn form(&self) -> &'static KindForm {
        &FORM
    }

    fn describe(&self, spec: &Value) -> PlannedChange {
        let Ok(spec) = Spec::deserialize(spec) else { return PlannedChange::default() };
        let to = spec.channels().join(", ");
        let lines: Vec<&str> = spec.message.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let what = format!("tell {to}: “{}”", one_line(&lines.join(" · "), SHOWN_LIMIT));
        PlannedChange { what, place: to, ..PlannedChange::default() }
    }

    async fn perform(&self, _spec: &Value, _context: &Context) -> Outcome {
        Outcome::failed("the engine delivers messages; this step sends nothing itself", Value::Null)
    }
}
