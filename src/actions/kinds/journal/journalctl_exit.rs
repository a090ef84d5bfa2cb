//! How journalctl ended, and whether it had read everything by then.

use crate::actions::Context;
use crate::actions::transport::process::Ending;
use crate::domain::core::text;

/// What is left of journalctl when it has ended.
#[derive(Debug)]
pub struct JournalctlExit {
    /// How it ended.
    pub ending: Ending,
    /// What it said on its standard error.
    pub complaint: String,
    /// How many records came.
    pub records: u64,
    /// How many of them were too long to be looked at.
    pub oversized: u64,
}

impl JournalctlExit {
    /// Why not everything was read, if that is so.
    pub fn read_error(&self, context: &Context) -> Option<String> {
        match self.ending {
            Ending::Code(0) => None,
            // This is how journalctl says that no unit in the journal matches a pattern.
            Ending::Code(1) if self.complaint.contains("No data available") => None,
            // And this, as grep does, that no line matches.
            Ending::Code(1) if self.complaint.trim().is_empty() && self.records == 0 => None,
            Ending::TimedOut => Some("had not read everything in time".to_owned()),
            Ending::Cancelled => Some("was cancelled".to_owned()),
            Ending::Code(code) => Some(format!("ended with code {code}{}", self.said(context))),
            Ending::Signal(signal) => Some(format!("was ended by signal {signal}")),
            Ending::Lost => Some("was cut off: the connection was lost".to_owned()),
        }
    }

    fn said(&self, context: &Context) -> String {
        let last = self.complaint.lines().rev().find(|line| !line.trim().is_empty());
        last.map(|line| format!(" ({})", text::one_line(&context.redactor.scrub(line), 160))).unwrap_or_default()
    }

    /// Whether this journalctl was built without what searches messages, or does not find it.
    pub(super) fn cannot_search(&self) -> bool {
        matches!(self.ending, Ending::Code(code) if code != 0)
            && ["pattern matching", "PCRE2", "pcre2"].iter().any(|word| self.complaint.contains(word))
    }
}
