//! One line of the journal as people read it: time, level, service, message, then the other fields; what has several
//! lines, such as a stack trace, below it.
//!
//! On a terminal a day is said once and lines are broken to its width; elsewhere every line says its whole instant and
//! stays one line, for grep.
//!
//! **Invariant:** foreign text comes in through [`Clean::text`] only.

use anstyle::{AnsiColor, Style};
use chrono::{Local, NaiveDate};
use serde_json::Value;
use unicode_width::UnicodeWidthStr as _;

use super::context::SearchContext;
use super::sanitize::Clean;
use super::wrap::{Unbreakable, flow};
use crate::domain::core::text::one_line;
use crate::domain::journal::entry::JournalEntry;
use crate::domain::journal::level::Level;
use crate::domain::journal::trace_tree::TraceFields;
use crate::surface::terminal::CharacterSet;

/// Below this width the message goes on its own line, and the time has no fraction.
const NARROW: usize = 60;

/// The minimum width of the message beside its head; with less, continuation lines use a small indent.
const ROOM: usize = 40;

/// The widest service name that gets a column.
const SERVICE: usize = 16;

/// Maximum characters of a line of the message.
const MESSAGE: usize = 4000;

/// Maximum characters of a field.
const FIELD: usize = 400;

/// Maximum lines of a message or a stack trace; deeper frames belong to the runtime.
const BLOCK: usize = 40;

/// How lines are formatted.
#[derive(Debug, Clone, Copy)]
pub(super) struct LineStyle {
    /// The width to wrap at; none leaves each on one line.
    pub(super) width: Option<usize>,
    pub(super) letters: CharacterSet,
    /// For an incident's log: in UTC and without styles.
    pub(super) is_evidence: bool,
}

/// Formats lines.
pub(super) struct LineWriter<'b> {
    bench: &'b SearchContext,
    pub(super) clean: &'b Clean,
    pub(super) look: LineStyle,
    column: usize,
    day: Option<NaiveDate>,
}

/// The text of a line, after its head.
#[derive(Default)]
pub(super) struct Body {
    words: Vec<Unbreakable>,
    /// Lines that go below.
    block: Vec<String>,
}

impl<'b> LineWriter<'b> {
    pub(super) fn new(bench: &'b SearchContext, look: LineStyle) -> Self {
        Self { bench, clean: &bench.clean, look, column: 0, day: None }
    }

    /// Formats a line, after a heading if the day has changed.
    pub(super) fn line(&mut self, entry: &JournalEntry) -> String {
        let mut out = self.new_day(entry);
        let time = self.time(entry);
        let (mut head, mut words) = (time.width() + 1, vec![Unbreakable::new(self.style(Style::new().dimmed()), time)]);
        let (level, service) = self.who(entry);
        head += 7 + service.0.iter().map(|(_, text)| text.width()).sum::<usize>();
        words.extend([level, service]);
        let body = self.body(entry, |_| true);
        let indent = match self.look.width {
            Some(width) if width >= NARROW && width.saturating_sub(head) >= ROOM => " ".repeat(head),
            _ => "  ".to_owned(),
        };
        if self.look.width.is_some_and(|width| width < NARROW) {
            out.push_str(&flow(&words, 0, &indent, self.look.width));
            out.push_str(&indent);
            words.clear();
        }
        let at = if words.is_empty() { indent.width() } else { 0 };
        out.push_str(&self.written(words, body, at, &indent));
        out
    }

    /// Formats words followed by a body; the first line begins at column `at`.
    pub(super) fn written(&self, mut words: Vec<Unbreakable>, body: Body, at: usize, indent: &str) -> String {
        words.extend(body.words);
        let mut out = flow(&words, at, indent, self.look.width);
        let dim = self.style(Style::new().dimmed());
        let deeper = format!("{indent}  ");
        for line in &body.block {
            let words: Vec<Unbreakable> = Unbreakable::all(dim, line.trim_end()).collect();
            out.push_str(indent);
            out.push_str(&flow(&words, indent.width(), &deeper, self.look.width));
        }
        out
    }

    /// The level and the service, padded to form columns.
    pub(super) fn who(&mut self, entry: &JournalEntry) -> (Unbreakable, Unbreakable) {
        let service = self.bench.service(entry);
        let is_narrow = self.look.width.is_some_and(|width| width < NARROW);
        if !is_narrow {
            self.column = self.column.max(service.width().min(SERVICE));
        }
        let padded = format!("{service}{}", " ".repeat(self.column.saturating_sub(service.width())));
        let level =
            Unbreakable::new(self.style(level_style(entry.level)), format!("{:<5}", entry.level.name().to_uppercase()));
        (level, Unbreakable::new(self.style(AnsiColor::Cyan.on_default()), padded))
    }

