//! The lines of one trace as a tree: spans under their parent spans, lines in their span, all in the order of time.
//!
//! A span has a parent if one of its lines names the parent and the parent has lines. Other spans are at the top. A parent is never
//! guessed from times, which would be wrong for spans that run in parallel.
//!
//! **Invariant:** every line is in the tree exactly once, even if the parents of spans form a cycle.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::entry::JournalEntry;
use crate::domain::core::time::Timestamp;

/// The names of the log fields that identify traces and spans. Of each list, the first field that a line has is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TraceFields {
    /// The id of the trace.
    pub trace: Vec<String>,
    /// The id of the span.
    pub span: Vec<String>,
    /// The id of the parent span.
    pub parent: Vec<String>,
    /// The name of the span.
    pub span_name: Vec<String>,
}

impl Default for TraceFields {
    /// The fields of common loggers and exporters: OpenTelemetry for pino, Datadog, Elastic.
    fn default() -> Self {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Self {
            trace: names(&["traceId", "trace_id", "traceID", "trace.id"]),
            span: names(&["spanId", "span_id", "spanID", "span.id"]),
            parent: names(&[
                "parentSpanId",
                "parent_span_id",
                "parentSpanID",
                "parentId",
                "parent_id",
                "span.parentId",
                "parent.id",
            ]),
            span_name: names(&["spanName", "span_name", "span.name", "span", "operation"]),
        }
    }
}

impl TraceFields {
    /// Whether it is the default.
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a field holds the id of a trace or span.
    pub fn is_id(&self, name: &str) -> bool {
        [&self.trace, &self.span, &self.parent].iter().any(|names| names.iter().any(|known| known == name))
    }

    /// Whether the tree shows the value of a field already.
    pub fn is_of_tree(&self, name: &str) -> bool {
        self.is_id(name) || self.span_name.iter().any(|known| known == name)
    }
}

/// The greatest depth of a span. A deeper span is moved up to this depth, because nobody can read further to the right.
const DEPTH: usize = 12;

/// The lines of a trace as a tree.
#[derive(Debug, PartialEq)]
pub struct TraceTree<'e> {
    /// The spans without a known parent and the lines without a span, in the order of time.
    pub items: Vec<TreeItem<'e>>,
    /// The number of spans.
    pub spans: usize,
}

/// An item of a tree.
#[derive(Debug, PartialEq)]
pub enum TreeItem<'e> {
    Line(&'e JournalEntry),
    Span(TraceSpan<'e>),
}

/// The lines and the child spans of one span.
#[derive(Debug, PartialEq)]
pub struct TraceSpan<'e> {
    pub id: String,
    /// Its name, if a line has it.
    pub name: Option<String>,
    /// The time of its first line.
    pub first: Timestamp,
    /// The time of the last line of it or of its children.
    pub last: Timestamp,
    /// In the order of time.
    pub items: Vec<TreeItem<'e>>,
}

/// A span while the tree is built.
struct SpanBuilder<'e> {
    id: String,
    name: Option<String>,
    parent: Option<String>,
    lines: Vec<&'e JournalEntry>,
}

impl<'e> TraceTree<'e> {
    /// The tree of these lines.
    pub fn of(lines: &'e [JournalEntry], fields: &TraceFields) -> Self {
        let mut indices: HashMap<String, usize> = HashMap::new();
        let (mut builders, mut without_span): (Vec<SpanBuilder<'e>>, Vec<&JournalEntry>) = (Vec::new(), Vec::new());
        for line in lines {
            let Some(id) = line.first_of(&fields.span) else {
                without_span.push(line);
                continue;
            };
            let index = *indices.entry(id.clone()).or_insert(builders.len());
            if index == builders.len() {
                builders.push(SpanBuilder { id, name: None, parent: None, lines: Vec::new() });
            }
            let builder = &mut builders[index];
            builder.name = builder.name.take().or_else(|| line.first_of(&fields.span_name));
            builder.parent = builder.parent.take().or_else(|| line.first_of(&fields.parent));
            builder.lines.push(line);
        }
        let spans = builders.len();
        let parents = parents(&builders, &indices);
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); spans];
        let mut top = Vec::new();
        for (index, parent) in parents.iter().enumerate() {
            parent.map_or(&mut top, |parent| &mut children[parent]).push(index);
        }
        let mut items: Vec<TreeItem<'e>> =
            top.into_iter().map(|index| TreeItem::Span(span(index, &builders, &children))).collect();
        items.extend(without_span.into_iter().map(TreeItem::Line));
        items.sort_by_key(TreeItem::start);
        Self { items, spans }
    }
}

