//! The nodes of a YAML document: values with their places in the file.
//!
//! Not here: parsing (see [`reader`](super::reader)) and checking (see [`fields`](super::fields)).

use crate::domain::core::diagnostic::{Source, SourceSpan};

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub content: Content,
    /// A scalar's range covers its characters in the file; a list's or mapping's range is its first character.
    pub span: SourceSpan,
}

/// The value of a node.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// An empty value, `~` or `null`.
    Null,
    Boolean(bool),
    Integer(i64),
    /// Any other number.
    Number(f64),
    /// Any other scalar.
    Text(String),
    List(Vec<Node>),
    /// A mapping in the order of the file, duplicate keys included.
    Map(Vec<Entry>),
}

/// One key of a mapping and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub key: String,
    /// The key's place.
    pub key_span: SourceSpan,
    pub value: Node,
}

impl Node {
    /// The text, if it is text.
    pub fn as_text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The entries, if it is a mapping.
    pub fn as_map(&self) -> Option<&[Entry]> {
        match &self.content {
            Content::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The first value under `key`, if it is a mapping that has one.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_map()?.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// Its description for "expected …, found …".
    pub fn what(&self) -> String {
        match &self.content {
            Content::Null => "nothing".to_owned(),
            Content::Boolean(value) => format!("`{value}`"),
            Content::Integer(number) => format!("the number `{number}`"),
            Content::Number(number) => format!("the number `{number}`"),
            Content::Text(_) => "text".to_owned(),
            Content::List(_) => "a list".to_owned(),
            Content::Map(_) => "a mapping".to_owned(),
        }
    }

    /// The value as JSON. Of a duplicate key, the first value is used.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value;
        match &self.content {
            Content::Null => Value::Null,
            Content::Boolean(value) => Value::Bool(*value),
            Content::Integer(number) => Value::from(*number),
            Content::Number(number) => Value::from(*number),
            Content::Text(text) => Value::String(text.clone()),
            Content::List(items) => items.iter().map(Self::to_json).collect(),
            Content::Map(entries) => {
                let mut map = serde_json::Map::new();
                for entry in entries {
                    map.entry(entry.key.clone()).or_insert_with(|| entry.value.to_json());
                }
                Value::Object(map)
            }
        }
    }

    /// The place in the file of a range of this text's bytes. Quotes, escapes, indentation and folding are taken into account.
    /// If it cannot be found, the place of the whole text.
    pub fn span_within(&self, source: &Source, inner: std::ops::Range<usize>) -> SourceSpan {
        let Content::Text(value) = &self.content else { return self.span.clone() };
        let raw = &source.text[self.span.range.start.min(source.text.len())..];
        let start = offset_in_raw(value, raw, inner.start);
        let end =
            if inner.end > inner.start { offset_in_raw(value, raw, inner.end - 1).map(|at| at + 1) } else { start };
        match (start, end) {
            (Some(start), Some(end)) => {
                let base = self.span.range.start;
                source.span(base + start..base + end.max(start))
            }
            _ => self.span.clone(),
        }
    }
}

/// The offset in `raw`, a scalar as written, of the byte at `target` in its `value`.
///
/// Folding, indentation and line ends change only white space. So, after quotes and escapes are decoded, the n-th character that
/// is not white space is the same in both.
fn offset_in_raw(value: &str, raw: &str, target: usize) -> Option<usize> {
    let before = value.get(..target)?.chars().filter(|c| !c.is_whitespace()).count();
    DecodedScalar::new(raw).filter(|(_, character)| !character.is_whitespace()).nth(before).map(|(at, _)| at)
}

/// The decoded characters of a scalar, each with its offset in the scalar as written.
struct DecodedScalar<'a> {
    raw: &'a str,
    at: usize,
    quote: Option<char>,
}

impl<'a> DecodedScalar<'a> {
    fn new(raw: &'a str) -> Self {
        let quote = raw.chars().next().filter(|c| matches!(c, '"' | '\''));
        Self { raw, at: usize::from(quote.is_some()), quote }
    }

    /// Reads the rest of an escape. The character need not be exact, only white space or not.
    fn escape(&mut self) -> char {
        let Some(kind) = self.raw[self.at..].chars().next() else { return ' ' };
        self.at += kind.len_utf8();
        let digits = match kind {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            'n' | 't' | 'r' | ' ' | '\t' | '\n' | '\r' | 'N' | '_' | 'L' | 'P' | 'v' | 'f' => return ' ',
            other => return other,
        };
        let code = self.raw.get(self.at..self.at + digits).unwrap_or_default();
        self.at += code.len();
        u32::from_str_radix(code, 16).ok().and_then(char::from_u32).unwrap_or('x')
    }
}

impl Iterator for DecodedScalar<'_> {
    type Item = (usize, char);

    fn next(&mut self) -> Option<(usize, char)> {
        let at = self.at;
        let rest = &self.raw[at..];
        let first = rest.chars().next()?;
        self.at += first.len_utf8();
        match (self.quote, first) {
            (Some('\''), '\'') => {
                self.at += usize::from(rest.starts_with("''"));
                rest.starts_with("''").then_some((at, '\''))
            }
            (Some('"'), '"') => None,
            (Some('"'), '\\') => Some((at, self.escape())),
            _ => Some((at, first)),
        }
    }
}
