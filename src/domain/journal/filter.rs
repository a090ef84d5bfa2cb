//! What is searched for in the journal: when, whose, how grave, and which words.
//!
//! A record is looked at in two goes: as bytes, where most are ruled out, and then understood. Of the same search
//! [`JournalFilter::prefilter`] gives what journalctl can look for before it prints anything, which is what makes a search for
//! one word in a million lines fast.
//!
//! **Invariant:** the first go and the prefilter never rule out what the second would keep.
//!
//! Deliberately absent: which service has which unit; names have become units before.

use regex::bytes::{Regex, RegexBuilder};

use super::entry::{JournalEntry, UNIT_FIELDS, leading};
use super::export::ExportRecord;
use super::level::Level;
use crate::domain::core::glob_name::{matches, suffixed};
use crate::domain::core::text;
use crate::domain::core::time::Timestamp;

/// The largest compiled pattern; the default of the library would take ten times as much.
const PATTERN: usize = 1024 * 1024;

/// A shorter literal is in most lines anyway, and asking journalctl for it would cost more than it spares.
const SHORTEST_LITERAL: usize = 2;

/// What is searched for.
#[derive(Debug, Clone, Default)]
pub struct JournalFilter {
    pub since: Timestamp,
    /// The newest instant, inclusive.
    pub until: Option<Timestamp>,
    /// Units, or patterns over them; with none, every line counts.
    pub units: Vec<String>,
    /// At least so grave.
    pub level: Option<Level>,
    /// What the line has to match, all of it.
    pub patterns: Vec<TextPattern>,
    /// Fields that have to have this value, all of them.
    pub fields: Vec<FieldValue>,
}

/// Words that a line has to hold.
#[derive(Debug, Clone)]
pub struct TextPattern {
    regex: Regex,
    /// What stands in every line that matches.
    literal: Option<Literal>,
    /// Whether the literal is all there is to it.
    is_literal: bool,
}

/// A field and its value.
#[derive(Debug, Clone)]
pub struct FieldValue {
    name: String,
    value: String,
    /// Finds the value where JSON writes it as it is.
    quick: Option<(Regex, Literal)>,
}

/// A text that JSON writes as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Literal {
    text: String,
    case_sensitive: bool,
}

/// What journalctl's `--grep` can look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefilter {
    /// A pattern as PCRE2 understands it.
    pub pattern: String,
    /// Whether upper and lower case differ.
    pub case_sensitive: bool,
}

impl TextPattern {
    /// What contains this text. Upper and lower case differ only if it has upper case, as in journalctl.
    ///
    /// # Errors
    ///
    /// Why no pattern can be made of it.
    pub fn text(given: &str) -> Result<Self, String> {
        let case_sensitive = given.chars().any(char::is_uppercase);
        Self::new(&regex::escape(given), Literal::of(given, case_sensitive), case_sensitive, true)
    }

    /// What a regular expression matches, upper and lower case likewise.
    ///
    /// # Errors
    ///
    /// Why it is none.
    pub fn regex(given: &str) -> Result<Self, String> {
        let case_sensitive = given.chars().any(char::is_uppercase);
        let plain = regex::escape(given) == given;
        let literal = plain.then(|| Literal::of(given, case_sensitive)).flatten();
        Self::new(given, literal, case_sensitive, plain)
    }

    /// What mentions this id as a whole word: `A-1` is not mentioned by `A-17`.
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
        let built = builder.case_insensitive(!case_sensitive).size_limit(PATTERN).build();
        let regex = built.map_err(|error| text::one_line(&error.to_string(), 160))?;
        Ok(Self { regex, literal, is_literal })
    }

    /// Whether the bytes of a message are certain not to match, however they are understood.
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
        let quick = literal.and_then(|literal| Some((Regex::new(&regex::escape(value)).ok()?, literal)));
        Self { name: name.to_owned(), value: value.to_owned(), quick }
    }

    /// The field's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value that it has to have.
    pub fn value(&self) -> &str {
        &self.value
    }
}

