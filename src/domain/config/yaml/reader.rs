//! Parses YAML into nodes with their places, within limits of size and depth.
//!
//! This is the only file that uses the YAML crate. Duplicate keys are allowed here, because the checker reports each of them. A
//! syntax error is one problem, because the text after it cannot be interpreted.
//!
//! **Invariant:** for any bytes, parsing ends in well under a second, with a node or with a problem that has a line.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::budget::BudgetBreach;
use serde_yaml::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use serde_yaml::{Budget, Error, Location, Options, Spanned};

use super::node::{Content, Entry, Node};
use crate::domain::core::diagnostic::{Problem, Source, SourceSpan};

/// The largest file that is read, in bytes: a thousand steps fit in a tenth of it.
pub const MAX_FILE: usize = 1 << 20;

/// The deepest nesting of lists and mappings. A step within `parallel` needs about twelve. The parser is recursive, and twice
/// this depth fits on the stack of a thread (2 MiB) even without optimisation.
const MAX_DEPTH: usize = 32;

/// The most values in a file, aliases expanded.
const MAX_NODES: usize = 20_000;

/// The most aliases in a file.
const MAX_ALIASES: usize = 100;

/// Parses one YAML document.
///
/// # Errors
/// The first syntax error or exceeded limit.
pub fn read(source: &Source) -> Result<Node, Box<Problem>> {
    if source.text.len() > MAX_FILE {
        return Err(Box::new(too_large(source)));
    }
    serde_yaml::from_str_with_options::<Node>(&source.text, options())
        .map_err(|error| Box::new(problem(source, &error)))
}

/// The problem of a file over [`MAX_FILE`]. `source` may hold only the file's first [`MAX_FILE`] bytes.
pub fn too_large(source: &Source) -> Problem {
    let at = source.text.len().min(MAX_FILE);
    Problem::new(source.span(at..at), "the file is larger than 1 MiB")
        .help("Split it into several runbooks and call one from another with `start`.")
}

/// The text of a file's bytes.
///
/// # Errors
/// The place of the first byte that is not UTF-8.
pub fn text(name: &str, bytes: &[u8]) -> Result<Source, Box<(Source, Problem)>> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Source::new(name, text)),
        Err(error) => {
            let source = Source::new(name, String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_FILE)]));
            let at = error.valid_up_to();
            let problem = Problem::new(source.span(at..at + 1), "the file is not UTF-8 text").help("Save it as UTF-8.");
            Err(Box::new((source, problem)))
        }
    }
}

