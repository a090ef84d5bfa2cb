//! Gates: what a step waits for. Skip reasons, reconciliations and conclusions: how it ends.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::core::time::Timestamp;
use crate::domain::incident::outcome::Outcome;
use crate::domain::incident::plan::PlannedChange;

/// A gate that holds a step until a person or a timer opens it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "gate", rename_all = "snake_case")]
pub enum Gate {
    /// A question.
    Ask {
        prompt: String,
        /// The answers to choose from; empty means any text.
        #[serde(default)]
        choices: Vec<String>,
        /// The suggested answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        suggest: Option<String>,
        /// Whether the answer may consist of several choices.
        #[serde(default)]
        many: bool,
    },
    /// Work by hand.
    Manual { instruction: String },
    /// The approval of a change.
    Approve {
        /// The roles or people who may approve; empty means any known user.
        #[serde(default)]
        by: Vec<String>,
        change: PlannedChange,
        /// See [`approval_digest`](crate::domain::incident::due::approval_digest).
        digest: String,
        /// How many people have to approve.
        #[serde(default = "one", skip_serializing_if = "is_one")]
        count: u32,
        /// Whether the person who started the run may not approve.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        not_requester: bool,
        /// When the request and every approval of it expire.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Timestamp>,
        /// The people who have approved so far.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        given: Vec<String>,
    },
    /// A timer.
    Timer { until: Timestamp },
    /// The decision after a failure: retry the step, skip it, or cancel.
    Failure { error: String },
    /// The question whether an interrupted attempt happened.
    Unclear { detail: String },
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_one(count: &u32) -> bool {
    *count == 1
}

impl Gate {
    /// The approval of a change by any one person.
    pub fn approve(change: PlannedChange, digest: impl Into<String>) -> Self {
        let (by, given) = (Vec::new(), Vec::new());
        Self::Approve { by, change, digest: digest.into(), count: 1, not_requester: false, expires_at: None, given }
    }

    /// How many approvals are missing.
    pub fn wanted(&self) -> u32 {
        match self {
            Self::Approve { count, given, .. } => count.saturating_sub(u32::try_from(given.len()).unwrap_or(u32::MAX)),
            _ => 0,
        }
    }

    /// The same gate with one more approval.
    pub(crate) fn with(&self, person: Option<&String>) -> Self {
        let mut gate = self.clone();
        if let Self::Approve { given, .. } = &mut gate {
            given.push(person.cloned().unwrap_or_default());
        }
        gate
    }

    /// Whether a person has to open it.
    pub fn needs_person(&self) -> bool {
        !matches!(self, Self::Timer { .. })
    }
}

/// Why a step was skipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// Its `when` was false.
    Condition { when: String },
    /// A person skipped it.
    Person { reason: String },
    /// Every alert of an unattended run is resolved.
    AlertResolved,
}

/// The result of reconciling an interrupted attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reconciliation {
    /// It happened, with this outcome.
    Happened(Arc<Outcome>),
    /// It did not happen, or a repetition does no harm.
    DidNotHappen { detail: String },
    /// Nothing shows whether it happened.
    CannotTell { detail: String },
}

/// How a step was concluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    Succeeded,
    Skipped,
    /// Failed, and the run continues.
    Tolerated,
    /// Failed, and the run stops.
    Failed,
    /// Stopped, with its run or by a person.
    Cancelled,
}
