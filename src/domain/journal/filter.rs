//! A filter of journal entries: by time, unit, level, text and fields.
//!
//! It is applied in up to three stages. [`JournalFilter::prefilter`] is for journalctl, which makes a search for one word in a
//! million lines fast. [`JournalFilter::may_match`] checks the bytes of a record, and [`JournalFilter::matches`] a parsed entry.
//!
//! **Invariant:** the first two stages reject no entry that the third accepts.
//!
//! Not here: which service has which unit; the filter has units.

use regex::bytes::{Regex, RegexBuilder};

use super::entry::{JournalEntry, UNIT_FIELDS, leading};
use super::export::ExportRecord;
use super::level::Level;
use crate::domain::core::glob_name::{matches, suffixed};
use crate::domain::core::text;
use crate::domain::core::time::Timestamp;

/// The largest compiled pattern, in bytes; the default of the library is ten times as large.
const PATTERN_SIZE_LIMIT: usize = 1024 * 1024;

/// The shortest literal that journalctl searches for, in bytes. A shorter one is in most lines, so the search would cost more than
/// it saves.
const SHORTEST_LITERAL: usize = 2;

/// A filter. An entry has to fulfil all conditions.
#[derive(Debug, Clone, Default)]
pub struct JournalFilter {
    /// The oldest instant, inclusive.
    pub since: Timestamp,
    /// The newest instant, inclusive.
    pub until: Option<Timestamp>,
    /// Units or patterns of units, of which one has to match; if empty, every unit matches.
    pub units: Vec<String>,
    /// The lowest level.
    pub level: Option<Level>,
    pub patterns: Vec<TextPattern>,
    pub fields: Vec<FieldValue>,
}

/// A text or regular expression that a line has to match.
#[derive(Debug, Clone)]
pub struct TextPattern {
    regex: Regex,
    /// A text that is in every line that matches.
    literal: Option<Literal>,
    /// Whether the pattern has no regular expression from the user.
    is_literal: bool,
}

/// A field and the value that it has to have.
#[derive(Debug, Clone)]
pub struct FieldValue {
    name: String,
    value: String,
    /// Finds the value in the bytes of a message, if JSON cannot escape it.
    unescaped: Option<(Regex, Literal)>,
}

/// A text that no writer of JSON escapes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Literal {
    text: String,
    case_sensitive: bool,
}

/// The arguments for journalctl's `--grep`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefilter {
    /// A pattern of PCRE2.
    pub pattern: String,
    pub case_sensitive: bool,
}

impl TextPattern {
    /// A pattern for lines that contain a text. As in journalctl, case matters only if the text has upper case.
    ///
    /// # Errors
    ///
    /// Why no pattern can be made of it.
    pub fn text(given: &str) -> Result<Self, String> {
        let case_sensitive = given.chars().any(char::is_uppercase);
        Self::new(&regex::escape(given), Literal::of(given, case_sensitive), case_sensitive, true)
    }

    /// A pattern for lines that match a regular expression. Case matters only if it has upper case.
    ///
    /// # Errors
    ///
    /// Why it is no regular expression.
    pub fn regex(given: &str) -> Result<Self, String> {
        let case_sensitive = given.chars().any(char::is_uppercase);
        let plain = regex::escape(given) == given;
        let literal = plain.then(|| Literal::of(given, case_sensitive)).flatten();
        Self::new(given, literal, case_sensitive, plain)
    }

    /// A pattern for lines that mention an id as a whole word: `A-17` does not mention `A-1`.
    ///
    /// # Errors
    ///
    /// Why no pattern can be made of it.
    pub fn mention(id: &str) -> Result<Self, String> {
        let bounded = format!("(?:^|[^0-9A-Za-z])(?:{})(?:$|[^0-9A-Za-z])", regex::escape(id));
        Self::new(&bounded, Literal::of(id, true), true, true)
    }

    fn new(pattern: &str, literal: Option<Literal>, case_sensitive: bool, is_literal: bool) -> Result<Self, String> {
        let mut builder = RegexBuilder::new(pattern);
        let built = builder.case_insensitive(!case_sensitive).size_limit(PATTERN_SIZE_LIMIT).build();
        let regex = built.map_err(|error| text::one_line(&error.to_string(), 160))?;
        Ok(Self { regex, literal, is_literal })
    }

    /// Whether a message cannot match, neither as it is nor as parsed JSON. Without a backslash, JSON has no escapes.
    fn rules_out(&self, raw: &[u8]) -> bool {
        self.is_literal && !self.regex.is_match(raw) && !raw.contains(&b'\\')
    }

    fn is_match(&self, entry: &JournalEntry) -> bool {
        self.regex.is_match(entry.raw.as_bytes()) || self.regex.is_match(entry.message().as_bytes())
    }
}

