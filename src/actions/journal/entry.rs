//! One journal entry as services write them: pino's JSON inside the message, or plain text.
//!
//! The format is that of `journalctl --output=json` (systemd.io, "Journal JSON Format"): a value is a text, a list of
//! byte values when it is not UTF-8, null when it was too long, and a list of these when the field occurs more than once.
//!
//! **Invariant:** the level is the one inside the JSON when there is one: a service's errors have the journal's
//! priority 6, since they came through standard output.

use chrono::DateTime;
use serde_json::{Map, Value};

use crate::domain::time::Timestamp;

/// How grave a line is, by pino's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Fatal,
}

/// The names of the levels, mildest first.
pub(super) const LEVELS: &[&str] = &["trace", "debug", "info", "warn", "error", "fatal"];

impl Level {
    const ALL: [Self; 6] = [Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error, Self::Fatal];

    pub(super) fn name(self) -> &'static str {
        LEVELS[self as usize]
    }

    /// The level by this name; also by the names that services in Go and Python use.
    pub(super) fn named(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let same = match name.as_str() {
            "warning" => "warn",
            "err" => "error",
            "critical" | "panic" => "fatal",
            other => other,
        };
        Self::ALL.into_iter().find(|level| level.name() == same)
    }

    /// pino counts in tens from 10, and leaves what is between to who wants levels of their own.
    fn of_pino(number: f64) -> Self {
        let steps = [20.0, 30.0, 40.0, 50.0, 60.0].into_iter().filter(|&step| number >= step).count();
        Self::ALL[steps]
    }

    /// syslog counts down from 7 for debug to 0 for emergency.
    fn of_syslog(priority: u8) -> Self {
        match priority {
            0..=2 => Self::Fatal,
            3 => Self::Error,
            4 => Self::Warn,
            5 | 6 => Self::Info,
            _ => Self::Debug,
        }
    }
}

/// One entry, understood as far as it can be.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) at: Timestamp,
    pub(super) level: Level,
    /// The whole message as it stands in the journal.
    pub(super) raw: String,
    fields: Map<String, Value>,
    pino: Option<Map<String, Value>>,
}

/// What pino puts into every line; shown elsewhere or not at all.
const EVERY_LINE: [&str; 9] = ["level", "time", "pid", "hostname", "service", "msg", "message", "v", "name"];

impl Entry {
    /// Understands one line of journalctl's JSON.
    pub(super) fn read(line: &[u8]) -> Option<Self> {
        let Ok(Value::Object(fields)) = serde_json::from_slice(line) else {
            return None;
        };
        let microseconds = text(fields.get("__REALTIME_TIMESTAMP")?)?.parse().ok()?;
        let at = DateTime::from_timestamp_micros(microseconds)?;
        let raw = match fields.get("MESSAGE") {
            Some(Value::Null) => "(a message too long for the journal's reader)".to_owned(),
            Some(message) => texts(message).join("\n"),
            None => String::new(),
        };
        let pino = match raw.trim_start().starts_with('{').then(|| serde_json::from_str(&raw)) {
            Some(Ok(Value::Object(pino))) => Some(pino),
            _ => None,
        };
        let level = level(pino.as_ref(), &fields);
        Some(Self { at, level, raw, fields, pino })
    }

    /// Who wrote it: the service's own name, else its unit's, else what the journal calls it.
    pub(super) fn service(&self) -> String {
        let own = self.pino.as_ref().and_then(|pino| text(pino.get("service")?));
        let names = ["_SYSTEMD_USER_UNIT", "UNIT", "USER_UNIT", "_SYSTEMD_UNIT", "SYSLOG_IDENTIFIER", "_COMM"];
        let journal = || names.iter().find_map(|name| text(self.fields.get(*name)?));
        let name = own.or_else(journal).unwrap_or_else(|| "unknown".to_owned());
        name.strip_suffix(".service").map_or(name.clone(), str::to_owned)
    }

    /// What it says, without the fields beside it.
    pub(super) fn message(&self) -> String {
        let words = |pino: &Map<String, Value>| text(pino.get("msg").or_else(|| pino.get("message"))?);
        self.pino.as_ref().and_then(words).unwrap_or_else(|| self.raw.clone())
    }

