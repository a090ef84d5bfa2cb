//! Payloads from Slack, by either transport: slash commands, buttons, submitted forms and shortcuts.
//!
//! Sources: <https://docs.slack.dev/interactivity/implementing-slash-commands>,
//! <https://docs.slack.dev/reference/interaction-payloads>.
//!
//! **Invariant:** a person is identified by the user id in the payload alone. Names in a payload are not read.

use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// One action of a person in Slack.
#[derive(Debug, Clone, PartialEq)]
pub struct Inbound {
    /// The unique name of the request, the same when it is delivered again. Empty until the transport sets it.
    pub name: String,
    /// The Slack user id.
    pub user: String,
    /// The channel's id, if the action has one.
    pub channel: Option<String>,
    /// The address for replies.
    pub response_url: Option<String>,
    /// The `trigger_id`, with which a form can be opened within three seconds.
    pub trigger: Option<String>,
    /// Whether it was done on an ephemeral message, which the incident messages do not update.
    pub is_ephemeral: bool,
    pub act: Act,
}

/// The kind of action and its data.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// The text after `/runbook`.
    Typed(String),
    /// A button, with its value.
    Pressed(String),
    /// A submitted form.
    Submitted {
        form: String,
        /// The form's `private_metadata`.
        carried: String,
        /// The fields by name.
        fields: Vec<(String, String)>,
    },
    /// "Add to timeline" on a message.
    AddToTimeline {
        text: String,
        /// The author's Slack user id.
        author: Option<String>,
        /// The timestamps of the message and of its thread.
        messages: Vec<String>,
    },
}

/// The shortcut's callback id in the manifest.
pub const ADD_TO_TIMELINE: &str = "add_to_timeline";

/// The fields of a slash command: a form over HTTP, JSON over the socket.
#[derive(Debug, Deserialize)]
struct SlashCommand {
    #[serde(default)]
    text: String,
    user_id: String,
    #[serde(default)]
    channel_id: Option<String>,
    #[serde(default)]
    response_url: Option<String>,
    #[serde(default)]
    trigger_id: Option<String>,
}

impl Inbound {
    /// A slash command; none when the payload is not one.
    pub fn command(payload: Value) -> Option<Self> {
        let command: SlashCommand = serde_json::from_value(payload).ok()?;
        Some(Self {
            name: String::new(),
            user: command.user_id,
            channel: command.channel_id,
            response_url: command.response_url,
            trigger: command.trigger_id,
            is_ephemeral: false,
            act: Act::Typed(command.text),
        })
    }

    /// An interaction; none when it is not for this app.
    pub fn interaction(payload: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let act = match payload["type"].as_str()? {
            "block_actions" => Act::Pressed(text(&payload["actions"][0]["value"])?),
            "view_submission" => Act::Submitted {
                form: text(&payload["view"]["callback_id"])?,
                carried: text(&payload["view"]["private_metadata"]).unwrap_or_default(),
                fields: fields(&payload["view"]["state"]["values"]),
            },
            "message_action" if payload["callback_id"] == ADD_TO_TIMELINE => {
                let message = &payload["message"];
                Act::AddToTimeline {
                    text: text(&message["text"]).unwrap_or_default(),
                    author: text(&message["user"]),
                    messages: [&message["ts"], &message["thread_ts"]].into_iter().filter_map(text).collect(),
                }
            }
            _ => return None,
        };
        Some(Self {
            name: String::new(),
            user: text(&payload["user"]["id"])?,
            channel: text(&payload["channel"]["id"]),
            response_url: text(&payload["response_url"]),
            trigger: text(&payload["trigger_id"]),
            is_ephemeral: payload["container"]["is_ephemeral"].as_bool().unwrap_or_default(),
            act,
        })
    }
}

/// The unique name of a request, derived from `id`: its signature or the id of its envelope.
pub fn name(id: &str) -> String {
    format!("slack:{}", hex::encode(Sha256::digest(id.as_bytes())))
}

/// The fields of a form; each block holds one element.
fn fields(values: &Value) -> Vec<(String, String)> {
    let blocks = values.as_object().into_iter().flatten();
    blocks
        .filter_map(|(block, elements)| Some((block.clone(), field(elements.as_object()?.values().next()?)?)))
        .collect()
}

fn field(element: &Value) -> Option<String> {
    if let Some(many) = element["selected_options"].as_array() {
        let chosen: Vec<&str> = many.iter().filter_map(|option| option["value"].as_str()).collect();
        return (!chosen.is_empty()).then(|| chosen.join(","));
    }
    let one = element["selected_option"]["value"].as_str().or(element["value"].as_str());
    one.map(str::to_owned)
}
