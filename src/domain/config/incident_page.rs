//! The incident page in the estate: its external address, and the secret of its links.

use serde::{Deserialize, Serialize};

use crate::domain::core::secret_ref::SecretRef;

/// `page` of the estate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageConfig {
    /// The address under which people reach `runbook serve`, such as `https://runbook.shop.example`.
    pub url: String,
    /// The secret from which the key in each link is made.
    pub secret: SecretRef,
}
