//! Instants and lengths of time as they stand in the log and in runbooks.
//!
//! No clock is here: `now` is always an argument, so that every decision can be replayed.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An instant in UTC. Everything in the log is absolute; zones are for faces.
pub type Timestamp = DateTime<Utc>;

/// `2026-11-22T03:04:05Z`: the one way an instant is written for people and files.
pub fn stamp(at: Timestamp) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A length of time as a runbook writes it: `90s`, `15m`, `24h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(pub Duration);

impl Span {
    /// A span of whole seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// The instant this long after `from`, or the last representable instant.
    pub fn after(self, from: Timestamp) -> Timestamp {
        TimeDelta::from_std(self.0).ok().and_then(|delta| from.checked_add_signed(delta)).unwrap_or(Timestamp::MAX_UTC)
    }

    /// The length from `from` to `to`, zero when `to` is the earlier.
    pub fn between(from: Timestamp, to: Timestamp) -> Self {
        Self((to - from).to_std().unwrap_or_default())
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rounded = if self.0.as_secs() > 0 {
            Duration::from_secs(self.0.as_secs())
        } else {
            Duration::from_millis(u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX))
        };
        write!(f, "{}", humantime::format_duration(rounded))
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        humantime::parse_duration(text)
            .map(Span)
            .map_err(|_| format!("`{text}` is not a length of time such as `90s`, `15m` or `24h`"))
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(self.0))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
