//! The lines of one trace as a tree: spans below the span that began them, lines within their span, all in the order
//! of time.
//!
//! A span's parent is known when one of its lines names it; a span whose parent nobody names, or has no line of its own,
//! stands at the top. Deliberately absent: guessing a parent from when spans began and ended, which looks right until
//! two run side by side.
//!
//! **Invariant:** every line is in the tree once, whatever spans claim of each other: a circle is cut where it would close.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::entry::JournalEntry;
use crate::domain::core::time::Timestamp;

/// The fields by which services say which trace a line belongs to, and where in it; of each the first that a line has counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TraceFields {
    /// Which trace.
    pub trace: Vec<String>,
    /// Which span.
    pub span: Vec<String>,
    /// Which span began that one.
    pub parent: Vec<String>,
    /// What the span does.
    pub span_name: Vec<String>,
}

impl Default for TraceFields {
    /// What the loggers and exporters in use write: OpenTelemetry's for pino, Datadog's, Elastic's, and plain habit.
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
    /// Whether nothing of it differs from what is usual.
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a field says which trace or span a line belongs to.
    pub fn is_id(&self, name: &str) -> bool {
        [&self.trace, &self.span, &self.parent].iter().any(|names| names.iter().any(|known| known == name))
    }

    /// Whether a tree of spans says already what a field does.
    pub fn is_of_tree(&self, name: &str) -> bool {
        self.is_id(name) || self.span_name.iter().any(|known| known == name)
    }
}

/// The longest way from the top of the tree; what lies deeper is drawn here. Nobody can read further to the right.
const DEPTH: usize = 12;

/// The lines of a trace, as a tree.
#[derive(Debug, PartialEq)]
pub struct TraceTree<'e> {
    /// Spans without a known parent and lines without a span, in their order.
    pub items: Vec<TreeItem<'e>>,
    /// How many spans there are.
    pub spans: usize,
}

/// What stands in a tree.
#[derive(Debug, PartialEq)]
pub enum TreeItem<'e> {
    /// A line.
    Line(&'e JournalEntry),
    /// A span.
    Span(TraceSpan<'e>),
}

/// The lines of one span, and the spans that it began.
#[derive(Debug, PartialEq)]
pub struct TraceSpan<'e> {
    pub id: String,
    /// What it does, where a line says so.
    pub name: Option<String>,
    /// When its first line was written.
    pub first: Timestamp,
    /// When its last line was, those of its children included.
    pub last: Timestamp,
    /// In the order of time.
    pub items: Vec<TreeItem<'e>>,
}

/// A span while the tree is made.
struct SpanBuilder<'e> {
    id: String,
    name: Option<String>,
    parent: Option<String>,
    lines: Vec<&'e JournalEntry>,
}

impl<'e> TraceTree<'e> {
    /// The tree of these lines.
    pub fn of(lines: &'e [JournalEntry], fields: &TraceFields) -> Self {
        let mut places: HashMap<String, usize> = HashMap::new();
        let (mut drafts, mut loose): (Vec<SpanBuilder<'e>>, Vec<&JournalEntry>) = (Vec::new(), Vec::new());
        for line in lines {
            let Some(id) = line.first_of(&fields.span) else {
                loose.push(line);
                continue;
            };
            let place = *places.entry(id.clone()).or_insert(drafts.len());
            if place == drafts.len() {
                drafts.push(SpanBuilder { id, name: None, parent: None, lines: Vec::new() });
            }
            let draft = &mut drafts[place];
            draft.name = draft.name.take().or_else(|| line.first_of(&fields.span_name));
            draft.parent = draft.parent.take().or_else(|| line.first_of(&fields.parent));
            draft.lines.push(line);
        }
        let spans = drafts.len();
        let parents = parents(&drafts, &places);
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); spans];
        let mut top = Vec::new();
        for (place, parent) in parents.iter().enumerate() {
            parent.map_or(&mut top, |parent| &mut children[parent]).push(place);
        }
        let mut items: Vec<TreeItem<'e>> =
            top.into_iter().map(|place| TreeItem::Span(grown(place, &drafts, &children))).collect();
        items.extend(loose.into_iter().map(TreeItem::Line));
        items.sort_by_key(TreeItem::at);
        Self { items, spans }
    }
}