fn options() -> Options {
    let mut budget = Budget::default();
    budget.max_depth = MAX_DEPTH;
    budget.max_nodes = MAX_NODES;
    budget.max_events = MAX_NODES * 4;
    budget.max_aliases = MAX_ALIASES;
    budget.max_anchors = MAX_ALIASES;
    budget.max_documents = 1;
    budget.flow_nesting_limit = MAX_DEPTH;
    budget.max_total_scalar_bytes = 4 * MAX_FILE;
    let mut options = Options::default();
    options.budget = Some(budget);
    options.alias_limits.max_total_replayed_events = MAX_NODES;
    options.duplicate_keys = DuplicateKeyPolicy::PassThrough;
    options.merge_keys = MergeKeyPolicy::AsOrdinary;
    options.strict_booleans = true;
    options.reject_unsupported_tags = true;
    options.with_snippet = false;
    options
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Content>::deserialize(deserializer)?;
        Ok(Self { span: span(spanned.referenced), content: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_none<E>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Content, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
        #[expect(clippy::cast_precision_loss, reason = "a number beyond i64 is refused by every integer field anyway")]
        Ok(i64::try_from(value).map_or(Content::Number(value as f64), Content::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Content, E> {
        Ok(Content::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Content, E> {
        Ok(Content::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Content, E> {
        Ok(Content::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Content, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Content::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let value = map.next_value()?;
            entries.push(Entry { key_span: span(key.referenced), key: key.value, value });
        }
        Ok(Content::Map(entries))
    }
}

fn span(location: Location) -> SourceSpan {
    let number = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    let start = number(location.span().byte_offset().unwrap_or(0));
    let length = number(location.span().byte_len().unwrap_or(0));
    SourceSpan {
        line: number(location.line()),
        column: number(location.column()),
        range: start..start.saturating_add(length),
    }
}

/// The message for a small file whose aliases would make it very large.
const TOO_MANY_ALIASES: &str = "the file's aliases expand to too much";

/// The help for [`TOO_MANY_ALIASES`].
const WITHOUT_ALIASES: &str = "Write the values out, or use `params`.";

/// The problem of an error of the parser.
fn problem(source: &Source, error: &Error) -> Problem {
    let error = error.without_snippet();
    let place = error.location().map_or_else(|| source.span(0..0), |location| with_range(source, span(location)));
    let (message, help) = message(error);
    let problem = Problem::new(place, message);
    match help {
        Some(help) => problem.help(help),
        None => problem,
    }
}

/// The place with the range of its first byte. Some errors of the parser have only line and column.
fn with_range(source: &Source, place: SourceSpan) -> SourceSpan {
    let from = source.text.split_inclusive('\n').take(place.line.saturating_sub(1)).map(str::len).sum::<usize>();
    let line = source.text[from..].lines().next().unwrap_or_default();
    let start = from + line.char_indices().nth(place.column.saturating_sub(1)).map_or(line.len(), |(at, _)| at);
    SourceSpan { range: start..start + 1, ..place }
}

/// The message and the help for an error of the parser.
fn message(error: &Error) -> (String, Option<&'static str>) {
    let with_help = |message: &str, help| (message.to_owned(), Some(help));
    match error {
        Error::Budget { breach, .. } => exceeded(breach),
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => with_help(TOO_MANY_ALIASES, WITHOUT_ALIASES),
        Error::MultipleDocuments { .. } => {
            with_help("the file holds more than one document", "Write one file for each; take `---` away.")
        }
        Error::UnknownAnchor { .. } => {
            with_help("an alias to an anchor that is not there", "Quote a text that starts with `*`.")
        }
        Error::TaggedScalarCannotDeserializeIntoString { .. } => {
            with_help("tags are not supported", "Remove the `!…`.")
        }
        Error::Eof { .. } => {
            with_help("the file is empty", "Begin a runbook with `runbook: <id>`, and an estate with `estate: <name>`.")
        }
        other => {
            let text = other.to_string();
            let text = text.split(" at line ").next().unwrap_or_default();
            if text.starts_with("recursion limit") {
                return (format!("lists and mappings nest deeper than {MAX_DEPTH}"), None);
            }
            // An alias error within a value is wrapped: only its text is left.
            if text.starts_with("alias replay") || text.starts_with("alias expansion") {
                return with_help(TOO_MANY_ALIASES, WITHOUT_ALIASES);
            }
            let help = text.contains("mapping values are not allowed").then_some("Quote a text that holds `: `.");
            (format!("not YAML: {text}"), help)
        }
    }
}

fn exceeded(breach: &BudgetBreach) -> (String, Option<&'static str>) {
    let message = match breach {
        BudgetBreach::Depth { .. } => format!("lists and mappings nest deeper than {MAX_DEPTH}"),
        BudgetBreach::Nodes { .. } | BudgetBreach::Events { .. } => {
            format!("the file has more than {MAX_NODES} values")
        }
        BudgetBreach::Aliases { .. } | BudgetBreach::Anchors { .. } => {
            format!("the file has more than {MAX_ALIASES} aliases")
        }
        BudgetBreach::Documents { .. } => "the file holds more than one document".to_owned(),
        _ => "the file is too large".to_owned(),
    };
    (message, None)
}

#[cfg(test)]
mod tests;
