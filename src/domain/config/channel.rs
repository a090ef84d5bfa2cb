//! The channels by which people are notified, as the estate declares them.
//!
//! **Invariant:** it holds names of secrets, never secrets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::core::secret_ref::SecretRef;

/// Where people are told: exactly one of the ways is set.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Channel {
    /// The Slack channel for the Web API: `#incidents`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slack: Option<String>,
    /// The bot token for the Web API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<SecretRef>,
    /// The address of the Web API, when it is not Slack's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
    /// The incoming webhook of Slack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slack_webhook: Option<SecretRef>,
    /// Letters by SMTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Email>,
    /// A signed post to any address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
    /// A program that delivers, such as that of an SMS gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Program>,
    /// The channels that are tried in its place, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallback: Vec<String>,
}

/// Letters by SMTP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Email {
    /// Who gets them: addresses.
    pub to: Vec<String>,
    /// The sender's address.
    pub from: String,
    /// The server's name or address.
    pub server: String,
    /// Its port.
    pub port: u16,
    /// How the connection is kept secret.
    pub tls: Tls,
    /// The account to send with; then a password as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Its password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretRef>,
    /// A file of certificates to trust in place of the system's, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<String>,
}

/// How a connection to an SMTP server is kept secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tls {
    /// From the first byte on; port 465.
    Implicit,
    /// After `STARTTLS`, without which nothing is sent; port 587.
    Starttls,
    /// Not at all: only to this machine.
    None,
}

/// A signed post: <https://github.com/standard-webhooks/standard-webhooks>.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Webhook {
    /// Where to.
    pub url: String,
    /// What it is signed with.
    pub secret: SecretRef,
}

/// A program that delivers one message each time it is run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Program {
    /// The program and its arguments. The message comes on standard input and never as an argument.
    pub argv: Vec<String>,
    /// Environment variables; a value may be a secret by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, Variable>,
}

/// The value of an environment variable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Variable {
    Plain(String),
    /// A secret of the estate.
    Secret(SecretRef),
}
