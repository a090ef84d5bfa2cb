//! The texts of scheduled runs and skipped occurrences.

use crate::domain::core::time::{Span, Timestamp};
use crate::domain::report::timeline::line::{Phrase, Sign};
use crate::domain::runbook::schedule::{Occurrence, START_TOLERANCE, Skipped, local};

/// Adds to the text of a run that a schedule started at `at`: when it was due, how late it is, and which occurrences were missed.
pub(super) fn due(phrase: Phrase, occurrence: &Occurrence, at: Timestamp) -> Phrase {
    let Occurrence { due, timezone, missed } = occurrence;
    let late = Span::between(*due, at);
    let late = if late > START_TOLERANCE { format!(", {late} late") } else { String::new() };
    let text = format!("{}, scheduled for {}{late}", phrase.text, local(*due, timezone));
    let text = if missed.is_empty() { text } else { format!("{text}; {}", never_ran(missed, timezone)) };
    Phrase { text, ..phrase }
}

/// The text of a skipped occurrence.
pub(super) fn skipped(skipped: &Skipped) -> Phrase {
    let Skipped { runbook, due, timezone, missed } = skipped;
    let text = format!("{runbook} was due again {} and was skipped: this run still goes on", local(*due, timezone));
    let text = if missed.is_empty() { text } else { format!("{text}; {}", never_ran(missed, timezone)) };
    Phrase::notable(Sign::Skipped, text)
}

fn never_ran(missed: &[Timestamp], timezone: &str) -> String {
    match missed {
        [only] => format!("{} never ran", local(*only, timezone)),
        [first, .., last] => {
            format!("{} from {} to {} never ran", missed.len(), local(*first, timezone), local(*last, timezone))
        }
        [] => String::new(),
    }
}
