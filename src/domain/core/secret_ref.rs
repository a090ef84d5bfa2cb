//! A secret, named where its value is needed.

use serde::{Deserialize, Serialize};

/// `{secret: name}`: a secret of the estate, named where its value is needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretRef {
    /// The secret's name in the estate.
    pub secret: String,
}
