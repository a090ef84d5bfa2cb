//! The reason of a failure: a code for programs and a line for people.
//!
//! **Invariant:** code compares codes, never the line.

use std::fmt;

use serde::Serialize;

/// An error code in snake_case: `refused`, `timeout`, `host_unreachable`.
///
/// It is no closed enum, because each kind of action adds codes. The constants are those that more than one module compares.
/// An outcome in the log holds the code as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ReasonCode(&'static str);

impl ReasonCode {
    /// The connection was lost during an action, so its result is unknown.
    pub const CONNECTION_LOST: Self = Self("connection");
    /// There is no connection to the environment's host.
    pub const HOST_UNREACHABLE: Self = Self("host_unreachable");
    /// The connection to the environment's host was lost before the answer.
    pub const HOST_LOST: Self = Self("host_lost");
    /// Nothing listens at the address.
    pub const REFUSED: Self = Self("refused");
    /// The peer closed the connection without an answer.
    pub const CLOSED: Self = Self("closed");
    /// There was no answer in time.
    pub const TIMEOUT: Self = Self("timeout");

    /// The code as text.
    pub const fn as_str(self) -> &'static str {
        self.0
    }

    /// Whether a code of an outcome is about the connection to the environment's host, and not about the subject behind it.
    pub fn is_of_host(code: &str) -> bool {
        [Self::HOST_UNREACHABLE, Self::HOST_LOST].iter().any(|of_host| of_host.0 == code)
    }
}

impl From<&'static str> for ReasonCode {
    fn from(code: &'static str) -> Self {
        Self(code)
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

/// The reason of a failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    pub code: ReasonCode,
    /// One line for people.
    pub text: String,
}

impl Reason {
    /// A reason with this code and line.
    pub fn new(code: impl Into<ReasonCode>, text: impl Into<String>) -> Self {
        Self { code: code.into(), text: text.into() }
    }

    /// The same reason with another line, made from its line.
    #[must_use]
    pub fn worded(self, reword: impl FnOnce(&str) -> String) -> Self {
        let text = reword(&self.text);
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
    fn a_reworded_reason_has_the_same_code() {
        let reason = Reason::new("refused", "nothing listens there").worded(|text| format!("127.0.0.1:1: {text}"));
        assert_eq!(reason, Reason::new(ReasonCode::REFUSED, "127.0.0.1:1: nothing listens there"));
        assert_eq!(serde_json::json!(reason), serde_json::json!({ "code": "refused", "text": reason.text }));
    }

    #[test]
    fn codes_about_the_hosts_connection_are_distinguished() {
        assert!(["host_unreachable", "host_lost"].into_iter().all(ReasonCode::is_of_host));
        // A subject may be unreachable although its host is not.
        assert!(!["unreachable", "connection", "refused", ""].into_iter().any(ReasonCode::is_of_host));
    }
}
