//! The lines of a trace as a tree of its spans.

use anstyle::Style;
use chrono::{Local, TimeDelta};
use unicode_width::UnicodeWidthStr as _;

use super::line::LineWriter;
use super::wrap::{Unbreakable, flow};
use crate::domain::core::text::grouped;
use crate::domain::core::time::Timestamp;
use crate::domain::journal::entry::JournalEntry;
use crate::domain::journal::trace_tree::{TraceSpan, TraceTree, TreeItem};
use crate::surface::terminal::CharacterSet;

/// The width of the time since the trace began.
const SINCE: usize = 8;

/// The branch characters: before a further item, before the last item, beside a further item, and blank.
type Branches = [&'static str; 4];

/// The tree, below a line of totals.
pub(super) fn drawn(id: &str, lines: &[JournalEntry], pen: &mut LineWriter<'_>) -> String {
    let tree = TraceTree::of(lines, pen.trace_fields());
    let first = lines.iter().map(|line| line.at).min().unwrap_or_default();
    let last = lines.iter().map(|line| line.at).max().unwrap_or_default();
    let mut services: Vec<String> = lines.iter().map(|line| pen.service(line)).collect();
    services.sort();
    services.dedup();
    let count =
        |number: usize, what: &str| format!("{} {what}{}", grouped(number as u64), if number == 1 { "" } else { "s" });
    let said = format!(
        "{}, {}, {} in {}, from {}",
        count(lines.len(), "line"),
        count(tree.spans, "span"),
        count(services.len(), "service"),
        length(last - first),
        first.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S%.3f%:z"),
    );
    let bold = pen.style(Style::new().bold());
    let mut head = vec![Unbreakable::new(pen.style(Style::new()), "trace"), Unbreakable::new(bold, pen.clean.text(id))];
    head.extend(Unbreakable::all(pen.style(Style::new()), &said));
    let mut out = flow(&head, 0, "  ", pen.look.width);
    items(&tree.items, "", first, pen, &mut out);
    out
}

fn items(items: &[TreeItem<'_>], guide: &str, begin: Timestamp, pen: &mut LineWriter<'_>, out: &mut String) {
    let [on, last, beside, beneath] = branches(pen.look.letters);
    for (at, item) in items.iter().enumerate() {
        let is_last = at + 1 == items.len();
        let below = format!("{guide}{}", if is_last { beneath } else { beside });
        match item {
            TreeItem::Line(entry) => {
                // A line has no branch of its own; the vertical lines continue beside it.
                out.push_str(&line(entry, &below, begin, pen));
            }
            TreeItem::Span(span) => {
                out.push_str(&heading(span, &format!("{guide}{}", if is_last { last } else { on }), &below, pen));
                self::items(&span.items, &below, begin, pen, out);
            }
        }
    }
}

/// The heading of a span: its name, id and duration.
fn heading(span: &TraceSpan<'_>, branch: &str, below: &str, pen: &LineWriter<'_>) -> String {
    let (bold, dim) = (pen.style(Style::new().bold()), pen.style(Style::new().dimmed()));
    let mut words = vec![Unbreakable::new(bold, pen.clean.text(span.name.as_deref().unwrap_or("span")))];
    words.push(Unbreakable::new(dim, pen.clean.text(&span.id)));
    words.push(Unbreakable::new(dim, length(span.last - span.first)));
    let rest = flow(&words, branch.width(), &format!("{below}  "), pen.look.width);
    format!("{dim}{branch}{dim:#}{rest}")
}

fn line(entry: &JournalEntry, below: &str, begin: Timestamp, pen: &mut LineWriter<'_>) -> String {
    let dim = pen.style(Style::new().dimmed());
    let since = format!("{:>SINCE$}", format!("+{}", length(entry.at - begin)));
    let (level, service) = pen.who(entry);
    let words = vec![Unbreakable::new(dim, since), level, service];
    let fields = pen.trace_fields();
    let body = pen.body(entry, |name| !fields.is_of_tree(name));
    let rest = pen.written(words, body, below.width(), &format!("{below}{}", " ".repeat(SINCE / 2)));
    format!("{dim}{below}{dim:#}{rest}")
}

fn branches(letters: CharacterSet) -> Branches {
    match letters {
        CharacterSet::Unicode => ["├─ ", "└─ ", "│  ", "   "],
        CharacterSet::Ascii => ["|- ", "`- ", "|  ", "   "],
    }
}

/// A duration in short form: `12ms`, `1.204s`, `3m 5s`.
fn length(length: TimeDelta) -> String {
    let millis = length.num_milliseconds().max(0);
    match millis {
        0..1000 => format!("{millis}ms"),
        1000..60_000 => format!("{}.{:03}s", millis / 1000, millis % 1000),
        _ => crate::domain::core::time::Span::seconds(millis.unsigned_abs() / 1000).to_string(),
    }
}
