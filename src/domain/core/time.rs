//! Instants and durations, in the forms of the log and of runbooks.
//!
//! Not here: a clock. `now` is an argument, so every decision can be replayed.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An instant in UTC. The log has instants in UTC; interfaces convert them to a time zone.
pub type Timestamp = DateTime<Utc>;

/// The form of an instant for people and files, in seconds: `2026-11-22T03:04:05Z`.
pub fn stamp(at: Timestamp) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// The number of hours from which a length of time is shown in days. Below are the lengths that runbooks write in hours, such as
/// `72h`.
const IN_DAYS_FROM: u64 = 100;

/// A length of time, written as in a runbook: `90s`, `15m`, `24h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(pub Duration);

impl Span {
    /// A length of whole seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// The instant this long after `from`, or the last representable instant.
    pub fn after(self, from: Timestamp) -> Timestamp {
        TimeDelta::from_std(self.0).ok().and_then(|delta| from.checked_add_signed(delta)).unwrap_or(Timestamp::MAX_UTC)
    }

    /// The length from `from` to `to`; zero if `to` is earlier.
    pub fn between(from: Timestamp, to: Timestamp) -> Self {
        Self((to - from).to_std().unwrap_or_default())
    }
}

impl fmt::Display for Span {
    /// `24h` and `72h` as in a deadline, `7d` for a week; milliseconds only below one second.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        if seconds == 0 {
            return match self.0.as_millis() {
                0 => f.write_str("0s"),
                millis => write!(f, "{millis}ms"),
            };
        }
        let (days, hours) = match seconds / 3600 {
            hours if hours < IN_DAYS_FROM => (0, hours),
            hours => (hours / 24, hours % 24),
        };
        let parts = [(days, 'd'), (hours, 'h'), (seconds / 60 % 60, 'm'), (seconds % 60, 's')];
        let shown = parts.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}"));
        f.write_str(&shown.collect::<Vec<_>>().join(" "))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_shown_in_a_form_that_can_be_parsed() {
        for text in ["0s", "186ms", "90s", "15m", "24h", "72h", "7d"] {
            let shown = text.parse::<Span>().unwrap().to_string();
            assert_eq!(shown, if text == "90s" { "1m 30s" } else { text });
            assert_eq!(shown.parse::<Span>(), text.parse());
        }
        assert_eq!(Span(Duration::from_millis(93_600_900)).to_string(), "26h");
        assert_eq!(Span::seconds(8 * 86_400 + 61).to_string(), "8d 1m 1s");
    }
}
