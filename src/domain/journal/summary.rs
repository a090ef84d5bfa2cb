//! What lines add up to: the commonest messages by their shape, who wrote them, and when.
//!
//! **Invariant:** memory is bounded however many lines come: so many shapes, services and stretches of time.
//!
//! **Invariant:** a message is scrubbed before its shape is taken; who adds a line has done it.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use serde_json::{Value, json};

use super::histogram::Histogram;
use super::level::{LEVELS, Level};
use super::message_pattern::shape;
use crate::domain::core::text;
use crate::domain::core::time::{Timestamp, stamp};

/// Different shapes that are counted; further ones are counted together.
const SHAPES: usize = 10_000;

/// What further shapes are counted as.
const OTHERS: &str = "(other messages)";

/// Different services that are counted, in all and by message; further ones are counted together.
const SERVICES: usize = 200;

/// Characters of a message that are looked at.
const MESSAGE: usize = 240;

/// Lines, counted.
#[derive(Debug, Default)]
pub struct JournalSummary {
    /// How many.
    pub lines: u64,
    /// When the oldest was written.
    pub first: Option<Timestamp>,
    /// When the newest was.
    pub last: Option<Timestamp>,
    /// By level, mildest first.
    pub by_level: [u64; LEVELS.len()],
    /// By service.
    pub services: BTreeMap<String, ServiceSummary>,
    /// All of them over time.
    pub histogram: Histogram,
    groups: HashMap<String, MessageGroup>,
}

/// What one service wrote.
#[derive(Debug, Clone, Default)]
pub struct ServiceSummary {
    /// How many lines.
    pub lines: u64,
    /// How many of them were errors or worse.
    pub errors: u64,
    /// Over time.
    pub histogram: Histogram,
}

/// Messages of one shape.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MessageGroup {
    /// Their shape.
    pub shape: String,
    /// How many.
    pub count: u64,
    /// The gravest of their levels.
    pub level: Level,
    /// When the oldest was written.
    pub first: Timestamp,
    /// When the newest was.
    pub last: Timestamp,
    /// The newest of them.
    pub sample: String,
    /// Who wrote how many of them.
    pub services: BTreeMap<String, u64>,
}

impl JournalSummary {
    /// Counts a line: when, how grave, whose, and what it says, scrubbed.
    pub fn add(&mut self, at: Timestamp, level: Level, service: &str, message: &str) {
        self.lines += 1;
        self.by_level[level as usize] += 1;
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
        self.last = Some(self.last.map_or(at, |last| last.max(at)));
        self.histogram.add(at);
        let message = text::one_line(message, MESSAGE);
        let name = roomy(&self.services, service);
        let counted = self.services.entry(name.to_owned()).or_default();
        counted.lines += 1;
        counted.errors += u64::from(level >= Level::Error);
        counted.histogram.add(at);
        let mut kind = shape(&message);
        if self.groups.len() >= SHAPES && !self.groups.contains_key(&kind) {
            OTHERS.clone_into(&mut kind);
        }
        let group = self.groups.entry(kind).or_insert_with_key(|kind| MessageGroup {
            shape: kind.clone(),
            count: 0,
            level,
            first: at,
            last: at,
            sample: String::new(),
            services: BTreeMap::new(),
        });
        group.add(at, level, service, message);
    }

    /// The commonest messages; of equally common ones the graver, then the newer first.
    pub fn commonest(&self, most: usize) -> Vec<&MessageGroup> {
        let mut groups: Vec<&MessageGroup> = self.groups.values().collect();
        let order = |group: &&MessageGroup| std::cmp::Reverse((group.count, group.level, group.last));
        groups.sort_by(|a, b| order(a).cmp(&order(b)).then_with(|| a.shape.cmp(&b.shape)));
        groups.truncate(most);
        groups
    }

    /// How many different shapes there are.
    pub fn shapes(&self) -> usize {
        self.groups.len()
    }

