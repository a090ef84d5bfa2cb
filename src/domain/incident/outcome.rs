//! How an attempt ended, as data.
//!
//! A failure of the world is not a Rust error; it is recorded like a success.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::domain::core::reason::{Reason, ReasonCode};

/// The largest `output` an attempt may leave in the log, in bytes of JSON.
///
/// A log is read whole whenever it is folded: 64 KiB keeps ten thousand events in memory comfortably.
pub const OUTPUT_LIMIT: usize = 64 * 1024;

/// How an attempt ended, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The action did what it says.
    Succeeded,
    /// The world said no.
    Failed,
    /// It had not ended when its time was over.
    TimedOut,
    /// A person stopped it.
    Cancelled,
    /// Nobody can say whether it happened.
    Unknown,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The one word.
    pub verdict: Verdict,
    /// One line for people: what was found or done, or why not.
    pub summary: String,
    /// What later steps may refer to as `steps.<id>.<field>`.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub output: Value,
    /// What the action printed, head and tail, already redacted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transcript: Option<String>,
}

impl Outcome {
    /// The action did what it says.
    pub fn succeeded(summary: impl Into<String>, output: Value) -> Self {
        Self { verdict: Verdict::Succeeded, summary: summary.into(), output, transcript: None }
    }

    /// The world said no.
    pub fn failed(summary: impl Into<String>, output: Value) -> Self {
        Self { verdict: Verdict::Failed, ..Self::succeeded(summary, output) }
    }

    /// It ended in another way than success or failure.
    pub fn ended(verdict: Verdict, summary: impl Into<String>) -> Self {
        Self { verdict, ..Self::succeeded(summary, Value::Null) }
    }

    /// The connection to what did it was lost, and nobody knows how it ended: the world has to be looked at.
    pub fn lost(summary: impl Into<String>) -> Self {
        Self::of_reason(&Reason::new(ReasonCode::CONNECTION_LOST, summary), json!({}))
    }

    /// The failure that a reason is, with what is known all the same; an object, or nothing. Its code and line are
    /// `output.trouble`, under the names that runbooks read: `kind` and `message`.
    pub fn of_reason(reason: &Reason, mut output: Value) -> Self {
        output["trouble"] = json!({ "kind": reason.code, "message": reason.text });
        let is_lost = reason.code == ReasonCode::CONNECTION_LOST;
        let verdict = if is_lost { Verdict::Unknown } else { Verdict::Failed };
        Self { verdict, ..Self::failed(reason.text.clone(), output) }
    }

    /// The code of its reason, where it has one.
    pub fn reason_code(&self) -> Option<&str> {
        self.output["trouble"]["kind"].as_str()
    }

    /// The line of its reason, else its summary.
    pub fn reason_text(&self) -> &str {
        self.output["trouble"]["message"].as_str().unwrap_or(&self.summary)
    }

    /// Whether it is unknown because a connection was lost, so that the world may know.
    pub fn is_lost(&self) -> bool {
        self.verdict == Verdict::Unknown && self.reason_code() == Some(ReasonCode::CONNECTION_LOST.as_str())
    }

    /// The same outcome with what the action printed.
    #[must_use]
    pub fn with_transcript(self, transcript: impl Into<String>) -> Self {
        Self { transcript: Some(transcript.into()), ..self }
    }

    /// What it printed beyond what its summary says already.
    pub fn untold(&self) -> &str {
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let printed = self.transcript.as_deref().unwrap_or_default();
        if words(&self.summary).ends_with(&words(printed)) { "" } else { printed }
    }

    /// Whether the action did what it says.
    pub fn is_success(&self) -> bool {
        self.verdict == Verdict::Succeeded
    }
}

impl Reason {
    /// [`Outcome::of_reason`], where the reason is the end of an expression.
    pub fn outcome(&self, output: Value) -> Outcome {
        Outcome::of_reason(self, output)
    }
}

/// Whether a shared value says nothing, so that it need not be written.
pub(crate) fn is_nothing(value: &Arc<Value>) -> bool {
    value.is_null()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_in_the_outcome_under_the_names_that_runbooks_read() {
        let outcome = Reason::new("refused", "nothing listens there").outcome(json!({ "seen": 1 }));
        let trouble = json!({ "kind": "refused", "message": "nothing listens there" });
        assert_eq!(outcome, Outcome::failed("nothing listens there", json!({ "seen": 1, "trouble": trouble })));
        assert_eq!((outcome.reason_code(), outcome.is_lost()), (Some("refused"), false));
        let lost = Outcome::lost("the connection was lost");
        assert_eq!((lost.verdict, lost.reason_code(), lost.is_lost()), (Verdict::Unknown, Some("connection"), true));
        assert_eq!(Outcome::failed("away", Value::Null).reason_code(), None);
    }

    #[test]
    fn what_the_summary_ends_with_is_not_told_twice() {
        let failed = |printed: &str| {
            Outcome::failed("`stat` ended with code 1: stat: no such file", Value::Null).with_transcript(printed)
        };
        assert_eq!(failed("stat: no\n  such file\n").untold(), "");
        assert_eq!(failed("usage: stat\nstat: no such file\n").untold(), "usage: stat\nstat: no such file\n");
        assert_eq!(Outcome::failed("away", Value::Null).untold(), "");
    }
}
