//! Renders the lines of a trace as a tree of its spans.

use anstyle::Style;
use chrono::{Local, TimeDelta};
use unicode_width::UnicodeWidthStr as _;

use super::line::LineWriter;
use super::summary::counted;
use super::wrap::{Unbreakable, flow};
use crate::domain::core::time::Timestamp;
use crate::domain::journal::entry::JournalEntry;
use crate::domain::journal::trace_tree::{TraceSpan, TraceTree, TreeItem};
use crate::surface::terminal::CharacterSet;

/// The width of the column for the time since the trace began.
const TIME_WIDTH: usize = 8;

/// The branch characters: before an item, before the last item, beside further items, and below the last item.
type Branches = [&'static str; 4];

/// Renders a line of totals, then the tree.
pub(super) fn render(id: &str, lines: &[JournalEntry], writer: &mut LineWriter<'_>) -> String {
    let tree = TraceTree::of(lines, writer.trace_fields());
    let first = lines.iter().map(|line| line.at).min().unwrap_or_default();
    let last = lines.iter().map(|line| line.at).max().unwrap_or_default();
    let mut services: Vec<String> = lines.iter().map(|line| writer.service(line)).collect();
    services.sort();
    services.dedup();
    let totals = format!(
        "{}, {}, {} in {}, from {}",
        counted(lines.len() as u64, "line"),
        counted(tree.spans as u64, "span"),
        counted(services.len() as u64, "service"),
        length(last - first),
        first.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S%.3f%:z"),
    );
    let bold = writer.style(Style::new().bold());
    let mut head =
        vec![Unbreakable::new(writer.style(Style::new()), "trace"), Unbreakable::new(bold, writer.clean.text(id))];
    head.extend(Unbreakable::all(writer.style(Style::new()), &totals));
    let mut out = flow(&head, 0, "  ", writer.line_style.width);
    items(&tree.items, "", first, writer, &mut out);
    out
}

fn items(items: &[TreeItem<'_>], prefix: &str, begin: Timestamp, writer: &mut LineWriter<'_>, out: &mut String) {
    let [branch, last_branch, beside, below_last] = branches(writer.line_style.charset);
    for (at, item) in items.iter().enumerate() {
        let is_last = at + 1 == items.len();
        let below = format!("{prefix}{}", if is_last { below_last } else { beside });
        match item {
            TreeItem::Line(entry) => {
                // A line has no branch; the vertical lines continue beside it.
                out.push_str(&line(entry, &below, begin, writer));
            }
            TreeItem::Span(span) => {
                out.push_str(&heading(
                    span,
                    &format!("{prefix}{}", if is_last { last_branch } else { branch }),
                    &below,
                    writer,
                ));
                self::items(&span.items, &below, begin, writer, out);
            }
        }
    }
}

/// The heading of a span: its name, id and duration.
fn heading(span: &TraceSpan<'_>, branch: &str, below: &str, writer: &LineWriter<'_>) -> String {
    let (bold, dim) = (writer.style(Style::new().bold()), writer.style(Style::new().dimmed()));
    let mut words = vec![Unbreakable::new(bold, writer.clean.text(span.name.as_deref().unwrap_or("span")))];
    words.push(Unbreakable::new(dim, writer.clean.text(&span.id)));
    words.push(Unbreakable::new(dim, length(span.last - span.first)));
    let rest = flow(&words, branch.width(), &format!("{below}  "), writer.line_style.width);
    format!("{dim}{branch}{dim:#}{rest}")
}

fn line(entry: &JournalEntry, below: &str, begin: Timestamp, writer: &mut LineWriter<'_>) -> String {
    let dim = writer.style(Style::new().dimmed());
    let since = format!("{:>TIME_WIDTH$}", format!("+{}", length(entry.at - begin)));
    let (level, service) = writer.level_and_service(entry);
    let words = vec![Unbreakable::new(dim, since), level, service];
    let fields = writer.trace_fields();
    let body = writer.body(entry, |name| !fields.is_of_tree(name));
    let rest = writer.flow_body(words, body, below.width(), &format!("{below}{}", " ".repeat(TIME_WIDTH / 2)));
    format!("{dim}{below}{dim:#}{rest}")
}

fn branches(charset: CharacterSet) -> Branches {
    match charset {
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
