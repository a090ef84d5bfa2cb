//! A journal entry as a service writes it: its message is pino's JSON or plain text.
//!
//! **Invariant:** a level in the JSON takes precedence over the journal's priority, which is 6 for all lines of standard output,
//! errors too.
//!
//! **Invariant:** the texts are neither redacted nor printable. The code that shows or stores them does both.

use serde_json::{Map, Value};

use super::export::ExportRecord;
use super::level::Level;
use crate::domain::core::time::Timestamp;

/// A parsed journal entry.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalEntry {
    /// When the journal received it.
    pub at: Timestamp,
    pub level: Level,
    /// The whole message as it is in the journal.
    pub raw: String,
    /// The fields of the journal except the message.
    fields: Vec<(String, String)>,
    /// The message, if it is a JSON object.
    pino: Option<Map<String, Value>>,
}

/// The fields of the journal that name the unit of an entry: the unit that wrote it, or for a message of systemd, the unit that
/// the message is about. The first that is present is used.
pub const UNIT_FIELDS: [&str; 6] =
    ["_SYSTEMD_USER_UNIT", "UNIT", "USER_UNIT", "OBJECT_SYSTEMD_UNIT", "COREDUMP_UNIT", "_SYSTEMD_UNIT"];

/// The fields of pino's lines that are not of the event.
const LINE_FIELDS: [&str; 9] = ["level", "time", "pid", "hostname", "service", "msg", "message", "v", "name"];

/// The beginning of every line of pino. A second `level` in the line is a field of the event, such as a customer's.
const PINO_PREFIX: &str = "{\"level\":";

impl JournalEntry {
    /// Parses a record.
    pub fn of(record: &ExportRecord<'_>) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let named = |(name, value): &(&[u8], &[u8])| (*name != b"MESSAGE").then(|| (text(name), text(value)));
        let fields: Vec<(String, String)> = record.fields.iter().filter_map(named).collect();
        let raw = record.all("MESSAGE").map(text).collect::<Vec<_>>().join("\n");
        let pino = match raw.trim_start().starts_with('{').then(|| serde_json::from_str(&raw)) {
            Some(Ok(Value::Object(pino))) => Some(pino),
            _ => None,
        };
        let level = level(&raw, pino.as_ref(), &fields);
        Self { at: record.at, level, raw, fields, pino }
    }

    /// The message as a JSON object, if it is one.
    pub fn json(&self) -> Option<&Map<String, Value>> {
        self.pino.as_ref()
    }

    /// The service that wrote it: `service` of the JSON, otherwise the unit, otherwise the identifier or command in the journal.
    pub fn service(&self) -> String {
        let in_json = || scalar(self.pino.as_ref()?.get("service")?);
        let in_journal = || UNIT_FIELDS.iter().chain(&["SYSLOG_IDENTIFIER", "_COMM"]).find_map(|name| self.field(name));
        let name = in_json().or_else(|| in_journal().map(str::to_owned)).unwrap_or_else(|| "unknown".to_owned());
        name.strip_suffix(".service").map_or(name.clone(), str::to_owned)
    }

    /// Its unit, if it has one.
    pub fn unit(&self) -> Option<&str> {
        UNIT_FIELDS.iter().find_map(|name| self.field(name))
    }

    /// The message without the other fields of the JSON.
    pub fn message(&self) -> String {
        let text = |pino: &Map<String, Value>| scalar(pino.get("msg").or_else(|| pino.get("message"))?);
        self.pino.as_ref().and_then(text).unwrap_or_else(|| self.raw.clone())
    }

    /// The fields of the event, without its message.
    pub fn event_fields(&self) -> impl Iterator<Item = (&str, &Value)> {
        let fields = self.pino.iter().flatten().filter(|(name, _)| !LINE_FIELDS.contains(&name.as_str()));
        fields.map(|(name, value)| (name.as_str(), value))
    }