impl FieldValue {
    /// A field that has to have this value.
    pub fn new(name: &str, value: &str) -> Self {
        let literal = Literal::of(value, true).filter(|_| !is_of_journal(name));
        let unescaped = literal.and_then(|literal| Some((Regex::new(&regex::escape(value)).ok()?, literal)));
        Self { name: name.to_owned(), value: value.to_owned(), unescaped }
    }

    /// The field's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value that it has to have.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether a message cannot have the value in its JSON.
    fn rules_out(&self, raw: &[u8]) -> bool {
        self.unescaped.as_ref().is_some_and(|(value, _)| !value.is_match(raw) && !raw.contains(&b'\\'))
    }
}

/// Whether a name can be of a field of the journal: capitals, digits and underscores.
pub fn is_of_journal(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

impl Literal {
    /// The literal of a text without characters that a writer of JSON may escape: printable ASCII without quotes, slashes and
    /// brackets.
    fn of(text: &str, case_sensitive: bool) -> Option<Self> {
        let plain = |byte: u8| matches!(byte, b' '..=b'~') && !b"\"'\\/<>&`".contains(&byte);
        let usable = text.len() >= SHORTEST_LITERAL && text.bytes().all(plain);
        usable.then(|| Self { text: text.to_owned(), case_sensitive })
    }

    fn prefilter(&self) -> Prefilter {
        let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_string() } else { format!("\\{c}") };
        Prefilter { pattern: self.text.chars().map(letter).collect(), case_sensitive: self.case_sensitive }
    }
}

impl JournalFilter {
    /// Whether a record may match, by its bytes.
    pub fn may_match(&self, record: &ExportRecord<'_>) -> bool {
        let raw = record.get("MESSAGE").unwrap_or_default();
        record.at >= self.since
            && self.until.is_none_or(|until| record.at <= until)
            && !self.patterns.iter().any(|pattern| pattern.rules_out(raw))
            && self.level.is_none_or(|lowest| leading(level_prefix(raw)).is_none_or(|level| level >= lowest))
            && !self.fields.iter().any(|field| field.rules_out(raw))
            && self.is_of_units(record)
    }

    /// Whether an entry matches whose record [`JournalFilter::may_match`] has accepted.
    pub fn matches(&self, entry: &JournalEntry) -> bool {
        self.level.is_none_or(|level| entry.level >= level)
            && self.fields.iter().all(|field| entry.has(&field.name, &field.value))
            && self.patterns.iter().all(|pattern| pattern.is_match(entry))
    }

    /// The part of the filter that journalctl can apply: the longest literal, otherwise the level.
    pub fn prefilter(&self) -> Option<Prefilter> {
        let literals = self.patterns.iter().filter_map(|pattern| pattern.literal.as_ref());
        let literals = literals.chain(self.fields.iter().filter_map(|field| Some(&field.unescaped.as_ref()?.1)));
        let longest = literals.max_by_key(|literal| literal.text.len()).map(Literal::prefilter);
        longest.or_else(|| self.without_lower_levels().map(|pattern| Prefilter { pattern, case_sensitive: true }))
    }

    /// A pattern that matches every line except those of pino with a lower level.
    fn without_lower_levels(&self) -> Option<String> {
        let level = self.level.filter(|level| *level > Level::Debug)? as usize;
        Some(format!("^(?!\\{{\"level\":[1-{level}][0-9],)"))
    }

    fn is_of_units(&self, record: &ExportRecord<'_>) -> bool {
        let fits = |name: &str| self.units.iter().any(|unit| is_unit(unit, name));
        let mut names = UNIT_FIELDS.iter().flat_map(|field| record.all(field));
        self.units.is_empty() || names.any(|value| std::str::from_utf8(value).is_ok_and(fits))
    }
}

/// The beginning of a message, long enough for the level of pino.
fn level_prefix(raw: &[u8]) -> &str {
    let first = &raw[..raw.len().min(16)];
    std::str::from_utf8(first).unwrap_or_default()
}

