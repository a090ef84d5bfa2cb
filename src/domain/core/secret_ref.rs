//! A reference to a secret by its name.

use serde::{Deserialize, Serialize};

/// `{secret: name}`, in place of the value of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretRef {
    /// The secret's name in the estate.
    pub secret: String,
}
