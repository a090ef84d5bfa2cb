//! The channels of the estate, by which people are notified.
//!
//! **Invariant:** a channel has names of secrets, never their values.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::core::secret_ref::SecretRef;

/// A destination of messages. Exactly one of `slack`, `slack_webhook`, `email`, `webhook` and `command` is set.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Channel {
    /// The Slack channel for the Web API: `#incidents`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slack: Option<String>,
    /// The bot's token for the Web API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<SecretRef>,
    /// The address of the Web API, if it is not Slack's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
    /// The secret with the address of an incoming webhook of Slack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slack_webhook: Option<SecretRef>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Email>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Program>,
    /// The channels that are tried when this one fails, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallback: Vec<String>,
}

/// E-mail by SMTP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Email {
    /// The addresses of the recipients.
    pub to: Vec<String>,
    /// The sender's address.
    pub from: String,
    /// The server's name or address.
    pub server: String,
    pub port: u16,
    pub tls: Tls,
    /// The account; with a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretRef>,
    /// A PEM file of authorities to trust in place of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<String>,
}

/// The encryption of a connection to an SMTP server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tls {
    /// From the first byte.
    Implicit,
    /// After `STARTTLS`. If the server does not support it, nothing is sent.
    Starttls,
    /// None; only for a server on this machine.
    None,
}

/// A POST request with a signature of <https://github.com/standard-webhooks/standard-webhooks>.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Webhook {
    pub url: String,
    /// The secret it is signed with.
    pub secret: SecretRef,
}

/// A program that delivers one message each time it is run, such as that of an SMS gateway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Program {
    /// The program and its arguments. The message is on standard input, never an argument.
    pub argv: Vec<String>,
    /// Environment variables.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, Variable>,
}

/// The value of an environment variable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Variable {
    Plain(String),
    Secret(SecretRef),
}
