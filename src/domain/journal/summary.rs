//! A summary of lines: the most frequent messages by their shape, their services, and their times.
//!
//! **Invariant:** memory does not grow with the number of lines: shapes, services and buckets of time are limited.
//!
//! **Invariant:** the caller redacts a message before it adds the line.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use serde_json::{Value, json};

use super::histogram::Histogram;
use super::level::{LEVELS, Level};
use super::message_pattern::shape;
use crate::domain::core::text;
use crate::domain::core::time::{Timestamp, stamp};

/// The most shapes that are counted separately; further ones are counted together.
const SHAPES: usize = 10_000;

/// The shape of the messages that are counted together.
const OTHERS: &str = "(other messages)";

/// The most services that are counted separately, in all and by message; further ones are counted together.
const SERVICES: usize = 200;

/// The longest message, in characters; the rest is ignored.
const MESSAGE_LIMIT: usize = 240;

/// The summary of lines.
#[derive(Debug, Default)]
pub struct JournalSummary {
    /// The number of lines.
    pub lines: u64,
    /// The time of the oldest line.
    pub first: Option<Timestamp>,
    /// The time of the newest line.
    pub last: Option<Timestamp>,
    /// The number of lines by level, the lowest first.
    pub by_level: [u64; LEVELS.len()],
    pub services: BTreeMap<String, ServiceSummary>,
    /// All lines over time.
    pub histogram: Histogram,
    /// The messages by shape.
    groups: HashMap<String, MessageGroup>,
}

/// The summary of one service's lines.
#[derive(Debug, Clone, Default)]
pub struct ServiceSummary {
    /// The number of lines.
    pub lines: u64,
    /// The number of lines with level error or fatal.
    pub errors: u64,
    /// The lines over time.
    pub histogram: Histogram,
}

/// The messages of one shape.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MessageGroup {
    pub shape: String,
    /// The number of messages.
    pub count: u64,
    /// The highest of their levels.
    pub level: Level,
    /// The time of the oldest message.
    pub first: Timestamp,
    /// The time of the newest message.
    pub last: Timestamp,
    /// The newest message.
    pub sample: String,
    /// The number of messages by service.
    pub services: BTreeMap<String, u64>,
}

impl JournalSummary {
    /// Counts a line. The message must be redacted.
    pub fn add(&mut self, at: Timestamp, level: Level, service: &str, message: &str) {
        self.lines += 1;
        self.by_level[level as usize] += 1;
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
        self.last = Some(self.last.map_or(at, |last| last.max(at)));
        self.histogram.add(at);
        let message = text::one_line(message, MESSAGE_LIMIT);
        let name = limited_name(&self.services, service);
        let counted = self.services.entry(name.to_owned()).or_default();
        counted.lines += 1;
        counted.errors += u64::from(level >= Level::Error);
        counted.histogram.add(at);
        let mut shape = shape(&message);
        if self.groups.len() >= SHAPES && !self.groups.contains_key(&shape) {
            OTHERS.clone_into(&mut shape);
        }
        let group = self.groups.entry(shape).or_insert_with_key(|shape| MessageGroup {
            shape: shape.clone(),
            count: 0,
            level,
            first: at,
            last: at,
            sample: String::new(),
            services: BTreeMap::new(),
        });
        group.add(at, level, service, message);
    }

    /// The most frequent messages. Equally frequent ones are in the order of level, highest first, then time, newest first.
    pub fn commonest(&self, most: usize) -> Vec<&MessageGroup> {
        let mut groups: Vec<&MessageGroup> = self.groups.values().collect();
        let order = |group: &&MessageGroup| std::cmp::Reverse((group.count, group.level, group.last));
        groups.sort_by(|a, b| order(a).cmp(&order(b)).then_with(|| a.shape.cmp(&b.shape)));
        groups.truncate(most);
        groups
    }

    /// The number of different shapes.
    pub fn shapes(&self) -> usize {
        self.groups.len()
    }

    /// The services, the one with the most lines first.
    pub fn by_lines(&self) -> Vec<(&str, &ServiceSummary)> {
        let mut services: Vec<_> = self.services.iter().map(|(name, service)| (name.as_str(), service)).collect();
        services.sort_by_key(|(name, service)| (std::cmp::Reverse(service.lines), *name));
        services
    }

    /// The summary as JSON, with at most so many messages and bars of the histogram.
    pub fn document(&self, messages: usize, bars: usize) -> Value {
        let by_level: serde_json::Map<String, Value> =
            LEVELS.iter().zip(self.by_level).map(|(name, count)| ((*name).to_owned(), count.into())).collect();
        let services: serde_json::Map<String, Value> = self
            .by_lines()
            .into_iter()
            .map(|(name, service)| (name.to_owned(), json!({"lines": service.lines, "errors": service.errors})))
            .collect();
        let bars = self.first.zip(self.last).map(|(first, last)| self.histogram.bars(first, last, bars));
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
        let name = limited_name(&self.services, service).to_owned();
        *self.services.entry(name).or_default() += 1;
    }
}

/// The name under which a service is counted: its own, or `others` when the limit is reached.
fn limited_name<'n, V>(known: &BTreeMap<String, V>, name: &'n str) -> &'n str {
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
    fn similar_messages_are_counted_together_with_their_times_and_services() {
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
        assert_eq!(summary.by_lines()[0].0, "fraud", "equal counts are in the order of names");
        let document = summary.document(1, 4);
        assert_eq!(document["histogram"], json!({"from": "1970-01-01T00:00:00Z", "seconds": 10, "lines": [1, 1, 1]}));
        assert_eq!(document["messages"].as_array().expect("groups").len(), 1);
    }

    #[test]
    fn shapes_and_services_are_limited() {
        let mut summary = JournalSummary::default();
        for number in 0..(SHAPES * 2) {
            let letters: String = number.to_string().bytes().map(|digit| char::from(digit - b'0' + b'g')).collect();
            summary.add(at(0), Level::Error, &letters, &letters);
        }
        assert_eq!((summary.shapes(), summary.services.len()), (SHAPES + 1, SERVICES + 1));
        assert_eq!(summary.commonest(1)[0].count, SHAPES as u64);
    }
}
