//! Why an action failed: a word for programs and a line for people, the same in the output of every kind.
//!
//! Deliberately absent: the words of each kind; they stand in its form.

use serde_json::{Value, json};

use crate::domain::incident::outcome::{LOST, Outcome, Verdict};

/// A reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionError {
    /// A word for programs: `timeout`, `refused`, `spec`.
    pub kind: &'static str,
    /// A line for people.
    pub message: String,
}

impl ActionError {
    /// A reason.
    pub fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// The failure, with what is known all the same; an object, or nothing.
    pub fn outcome(&self, mut output: Value) -> Outcome {
        output["trouble"] = json!({ "kind": self.kind, "message": self.message });
        let verdict = if self.kind == LOST { Verdict::Unknown } else { Verdict::Failed };
        Outcome { verdict, ..Outcome::failed(self.message.clone(), output) }
    }
}
