//! How grave a line is, by pino's names, whatever its author calls it.
//!
//! Deliberately absent: where a line says it; see [`super::entry`].

use serde::Serialize;

/// How grave a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Every small thing.
    Trace,
    /// For who mends the program.
    Debug,
    /// As it should be.
    Info,
    /// Needs attention soon.
    Warn,
    /// Something failed.
    Error,
    /// The program ends.
    Fatal,
}

/// The names of the levels, mildest first.
pub const LEVELS: &[&str] = &["trace", "debug", "info", "warn", "error", "fatal"];

impl Level {
    /// Every level, mildest first.
    pub const ALL: [Self; 6] = [Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error, Self::Fatal];

    /// Its name.
    pub fn name(self) -> &'static str {
        LEVELS[self as usize]
    }

    /// The level by this name; also by the names that services in Go and Python use.
    pub fn named(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let same = match name.as_str() {
            "warning" => "warn",
            "err" => "error",
            "critical" | "panic" => "fatal",
            other => other,
        };
        Self::ALL.into_iter().find(|level| level.name() == same)
    }

    /// pino counts in tens from 10, and leaves what is between to who wants levels of their own.
    pub fn of_pino(number: f64) -> Self {
        let steps = [20.0, 30.0, 40.0, 50.0, 60.0].into_iter().filter(|&step| number >= step).count();
        Self::ALL[steps]
    }

    /// syslog counts down from 7 for debug to 0 for emergency.
    pub fn of_syslog(priority: u8) -> Self {
        match priority {
            0..=2 => Self::Fatal,
            3 => Self::Error,
            4 => Self::Warn,
            5 | 6 => Self::Info,
            _ => Self::Debug,
        }
    }
}