/// The index of each span's parent. There is none if the parent is unknown or would close a cycle. The parent of a span that is too
/// deep is an ancestor.
fn parents(builders: &[SpanBuilder<'_>], indices: &HashMap<String, usize>) -> Vec<Option<usize>> {
    let mut parents: Vec<Option<usize>> = vec![None; builders.len()];
    for (index, builder) in builders.iter().enumerate() {
        let parent = builder.parent.as_ref().and_then(|parent| indices.get(parent).copied());
        let mut ancestors = std::iter::successors(parent, |at| parents[*at]);
        if !ancestors.any(|ancestor| ancestor == index) {
            parents[index] = parent;
        }
    }
    let unlimited = parents.clone();
    for (index, parent) in parents.iter_mut().enumerate() {
        let ancestors: Vec<usize> = std::iter::successors(unlimited[index], |at| unlimited[*at]).collect();
        if let Some(excess) = ancestors.len().checked_sub(DEPTH + 1) {
            *parent = Some(ancestors[excess + 1]);
        }
    }
    parents
}

/// The span at an index, with its lines and its children.
fn span<'e>(index: usize, builders: &[SpanBuilder<'e>], children: &[Vec<usize>]) -> TraceSpan<'e> {
    let builder = &builders[index];
    let mut items: Vec<TreeItem<'e>> = builder.lines.iter().map(|line| TreeItem::Line(line)).collect();
    items.extend(children[index].iter().map(|child| TreeItem::Span(span(*child, builders, children))));
    // The sort is stable, so a line of the span precedes a child that starts in the same instant.
    items.sort_by_key(TreeItem::start);
    let first = builder.lines.iter().map(|line| line.at).min().unwrap_or_default();
    let last = items.iter().map(TreeItem::end).max().unwrap_or_default();
    TraceSpan { id: builder.id.clone(), name: builder.name.clone(), first, last, items }
}

impl TreeItem<'_> {
    fn start(&self) -> Timestamp {
        match self {
            Self::Line(line) => line.at,
            Self::Span(span) => span.first,
        }
    }

    fn end(&self) -> Timestamp {
        match self {
            Self::Line(line) => line.at,
            Self::Span(span) => span.last,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::journal::export::ExportRecord;
    use chrono::{DateTime, TimeDelta};
    use serde_json::{Value, json};

    fn line(at: i64, fields: &Value) -> JournalEntry {
        let at = DateTime::UNIX_EPOCH + TimeDelta::milliseconds(at);
        let message = fields.to_string();
        JournalEntry::of(&ExportRecord { at, fields: vec![(b"MESSAGE", message.as_bytes())] })
    }

    fn tree(lines: &[JournalEntry]) -> TraceTree<'_> {
        TraceTree::of(lines, &TraceFields::default())
    }

    #[test]
    fn the_names_of_the_fields_are_configurable() {
        let fields: TraceFields = serde_json::from_value(json!({"span": ["op"], "parent": ["of"]})).expect("fields");
        let lines = [line(1, &json!({"op": "a", "of": "b"})), line(2, &json!({"op": "b", "spanId": "x"}))];
        assert_eq!(drawn(&TraceTree::of(&lines, &fields).items), "b(a(1) 2)");
        assert!(fields.is_id("traceId") && fields.is_id("op") && !fields.is_id("spanId") && !fields.is_usual());
    }

    /// The items as text, such as `a(1 b(2 3) 4)`: spans with their items in brackets, lines as their millisecond.
    fn drawn(items: &[TreeItem<'_>]) -> String {
        let draw = |item: &TreeItem<'_>| match item {
            TreeItem::Line(line) => line.at.timestamp_millis().to_string(),
            TreeItem::Span(span) => format!("{}({})", span.id, drawn(&span.items)),
        };
        items.iter().map(draw).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn spans_are_within_their_parents_in_the_order_of_time() {
        let lines = [
            line(1, &json!({"spanId": "a", "spanName": "checkout.complete"})),
            line(2, &json!({"spanId": "b", "parentSpanId": "a"})),
            line(3, &json!({"spanId": "b"})),
            line(4, &json!({"spanId": "a"})),
            line(5, &json!({"msg": "no span"})),
            line(6, &json!({"span_id": "c", "parent_span_id": "gone"})),
        ];
        let tree = tree(&lines);
        assert_eq!((drawn(&tree.items).as_str(), tree.spans), ("a(1 b(2 3) 4) 5 c(6)", 3));
        let TreeItem::Span(first) = &tree.items[0] else { panic!("it is a span") };
        assert_eq!(first.name.as_deref(), Some("checkout.complete"));
        assert_eq!((first.last - first.first).num_milliseconds(), 3);
    }

    #[test]
    fn a_child_may_have_its_first_line_before_its_parent() {
        let lines = [line(1, &json!({"spanId": "b", "parentSpanId": "a"})), line(2, &json!({"spanId": "a"}))];
        assert_eq!(drawn(&tree(&lines).items), "a(b(1) 2)");
    }

    #[test]
    fn cycles_are_broken_and_the_depth_is_limited() {
        let cycle = |n: i64| json!({"spanId": n.to_string(), "parentSpanId": ((n + 1) % 3).to_string()});
        let lines: Vec<JournalEntry> = (0..3).map(|n| line(n, &cycle(n))).collect();
        assert_eq!(drawn(&tree(&lines).items).matches(|c: char| c.is_ascii_digit()).count(), 6);
        assert_eq!(drawn(&tree(&[line(1, &json!({"spanId": "a", "parentSpanId": "a"}))]).items), "a(1)");
        let lines: Vec<JournalEntry> = (0..2000)
            .map(|n| line(n, &json!({"spanId": format!("s{n}"), "parentSpanId": format!("s{}", n - 1)})))
            .collect();
        let drawn = drawn(&tree(&lines).items);
        assert_eq!(drawn.matches("s").count(), 2000);
        assert!(!drawn.contains(&"(".repeat(DEPTH + 2)) && drawn.ends_with(')'));
    }
}
