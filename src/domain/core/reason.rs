//! Why something failed: a code for programs and a line for people.
//!
//! **Invariant:** a program compares codes. It never searches a line that was written for people.

use std::fmt;

use serde::Serialize;

/// A snake_case word for programs: `refused`, `timeout`, `host_unreachable`.
///
/// Not a closed enum: each kind of action has codes of its own, and an outcome in the log keeps the word. The codes that
/// more than one module compares are named here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ReasonCode(&'static str);

impl ReasonCode {
    /// The connection was lost while something was done over it, and nobody knows how that ended.
    pub const CONNECTION_LOST: Self = Self("connection");
    /// There is no connection to the environment's host.
    pub const HOST_UNREACHABLE: Self = Self("host_unreachable");
    /// The connection to the environment's host broke off before there was an answer.
    pub const HOST_LOST: Self = Self("host_lost");
    /// Nothing listens at the address.
    pub const REFUSED: Self = Self("refused");
    /// The other side ended the connection without an answer.
    pub const CLOSED: Self = Self("closed");
    /// The time was over before an answer came.
    pub const TIMEOUT: Self = Self("timeout");

    /// The word.
    pub const fn as_str(self) -> &'static str {
        self.0
    }

    /// Whether a code, as an outcome holds it, is about the connection to the environment's host and not about what was
    /// asked through it.
    pub fn is_of_host(code: &str) -> bool {
        [Self::HOST_UNREACHABLE, Self::HOST_LOST].iter().any(|of_host| of_host.0 == code)
    }
}

impl From<&'static str> for ReasonCode {
    fn from(word: &'static str) -> Self {
        Self(word)
    }
}

impl PartialEq<str> for ReasonCode {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for ReasonCode {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Why something failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// For programs.
    pub code: ReasonCode,
    /// One line for people.
    pub text: String,
}

impl Reason {
    /// A reason.
    pub fn new(code: impl Into<ReasonCode>, text: impl Into<String>) -> Self {
        Self { code: code.into(), text: text.into() }
    }

    /// The same reason with another line, made of this one.
    #[must_use]
    pub fn worded(self, words: impl FnOnce(&str) -> String) -> Self {
        let text = words(&self.text);
        Self { text, ..self }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_keeps_its_code_when_its_line_changes() {
        let reason = Reason::new("refused", "nothing listens there").worded(|text| format!("127.0.0.1:1: {text}"));
        assert_eq!(reason, Reason::new(ReasonCode::REFUSED, "127.0.0.1:1: nothing listens there"));
        assert_eq!(serde_json::json!(reason), serde_json::json!({ "code": "refused", "text": reason.text }));
    }

    #[test]
    fn only_codes_of_the_connection_to_the_host_are_of_the_host() {
        assert!(["host_unreachable", "host_lost"].into_iter().all(ReasonCode::is_of_host));
        // A subject may be unreachable although its host is not.
        assert!(!["unreachable", "connection", "refused", ""].into_iter().any(ReasonCode::is_of_host));
    }
}