    /// Services, the one with the most lines first.
    pub fn by_lines(&self) -> Vec<(&str, &ServiceSummary)> {
        let mut services: Vec<_> = self.services.iter().map(|(name, service)| (name.as_str(), service)).collect();
        services.sort_by_key(|(name, service)| (std::cmp::Reverse(service.lines), *name));
        services
    }

    /// For programs: with so many messages, and so many stretches of time.
    pub fn document(&self, messages: usize, stretches: usize) -> Value {
        let by_level: serde_json::Map<String, Value> =
            LEVELS.iter().zip(self.by_level).map(|(name, count)| ((*name).to_owned(), count.into())).collect();
        let services: serde_json::Map<String, Value> = self
            .by_lines()
            .into_iter()
            .map(|(name, service)| (name.to_owned(), json!({"lines": service.lines, "errors": service.errors})))
            .collect();
        let bars = self.first.zip(self.last).map(|(first, last)| self.histogram.bars(first, last, stretches));
        json!({
            "lines": self.lines,
            "first": self.first.map(stamp),
            "last": self.last.map(stamp),
            "by_level": by_level,
            "services": services,
            "histogram": bars.map(|bars| json!({"from": stamp(bars.from), "seconds": bars.width, "lines": bars.counts})),
            "shapes": self.shapes(),
            "messages": self.commonest(messages),
        })
    }
}

impl MessageGroup {
    fn add(&mut self, at: Timestamp, level: Level, service: &str, message: String) {
        self.count += 1;
        self.level = self.level.max(level);
        self.first = self.first.min(at);
        if at >= self.last || self.sample.is_empty() {
            (self.last, self.sample) = (self.last.max(at), message);
        }
        let name = roomy(&self.services, service).to_owned();
        *self.services.entry(name).or_default() += 1;
    }
}

/// The name to count a service under: its own while there is room.
fn roomy<'n, V>(known: &BTreeMap<String, V>, name: &'n str) -> &'n str {
    if known.len() < SERVICES || known.contains_key(name) { name } else { "others" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, TimeDelta};

    fn at(seconds: i64) -> Timestamp {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    #[test]
    fn like_messages_are_counted_as_one_with_when_and_whose() {
        let mut summary = JournalSummary::default();
        for (second, level, service, message) in [
            (10, Level::Error, "gateway", "connect ECONNREFUSED 10.0.3.5:5432"),
            (20, Level::Info, "search", "indexed 12 documents"),
            (5, Level::Warn, "fraud", "connect ECONNREFUSED 10.0.3.9:5432"),
        ] {
            summary.add(at(second), level, service, message);
        }
        let top = summary.commonest(10);
        assert_eq!((top.len(), summary.shapes(), summary.lines), (2, 2, 3));
        assert_eq!((top[0].shape.as_str(), top[0].count, top[0].level), ("connect ECONNREFUSED <n>", 2, Level::Error));
        assert_eq!((top[0].first, top[0].last), (at(5), at(10)));
        assert_eq!(top[0].sample, "connect ECONNREFUSED 10.0.3.5:5432", "the newest");
        assert_eq!(top[0].services.keys().collect::<Vec<_>>(), ["fraud", "gateway"]);
        assert_eq!(summary.by_lines()[0].0, "fraud", "of equals by name");
        let document = summary.document(1, 4);
        assert_eq!(document["histogram"], json!({"from": "1970-01-01T00:00:00Z", "seconds": 10, "lines": [1, 1, 1]}));
        assert_eq!(document["messages"].as_array().expect("groups").len(), 1);
    }

    #[test]
    fn a_million_different_messages_take_bounded_memory() {
        let mut summary = JournalSummary::default();
        for number in 0..(SHAPES * 2) {
            let letters: String = number.to_string().bytes().map(|digit| char::from(digit - b'0' + b'g')).collect();
            summary.add(at(0), Level::Error, &letters, &letters);
        }
        assert_eq!((summary.shapes(), summary.services.len()), (SHAPES + 1, SERVICES + 1));
        assert_eq!(summary.commonest(1)[0].count, SHAPES as u64);
    }
}
