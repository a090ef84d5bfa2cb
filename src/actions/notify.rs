//! The kind `notify`: a message to channels of the estate.
//!
//! Which channel speaks which protocol is not known here: a [`Courier`](super::Courier) delivers.

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Context, Delivery, Kind};
use crate::domain::effect::EffectClass;
use crate::domain::form::{Field, KindForm, Output, Shape};
use crate::domain::outcome::Outcome;
use crate::domain::plan::Change;

/// The kind `notify`.
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
        Output { name: "delivered", help: "The channels that were reached." },
        Output { name: "failed", help: "The channels that were not: `{channel, error}` each." },
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

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl Spec {
    fn channels(&self) -> &[String] {
        match &self.to {
            OneOrMany::One(channel) => std::slice::from_ref(channel),
            OneOrMany::Many(channels) => channels,
        }
    }
}

#[async_trait]
impl Kind for Notify {
    fn form(&self) -> &'static KindForm {
        &FORM
    }

    fn describe(&self, spec: &Value) -> Change {
        let to = Spec::deserialize(spec).map(|spec| spec.channels().join(", ")).unwrap_or_default();
        Change { what: format!("tell {to}"), place: to, ..Change::default() }
    }

    async fn perform(&self, spec: &Value, context: &Context) -> Outcome {
        let spec = match Spec::deserialize(spec) {
            Ok(spec) => spec,
            Err(error) => return Outcome::failed(format!("notify: {error}"), Value::Null),
        };
        let message = context.redactor.scrub(&spec.message).into_owned();
        let deliveries = spec.channels().iter().map(|channel| {
            let message = message.as_str();
            async move { (channel, context.courier.deliver(&context.place, channel, message).await) }
        });
        report(futures_util::future::join_all(deliveries).await)
    }
}

/// The outcome: a message that reached nobody has failed; so has one that missed any channel.
fn report(deliveries: Vec<(&String, Delivery)>) -> Outcome {
    let (mut delivered, mut failed) = (Vec::new(), Vec::new());
    for (channel, delivery) in deliveries {
        match delivery {
            Delivery::Delivered { .. } | Delivery::Already => delivered.push(channel.clone()),
            Delivery::Failed { error, .. } => failed.push(json!({"channel": channel, "error": error})),
        }
    }
    let output = json!({"delivered": delivered, "failed": failed});
    if failed.is_empty() {
        return Outcome::succeeded(format!("told {}", delivered.join(", ")), output);
    }
    let reasons: Vec<String> = failed
        .iter()
        .map(|failure| {
            format!("{}: {}", failure["channel"].as_str().unwrap_or(""), failure["error"].as_str().unwrap_or(""))
        })
        .collect();
    Outcome::failed(format!("not delivered: {}", reasons.join("; ")), output)
}
