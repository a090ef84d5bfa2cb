//! What comes from Slack, whichever way it came: a typed command, a pressed button, a submitted form, a shortcut.
//!
//! Sources: <https://docs.slack.dev/interactivity/implementing-slash-commands>,
//! <https://docs.slack.dev/reference/interaction-payloads>.
//!
//! **Invariant:** who it comes from is the user id that Slack gives; names in it are not read.

use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Something that a person did in Slack.
#[derive(Debug, Clone, PartialEq)]
pub struct Inbound {
    /// The request's own name: the same when it is sent again, and no other's. Empty until its way in has given it.
    pub name: String,
    /// The Slack user id.
    pub user: String,
    /// The channel's id, where there is one.
    pub channel: Option<String>,
    /// Where the answer goes.
    pub response_url: Option<String>,
    /// What opens a form, within three seconds.
    pub trigger: Option<String>,
    /// Whether it was done at a message that only this person sees: no board changes it.
    pub alone: bool,
    /// What was done.
    pub act: Act,
}

/// What was done.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// Words after `/runbook`.
    Typed(String),
    /// A button, by what it carries.
    Pressed(String),
    /// A form: its name, what it carries, and its fields by name.
    Submitted {
        /// Its name.
        form: String,
        /// What it carries.
        carried: String,
        /// What was put in.
        fields: Vec<(String, String)>,
    },
    /// "Add to timeline" on a message.
    Kept {
        /// Its words.
        text: String,
        /// Who wrote it: a Slack user id.
        author: Option<String>,
        /// Its name in the channel, and that of the message that began its thread.
        messages: Vec<String>,
    },
}

/// The shortcut's name in the manifest.
pub const KEEP: &str = "add_to_timeline";

/// A slash command's fields, over HTTP as a form and over the socket as JSON.
#[derive(Debug, Deserialize)]
struct Command {
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
    /// A slash command; none when it is not one.
    pub fn command(payload: Value) -> Option<Self> {
        let command: Command = serde_json::from_value(payload).ok()?;
        Some(Self {
            name: String::new(),
            user: command.user_id,
            channel: command.channel_id,
            response_url: command.response_url,
            trigger: command.trigger_id,
            alone: false,
            act: Act::Typed(command.text),
        })
    }

    /// An interaction; none when nothing of ours was done.
    pub fn interaction(payload: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let act = match payload["type"].as_str()? {
            "block_actions" => Act::Pressed(text(&payload["actions"][0]["value"])?),
            "view_submission" => Act::Submitted {
                form: text(&payload["view"]["callback_id"])?,
                carried: text(&payload["view"]["private_metadata"]).unwrap_or_default(),
                fields: fields(&payload["view"]["state"]["values"]),
            },
            "message_action" if payload["callback_id"] == KEEP => {
                let message = &payload["message"];
                Act::Kept {
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
            alone: payload["container"]["is_ephemeral"].as_bool().unwrap_or_default(),
            act,
        })
    }
}

/// The name that a way in gives a request, from what only the same request has: a signature, an envelope's id.
pub fn name(of: &str) -> String {
    format!("slack:{}", hex::encode(Sha256::digest(of.as_bytes())))
}

/// What was put into a form: each block holds one element.
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
