//! What a button carries: which question of which incident it answers, and how.
//!
//! **Invariant:** agreement carries the digest of exactly what was shown, and every other answer the number of the question,
//! so that a click on an old message answers nothing else.

use serde::{Deserialize, Serialize};

use crate::domain::core::id::{IncidentId, RunId, StepKey};

/// The value of a button, encoded as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ButtonValue {
    #[serde(rename = "i")]
    pub incident: IncidentId,
    #[serde(rename = "d")]
    pub deed: ButtonAction,
}

/// The action of a button.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ButtonAction {
    Acknowledge,
    Resolve,
    Status,
    /// Starts the named runbook, which an alert has proposed.
    Start(String),
    /// Approves the change with this digest.
    Approve(StepQuestion, String),
    /// Opens a form for the reason of a denial.
    Deny(StepQuestion),
    Answer(StepQuestion, String),
    /// Opens a form for an answer.
    Ask(StepQuestion),
    Retry(StepQuestion),
    Skip(StepQuestion),
}

/// One question of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepQuestion {
    #[serde(rename = "r")]
    pub run: RunId,
    #[serde(rename = "s")]
    pub step: StepKey,
    /// The number of the question among those of the step.
    #[serde(rename = "n")]
    pub round: u32,
}

impl ButtonValue {
    /// The JSON text for the button.
    pub fn encoded(&self) -> String {
        serde_json::to_string(self).expect("names and numbers are always JSON")
    }

    /// Parses a button's value; none when it has another format.
    pub fn decoded(value: &str) -> Option<Self> {
        serde_json::from_str(value).ok()
    }
}
