//! Roles and permission: who has which role, and who was refused. The table is
//! [`Incident::apply`](crate::domain::incident::Incident::apply).

use serde::{Deserialize, Serialize};

use super::approval_refusal::ApprovalRefusal;
use crate::domain::core::actor::Identity;

/// An event of a role or of a permission.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RoleEvent {
    /// A person has a role from now on.
    #[serde(rename = "role_taken")]
    Taken {
        /// The role.
        role: String,
        /// Who: the key in the estate's `people`, else the bare account or id.
        person: String,
        /// What proves who that is; none where it was given by name and the estate knows no identity.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<Identity>,
    },
    /// Nobody has the role any more.
    #[serde(rename = "role_released")]
    Released {
        /// The role.
        role: String,
    },
    /// Somebody wanted to agree to a change or to refuse it, and may not.
    ApprovalRefused(ApprovalRefusal),
}
