//! The effect class of an action: how often it may happen.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How often an action may happen without harm; every action declares one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EffectClass {
    /// Changes nothing: may run any number of times.
    Read,
    /// Changes something, and twice is the same as once.
    Repeatable,
    /// Changes something, and twice is not the same as once.
    Once,
}

impl EffectClass {
    /// Whether the action changes something.
    pub fn changes(self) -> bool {
        self != Self::Read
    }
}

impl fmt::Display for EffectClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Read => "read",
            Self::Repeatable => "repeatable",
            Self::Once => "once",
        })
    }
}
