//! Formats a journal line for people: time, level, service, message, then the other fields. A text of several lines, such
//! as a stack trace, goes below.
//!
//! On a terminal, a heading names the day, and lines are wrapped. Elsewhere each line has its date and is not wrapped, so
//! that `grep` finds it whole.
//!
//! **Invariant:** foreign text passes through [`Clean::text`].

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
use crate::surface::cli::context::settings::Settings;
use crate::surface::terminal::CharacterSet;

/// Below this width the message begins on a new line, and the time has no fraction.
const NARROW: usize = 60;

/// The minimum width for text that is aligned with the message; with less, continuation lines are indented by two.
const MIN_MESSAGE_WIDTH: usize = 40;

/// Maximum width of the service column; a longer name is not aligned.
const SERVICE_WIDTH: usize = 16;

/// Maximum characters of a line of the message.
const MESSAGE_LIMIT: usize = 4000;

/// Maximum characters of a field.
const FIELD_LIMIT: usize = 400;

/// Maximum lines of a message or a stack trace; deeper frames usually belong to the language's runtime.
const BLOCK_LIMIT: usize = 40;

/// How lines are formatted.
#[derive(Debug, Clone, Copy)]
pub(super) struct LineStyle {
    /// The width to wrap to; without one, lines are not wrapped.
    pub(super) width: Option<usize>,
    pub(super) charset: CharacterSet,
    /// Whether the lines go to an incident's log: then times are in UTC, and there are no styles.
    pub(super) is_evidence: bool,
}

/// Formats journal lines one after the other.
pub(super) struct LineWriter<'b> {
    context: &'b SearchContext,
    pub(super) clean: &'b Clean,
    pub(super) line_style: LineStyle,
    /// The width of the service column so far.
    column: usize,
    /// The day of the last line.
    day: Option<NaiveDate>,
}

/// The message and the fields of a line.
#[derive(Default)]
pub(super) struct Body {
    words: Vec<Unbreakable>,
    /// The lines that go below.
    block: Vec<String>,
}

impl<'b> LineWriter<'b> {
    pub(super) fn new(context: &'b SearchContext, line_style: LineStyle) -> Self {
        Self { context, clean: &context.clean, line_style, column: 0, day: None }
    }

    /// A writer for standard output.
    pub(super) fn on_output(context: &'b SearchContext, settings: &Settings) -> Self {
        Self::new(context, LineStyle { width: settings.width(), charset: settings.charset(), is_evidence: false })
    }

    /// Formats a line; adds a heading before it if the day has changed.
    pub(super) fn line(&mut self, entry: &JournalEntry) -> String {
        let mut out = self.new_day(entry);
        let time = self.time(entry);
        let (mut head, mut words) = (time.width() + 1, vec![Unbreakable::new(self.style(Style::new().dimmed()), time)]);
        let (level, service) = self.level_and_service(entry);
        head += 7 + service.0.iter().map(|(_, text)| text.width()).sum::<usize>();
        words.extend([level, service]);
        let body = self.body(entry, |_| true);
        let indent = match self.line_style.width {
            Some(width) if width >= NARROW && width.saturating_sub(head) >= MIN_MESSAGE_WIDTH => " ".repeat(head),
            _ => "  ".to_owned(),
        };
        if self.line_style.width.is_some_and(|width| width < NARROW) {
            out.push_str(&flow(&words, 0, &indent, self.line_style.width));
            out.push_str(&indent);
            words.clear();
        }
        let at = if words.is_empty() { indent.width() } else { 0 };
        out.push_str(&self.flow_body(words, body, at, &indent));
        out
    }

    /// Formats words followed by a body; the first line begins at column `at`.
    pub(super) fn flow_body(&self, mut words: Vec<Unbreakable>, body: Body, at: usize, indent: &str) -> String {
        words.extend(body.words);
        let mut out = flow(&words, at, indent, self.line_style.width);
        let dim = self.style(Style::new().dimmed());
        let deeper = format!("{indent}  ");
        for line in &body.block {
            let words: Vec<Unbreakable> = Unbreakable::all(dim, line.trim_end()).collect();
            out.push_str(indent);
            out.push_str(&flow(&words, indent.width(), &deeper, self.line_style.width));
        }
        out
    }