/// Which draft each one's parent is; none where it is unknown, would close a circle, or lies too deep.
fn parents(drafts: &[SpanBuilder<'_>], places: &HashMap<String, usize>) -> Vec<Option<usize>> {
    let mut parents: Vec<Option<usize>> = vec![None; drafts.len()];
    for (place, draft) in drafts.iter().enumerate() {
        let parent = draft.parent.as_ref().and_then(|parent| places.get(parent).copied());
        let way = std::iter::successors(parent, |at| parents[*at]);
        if !way.take(drafts.len() + 1).any(|ancestor| ancestor == place) {
            parents[place] = parent;
        }
    }
    let whole = parents.clone();
    for (place, parent) in parents.iter_mut().enumerate() {
        let way: Vec<usize> = std::iter::successors(whole[place], |at| whole[*at]).collect();
        if let Some(beyond) = way.len().checked_sub(DEPTH + 1) {
            *parent = Some(way[beyond + 1]);
        }
    }
    parents
}

fn grown<'e>(place: usize, drafts: &[SpanBuilder<'e>], children: &[Vec<usize>]) -> TraceSpan<'e> {
    let draft = &drafts[place];
    let mut items: Vec<TreeItem<'e>> = draft.lines.iter().map(|line| TreeItem::Line(line)).collect();
    items.extend(children[place].iter().map(|child| TreeItem::Span(grown(*child, drafts, children))));
    // Stable, so that a span's own line stands before the child that began in the same instant.
    items.sort_by_key(TreeItem::at);
    let first = draft.lines.iter().map(|line| line.at).min().unwrap_or_default();
    let last = items.iter().map(TreeItem::end).max().unwrap_or_default();
    TraceSpan { id: draft.id.clone(), name: draft.name.clone(), first, last, items }
}

impl TreeItem<'_> {
    /// When it begins.
    fn at(&self) -> Timestamp {
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
    fn an_estate_may_have_fields_of_its_own() {
        let fields: TraceFields = serde_json::from_value(json!({"span": ["op"], "parent": ["of"]})).expect("fields");
        let lines = [line(1, &json!({"op": "a", "of": "b"})), line(2, &json!({"op": "b", "spanId": "x"}))];
        assert_eq!(drawn(&TraceTree::of(&lines, &fields).items), "b(a(1) 2)");
        assert!(fields.is_id("traceId") && fields.is_id("op") && !fields.is_id("spanId") && !fields.is_usual());
    }

    /// `a(1 b(2 3) 4)`: spans with what is in them, lines by their millisecond.
    fn drawn(items: &[TreeItem<'_>]) -> String {
        let draw = |item: &TreeItem<'_>| match item {
            TreeItem::Line(line) => line.at.timestamp_millis().to_string(),
            TreeItem::Span(span) => format!("{}({})", span.id, drawn(&span.items)),
        };
        items.iter().map(draw).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn spans_stand_within_the_one_that_began_them_in_the_order_of_time() {
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
    fn a_child_that_is_heard_of_first_still_finds_its_parent() {
        let lines = [line(1, &json!({"spanId": "b", "parentSpanId": "a"})), line(2, &json!({"spanId": "a"}))];
        assert_eq!(drawn(&tree(&lines).items), "a(b(1) 2)");
    }

    #[test]
    fn circles_are_cut_and_long_ways_stay_short() {
        let circle = |n: i64| json!({"spanId": n.to_string(), "parentSpanId": ((n + 1) % 3).to_string()});
        let lines: Vec<JournalEntry> = (0..3).map(|n| line(n, &circle(n))).collect();
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
