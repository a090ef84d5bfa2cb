//! The outcome of an attempt, as data.
//!
//! A failed action is not a Rust error: its outcome is recorded like a success.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::domain::core::reason::{Reason, ReasonCode};

/// The largest `output` of an attempt in the log, in bytes of JSON.
///
/// A fold reads the whole log, and ten thousand such outputs still fit in memory.
pub const OUTPUT_LIMIT: usize = 64 * 1024;

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Succeeded,
    Failed,
    /// It did not end within its timeout.
    TimedOut,
    /// It was stopped.
    Cancelled,
    /// Nothing shows whether it happened.
    Unknown,
}

/// The outcome of an attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    pub verdict: Verdict,
    /// One line for people: the result, or the reason of the failure.
    pub summary: String,
    /// The fields that later steps may use as `steps.<id>.<field>`.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub output: Value,
    /// The beginning and the end of the action's printed output, redacted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transcript: Option<String>,
}

impl Outcome {
    /// A success.
    pub fn succeeded(summary: impl Into<String>, output: Value) -> Self {
        Self { verdict: Verdict::Succeeded, summary: summary.into(), output, transcript: None }
    }

    /// A failure.
    pub fn failed(summary: impl Into<String>, output: Value) -> Self {
        Self { verdict: Verdict::Failed, ..Self::succeeded(summary, output) }
    }

    /// An outcome with this verdict and without output.
    pub fn ended(verdict: Verdict, summary: impl Into<String>) -> Self {
        Self { verdict, ..Self::succeeded(summary, Value::Null) }
    }

    /// The connection to the remote end was lost. The result is unknown until it is reconciled.
    pub fn lost(summary: impl Into<String>) -> Self {
        Self::of_reason(&Reason::new(ReasonCode::CONNECTION_LOST, summary), json!({}))
    }

    /// The failure with this reason. `output` is an object or null. The reason's code and text are added to it as
    /// `trouble.kind` and `trouble.message`, the names that runbooks use.
    pub fn of_reason(reason: &Reason, mut output: Value) -> Self {
        output["trouble"] = json!({ "kind": reason.code, "message": reason.text });
        let is_lost = reason.code == ReasonCode::CONNECTION_LOST;
        let verdict = if is_lost { Verdict::Unknown } else { Verdict::Failed };
        Self { verdict, ..Self::failed(reason.text.clone(), output) }
    }

    /// The code of the reason, if the outcome has one.
    pub fn reason_code(&self) -> Option<&str> {
        self.output["trouble"]["kind"].as_str()
    }

    /// The text of the reason; without one, the summary.
    pub fn reason_text(&self) -> &str {
        self.output["trouble"]["message"].as_str().unwrap_or(&self.summary)
    }

    /// Whether it is unknown because a connection was lost, so that an observation may find the result.
    pub fn is_lost(&self) -> bool {
        self.verdict == Verdict::Unknown && self.reason_code() == Some(ReasonCode::CONNECTION_LOST.as_str())
    }

    /// The same outcome with the action's printed output.
    #[must_use]
    pub fn with_transcript(self, transcript: impl Into<String>) -> Self {
        Self { transcript: Some(transcript.into()), ..self }
    }

    /// The transcript; empty if the summary already ends with it.
    pub fn extra_transcript(&self) -> &str {
        let normalized = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let transcript = self.transcript.as_deref().unwrap_or_default();
        if normalized(&self.summary).ends_with(&normalized(transcript)) { "" } else { transcript }
    }

    /// Whether the action succeeded.
    pub fn is_success(&self) -> bool {
        self.verdict == Verdict::Succeeded
    }
}

impl Reason {
    /// The failure with this reason: [`Outcome::of_reason`].
    pub fn outcome(&self, output: Value) -> Outcome {
        Outcome::of_reason(self, output)
    }
}

/// Whether a shared value is null, so that it is not serialized.
pub(crate) fn is_nothing(value: &Arc<Value>) -> bool {
    value.is_null()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_in_the_output_under_the_names_that_runbooks_use() {
        let outcome = Reason::new("refused", "nothing listens there").outcome(json!({ "seen": 1 }));
        let trouble = json!({ "kind": "refused", "message": "nothing listens there" });
        assert_eq!(outcome, Outcome::failed("nothing listens there", json!({ "seen": 1, "trouble": trouble })));
        assert_eq!((outcome.reason_code(), outcome.is_lost()), (Some("refused"), false));
        let lost = Outcome::lost("the connection was lost");
        assert_eq!((lost.verdict, lost.reason_code(), lost.is_lost()), (Verdict::Unknown, Some("connection"), true));
        assert_eq!(Outcome::failed("away", Value::Null).reason_code(), None);
    }

    #[test]
    fn a_transcript_that_ends_the_summary_is_not_repeated() {
        let failed = |printed: &str| {
            Outcome::failed("`stat` ended with code 1: stat: no such file", Value::Null).with_transcript(printed)
        };
        assert_eq!(failed("stat: no\n  such file\n").extra_transcript(), "");
        assert_eq!(failed("usage: stat\nstat: no such file\n").extra_transcript(), "usage: stat\nstat: no such file\n");
        assert_eq!(Outcome::failed("away", Value::Null).extra_transcript(), "");
    }
}