    /// The level and the service, padded to form columns.
    pub(super) fn level_and_service(&mut self, entry: &JournalEntry) -> (Unbreakable, Unbreakable) {
        let service = self.context.service(entry);
        let is_narrow = self.line_style.width.is_some_and(|width| width < NARROW);
        if !is_narrow {
            self.column = self.column.max(service.width().min(SERVICE_WIDTH));
        }
        let padded = format!("{service}{}", " ".repeat(self.column.saturating_sub(service.width())));
        let level =
            Unbreakable::new(self.style(level_style(entry.level)), format!("{:<5}", entry.level.name().to_uppercase()));
        (level, Unbreakable::new(self.style(AnsiColor::Cyan.on_default()), padded))
    }

    /// The names of the trace fields in the estate.
    pub(super) fn trace_fields(&self) -> &'b TraceFields {
        &self.context.action_context.estate.logs
    }

    /// The service that wrote a line.
    pub(super) fn service(&self, entry: &JournalEntry) -> String {
        self.context.service(entry)
    }

    /// The message and the selected fields.
    pub(super) fn body(&self, entry: &JournalEntry, is_shown: impl Fn(&str) -> bool) -> Body {
        let message = self.clean.text(&entry.message());
        let mut lines = message.lines();
        let first = cut(lines.next().unwrap_or_default(), MESSAGE_LIMIT);
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

    /// Adds a field. A text of several lines goes below; an error object becomes one field per part.
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
                let text = one_line(&self.clean.text(text), FIELD_LIMIT);
                let needs_no_quotes = !text.is_empty() && !text.contains([' ', '"', '=']);
                self.push_field(
                    body,
                    name,
                    if needs_no_quotes { text } else { format!("\"{}\"", text.replace('"', "\\\"")) },
                );
            }
            other => self.push_field(body, name, one_line(&self.clean.text(&other.to_string()), FIELD_LIMIT)),
        }
    }

    fn push_field(&self, body: &mut Body, name: &str, value: String) {
        let dim = self.style(Style::new().dimmed());
        let name = one_line(&self.clean.text(name), FIELD_LIMIT);
        let mut words = value.split(' ');
        let first = words.next().unwrap_or_default().to_owned();
        body.words.push(Unbreakable(vec![(dim, format!("{name}=")), (self.style(Style::new()), first)]));
        body.words.extend(words.map(|word| Unbreakable::new(self.style(Style::new()), word)));
    }

    fn time(&self, entry: &JournalEntry) -> String {
        let local = entry.at.with_timezone(&Local);
        match self.line_style.width {
            _ if self.line_style.is_evidence => entry.at.format("%Y-%m-%d %H:%M:%S%.3fZ").to_string(),
            None => local.format("%Y-%m-%d %H:%M:%S%.3f%:z").to_string(),
            Some(..NARROW) => local.format("%H:%M:%S").to_string(),
            Some(_) => local.format("%H:%M:%S%.3f").to_string(),
        }
    }

    /// The heading for a new day, with the time zone; empty without a terminal.
    fn new_day(&mut self, entry: &JournalEntry) -> String {
        let local = entry.at.with_timezone(&Local);
        let day = local.date_naive();
        if self.line_style.width.is_none() || self.day == Some(day) {
            return String::new();
        }
        self.day = Some(day);
        let dim = self.style(Style::new().dimmed());
        format!("{dim}{}{dim:#}\n", local.format("%A, %Y-%m-%d, UTC%:z"))
    }

    /// The style; none for an incident's log.
    pub(super) fn style(&self, style: Style) -> Style {
        if self.line_style.is_evidence { Style::new() } else { style }
    }
}

impl Body {
    fn push_block<'l>(&mut self, lines: impl Iterator<Item = &'l str>) {
        let mut left_out = 0;
        for (at, line) in lines.enumerate() {
            if at < BLOCK_LIMIT { self.block.push(cut(line, FIELD_LIMIT)) } else { left_out += 1 }
        }
        if left_out > 0 {
            self.block.push(format!("… {left_out} more lines"));
        }
    }
}

/// A line cut to a number of characters. Its indentation stays, because a stack trace needs it.
fn cut(line: &str, limit: usize) -> String {
    let line = line.replace('\t', "    ");
    match line.char_indices().nth(limit) {
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
