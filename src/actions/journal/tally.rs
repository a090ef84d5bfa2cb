//! What a search of the journal adds up to: counts, the commonest messages, and the newest lines.
//!
//! **Invariant:** memory is bounded however much the journal holds: so many lines, so many different messages.
//!
//! **Invariant:** a message is scrubbed before it is normalised or cut, since a secret with other digits is not found.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Value, json};

use super::entry::{Entry, LEVELS, Level};
use crate::domain::redact::Redactor;
use crate::domain::text;
use crate::domain::time::{Timestamp, stamp};

/// Different messages that are counted; further ones are counted together.
const MESSAGES: usize = 10_000;

/// Different services that are counted.
const SERVICES: usize = 200;

/// How many of the commonest messages are told.
const TOP: usize = 10;

/// Characters of a message in the table of the commonest.
const MESSAGE: usize = 200;

/// Characters of a line.
const LINE: usize = 400;

/// Bytes of all lines together, as JSON, so that an outcome stays below its limit.
const ALL_LINES: usize = 40 * 1024;

/// The newest come first, as `journalctl --reverse` gives them.
pub(super) struct Tally {
    limit: usize,
    pub(super) scanned: u64,
    pub(super) oversized: u64,
    pub(super) matched: u64,
    by_level: [u64; LEVELS.len()],
    by_service: BTreeMap<String, u64>,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    messages: HashMap<String, Message>,
    lines: Vec<String>,
    lines_size: usize,
}

struct Message {
    count: u64,
    level: Level,
    newest: String,
    order: usize,
}

impl Tally {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            scanned: 0,
            oversized: 0,
            matched: 0,
            by_level: [0; LEVELS.len()],
            by_service: BTreeMap::new(),
            first: None,
            last: None,
            messages: HashMap::new(),
            lines: Vec::new(),
            lines_size: 0,
        }
    }

    /// Counts a line that matches.
    pub(super) fn add(&mut self, entry: &Entry, redactor: &Redactor) {
        self.matched += 1;
        self.by_level[entry.level as usize] += 1;
        self.first = Some(self.first.map_or(entry.at, |first| first.min(entry.at)));
        self.last = Some(self.last.map_or(entry.at, |last| last.max(entry.at)));
        let service = clean(&entry.service(), redactor, MESSAGE);
        let room = self.by_service.len() < SERVICES || self.by_service.contains_key(&service);
        *self.by_service.entry(if room { service.clone() } else { "others".to_owned() }).or_default() += 1;
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
        self.count(message, entry.level);
    }

    fn count(&mut self, message: String, level: Level) {
        let mut kind = normalised(&message);
        if self.messages.len() >= MESSAGES && !self.messages.contains_key(&kind) {
            kind = "(other messages)".to_owned();
        }
        let order = self.messages.len();
        let found = self.messages.entry(kind).or_insert(Message { count: 0, level, newest: message, order });
        found.count += 1;
        found.level = found.level.max(level);
    }

    /// The commonest messages; of equally common ones the graver, then the newer first.
    fn top(&self) -> Vec<(&String, &Message)> {
        let mut top: Vec<_> = self.messages.iter().collect();
        top.sort_by_key(|(_, message)| (std::cmp::Reverse((message.count, message.level)), message.order));
        top.truncate(TOP);
        top
    }

    /// The newest example of the commonest message, and how often such a message occurs.
    pub(super) fn commonest(&self) -> Option<(&str, u64)> {
        self.top().first().map(|(_, message)| (message.newest.as_str(), message.count))
    }

    /// What later steps may refer to.
    pub(super) fn output(&self) -> Value {
        let by_level: serde_json::Map<String, Value> = LEVELS
            .iter()
            .zip(self.by_level)
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| ((*name).to_owned(), count.into()))
            .collect();
        let top: Vec<Value> = self.top().into_iter().map(|(kind, message)| {
            json!({"count": message.count, "level": message.level.name(), "message": kind, "sample": message.newest})
        }).collect();
        let lines: Vec<&String> = self.lines.iter().rev().collect();
        json!({
            "matched": self.matched,
            "scanned": self.scanned,
            "oversized": self.oversized,
            "by_level": by_level,
            "by_service": self.by_service,
            "first": self.first.map(stamp),
            "last": self.last.map(stamp),
            "top": top,
            "lines": lines,
            "truncated": self.matched > self.lines.len() as u64,
        })
    }

    /// The kept lines, the oldest first.
    pub(super) fn transcript(&self) -> String {
        self.lines.iter().rev().map(|line| format!("{line}\n")).collect()
    }
}

fn rendered(entry: &Entry, service: &str) -> String {
    let at = entry.at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let level = entry.level.name().to_ascii_uppercase();
    format!("{at} {level} {service} {} {}", entry.message(), entry.details())
}

fn clean(foreign: &str, redactor: &Redactor, most: usize) -> String {
    let scrubbed = redactor.scrub(foreign);
    text::one_line(&redactor.mask_phones(&scrubbed), most)
}

/// A message with what differs between like ones replaced: ids, numbers, addresses.
fn normalised(message: &str) -> String {
    static VARYING: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(
            r"(?x)
            (?P<uuid>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})
          | (?P<hex>0x[0-9a-fA-F]+ | \b(?:[a-f]*[0-9]){2}[0-9a-f]{6,}\b | \b[0-9a-f]{32,64}\b)
          | (?P<number>[0-9]+(?:[.:][0-9]+)*)",
        )
        .expect("the pattern is well-formed")
    });
    let name = |found: &regex::Captures<'_>| {
        let kind = ["uuid", "hex"].into_iter().find(|kind| found.name(kind).is_some());
        format!("<{}>", kind.unwrap_or("n"))
    };
    VARYING.replace_all(message, name).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_messages_are_one() {
        for (message, kind) in [
            ("order A-17 took 3.5ms", "order A-<n> took <n>ms"),
            ("connect ECONNREFUSED 127.0.0.1:5432", "connect ECONNREFUSED <n>"),
            ("trace 4bf92f3577b34da6a3ce929d0e0e4736 lost", "trace <hex> lost"),
            ("user 6a3f0c5d-9e1b-4f7c-a2d8-4b60e7913c55 gone", "user <uuid> gone"),
            ("at 0x7ffe", "at <hex>"),
            ("deadbeef cafe feed", "deadbeef cafe feed"),
        ] {
            assert_eq!(normalised(message), kind);
        }
    }

    #[test]
    fn a_million_different_messages_take_bounded_memory() {
        let mut tally = Tally::new(5);
        for number in 0..(MESSAGES * 2) {
            let letters: String = number.to_string().bytes().map(|digit| char::from(digit - b'0' + b'g')).collect();
            tally.count(letters, Level::Error);
        }
        assert_eq!(tally.messages.len(), MESSAGES + 1);
        assert_eq!(tally.commonest().map(|(_, count)| count), Some(MESSAGES as u64));
    }
}