/// Whether a field's name can be one of the journal's own: capitals, digits and underscores.
pub fn is_of_journal(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

impl Literal {
    /// A text that every writer of JSON writes as it is: printable ASCII without quotes, strokes and brackets.
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
    /// Whether a record may match: the first go, on its bytes.
    pub fn may_match(&self, record: &ExportRecord<'_>) -> bool {
        let raw = record.get("MESSAGE").unwrap_or_default();
        record.at >= self.since
            && self.until.is_none_or(|until| record.at <= until)
            && !self.patterns.iter().any(|pattern| pattern.rules_out(raw))
            && self.level.is_none_or(|level| leading(begin(raw)).is_none_or(|own| own >= level))
            && !self.fields.iter().any(|field| {
                field.quick.as_ref().is_some_and(|(quick, _)| !quick.is_match(raw) && !raw.contains(&b'\\'))
            })
            && self.is_of_units(record)
    }

    /// Whether an entry matches that [`JournalFilter::may_match`] has let through.
    pub fn matches(&self, entry: &JournalEntry) -> bool {
        self.level.is_none_or(|level| entry.level >= level)
            && self.fields.iter().all(|field| entry.has(&field.name, &field.value))
            && self.patterns.iter().all(|pattern| pattern.is_match(entry))
    }

    /// What journalctl can look for itself, if anything.
    pub fn prefilter(&self) -> Option<Prefilter> {
        let literals = self.patterns.iter().filter_map(|pattern| pattern.literal.as_ref());
        let literals = literals.chain(self.fields.iter().filter_map(|field| Some(&field.quick.as_ref()?.1)));
        let longest = literals.max_by_key(|literal| literal.text.len()).map(Literal::prefilter);
        longest.or_else(|| self.milder().map(|pattern| Prefilter { pattern, case_sensitive: true }))
    }

    /// A pattern that only lines do not match that begin with a milder level of pino's.
    fn milder(&self) -> Option<String> {
        let level = self.level.filter(|level| *level > Level::Debug)? as usize;
        Some(format!("^(?!\\{{\"level\":[1-{level}][0-9],)"))
    }

    fn is_of_units(&self, record: &ExportRecord<'_>) -> bool {
        let is = |name: &str| self.units.iter().any(|unit| is_unit(unit, name));
        let mut named = UNIT_FIELDS.iter().flat_map(|field| record.all(field));
        self.units.is_empty() || named.any(|value| std::str::from_utf8(value).is_ok_and(is))
    }
}

/// The beginning of a message, as far as its level may stand in it.
fn begin(raw: &[u8]) -> &str {
    let first = &raw[..raw.len().min(16)];
    std::str::from_utf8(first).unwrap_or_default()
}

/// Whether `name` is the unit, or fits the pattern; `.service` is what may be left out of either.
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
        assert!(
            may || !matches || !filter.units.is_empty(),
            "the first go rules out what the second keeps: {fields:?}"
        );
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
    fn what_json_may_escape_is_not_left_to_journalctl() {
        for id in ["a\"b", "é", "a/b", "x\u{1b}", "a"] {
            assert_eq!(mention(id).prefilter(), None, "{id}");
        }
        let filter =
            JournalFilter { patterns: vec![TextPattern::text("a\"b").expect("a pattern")], ..JournalFilter::default() };
        assert!(finds(&filter, &[("MESSAGE", r#"{"msg":"say a\"b"}"#)]), "as the service meant it");
    }

    #[test]
    fn the_level_inside_decides_and_plain_lines_are_never_ruled_out_early() {
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
    fn units_are_told_by_name_or_pattern_and_systemds_own_words_belong_to_them() {
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
    fn the_longest_literal_is_what_journalctl_looks_for() {
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
    fn fields_have_their_value_whole() {
        let filter = JournalFilter { fields: vec![FieldValue::new("status", "500")], ..JournalFilter::default() };
        assert!(finds(&filter, &[("MESSAGE", r#"{"status":500}"#)]));
        assert!(!finds(&filter, &[("MESSAGE", r#"{"status":5000}"#)]));
        assert!(!finds(&filter, &[("MESSAGE", r#"{"other":"500"}"#)]));
    }
}
