//! The severity of an incident: P1 to P4, or planned work.

use serde::{Deserialize, Serialize};

/// The severity of an incident, or of planned work, which has an incident too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The live platform is down.
    P1,
    /// A whole environment is down, or slow.
    P2,
    /// A service that is not critical is down.
    P3,
    /// A minor issue or a question.
    P4,
    /// Planned work: nothing is wrong. It has no deadlines, and a report in place of a post-mortem.
    Maintenance,
}

impl std::str::FromStr for Severity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = [Self::P1, Self::P2, Self::P3, Self::P4];
        let is = |severity: &Self| severity.to_string().eq_ignore_ascii_case(text);
        known.into_iter().find(is).ok_or_else(|| format!("`{}` is none of p1, p2, p3, p4", text.escape_debug()))
    }
}

impl std::fmt::Display for Severity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::P1 => "P1",
            Self::P2 => "P2",
            Self::P3 => "P3",
            Self::P4 => "P4",
            Self::Maintenance => "maintenance",
        })
    }
}

/// The severities that a file or a user may write, with their names.
pub(in crate::domain) const SEVERITIES: &[(&str, Severity)] =
    &[("p1", Severity::P1), ("p2", Severity::P2), ("p3", Severity::P3), ("p4", Severity::P4)];
