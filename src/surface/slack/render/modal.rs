//! Forms: what a person is asked for in a window, only where something is missing.
//!
//! **Invariant:** a form is built within the limits of views: 24 characters of title, 100 options, 3,000 characters carried.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::block_kit::{LABEL, label, plain};
use crate::domain::config::estate::Estate;
use crate::domain::core::id::IncidentId;
use crate::domain::runbook::{Param, ParamKind, Runbook};
use crate::surface::slack::parse::button_value::StepQuestion;
use crate::surface::slack::parse::start_args::StartArgs;

/// The longest title or submit button, in characters.
const TITLE: usize = 24;
/// The longest label, in characters.
const NAME: usize = 150;
/// Maximum number of options in a menu.
const OPTIONS: usize = 100;
/// Maximum number of fields.
const FIELDS: usize = 40;
/// The longest input, in characters, a limit of Slack. A note may be longer in other interfaces.
const INPUT: usize = 3_000;

/// The field of the environment. Parameter names have no blank, so none can be the same.
pub const ENVIRONMENT: &str = "the environment";
/// The field of the incident.
pub const INCIDENT: &str = "the incident";
/// The field of free text.
pub const WORDS: &str = "words";

/// The purpose of a form, carried until it is submitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModalPurpose {
    /// Starts a runbook with the arguments typed so far.
    Start {
        runbook: String,
        order: StartArgs,
    },
    Answer(IncidentId, StepQuestion),
    Deny(IncidentId, StepQuestion),
    /// Adds this note to an incident that the person picks.
    Keep(String),
}

/// The `private_metadata` of a form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    pub purpose: ModalPurpose,
    /// The address for the reply.
    pub response_url: Option<String>,
    /// Whether an ephemeral message opened it.
    #[serde(default)]
    pub alone: bool,
}

/// The callback id of all forms; [`Carried`] tells them apart.
pub const FORM: &str = "runbook";

/// A form for the missing parameters.
pub fn start(runbook: &Runbook, estate: &Estate, missing: &[&Param], environment: bool) -> (String, Vec<Value>) {
    let mut fields = Vec::new();
    if environment {
        let names: Vec<&str> = estate.environments.keys().map(String::as_str).collect();
        fields.push(input(ENVIRONMENT, "Environment", None, menu(&names, false)));
    }
    for param in missing.iter().take(FIELDS) {
        let element = match &param.kind {
            ParamKind::Service => menu(&estate.services.keys().map(String::as_str).collect::<Vec<_>>(), false),
            ParamKind::Unit => menu(&estate.units().collect::<Vec<_>>(), false),
            ParamKind::Choice(choices) => menu(&choices.iter().map(String::as_str).collect::<Vec<_>>(), false),
            ParamKind::Boolean => menu(&["true", "false"], false),
            ParamKind::Text | ParamKind::Integer | ParamKind::Number | ParamKind::Duration => line(),
        };
        fields.push(input(&param.name, &param.name, param.help.as_deref(), element));
    }
    (format!("Start {}", runbook.id), fields)
}

/// A form for an answer: free text or a choice.
pub fn answer(prompt: &str, choices: &[String], many: bool) -> (String, Vec<Value>) {
    let choices: Vec<&str> = choices.iter().map(String::as_str).collect();
    let element = if choices.is_empty() { text_input() } else { menu(&choices, many) };
    ("Answer".to_owned(), vec![input(WORDS, prompt, None, element)])
}

/// A form for the reason of a denial.
pub fn deny(what: &str) -> (String, Vec<Value>) {
    ("Refuse".to_owned(), vec![input(WORDS, "Why not?", Some(what), text_input())])
}

/// A form that asks to which incident a message belongs.
pub fn private_metadata(incidents: &[(IncidentId, String)]) -> (String, Vec<Value>) {
    let options = incidents.iter().take(OPTIONS).map(|(id, title)| option(&format!("{id} {title}"), id.as_str()));
    let options: Vec<Value> = options.collect();
    let element = json!({"type": "static_select", "action_id": "value", "options": options});
    ("Add to timeline".to_owned(), vec![input(INCIDENT, "Incident", None, element)])
}

/// The whole view; none when its metadata is too long.
pub fn view(title: &str, fields: Vec<Value>, carried: &Carried) -> Option<Value> {
    let carried = serde_json::to_string(carried).ok().filter(|text| text.chars().count() <= 3_000)?;
    Some(json!({
        "type": "modal", "callback_id": FORM, "private_metadata": carried, "title": plain(&label(title, TITLE)),
        "submit": plain("Go on"), "close": plain("Not now"), "blocks": fields,
    }))
}

fn input(name: &str, shown: &str, help: Option<&str>, element: Value) -> Value {
    let shown = match label(shown, NAME) {
        blank if blank.is_empty() => name.to_owned(),
        shown => shown,
    };
    let mut block = json!({"type": "input", "block_id": name, "label": plain(&shown), "element": element});
    if let Some(help) = help.map(|help| label(help, NAME)).filter(|help| !help.is_empty()) {
        block["hint"] = plain(&help);
    }
    block
}

fn line() -> Value {
    json!({"type": "plain_text_input", "action_id": "value", "max_length": INPUT})
}

fn text_input() -> Value {
    json!({"type": "plain_text_input", "action_id": "value", "max_length": INPUT, "multiline": true})
}

/// A menu, cut to Slack's limit of options. Without options it becomes a text field.
fn menu(names: &[&str], many: bool) -> Value {
    let fits = |name: &&&str| name.chars().count() <= LABEL && !name.is_empty();
    let options: Vec<Value> = names.iter().filter(fits).take(OPTIONS).map(|name| option(name, name)).collect();
    if options.is_empty() {
        return line();
    }
    let kind = if many { "multi_static_select" } else { "static_select" };
    json!({"type": kind, "action_id": "value", "options": options})
}

fn option(shown: &str, value: &str) -> Value {
    json!({"text": plain(&label(shown, LABEL)), "value": value})
}
