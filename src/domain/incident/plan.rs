//! Exactly what would run: an action with every template rendered, and its digest.
//!
//! An approval is bound to the digest, so that what was approved is what runs.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::domain::config::host::{HERE, Host};
use crate::domain::core::effect::EffectClass;
use crate::domain::core::id::{IncidentId, RunId, StepKey};
use crate::domain::core::time::Span;
use crate::domain::runbook::Until;

/// An action with every template rendered. Secrets stand in it by name, never by value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RenderedAction {
    /// The kind's name.
    pub kind: String,
    /// What the kind is given.
    pub spec: Value,
    /// How often it may happen.
    pub effect: EffectClass,
    /// The host that it is done on, by its name in the environment; the environment's own without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

impl RenderedAction {
    /// Whether it only tells people something.
    pub fn is_message(&self) -> bool {
        self.kind == "notify"
    }

    /// SHA-256 in hex of what is done and in which environment, whichever step does it.
    pub fn digest(&self, environment: &str) -> String {
        let text = match &self.host {
            None => serde_json::json!([environment, self.kind, self.spec]),
            Some(host) => serde_json::json!([environment, host, self.kind, self.spec]),
        }
        .to_string();
        hex::encode(Sha256::digest(text.as_bytes()))
    }
}

/// What a person is told before a change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedChange {
    /// What is done: "restart shop-gateway.service".
    pub what: String,
    /// Where: "production, this host".
    #[serde(rename = "where")]
    pub place: String,
    /// Why, from the runbook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// How it is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<String>,
}

impl PlannedChange {
    /// The same, with the environment that it is made in, and the host when that is not this machine.
    #[must_use]
    pub fn within(self, environment: &str, host: &Host) -> Self {
        let (front, place) = match host {
            Host::Local => (environment.to_owned(), self.place.clone()),
            Host::Ssh(ssh) => (format!("{environment} on {}", ssh.to), self.place.replacen(HERE, "that host", 1)),
        };
        // That it is done on the host stands in front already.
        let is_said = place.is_empty() || host.ssh().is_some() && self.place == HERE;
        Self { place: if is_said { front } else { format!("{front}, {place}") }, ..self }
    }
}

/// One attempt that is ready to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// The step.
    pub step: StepKey,
    /// 1 for the first.
    pub number: u32,
    /// What is done.
    pub action: Arc<RenderedAction>,
    /// The digest of what is done and where.
    pub digest: String,
    /// How long it may take.
    pub timeout: Span,
    /// For a reading: repeated until this holds.
    pub poll: Option<Poll>,
}

/// How a reading is repeated within one attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Poll {
    /// The condition; without one, until it succeeds.
    pub until: Option<Until>,
    /// How long between readings.
    pub every: Span,
    /// How long the condition must go on to hold.
    pub hold: Span,
}

/// On which occasion something is done: what was agreed to for one holds for no other.
#[derive(Debug, Clone, Copy)]
pub struct Occasion<'a> {
    /// The incident.
    pub incident: &'a IncidentId,
    pub run: RunId,
    pub step: &'a StepKey,
    /// How often agreement was asked for before.
    pub round: u32,
}

/// SHA-256 in hex of what is done, in which environment and on which occasion.
pub fn digest(occasion: &Occasion<'_>, environment: &str, action: &RenderedAction) -> String {
    let Occasion { incident, run, step, round } = occasion;
    let text = serde_json::json!([incident, run, step, round, environment, action]).to_string();
    hex::encode(Sha256::digest(text.as_bytes()))
}
