//! How journalctl ended, and whether it read everything.

use crate::actions::Context;
use crate::actions::transport::process::Ending;
use crate::domain::core::text;

/// The result of a journalctl run.
#[derive(Debug)]
pub struct JournalctlExit {
    pub ending: Ending,
    /// The beginning of its standard error.
    pub stderr: String,
    /// The number of records read.
    pub records: u64,
    /// Records that were too long to be examined.
    pub oversized: u64,
}

impl JournalctlExit {
    /// Why journalctl did not read everything, as the rest of a sentence whose subject is journalctl. `None` if it did.
    pub fn read_error(&self, context: &Context) -> Option<String> {
        match self.ending {
            Ending::Code(0) => None,
            // journalctl prints this message if no unit in the journal matches a pattern.
            Ending::Code(1) if self.stderr.contains("No data available") => None,
            // Like grep, journalctl exits with 1 if no line matches.
            Ending::Code(1) if self.stderr.trim().is_empty() && self.records == 0 => None,
            Ending::TimedOut => Some("did not read everything in time".to_owned()),
            Ending::Cancelled => Some("was cancelled".to_owned()),
            Ending::Code(code) => Some(format!("ended with code {code}{}", self.stderr_tail(context))),
            Ending::Signal(signal) => Some(format!("was ended by signal {signal}")),
            Ending::Lost => Some("was interrupted: the connection was lost".to_owned()),
        }
    }

    /// The last line of standard error that is not blank, in parentheses.
    fn stderr_tail(&self, context: &Context) -> String {
        let last = self.stderr.lines().rev().find(|line| !line.trim().is_empty());
        last.map(|line| format!(" ({})", text::one_line(&context.redactor.scrub(line), 160))).unwrap_or_default()
    }

    /// Whether this journalctl lacks pattern matching: built without PCRE2, or unable to load it.
    pub(super) fn cannot_search(&self) -> bool {
        matches!(self.ending, Ending::Code(code) if code != 0)
            && ["pattern matching", "PCRE2", "pcre2"].iter().any(|part| self.stderr.contains(part))
    }
}
