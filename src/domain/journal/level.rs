//! The level of a line, with the names of pino. Levels of other loggers and of syslog are converted.
//!
//! Not here: finding the level in a line; see [`super::entry`].

use serde::Serialize;

/// The level of a line, the lowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    /// The program ends.
    Fatal,
}

/// The names of the levels, the lowest first.
pub const LEVELS: &[&str] = &["trace", "debug", "info", "warn", "error", "fatal"];

impl Level {
    /// Every level, the lowest first.
    pub const ALL: [Self; 6] = [Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error, Self::Fatal];

    /// Its name.
    pub fn name(self) -> &'static str {
        LEVELS[self as usize]
    }

    /// The level of this name, in any case. The names of loggers in Go and Python are known too.
    pub fn named(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let pino_name = match name.as_str() {
            "warning" => "warn",
            "err" => "error",
            "critical" | "panic" => "fatal",
            other => other,
        };
        Self::ALL.into_iter().find(|level| level.name() == pino_name)
    }

    /// The level of a number of pino: 10 is trace, 60 is fatal. A number between two levels is of the lower one.
    pub fn of_pino(number: f64) -> Self {
        let steps = [20.0, 30.0, 40.0, 50.0, 60.0].into_iter().filter(|&step| number >= step).count();
        Self::ALL[steps]
    }

    /// The level of a priority of syslog, from 7 for debug down to 0 for emergency.
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
