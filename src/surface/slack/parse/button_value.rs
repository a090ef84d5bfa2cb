//! What a button carries: which question of which incident it answers, and how.
//!
//! **Invariant:** agreement carries the digest of exactly what was shown, and every other answer the number of the question,
//! so that a click on an old message answers nothing else.

use serde::{Deserialize, Serialize};

use crate::domain::core::id::{IncidentId, RunId, StepKey};

/// What a button carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ButtonValue {
    /// The incident.
    #[serde(rename = "i")]
    pub incident: IncidentId,
    /// What it does.
    #[serde(rename = "d")]
    pub deed: ButtonAction,
}

/// What a button does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ButtonAction {
    /// Takes notice.
    Acknowledge,
    /// Says that the trouble is over.
    Resolve,
    /// Shows how it stands.
    Status,
    /// Starts the runbook that an alert has proposed.
    Start(String),
    /// Agrees to the change with this digest.
    Approve(StepQuestion, String),
    /// Opens a form for the reason of a refusal.
    Deny(StepQuestion),
    /// Answers a question.
    Answer(StepQuestion, String),
    /// Opens a form for an answer.
    Ask(StepQuestion),
    /// Tries again.
    Retry(StepQuestion),
    /// Goes on without it.
    Skip(StepQuestion),
}

/// One question of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepQuestion {
    /// The run.
    #[serde(rename = "r")]
    pub run: RunId,
    /// The step.
    #[serde(rename = "s")]
    pub step: StepKey,
    /// Which of the step's questions.
    #[serde(rename = "n")]
    pub round: u32,
}

impl ButtonValue {
    /// As a button's value.
    pub fn encoded(&self) -> String {
        serde_json::to_string(self).expect("names and numbers are always JSON")
    }

    /// What a button's value says; none when it is not one of ours.
    pub fn decoded(value: &str) -> Option<Self> {
        serde_json::from_str(value).ok()
    }
}
