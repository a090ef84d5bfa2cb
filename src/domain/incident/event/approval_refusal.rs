//! A refused approval.
//!
//! Not here: who may approve; see [`permission`](crate::domain::incident::permission).

use serde::{Deserialize, Serialize};

use crate::domain::core::id::{RunId, StepKey};

/// Why an approval or a denial was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalRefusalCause {
    /// The step does not wait for an approval.
    NotWaiting,
    /// The command was made for another change or another request: its digest, attempt or question differs.
    AnotherPlan,
    /// The request for approval has expired.
    Expired,
    /// The person may not approve this change.
    WrongPerson,
    /// The person started the run, and another person has to approve.
    Requester,
    /// The person has already approved, and another person has to approve too.
    Twice,
    /// An unknown user requested something other than an approval.
    #[serde(rename = "stranger")]
    UnknownUser,
}

/// A refused approval or denial, or a refused request of an unknown user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalRefusal {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepKey>,
    /// The digest that the person gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    pub cause: ApprovalRefusalCause,
    /// The cause as text for people.
    pub reason: String,
}
