//! Steps of a run: gates, attempts, conclusions. The table is [`crate::domain::incident::step`].

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::gate::{Conclusion, Gate, Reconciliation, SkipReason};
use crate::domain::core::id::{RunId, StepKey};
use crate::domain::core::time::Timestamp;
use crate::domain::incident::outcome::{self, Outcome};
use crate::domain::incident::plan::RenderedAction;

/// An event of a step; each names its run and its step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum StepEvent {
    /// A step was skipped.
    #[serde(rename = "step_skipped")]
    Skipped { run: RunId, step: StepKey, reason: SkipReason },
    /// A group or a `for_each` began.
    #[serde(rename = "step_expanded")]
    Expanded {
        run: RunId,
        step: StepKey,
        /// The items of a `for_each`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        items: Option<Vec<Value>>,
    },
    /// A gate closed: the step waits for a person or a timer.
    Asked { run: RunId, step: StepKey, gate: Gate },
    /// A question was answered, work by hand was done, or a timer ended.
    Answered {
        run: RunId,
        step: StepKey,
        /// The answer; null for a timer and for work by hand.
        #[serde(default)]
        answer: Value,
    },
    /// A person approved a change.
    Approved {
        run: RunId,
        step: StepKey,
        /// The digest of the approved change.
        digest: String,
        /// The key under which the person counts once; none in old logs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        person: Option<String>,
    },
    /// A person denied a change.
    Denied { run: RunId, step: StepKey, reason: String },
    /// An attempt begins. The event is on disk before the action runs.
    #[serde(rename = "step_started")]
    Started {
        run: RunId,
        step: StepKey,
        /// 1 for the first.
        attempt: u32,
        /// The epoch of the worker's lease. A worker with a later epoch knows that this attempt was interrupted.
        epoch: u64,
        action: Arc<RenderedAction>,
        /// See [`approval_digest`](crate::domain::incident::due::approval_digest).
        digest: String,
        /// The state that was observed before the action, for reconciliation.
        #[serde(default, skip_serializing_if = "outcome::is_nothing")]
        before: Arc<Value>,
        /// When it times out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline: Option<Timestamp>,
    },
    /// An attempt ended.
    #[serde(rename = "step_ended")]
    Ended { run: RunId, step: StepKey, attempt: u32, outcome: Arc<Outcome> },
    /// An interrupted attempt was reconciled: its result was determined from what can be observed.
    Reconciled { run: RunId, step: StepKey, attempt: u32, finding: Reconciliation },
    /// Another attempt follows.
    RetryScheduled {
        run: RunId,
        step: StepKey,
        /// The earliest time of the attempt.
        at: Timestamp,
    },
    /// The step is over, unless a person retries it.
    #[serde(rename = "step_concluded")]
    Concluded {
        run: RunId,
        step: StepKey,
        conclusion: Conclusion,
        /// One line, for a step that failed or had no attempt.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A person requested the undo of a step's change.
    UndoRequested {
        run: RunId,
        /// The undo part of the step.
        step: StepKey,
    },
}

impl StepEvent {
    /// The run and the step.
    pub const fn place(&self) -> (RunId, &StepKey) {
        match self {
            Self::Skipped { run, step, .. }
            | Self::Expanded { run, step, .. }
            | Self::Asked { run, step, .. }
            | Self::Answered { run, step, .. }
            | Self::Approved { run, step, .. }
            | Self::Denied { run, step, .. }
            | Self::Started { run, step, .. }
            | Self::Ended { run, step, .. }
            | Self::Reconciled { run, step, .. }
            | Self::RetryScheduled { run, step, .. }
            | Self::Concluded { run, step, .. }
            | Self::UndoRequested { run, step, .. } => (*run, step),
        }
    }
}