    /// The fields of the event as `name=value`.
    pub fn details(&self) -> String {
        let shown = self.event_fields().map(|(name, value)| match value {
            Value::String(text) => format!("{name}={text}"),
            other => format!("{name}={other}"),
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    /// Whether a field has this value, in the JSON (`orderId`, or `req.id` for a nested field) or in the journal (`_PID`).
    pub fn has(&self, name: &str, value: &str) -> bool {
        let journal = || self.fields.iter().any(|(known, found)| known == name && found == value);
        self.value(name).and_then(scalar).is_some_and(|found| found == value) || journal()
    }

    /// The value of the first of these fields that the JSON has; none if it is empty.
    pub fn first_of(&self, names: &[String]) -> Option<String> {
        names.iter().find_map(|name| self.value(name).and_then(scalar)).filter(|value| !value.is_empty())
    }

    fn value(&self, name: &str) -> Option<&Value> {
        let pino = self.pino.as_ref()?;
        pino.get(name).or_else(|| nested(pino, name))
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

fn nested<'v>(pino: &'v Map<String, Value>, path: &str) -> Option<&'v Value> {
    let (first, rest) = path.split_once('.')?;
    rest.split('.').try_fold(pino.get(first)?, |value, name| value.get(name))
}

fn level(raw: &str, pino: Option<&Map<String, Value>>, fields: &[(String, String)]) -> Level {
    let in_json = leading(raw).or_else(|| match pino?.get("level")? {
        Value::Number(number) => number.as_f64().map(Level::of_pino),
        Value::String(name) => Level::named(name),
        _ => None,
    });
    let priorities = fields.iter().filter(|(name, _)| name == "PRIORITY").filter_map(|(_, value)| value.parse().ok());
    in_json.or_else(|| priorities.min().map(Level::of_syslog)).unwrap_or(Level::Info)
}

/// The level at the beginning of a line of pino.
pub(super) fn leading(raw: &str) -> Option<Level> {
    let rest = raw.strip_prefix(PINO_PREFIX)?;
    let digits = rest.split_once([',', '}'])?.0;
    let is_number = (1..=3).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok().map(Level::of_pino)).flatten()
}

/// The text of a value that is a text, a number or a boolean.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(boolean) => Some(boolean.to_string()),
        _ => None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::json;

    /// An entry of these fields, at a fixed instant.
    pub fn entry(fields: &[(&str, &str)]) -> JournalEntry {
        let at = chrono::DateTime::from_timestamp(1_700_000_000, 0).expect("an instant");
        let fields = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        JournalEntry::of(&ExportRecord { at, fields })
    }

    #[test]
    fn the_level_in_the_json_takes_precedence() {
        let pino = |level: Value| {
            entry(&[("PRIORITY", "6"), ("MESSAGE", &json!({"level": level, "msg": "x"}).to_string())]).level
        };
        for (number, level) in [(9, Level::Trace), (20, Level::Debug), (35, Level::Info), (40, Level::Warn)] {
            assert_eq!(pino(json!(number)), level);
        }
        assert_eq!(pino(json!(50)), Level::Error);
        assert_eq!(pino(json!(1e300)), Level::Fatal);
        assert_eq!(pino(json!("ERROR")), Level::Error);
        assert_eq!(pino(json!("warning")), Level::Warn);
        assert_eq!(pino(json!(null)), Level::Info, "the priority is used");
        let second_level = entry(&[("MESSAGE", r#"{"level":50,"msg":"x","level":"gold"}"#)]);
        assert_eq!(second_level.level, Level::Error, "the second level is the customer's");
    }

    /// journald cuts a line at 48 KiB, and the search by level must find it.
    #[test]
    fn a_line_of_pino_that_was_cut_has_its_level() {
        let cut = entry(&[("PRIORITY", "6"), ("MESSAGE", r#"{"level":50,"time":1700000000000,"msg":"a long"#)]);
        assert_eq!(cut.level, Level::Error);
    }

    #[test]
    fn the_priority_is_used_without_json() {
        assert_eq!(entry(&[("PRIORITY", "3"), ("MESSAGE", "{broken")]).level, Level::Error);
        assert_eq!(entry(&[("PRIORITY", "6"), ("PRIORITY", "2"), ("MESSAGE", "[1]")]).level, Level::Fatal);
        assert_eq!(entry(&[("MESSAGE", "x")]).level, Level::Info);
    }

    #[test]
    fn a_message_may_be_bytes_or_several_fields_or_missing() {
        let at = chrono::DateTime::UNIX_EPOCH;
        let bytes = JournalEntry::of(&ExportRecord { at, fields: vec![(b"MESSAGE", b"hi\xff")] });
        assert_eq!(bytes.message(), "hi\u{fffd}");
        assert_eq!(entry(&[("MESSAGE", "one"), ("MESSAGE", "two")]).message(), "one\ntwo");
        assert_eq!(entry(&[]).message(), "");
    }

    #[test]
    fn fields_are_found_in_the_json_and_in_the_journal() {
        let message =
            json!({"level": 50, "orderId": "A-17", "n": 5, "req": {"id": "r1"}, "a.b": 1, "msg": "m", "pid": 3});
        let entry = entry(&[("MESSAGE", &message.to_string()), ("_PID", "42"), ("X", "a"), ("X", "b")]);
        for (name, value) in
            [("orderId", "A-17"), ("n", "5"), ("req.id", "r1"), ("a.b", "1"), ("_PID", "42"), ("X", "b")]
        {
            assert!(entry.has(name, value), "{name}");
        }
        assert!(!entry.has("orderId", "A-1") && !entry.has("nope", "") && !entry.has("_PID", "4"));
        assert_eq!(entry.details(), r#"orderId=A-17 n=5 req={"id":"r1"} a.b=1"#);
        assert_eq!(entry.first_of(&["traceId", "req.id"].map(str::to_owned)).as_deref(), Some("r1"));
    }

    #[test]
    fn the_service_is_named_in_the_json_or_by_its_unit() {
        assert_eq!(entry(&[("MESSAGE", r#"{"service":"gw"}"#), ("_SYSTEMD_UNIT", "x.service")]).service(), "gw");
        assert_eq!(entry(&[("MESSAGE", "x"), ("_SYSTEMD_UNIT", "x.service")]).service(), "x");
        assert_eq!(entry(&[("_SYSTEMD_UNIT", "init.scope"), ("UNIT", "y.service")]).service(), "y");
        assert_eq!(entry(&[]).service(), "unknown");
    }
}
