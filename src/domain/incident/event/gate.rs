//! What a step waits for, and how waiting and attempts can end.
//!
//! Gates are a closed set, because the engine must know how to wait. Kinds of action are an open list, and are not here.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::core::time::Timestamp;
use crate::domain::incident::outcome::Outcome;
use crate::domain::incident::plan::PlannedChange;

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "gate", rename_all = "snake_case")]
pub enum Gate {
    /// A question.
    Ask {
        /// The question.
        prompt: String,
        /// The answers to choose from; empty means any text.
        #[serde(default)]
        choices: Vec<String>,
        /// What the evidence suggests.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        suggest: Option<String>,
        /// Whether several choices may be given.
        #[serde(default)]
        many: bool,
    },
    /// Something to do by hand.
    Manual {
        /// What.
        instruction: String,
    },
    /// A change to agree to.
    Approve {
        /// Any of these roles or people; empty means anybody.
        #[serde(default)]
        by: Vec<String>,
        /// What, where, why and how to undo.
        change: PlannedChange,
        /// The digest of exactly what would run.
        digest: String,
        /// How many people have to agree.
        #[serde(default = "one", skip_serializing_if = "is_one")]
        count: u32,
        /// Whether who started the run does not count.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        not_requester: bool,
        /// When the question lapses, and every agreement to it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Timestamp>,
        /// Who has agreed so far.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        given: Vec<String>,
    },
    /// A timer.
    Timer {
        /// When it is over.
        until: Timestamp,
    },
    /// A step failed: again, go on without it, or stop?
    Failure {
        /// Why it failed.
        error: String,
    },
    /// Nobody can say whether an attempt happened: did it?
    Unclear {
        /// What is known.
        detail: String,
    },
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_one(count: &u32) -> bool {
    *count == 1
}

impl Gate {
    /// A change that one person, anybody, has to agree to.
    pub fn approve(change: PlannedChange, digest: impl Into<String>) -> Self {
        let (by, given) = (Vec::new(), Vec::new());
        Self::Approve { by, change, digest: digest.into(), count: 1, not_requester: false, expires_at: None, given }
    }

    /// How many people have still to agree.
    pub fn wanted(&self) -> u32 {
        match self {
            Self::Approve { count, given, .. } => count.saturating_sub(u32::try_from(given.len()).unwrap_or(u32::MAX)),
            _ => 0,
        }
    }

    /// The same gate when somebody more has agreed.
    pub(crate) fn with(&self, person: Option<&String>) -> Self {
        let mut gate = self.clone();
        if let Self::Approve { given, .. } = &mut gate {
            given.push(person.cloned().unwrap_or_default());
        }
        gate
    }

    /// Whether a person opens it.
    pub fn needs_person(&self) -> bool {
        !matches!(self, Self::Timer { .. })
    }
}

/// Why a step was passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// Its `when` was false.
    Condition {
        /// The expression.
        when: String,
    },
    /// A person said so.
    Person {
        /// In the person's words.
        reason: String,
    },
    /// Every alert of the incident is resolved, and nobody was there.
    AlertResolved,
}

/// What the world says of an attempt that was cut off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reconciliation {
    /// It happened, and ended so.
    Happened(Arc<Outcome>),
    /// It did not happen, or harmlessly may happen again.
    DidNotHappen {
        /// How that is known.
        detail: String,
    },
    /// It cannot be told.
    CannotTell {
        /// What is known.
        detail: String,
    },
}

/// How a step stands when nothing more will be done for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    /// Done.
    Succeeded,
    /// Passed over.
    Skipped,
    /// Failed, and the run goes on.
    Tolerated,
    /// Failed, and the run stops.
    Failed,
    /// Stopped with its run.
    Cancelled,
}
