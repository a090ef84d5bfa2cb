//! How a run starts, why it stops, and how it ends.

use serde::{Deserialize, Serialize};

use crate::domain::core::id::{RunId, StepKey};

/// When a run asks a person before it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Before every action.
    Step,
    /// Before every change.
    Guided,
    /// Only where the runbook requires it.
    Auto,
    /// No person started the run: before each change that the estate does not allow to happen automatically.
    Unattended,
}

/// The run and step that started a further run.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Parent {
    pub run: RunId,
    /// The `start` step.
    pub step: StepKey,
}

/// Why a run stops.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopCause {
    /// A person cancelled it.
    Cancelled { reason: String },
    /// A step failed.
    StepFailed { step: StepKey },
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    /// Every step succeeded, was skipped, or failed with a tolerated failure.
    Succeeded,
    /// A step failed and stopped it.
    Failed,
    /// A person cancelled it.
    Cancelled,
}
