//! How a run starts, why it stops, and how it ends.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::core::id::{RunId, StepKey};
use crate::domain::core::severity::Severity;

/// How much a run asks of people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Before every step.
    Step,
    /// Before every change.
    Guided,
    /// Only what nobody else can decide.
    Auto,
    /// As much as may be done while nobody is there: before each change that the estate does not allow to happen by itself.
    Unattended,
}

/// The run and step that started a further run.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Parent {
    pub run: RunId,
    /// Its `start` step.
    pub step: StepKey,
}

/// A runbook that a person may start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SuggestedRunbook {
    pub runbook: String,
    /// The parameters that the alert gives it.
    pub params: Map<String, Value>,
    /// Why it did not start by itself.
    pub reason: String,
}

/// How bad an incident is from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Regrade {
    /// How bad.
    pub severity: Severity,
}

/// Why a run goes no further.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopCause {
    /// A person stopped it.
    Cancelled {
        /// In the person's words.
        reason: String,
    },
    /// A step failed.
    StepFailed {
        /// Which.
        step: StepKey,
    },
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    /// Every step was done or skipped.
    Succeeded,
    /// A step failed and stopped it.
    Failed,
    /// A person stopped it.
    Cancelled,
}
