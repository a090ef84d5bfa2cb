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
    /// A step was passed over.
    #[serde(rename = "step_skipped")]
    Skipped {
        /// The run.
        run: RunId,
        /// The step.
        step: StepKey,
        /// Why.
        reason: SkipReason,
    },
    /// A group began, or a `for_each` has its items.
    #[serde(rename = "step_expanded")]
    Expanded {
        /// The run.
        run: RunId,
        /// The step.
        step: StepKey,
        /// The items of a `for_each`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        items: Option<Vec<Value>>,
    },
    /// A gate closed: a person or a timer is waited for.
    Asked {
        /// The run.
        run: RunId,
        /// The step.
        step: StepKey,
        /// What is waited for.
        gate: Gate,
    },
    /// A question was answered, or a timer's time came.
    Answered {
        /// The run.
        run: RunId,
        /// The step.
        step: StepKey,
        /// The answer; null for a timer and for something done by hand.
        #[serde(default)]
        answer: Value,
    },
    /// A change was agreed to.
    Approved {
        /// The run.
        run: RunId,
        /// The step.
        step: StepKey,
        /// The digest of exactly what was agreed to.
        digest: String,
        /// Who agreed, as one person is counted once: a key in the estate's `people`, else an identity.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        person: Option<String>,
    },
    /// A change was refused by a person.
    Denied {
        /// The run.
        run: RunId,
        /// The step.
        step: StepKey,
        /// Why.
        reason: String,
    },
    /// An attempt begins: written before anything is done.
    #[serde(rename = "step_started")]
    Started {
        /// The run.
        run: RunId,
        /// The step.
        step: StepKey,
        /// 1 for the first.
        attempt: u32,
        /// The claim under which it is done; a later claim's worker knows that this one is gone.
        epoch: u64,
        /// Exactly what is done.
        action: Arc<RenderedAction>,
        /// SHA-256 of what is done and where, in hex.
        digest: String,
        /// What the world looked like, as far as reconciling needs it.
        #[serde(default, skip_serializing_if = "outcome::is_nothing")]
        before: Arc<Value>,
        /// When its time is over.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline: Option<Timestamp>,
    },
    /// An attempt ended.
    #[serde(rename = "step_ended")]
    Ended {
        /// The run.
        run: RunId,
        /// The step.
        step: StepKey,
        /// Which attempt.
        attempt: u32,
        /// How.
        outcome: Arc<Outcome>,
    },
    /// An attempt was cut off, and the world was asked what became of it.
    Reconciled {
        /// The run.
        run: RunId,
        /// The step.
        step: StepKey,
        /// Which attempt.
        attempt: u32,
        /// What the world says.
        finding: Reconciliation,
    },
    /// Another attempt is to be made.
    RetryScheduled {
        /// The run.
        run: RunId,
        /// The step.
        step: StepKey,
        /// Not before.
        at: Timestamp,
    },
    /// Nothing more will be done for this step.
    #[serde(rename = "step_concluded")]
    Concluded {
        /// The run.
        run: RunId,
        /// The step.
        step: StepKey,
        /// How it stands.
        conclusion: Conclusion,
        /// One line, for a step that has no attempt of its own or fails.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A person wants a change taken back.
    UndoRequested {
        /// The run.
        run: RunId,
        /// The step whose change it is.
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
