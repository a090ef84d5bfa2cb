//! One line of a hand-over: words, and instants that a face may show in its reader's own zone.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::domain::core::time::{Timestamp, stamp};

/// A line; written out, its instants are in UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandoverLine(pub Vec<HandoverPiece>);

/// A piece of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandoverPiece {
    /// Words.
    Words(String),
    /// An instant.
    At(Timestamp),
    /// An instant of which the time of day is enough.
    Clock(Timestamp),
}

pub(super) fn text(words: impl Into<String>) -> HandoverPiece {
    HandoverPiece::Words(words.into())
}

pub(super) fn at(at: Timestamp) -> HandoverPiece {
    HandoverPiece::At(at)
}

impl From<String> for HandoverLine {
    fn from(said: String) -> Self {
        Self(vec![text(said)])
    }
}

impl fmt::Display for HandoverLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            HandoverPiece::Words(words) => f.write_str(words),
            HandoverPiece::At(at) => f.write_str(&stamp(*at)),
            HandoverPiece::Clock(at) => write!(f, "{}", at.format("%H:%M:%SZ")),
        })
    }
}

impl Serialize for HandoverLine {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