    /// The fields of the event beside its message, as `name=value`.
    pub(super) fn details(&self) -> String {
        let fields = self.pino.iter().flatten().filter(|(name, _)| !EVERY_LINE.contains(&name.as_str()));
        let shown = fields.map(|(name, value)| match value {
            Value::String(text) => format!("{name}={text}"),
            other => format!("{name}={other}"),
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    /// Whether a field has this value, inside the message's JSON (`orderId`, or `req.id` for one within another) or in
    /// the journal (`_PID`).
    pub(super) fn has(&self, name: &str, value: &str) -> bool {
        let inside = self.pino.as_ref().and_then(|pino| pino.get(name).or_else(|| deep(pino, name)));
        let journal = || self.fields.get(name).is_some_and(|found| texts(found).iter().any(|text| text == value));
        inside.is_some_and(|found| text(found).is_some_and(|text| text == value)) || journal()
    }
}

fn deep<'v>(pino: &'v Map<String, Value>, path: &str) -> Option<&'v Value> {
    let (first, rest) = path.split_once('.')?;
    rest.split('.').try_fold(pino.get(first)?, |value, name| value.get(name))
}

fn level(pino: Option<&Map<String, Value>>, fields: &Map<String, Value>) -> Level {
    let inside = match pino.and_then(|pino| pino.get("level")) {
        Some(Value::Number(number)) => number.as_f64().map(Level::of_pino),
        Some(Value::String(name)) => Level::named(name),
        _ => None,
    };
    let priorities = || texts(fields.get("PRIORITY")?).iter().filter_map(|text| text.parse().ok()).min();
    inside.or_else(|| priorities().map(Level::of_syslog)).unwrap_or(Level::Info)
}

/// The text of a value that is one text, number or truth value.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        other => texts(other).into_iter().next(),
    }
}

/// Every text of a field.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) if items.iter().all(Value::is_number) => {
            let bytes: Vec<u8> = items.iter().filter_map(|item| u8::try_from(item.as_u64()?).ok()).collect();
            vec![String::from_utf8_lossy(&bytes).into_owned()]
        }
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry(mut fields: Value) -> Entry {
        fields["__REALTIME_TIMESTAMP"] = json!("1700000000123456");
        Entry::read(fields.to_string().as_bytes()).expect("it is an entry")
    }

    #[test]
    fn the_level_inside_the_json_counts() {
        let pino =
            |level: Value| entry(json!({"PRIORITY": "6", "MESSAGE": json!({"level": level, "msg": "x"}).to_string()}));
        for (number, level) in [(9, Level::Trace), (20, Level::Debug), (35, Level::Info), (40, Level::Warn)] {
            assert_eq!(pino(json!(number)).level, level);
        }
        assert_eq!(pino(json!(50)).level, Level::Error);
        assert_eq!(pino(json!(1e300)).level, Level::Fatal);
        assert_eq!(pino(json!("ERROR")).level, Level::Error);
        assert_eq!(pino(json!("warning")).level, Level::Warn);
        assert_eq!(pino(json!(null)).level, Level::Info, "then the priority counts");
    }

    #[test]
    fn without_json_the_priority_counts() {
        assert_eq!(entry(json!({"PRIORITY": "3", "MESSAGE": "{broken"})).level, Level::Error);
        assert_eq!(entry(json!({"PRIORITY": ["6", "2"], "MESSAGE": "[1]"})).level, Level::Fatal);
        assert_eq!(entry(json!({"MESSAGE": "x"})).level, Level::Info);
        assert_eq!(entry(json!({"PRIORITY": [51], "MESSAGE": "x"})).level, Level::Error, "`3` as bytes");
    }

    #[test]
    fn messages_come_in_every_form_that_the_journal_has() {
        assert_eq!(entry(json!({"MESSAGE": [104, 105, 255]})).message(), "hi\u{fffd}");
        assert_eq!(entry(json!({"MESSAGE": ["one", [116, 119, 111]]})).message(), "one\ntwo");
        assert!(entry(json!({"MESSAGE": null})).message().contains("too long"));
        assert_eq!(entry(json!({})).message(), "");
        assert!(Entry::read(b"{}").is_none() && Entry::read(b"nonsense").is_none() && Entry::read(b"[]").is_none());
    }

    #[test]
    fn fields_are_found_in_the_json_and_in_the_journal() {
        let message =
            json!({"level": 50, "orderId": "A-17", "n": 5, "req": {"id": "r1"}, "a.b": 1, "msg": "m", "pid": 3});
        let entry = entry(json!({"MESSAGE": message.to_string(), "_PID": "42", "X": ["a", "b"]}));
        for (name, value) in
            [("orderId", "A-17"), ("n", "5"), ("req.id", "r1"), ("a.b", "1"), ("_PID", "42"), ("X", "b")]
        {
            assert!(entry.has(name, value), "{name}");
        }
        assert!(!entry.has("orderId", "A-1") && !entry.has("nope", "") && !entry.has("_PID", "4"));
        assert_eq!(entry.details(), r#"orderId=A-17 n=5 req={"id":"r1"} a.b=1"#);
    }

    #[test]
    fn the_service_is_named_by_itself_or_its_unit() {
        assert_eq!(entry(json!({"MESSAGE": r#"{"service":"gw"}"#, "_SYSTEMD_UNIT": "x.service"})).service(), "gw");
        assert_eq!(entry(json!({"MESSAGE": "x", "_SYSTEMD_UNIT": "x.service"})).service(), "x");
        assert_eq!(entry(json!({"MESSAGE": "x", "_SYSTEMD_UNIT": "init.scope", "UNIT": "y.service"})).service(), "y");
        assert_eq!(entry(json!({})).service(), "unknown");
    }
}
