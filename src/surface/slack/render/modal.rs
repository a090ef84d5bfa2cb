//! Forms: what a person is asked for in a window, only where something is missing.
//!
//! **Invariant:** a form is built within the limits of views: 24 characters of title, 100 options, 3,000 characters carried.

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

/// The most characters of a title or of the button that submits.
const TITLE: usize = 24;
/// The most characters of a label.
const NAME: usize = 150;
/// The most options of a menu.
const OPTIONS: usize = 100;
/// The most fields: far above what a person fills in at night.
const FIELDS: usize = 40;
/// The most characters that are put in: what a note may have is more, and nobody types that in a window.
const INPUT: u64 = 3_000;

/// The field of an environment; no parameter is called so, since names have no blank.
pub const ENVIRONMENT: &str = "the environment";
/// The field of an incident.
pub const INCIDENT: &str = "the incident";
/// The field of words.
pub const WORDS: &str = "words";

/// What a form is for, carried until it is submitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModalPurpose {
    /// Starts a runbook, with what was typed already.
    Start {
        /// Its id.
        runbook: String,
        /// What was typed.
        order: StartArgs,
    },
    /// Answers a question.
    Answer(IncidentId, StepQuestion),
    /// Refuses a change.
    Deny(IncidentId, StepQuestion),
    /// Writes a message down in an incident that is picked.
    Keep(String),
}

/// A form's purpose and where its answer goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// What it is for.
    pub purpose: ModalPurpose,
    /// Where the answer goes.
    pub response_url: Option<String>,
    /// Whether what opened it is a message that only one person sees.
    #[serde(default)]
    pub alone: bool,
}

/// The name of all forms; what one is for is carried.
pub const FORM: &str = "runbook";
/// The name of what is put in or chosen; each has a block of its own.
const VALUE: &str = "value";

/// A line of a menu.
type Choice = SlackBlockChoiceItem<SlackBlockPlainTextOnly>;

/// A form that asks for the parameters that are missing.
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

/// A form for an answer: words, or some of the choices.
pub fn answer(prompt: &str, choices: &[String], many: bool) -> (String, Vec<SlackBlock>) {
    let choices: Vec<&str> = choices.iter().map(String::as_str).collect();
    let element = if choices.is_empty() { words() } else { menu(&choices, many) };
    ("Answer".to_owned(), vec![input(WORDS, prompt, None, element)])
}

/// A form for the reason of a refusal.
pub fn deny(what: &str) -> (String, Vec<SlackBlock>) {
    ("Refuse".to_owned(), vec![input(WORDS, "Why not?", Some(what), words())])
}

/// A form that asks to which incident a message belongs.
pub fn private_metadata(incidents: &[(IncidentId, String)]) -> (String, Vec<SlackBlock>) {
    let options = incidents.iter().take(OPTIONS).map(|(id, title)| option(&format!("{id} {title}"), id.as_str()));
    ("Add to timeline".to_owned(), vec![input(INCIDENT, "Incident", None, select(options.collect()))])
}

/// The whole view; none when what it carries is too long.
pub fn view(title: &str, fields: Vec<SlackBlock>, carried: &Carried) -> Option<SlackView> {
    let carried = serde_json::to_string(carried).ok().filter(|text| text.chars().count() <= 3_000)?;
    let view = SlackModalView::new(plain(&label(title, TITLE)).into(), fields)
        .with_callback_id(FORM.to_owned().into())
        .with_private_metadata(carried)
        .with_submit(plain("Go on").into())
        .with_close(plain("Not now").into());
    Some(SlackView::Modal(view))
}

fn input(name: &str, shown: &str, help: Option<&str>, element: SlackInputBlockElement) -> SlackBlock {
    let shown = match label(shown, NAME) {
        blank if blank.is_empty() => name.to_owned(),
        shown => shown,
    };
    let help = help.map(|help| label(help, NAME)).filter(|help| !help.is_empty());
    SlackInputBlock::new(plain(&shown).into(), element)
        .with_block_id(name.to_owned().into())
        .opt_hint(help.map(|help| plain(&help).into()))
        .into()
}

fn line() -> SlackInputBlockElement {
    SlackBlockPlainTextInputElement::new().with_action_id(VALUE.to_owned().into()).with_max_length(INPUT).into()
}

fn words() -> SlackInputBlockElement {
    SlackBlockPlainTextInputElement::new()
        .with_action_id(VALUE.to_owned().into())
        .with_max_length(INPUT)
        .with_multiline(true)
        .into()
}

/// A menu; of more than Slack shows, the first ones. Nothing to choose from becomes a line to type in.
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
