//! Modal forms, which request only the missing input.
//!
//! **Invariant:** a form respects the limits of views: 24 characters of title, 100 options, 3,000 characters of
//! `private_metadata`.

use serde::{Deserialize, Serialize};
use slack_morphism::prelude::{
    SlackBlock, SlackBlockChoiceItem, SlackBlockMultiStaticSelectElement, SlackBlockPlainTextInputElement,
    SlackBlockPlainTextOnly, SlackBlockStaticSelectElement, SlackInputBlock, SlackInputBlockElement, SlackModalView,
    SlackView,
};

use super::block_kit::{LABEL, label, plain};
use crate::domain::config::estate::Estate;
use crate::domain::core::id::IncidentId;
use crate::domain::runbook::{Param, ParamKind, Runbook};
use crate::surface::slack::parse::button_value::StepQuestion;
use crate::surface::slack::parse::start_args::StartArgs;

/// The longest title or submit button, in characters.
const TITLE: usize = 24;
/// The longest label, in characters.
const LABEL_LIMIT: usize = 150;
/// The most options in a menu.
const OPTIONS: usize = 100;
/// The most fields.
const FIELDS: usize = 40;
/// The longest input, in characters: a limit of Slack. A note may be longer in other interfaces.
const INPUT: u64 = 3_000;

/// The field of the environment. No parameter has this name, since parameter names have no blank.
pub const ENVIRONMENT: &str = "the environment";
/// The field of the incident.
pub const INCIDENT: &str = "the incident";
/// The field of free text.
pub const WORDS: &str = "words";

/// The purpose of a form. Slack returns it with the submitted form.
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
    /// Whether it was opened from an ephemeral message.
    #[serde(rename = "alone", default)]
    pub is_ephemeral: bool,
}

/// The callback id of all forms. [`Carried`] distinguishes them.
pub const FORM: &str = "runbook";
/// The action id of every input element. Each is in a block of its own, whose id is the name of the field.
const VALUE: &str = "value";

/// An option of a menu.
type Choice = SlackBlockChoiceItem<SlackBlockPlainTextOnly>;

/// A form for the missing parameters.
pub fn start(runbook: &Runbook, estate: &Estate, missing: &[&Param], environment: bool) -> (String, Vec<SlackBlock>) {
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
pub fn answer(prompt: &str, choices: &[String], many: bool) -> (String, Vec<SlackBlock>) {
    let choices: Vec<&str> = choices.iter().map(String::as_str).collect();
    let element = if choices.is_empty() { text_input() } else { menu(&choices, many) };
    ("Answer".to_owned(), vec![input(WORDS, prompt, None, element)])
}

/// A form for the reason of a denial.
pub fn deny(what: &str) -> (String, Vec<SlackBlock>) {
    ("Deny".to_owned(), vec![input(WORDS, "Reason", Some(what), text_input())])
}

/// A form for choosing the incident to which a message is added.
pub fn choose_incident(incidents: &[(IncidentId, String)]) -> (String, Vec<SlackBlock>) {
    let options = incidents.iter().take(OPTIONS).map(|(id, title)| option(&format!("{id} {title}"), id.as_str()));
    ("Add to timeline".to_owned(), vec![input(INCIDENT, "Incident", None, select(options.collect()))])
}

/// The view of a form; none when its metadata is too long.
pub fn view(title: &str, fields: Vec<SlackBlock>, carried: &Carried) -> Option<SlackView> {
    let carried = serde_json::to_string(carried).ok().filter(|text| text.chars().count() <= 3_000)?;
    let view = SlackModalView::new(plain(&label(title, TITLE)).into(), fields)
        .with_callback_id(FORM.to_owned().into())
        .with_private_metadata(carried)
        .with_submit(plain("Submit").into())
        .with_close(plain("Cancel").into());
    Some(SlackView::Modal(view))
}

fn input(name: &str, shown: &str, help: Option<&str>, element: SlackInputBlockElement) -> SlackBlock {
    let shown = match label(shown, LABEL_LIMIT) {
        blank if blank.is_empty() => name.to_owned(),
        shown => shown,
    };
    let help = help.map(|help| label(help, LABEL_LIMIT)).filter(|help| !help.is_empty());
    SlackInputBlock::new(plain(&shown).into(), element)
        .with_block_id(name.to_owned().into())
        .opt_hint(help.map(|help| plain(&help).into()))
        .into()
}

fn line() -> SlackInputBlockElement {
    SlackBlockPlainTextInputElement::new().with_action_id(VALUE.to_owned().into()).with_max_length(INPUT).into()
}

fn text_input() -> SlackInputBlockElement {
    SlackBlockPlainTextInputElement::new()
        .with_action_id(VALUE.to_owned().into())
        .with_max_length(INPUT)
        .with_multiline(true)
        .into()
}

/// A menu, cut to Slack's limit of options. Without options it becomes a text field.
fn menu(names: &[&str], many: bool) -> SlackInputBlockElement {
    let fits = |name: &&&str| name.chars().count() <= LABEL && !name.is_empty();
    let options: Vec<Choice> = names.iter().filter(fits).take(OPTIONS).map(|name| option(name, name)).collect();
    match many {
        _ if options.is_empty() => line(),
        true => SlackBlockMultiStaticSelectElement::new()
            .with_action_id(VALUE.to_owned().into())
            .with_options(options)
            .into(),
        false => select(options),
    }
}

fn select(options: Vec<Choice>) -> SlackInputBlockElement {
    SlackBlockStaticSelectElement::new().with_action_id(VALUE.to_owned().into()).with_options(options).into()
}

fn option(shown: &str, value: &str) -> Choice {
    SlackBlockChoiceItem::new(plain(&label(shown, LABEL)).into(), value.to_owned())
}
