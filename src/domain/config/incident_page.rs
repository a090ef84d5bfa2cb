//! The incident page as the estate declares it: its external address, and the secret of its links.

use serde::{Deserialize, Serialize};

use crate::domain::core::secret_ref::SecretRef;

/// Where incidents have a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageConfig {
    /// The address under which people reach `runbook serve`, such as `https://runbook.shop.example`.
    pub url: String,
    /// What the key in each link is made with.
    pub secret: SecretRef,
}
