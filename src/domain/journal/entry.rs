//! One journal entry as services write them: pino's JSON inside the message, or plain text.
//!
//! **Invariant:** the level is the one inside the JSON when there is one: a service's errors have the journal's
//! priority 6, since they came through standard output.
//!
//! **Invariant:** nothing here is scrubbed or printable yet; whoever shows or keeps it sees to that.

use serde_json::{Map, Value};

use super::export::ExportRecord;
use super::level::Level;
use crate::domain::core::time::Timestamp;

/// One entry, understood as far as it can be.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalEntry {
    /// When the journal received it.
    pub at: Timestamp,
    /// How grave it is.
    pub level: Level,
    /// The whole message as it stands in the journal.
    pub raw: String,
    fields: Vec<(String, String)>,
    pino: Option<Map<String, Value>>,
}

/// The fields of the journal that say whose line it is: the service's own unit, or the one that systemd speaks of.
pub const UNIT_FIELDS: [&str; 6] =
    ["_SYSTEMD_USER_UNIT", "UNIT", "USER_UNIT", "OBJECT_SYSTEMD_UNIT", "COREDUMP_UNIT", "_SYSTEMD_UNIT"];

/// What pino puts into every line; shown elsewhere or not at all.
const EVERY_LINE: [&str; 9] = ["level", "time", "pid", "hostname", "service", "msg", "message", "v", "name"];

/// How pino begins every line. A `level` further on is a field of the event, such as a customer's, and none of the line.
const PINO: &str = "{\"level\":";

impl JournalEntry {
    /// Understands one record.
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

    /// The JSON that its message is, if it is.
    pub fn json(&self) -> Option<&Map<String, Value>> {
        self.pino.as_ref()
    }

    /// Who wrote it: the service's own name, else its unit's, else what the journal calls it.
    pub fn service(&self) -> String {
        let own = || scalar(self.pino.as_ref()?.get("service")?);
        let journal = || UNIT_FIELDS.iter().chain(&["SYSLOG_IDENTIFIER", "_COMM"]).find_map(|name| self.field(name));
        let name = own().or_else(|| journal().map(str::to_owned)).unwrap_or_else(|| "unknown".to_owned());
        name.strip_suffix(".service").map_or(name.clone(), str::to_owned)
    }

    /// The unit that it is about, if it is about one.
    pub fn unit(&self) -> Option<&str> {
        UNIT_FIELDS.iter().find_map(|name| self.field(name))
    }

    /// What it says, without the fields beside it.
    pub fn message(&self) -> String {
        let words = |pino: &Map<String, Value>| scalar(pino.get("msg").or_else(|| pino.get("message"))?);
        self.pino.as_ref().and_then(words).unwrap_or_else(|| self.raw.clone())
    }

    /// The fields of the event beside its message.
    pub fn event_fields(&self) -> impl Iterator<Item = (&str, &Value)> {
        let fields = self.pino.iter().flatten().filter(|(name, _)| !EVERY_LINE.contains(&name.as_str()));
        fields.map(|(name, value)| (name.as_str(), value))
    }

    /// The fields of the event beside its message, as `name=value`.
    pub fn details(&self) -> String {
        let shown = self.event_fields().map(|(name, value)| match value {
            Value::String(text) => format!("{name}={text}"),
            other => format!("{name}={other}"),
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    /// Whether a field has this value, inside the message's JSON (`orderId`, or `req.id` for one within another) or in
    /// the journal (`_PID`).
    pub fn has(&self, name: &str, value: &str) -> bool {
        let journal = || self.fields.iter().any(|(known, found)| known == name && found == value);
        self.value(name).and_then(scalar).is_some_and(|found| found == value) || journal()
    }

    /// The value of the first of these fields that the message's JSON holds.
    pub fn first_of(&self, names: &[String]) -> Option<String> {
        names.iter().find_map(|name| self.value(name).and_then(scalar)).filter(|value| !value.is_empty())
    }

    fn value(&self, name: &str) -> Option<&Value> {
        let pino = self.pino.as_ref()?;
        pino.get(name).or_else(|| deep(pino, name))
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

fn deep<'v>(pino: &'v Map<String, Value>, path: &str) -> Option<&'v Value> {
    let (first, rest) = path.split_once('.')?;
    rest.split('.').try_fold(pino.get(first)?, |value, name| value.get(name))
}

fn level(raw: &str, pino: Option<&Map<String, Value>>, fields: &[(String, String)]) -> Level {
    let inside = match pino.and_then(|pino| pino.get("level")) {
        Some(_) if raw.starts_with(PINO) && leading(raw).is_some() => leading(raw),
        Some(Value::Number(number)) => number.as_f64().map(Level::of_pino),
        Some(Value::String(name)) => Level::named(name),
        _ => None,
    };
    let priorities = fields.iter().filter(|(name, _)| name == "PRIORITY").filter_map(|(_, value)| value.parse().ok());
    inside.or_else(|| priorities.min().map(Level::of_syslog)).unwrap_or(Level::Info)
}

/// The level that a line of pino's begins with.
pub(super) fn leading(raw: &str) -> Option<Level> {
    let rest = raw.strip_prefix(PINO)?;
    let digits = rest.split_once([',', '}'])?.0;
    let plain = (1..=3).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok().map(Level::of_pino)).flatten()
}

/// The text of a value that is one text, number or truth value.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
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
    fn the_level_inside_the_json_counts() {
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
        assert_eq!(pino(json!(null)), Level::Info, "then the priority counts");
        let again = entry(&[("MESSAGE", r#"{"level":50,"msg":"x","level":"gold"}"#)]);
        assert_eq!(again.level, Level::Error, "the customer's level is another");
    }

    #[test]
    fn without_json_the_priority_counts() {
        assert_eq!(entry(&[("PRIORITY", "3"), ("MESSAGE", "{broken")]).level, Level::Error);
        assert_eq!(entry(&[("PRIORITY", "6"), ("PRIORITY", "2"), ("MESSAGE", "[1]")]).level, Level::Fatal);
        assert_eq!(entry(&[("MESSAGE", "x")]).level, Level::Info);
    }

    #[test]
    fn messages_come_in_every_form_that_the_journal_has() {
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
    fn the_service_is_named_by_itself_or_its_unit() {
        assert_eq!(entry(&[("MESSAGE", r#"{"service":"gw"}"#), ("_SYSTEMD_UNIT", "x.service")]).service(), "gw");
        assert_eq!(entry(&[("MESSAGE", "x"), ("_SYSTEMD_UNIT", "x.service")]).service(), "x");
        assert_eq!(entry(&[("_SYSTEMD_UNIT", "init.scope"), ("UNIT", "y.service")]).service(), "y");
        assert_eq!(entry(&[]).service(), "unknown");
    }
}
