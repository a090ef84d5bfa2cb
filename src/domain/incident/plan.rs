//! A rendered action, its description for an approval, and an attempt of it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::domain::config::host::{HERE, Host};
use crate::domain::core::effect::EffectClass;
use crate::domain::core::id::StepKey;
use crate::domain::core::time::Span;
use crate::domain::runbook::Until;

/// An action with every template rendered. It contains the names of secrets, never their values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RenderedAction {
    /// The kind's name.
    pub kind: String,
    /// The kind's fields.
    pub spec: Value,
    pub effect: EffectClass,
    /// The name of the host in the environment; without one, the environment's default host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

impl RenderedAction {
    /// Whether it sends a message.
    pub fn is_message(&self) -> bool {
        self.kind == "notify"
    }

    /// SHA-256 in hex of the action and the environment, independent of the step.
    pub fn digest(&self, environment: &str) -> String {
        let text = match &self.host {
            None => serde_json::json!([environment, self.kind, self.spec]),
            Some(host) => serde_json::json!([environment, host, self.kind, self.spec]),
        }
        .to_string();
        hex::encode(Sha256::digest(text.as_bytes()))
    }
}

/// The description of a change that a person is asked to approve.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedChange {
    /// For example "restart shop-gateway.service".
    pub what: String,
    /// For example "production, this host".
    #[serde(rename = "where")]
    pub place: String,
    /// The step's `why`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The step's undo, described like `what`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<String>,
}

impl PlannedChange {
    /// Adds the environment to the place, and the host if it is reached over SSH.
    #[must_use]
    pub fn within(self, environment: &str, host: &Host) -> Self {
        let (front, place) = match host {
            Host::Local => (environment.to_owned(), self.place.clone()),
            Host::Ssh(ssh) => (format!("{environment} on {}", ssh.to), self.place.replacen(HERE, "that host", 1)),
        };
        // `front` already names the host.
        let is_redundant = place.is_empty() || host.ssh().is_some() && self.place == HERE;
        Self { place: if is_redundant { front } else { format!("{front}, {place}") }, ..self }
    }
}

/// An attempt that is due.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    pub step: StepKey,
    /// 1 for the first.
    pub number: u32,
    pub action: Arc<RenderedAction>,
    /// The digest that an approval of the attempt has: see [`approval_digest`](super::due::approval_digest).
    pub digest: String,
    pub timeout: Span,
    /// How a check is repeated within the attempt.
    pub poll: Option<Poll>,
}

/// How a check is repeated within one attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Poll {
    /// The condition that ends the repetition; without one, the check's success.
    pub until: Option<Until>,
    /// The interval between repetitions.
    pub every: Span,
    /// How long the condition must hold.
    pub hold: Span,
}
