//! A refused approval: somebody wanted to agree to a change or to refuse it, and may not.
//!
//! Not here: who may; see [`permission`](crate::domain::incident::permission).

use serde::{Deserialize, Serialize};

use crate::domain::core::id::{RunId, StepKey};

/// Why somebody may not agree to a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCause {
    /// Nothing waits for agreement there: it was agreed to and used, denied, or never asked.
    NotWaiting,
    /// The digest is that of something else: the change has become another one, or it belongs to another incident.
    AnotherPlan,
    /// The time for agreeing is over.
    Expired,
    /// The person is none of those who may.
    WrongPerson,
    /// The person has asked for the change.
    Requester,
    /// The person has agreed already, and somebody else is wanted.
    Twice,
    /// Something else than agreement was wanted, by somebody who may not have it from this face.
    Stranger,
}

/// Somebody wanted to agree to a change or to refuse it, and may not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalRefusal {
    /// The run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// The step, where one was meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepKey>,
    /// The digest that was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Why not.
    pub cause: RefusalCause,
    /// The same in words.
    pub reason: String,
}
