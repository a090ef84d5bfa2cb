//! The Slack app of an estate: how it connects, where it shows incidents, and what unknown users may do.

use serde::{Deserialize, Serialize};

use crate::domain::core::secret_ref::SecretRef;

/// The Slack app that people use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SlackApp {
    /// The channel of the estate, a Slack one with a bot's token, where incidents are shown.
    pub channel: String,
    /// The app-level token that opens Socket Mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_token: Option<SecretRef>,
    /// What requests over HTTP are signed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_secret: Option<SecretRef>,
    /// What people of the workspace may do whom the estate does not know.
    #[serde(default)]
    pub strangers: UnknownUsers,
    /// Whether each incident gets a channel of its own besides.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub channel_an_incident: bool,
}

/// What people may do whom the estate does not know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownUsers {
    /// Nothing.
    #[default]
    Nothing,
    /// See how incidents stand.
    Look,
    /// Look, and take notice of an incident.
    Acknowledge,
}
