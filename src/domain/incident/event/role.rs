//! Roles and refused approvals. The table is
//! [`Incident::apply`](crate::domain::incident::Incident::apply).

use serde::{Deserialize, Serialize};

use super::approval_refusal::ApprovalRefusal;
use crate::domain::core::actor::Identity;

/// An event of a role, or a refused approval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RoleEvent {
    /// A person takes a role, or gets it from another person.
    #[serde(rename = "role_taken")]
    Taken {
        role: String,
        /// The key in the estate's `people`; for an unknown person, the account or id.
        person: String,
        /// The verified identity; none for a person who was named and has no identity in the estate.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<Identity>,
    },
    /// A role has no holder any more.
    #[serde(rename = "role_released")]
    Released { role: String },
    /// An approval, a denial or another request was refused.
    ApprovalRefused(ApprovalRefusal),
}
