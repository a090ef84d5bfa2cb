//! Summarizes a journal search for a step: counts, the most common messages, and the newest lines.
//!
//! **Invariant:** memory is bounded: both the kept lines and the distinct messages are limited.
//!
//! **Invariant:** a message is redacted before it is normalized or cut, because a part of a secret would not be found.

use serde_json::{Value, json};

use crate::domain::core::text;
use crate::domain::core::time::stamp;
use crate::domain::journal::entry::JournalEntry;
use crate::domain::journal::level::LEVELS;
use crate::domain::journal::summary::JournalSummary;
use crate::domain::redact::Redactor;

/// Most common messages that are reported.
const TOP: usize = 10;

/// Characters of a message in the summary.
const MESSAGE: usize = 200;

/// Characters of a kept line.
const LINE: usize = 400;

/// Bytes of all kept lines as JSON, so that an outcome stays below its limit.
const ALL_LINES: usize = 40 * 1024;

/// The summary of the lines so far. The newest line is added first, as `journalctl --reverse` prints them.
pub(super) struct Digest {
    limit: usize,
    pub(super) summary: JournalSummary,
    lines: Vec<String>,
    lines_size: usize,
}

impl Digest {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, summary: JournalSummary::default(), lines: Vec::new(), lines_size: 0 }
    }

    /// Counts a matching line.
    pub(super) fn add(&mut self, entry: &JournalEntry, redactor: &Redactor) {
        let service = clean(&entry.service(), redactor, MESSAGE);
        let message = clean(&entry.message(), redactor, MESSAGE);
        if self.lines.len() < self.limit {
            let line = clean(&rendered(entry, &service), redactor, LINE);
            self.lines_size += Value::String(line.clone()).to_string().len() + 1;
            if self.lines_size <= ALL_LINES {
                self.lines.push(line);
            } else {
                self.limit = self.lines.len();
            }
        }
        self.summary.add(entry.at, entry.level, &service, &message);
    }

    /// The newest example of the most common message, and the number of its occurrences.
    pub(super) fn commonest(&self) -> Option<(String, u64)> {
        self.summary.commonest(1).first().map(|group| (group.sample.clone(), group.count))
    }

    /// The outputs for later steps.
    pub(super) fn output(&self, scanned: u64, oversized: u64) -> Value {
        let summary = &self.summary;
        let by_level: serde_json::Map<String, Value> = LEVELS
            .iter()
            .zip(summary.by_level)
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| ((*name).to_owned(), count.into()))
            .collect();
        let by_service: serde_json::Map<String, Value> =
            summary.services.iter().map(|(name, service)| (name.clone(), service.lines.into())).collect();
        let top = summary.commonest(TOP).into_iter();
        let top: Vec<Value> = top
            .map(|group| {
                let level = group.level.name();
                json!({"count": group.count, "level": level, "message": group.shape, "sample": group.sample})
            })
            .collect();
        let lines: Vec<&String> = self.lines.iter().rev().collect();
        json!({
            "matched": summary.lines,
            "scanned": scanned,
            "oversized": oversized,
            "by_level": by_level,
            "by_service": by_service,
            "first": summary.first.map(stamp),
            "last": summary.last.map(stamp),
            "top": top,
            "lines": lines,
            "truncated": summary.lines > self.lines.len() as u64,
        })
    }

    /// The kept lines, oldest first.
    pub(super) fn transcript(&self) -> String {
        self.lines.iter().rev().map(|line| format!("{line}\n")).collect()
    }
}

/// The line as it is kept: instant, level, service, message and other fields.
fn rendered(entry: &JournalEntry, service: &str) -> String {
    let at = entry.at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let level = entry.level.name().to_ascii_uppercase();
    format!("{at} {level} {service} {} {}", entry.message(), entry.details())
}

fn clean(text: &str, redactor: &Redactor, most: usize) -> String {
    text::one_line(&redactor.mask_phones(&redactor.scrub(text)), most)
}