/// Whether a unit's name is `unit` or matches it as a pattern; `.service` may be left out of `unit`.
fn is_unit(unit: &str, name: &str) -> bool {
    matches(unit, name) || matches(&suffixed(unit.to_owned()), name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::journal::entry::tests::entry;

    fn finds(filter: &JournalFilter, fields: &[(&str, &str)]) -> bool {
        let at = chrono::DateTime::from_timestamp(1_700_000_000, 0).expect("an instant");
        let record = ExportRecord { at, fields: fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect() };
        let matches = filter.matches(&entry(fields));
        let may = filter.may_match(&record);
        assert!(may || !matches || !filter.units.is_empty(), "the check of bytes rejects a matching entry: {fields:?}");
        may && matches
    }

    fn mention(id: &str) -> JournalFilter {
        JournalFilter { patterns: vec![TextPattern::mention(id).expect("a pattern")], ..JournalFilter::default() }
    }

    #[test]
    fn an_id_is_a_whole_word_in_any_field_or_text() {
        let filter = mention("A-17");
        for line in [r#"{"level":30,"orderId":"A-17","msg":"x"}"#, "order A-17: paid", "A-17", r#"{"m":"\"A-17\""}"#] {
            assert!(finds(&filter, &[("MESSAGE", line)]), "{line}");
        }
        for line in ["order A-177", "BA-17", "a-17", ""] {
            assert!(!finds(&filter, &[("MESSAGE", line)]), "{line}");
        }
        assert_eq!(filter.prefilter().expect("it is plain").pattern, "A\\-17");
    }

    #[test]
    fn a_text_that_json_may_escape_is_no_prefilter() {
        for id in ["a\"b", "é", "a/b", "x\u{1b}", "a"] {
            assert_eq!(mention(id).prefilter(), None, "{id}");
        }
        let filter =
            JournalFilter { patterns: vec![TextPattern::text("a\"b").expect("a pattern")], ..JournalFilter::default() };
        assert!(finds(&filter, &[("MESSAGE", r#"{"msg":"say a\"b"}"#)]), "the parsed message matches");
    }

    #[test]
    fn the_level_in_the_json_decides_and_plain_lines_pass_the_prefilter() {
        let filter = JournalFilter { level: Some(Level::Error), ..JournalFilter::default() };
        assert!(finds(&filter, &[("PRIORITY", "6"), ("MESSAGE", r#"{"level":50,"msg":"x"}"#)]));
        assert!(finds(&filter, &[("PRIORITY", "3"), ("MESSAGE", "plain")]));
        assert!(!finds(&filter, &[("PRIORITY", "3"), ("MESSAGE", r#"{"level":40,"msg":"x"}"#)]));
        assert!(!finds(&filter, &[("PRIORITY", "6"), ("MESSAGE", "plain")]));
        let prefilter = filter.prefilter().expect("there is one").pattern;
        assert_eq!(prefilter, r#"^(?!\{"level":[1-4][0-9],)"#);
        assert_eq!(JournalFilter { level: Some(Level::Trace), ..JournalFilter::default() }.prefilter(), None);
    }

    #[test]
    fn units_match_by_name_or_pattern_and_messages_of_systemd_are_theirs() {
        let filter = |unit: &str| JournalFilter { units: vec![unit.to_owned()], ..JournalFilter::default() };
        for (unit, field, name) in [
            ("shop-*", "_SYSTEMD_UNIT", "shop-gateway.service"),
            ("shop-gateway", "_SYSTEMD_UNIT", "shop-gateway.service"),
            ("shop-gateway.service", "UNIT", "shop-gateway.service"),
            ("shop-?", "_SYSTEMD_USER_UNIT", "shop-1.service"),
        ] {
            assert!(finds(&filter(unit), &[(field, name)]), "{unit} {name}");
        }
        assert!(!finds(&filter("shop-gate"), &[("_SYSTEMD_UNIT", "shop-gateway.service")]));
        assert!(!finds(&filter("shop-gateway"), &[("MESSAGE", "shop-gateway.service")]));
    }

    #[test]
    fn the_longest_literal_is_the_prefilter() {
        let filter = JournalFilter {
            level: Some(Level::Error),
            patterns: vec![
                TextPattern::regex("refused").expect("a pattern"),
                TextPattern::regex("x.*y").expect("a pattern"),
            ],
            fields: vec![FieldValue::new("orderId", "A-1700000"), FieldValue::new("_PID", "1234567890123")],
            ..JournalFilter::default()
        };
        let prefilter = filter.prefilter().expect("there is one");
        assert_eq!((prefilter.pattern.as_str(), prefilter.case_sensitive), ("A\\-1700000", true));
        let filter = JournalFilter { patterns: filter.patterns, ..JournalFilter::default() };
        assert_eq!(filter.prefilter(), Some(Prefilter { pattern: "refused".to_owned(), case_sensitive: false }));
        assert!(TextPattern::regex("(").is_err());
    }

    #[test]
    fn a_field_has_to_have_the_whole_value() {
        let filter = JournalFilter { fields: vec![FieldValue::new("status", "500")], ..JournalFilter::default() };
        assert!(finds(&filter, &[("MESSAGE", r#"{"status":500}"#)]));
        assert!(!finds(&filter, &[("MESSAGE", r#"{"status":5000}"#)]));
        assert!(!finds(&filter, &[("MESSAGE", r#"{"other":"500"}"#)]));
    }
}
