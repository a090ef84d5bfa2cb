//! The page of an incident, as the estate has it: where it is reached from outside, and what makes its links.
//!
//! Deliberately absent: what the page shows, and how a link is made and proved.

use serde::{Deserialize, Serialize};

use crate::domain::core::secret_ref::SecretRef;

/// Where incidents have a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The address under which people reach `runbook serve`, such as `https://runbook.shop.example`.
    pub url: String,
    /// What the key in each link is made with.
    pub secret: SecretRef,
}
