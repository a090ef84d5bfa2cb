//! The error of an action: a code for programs and a message for people, the same in the output of every kind.
//!
//! Not here: the codes of each kind, which are in its form.

use serde_json::{Value, json};

use crate::domain::incident::outcome::{LOST, Outcome, Verdict};

/// Why an action failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionError {
    /// A code for programs: `timeout`, `refused`, `spec`.
    pub kind: &'static str,
    /// A sentence for people.
    pub message: String,
}

impl ActionError {
    /// An error with this code and message.
    pub fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// The failed outcome. `output` holds what is known nevertheless: an object, or null.
    pub fn outcome(&self, mut output: Value) -> Outcome {
        output["trouble"] = json!({ "kind": self.kind, "message": self.message });
        let verdict = if self.kind == LOST { Verdict::Unknown } else { Verdict::Failed };
        Outcome { verdict, ..Outcome::failed(self.message.clone(), output) }
    }
}