    /// The names of the trace fields in the estate.
    pub(super) fn trace_fields(&self) -> &'b TraceFields {
        &self.bench.context.estate.logs
    }

    /// The service that wrote a line.
    pub(super) fn service(&self, entry: &JournalEntry) -> String {
        self.bench.service(entry)
    }

    /// The message and the selected fields.
    pub(super) fn body(&self, entry: &JournalEntry, is_shown: impl Fn(&str) -> bool) -> Body {
        let message = self.clean.text(&entry.message());
        let mut lines = message.lines();
        let first = one_line_of(lines.next().unwrap_or_default(), MESSAGE);
        let strong = if entry.level >= Level::Error { Style::new().bold() } else { Style::new() };
        let mut body = Body { words: Unbreakable::all(self.style(strong), &first).collect(), block: Vec::new() };
        body.push_block(lines);
        let traced = |name: &str| self.trace_fields().is_id(name);
        for (name, value) in entry.event_fields().filter(|(name, _)| is_shown(name) && !traced(name)) {
            self.field(&mut body, name, value, &message);
        }
        for (name, value) in entry.event_fields().filter(|(name, _)| is_shown(name) && traced(name)) {
            self.field(&mut body, name, value, &message);
        }
        body
    }

    /// Adds a field. Text of several lines goes below, and the parts of an error become fields of their own.
    fn field(&self, body: &mut Body, name: &str, value: &Value, message: &str) {
        match value {
            Value::Object(parts) if parts.get("stack").is_some_and(Value::is_string) => {
                for (part, value) in parts.iter().filter(|(_, value)| value.as_str() != Some(message)) {
                    self.field(body, &format!("{name}.{part}"), value, message);
                }
            }
            Value::String(text) if text.trim_end().contains('\n') => {
                let text = self.clean.text(text);
                if !name.ends_with("stack") {
                    body.block.push(format!("{}:", self.clean.text(name)));
                }
                body.push_block(text.lines());
            }
            Value::String(text) => {
                let text = one_line(&self.clean.text(text), FIELD);
                let bare = !text.is_empty() && !text.contains([' ', '"', '=']);
                self.push_field(body, name, if bare { text } else { format!("\"{}\"", text.replace('"', "\\\"")) });
            }
            other => self.push_field(body, name, one_line(&self.clean.text(&other.to_string()), FIELD)),
        }
    }

    fn push_field(&self, body: &mut Body, name: &str, value: String) {
        let dim = self.style(Style::new().dimmed());
        let name = one_line(&self.clean.text(name), FIELD);
        let mut words = value.split(' ');
        let first = words.next().unwrap_or_default().to_owned();
        body.words.push(Unbreakable(vec![(dim, format!("{name}=")), (self.style(Style::new()), first)]));
        body.words.extend(words.map(|word| Unbreakable::new(self.style(Style::new()), word)));
    }

    fn time(&self, entry: &JournalEntry) -> String {
        let local = entry.at.with_timezone(&Local);
        match self.look.width {
            _ if self.look.is_evidence => entry.at.format("%Y-%m-%d %H:%M:%S%.3fZ").to_string(),
            None => local.format("%Y-%m-%d %H:%M:%S%.3f%:z").to_string(),
            Some(..NARROW) => local.format("%H:%M:%S").to_string(),
            Some(_) => local.format("%H:%M:%S%.3f").to_string(),
        }
    }

    /// On a terminal, a heading for a new day, with the zone of all times.
    fn new_day(&mut self, entry: &JournalEntry) -> String {
        let local = entry.at.with_timezone(&Local);
        let day = local.date_naive();
        if self.look.width.is_none() || self.day == Some(day) {
            return String::new();
        }
        self.day = Some(day);
        let dim = self.style(Style::new().dimmed());
        format!("{dim}{}{dim:#}\n", local.format("%A, %Y-%m-%d, UTC%:z"))
    }

    /// The style, or none for evidence.
    pub(super) fn style(&self, style: Style) -> Style {
        if self.look.is_evidence { Style::new() } else { style }
    }
}

impl Body {
    fn push_block<'l>(&mut self, lines: impl Iterator<Item = &'l str>) {
        let mut left_out = 0;
        for (at, line) in lines.enumerate() {
            if at < BLOCK { self.block.push(one_line_of(line, FIELD)) } else { left_out += 1 }
        }
        if left_out > 0 {
            self.block.push(format!("… {left_out} more lines"));
        }
    }
}

/// A line cut to a number of characters. It keeps its blanks, which make a stack trace readable.
fn one_line_of(line: &str, most: usize) -> String {
    let line = line.replace('\t', "    ");
    match line.char_indices().nth(most) {
        None => line,
        Some((at, _)) => format!("{}…", &line[..at]),
    }
}

/// The style of a level. The level is also printed as a word, so no meaning depends on colour.
pub(super) fn level_style(level: Level) -> Style {
    match level {
        Level::Trace | Level::Debug => Style::new().dimmed(),
        Level::Info => AnsiColor::Green.on_default(),
        Level::Warn => AnsiColor::Yellow.on_default(),
        Level::Error => AnsiColor::Red.on_default().bold(),
        Level::Fatal => AnsiColor::Magenta.on_default().bold(),
    }
}
