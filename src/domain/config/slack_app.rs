//! The Slack app of an estate: how it connects, where it shows incidents, and what unknown users may do.

use serde::{Deserialize, Serialize};

use crate::domain::core::secret_ref::SecretRef;

/// The Slack app that people use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SlackApp {
    /// The channel of the estate in which incidents are shown: one with `slack` and a bot's token.
    pub channel: String,
    /// The app-level token of Socket Mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_token: Option<SecretRef>,
    /// The secret with which Slack signs requests over HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_secret: Option<SecretRef>,
    /// The permissions of users of the workspace who are not in the estate.
    #[serde(default)]
    pub strangers: UnknownUsers,
    /// Whether each incident has a Slack channel of its own too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub channel_an_incident: bool,
}

/// The permissions of users who are not in the estate. Each includes those before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownUsers {
    #[default]
    Nothing,
    /// See incidents.
    Look,
    /// Acknowledge incidents.
    Acknowledge,
}
