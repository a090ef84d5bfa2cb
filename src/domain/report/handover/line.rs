//! A line of a hand-over: text and instants. An interface may show the instants in the reader's time zone.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::domain::core::time::{Timestamp, stamp};

/// A line. Its `Display` shows instants in UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandoverLine(pub Vec<HandoverPiece>);

/// A piece of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandoverPiece {
    Text(String),
    /// An instant with its date.
    At(Timestamp),
    /// An instant that is shown as the time of day.
    Clock(Timestamp),
}

pub(super) fn text(text: impl Into<String>) -> HandoverPiece {
    HandoverPiece::Text(text.into())
}

pub(super) fn at(at: Timestamp) -> HandoverPiece {
    HandoverPiece::At(at)
}

impl From<String> for HandoverLine {
    fn from(line: String) -> Self {
        Self(vec![text(line)])
    }
}

impl fmt::Display for HandoverLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            HandoverPiece::Text(text) => f.write_str(text),
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
