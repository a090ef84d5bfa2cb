//! Writes data to standard output and messages to standard error. JSON is escaped so that no value can control a
//! terminal.
//!
//! **Invariant:** a closed pipe ends the command without an error message, and without a panic.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CharEscape, Formatter, PrettyFormatter};

use super::error::Result;
use super::format::Format;
use crate::domain::core::text::printable;

/// The output of a command.
#[derive(Debug)]
pub struct Output {
    format: Format,
}

impl Output {
    /// Output in this format.
    pub fn new(format: Format) -> Self {
        Self { format }
    }

    /// The format of data.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Whether data is printed as text for people.
    pub fn is_table(&self) -> bool {
        self.format == Format::Table
    }

    /// Prints text unchanged on standard output.
    pub fn text(&self, text: &str) -> Result<()> {
        let mut out = anstream::stdout().lock();
        out.write_all(text.as_bytes())?;
        Ok(out.flush()?)
    }

    /// Prints one document: indented for `json`, on one line for `jsonl`.
    pub fn document(&self, value: &impl Serialize) -> Result<()> {
        self.text(&json(value, self.format == Format::Json))
    }

    /// Prints a list: one array for `json`, one line per item for `jsonl`.
    pub fn list<T: Serialize>(&self, values: &[T]) -> Result<()> {
        match self.format {
            Format::Jsonl => values.iter().try_for_each(|value| self.document(value)),
            Format::Table | Format::Json | Format::Svg => self.document(&values),
        }
    }

    /// Prints a message on standard error; control characters become visible.
    pub fn print_message(&self, text: &str) {
        self.print_styled(&printable(text));
    }

    /// Prints a message on standard error that may contain styles. Its text must be printable already.
    pub fn print_styled(&self, text: &str) {
        // A closed standard error is no reason to stop.
        let _ = writeln!(anstream::stderr().lock(), "{text}");
    }

    /// Prints a warning on standard error.
    pub fn warn(&self, text: &str) {
        let yellow = anstyle::AnsiColor::Yellow.on_default().bold();
        self.print_styled(&format!("{yellow}warning:{yellow:#} {}", printable(text)));
    }

    /// Prints the commands to type next on standard error.
    pub fn next(&self, commands: &[String]) {
        let dim = anstyle::Style::new().dimmed();
        for (index, command) in commands.iter().enumerate() {
            let lead = if index == 0 { "next:" } else { "   or" };
            self.print_styled(&format!("{dim}{lead}{dim:#} {}", printable(command)));
        }
    }
}

/// JSON that escapes every character that could control a terminal.
pub fn json(value: &impl Serialize, indented: bool) -> String {
    let mut bytes = Vec::new();
    let written = if indented {
        let formatter = TerminalSafe(PrettyFormatter::new());
        value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, formatter))
    } else {
        let formatter = TerminalSafe(serde_json::ser::CompactFormatter);
        value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, formatter))
    };
    written.expect("map keys are text, and writing into a vector cannot fail");
    bytes.push(b'\n');
    String::from_utf8(bytes).expect("JSON is UTF-8")
}

/// A JSON value as text: a string without its quotes, any other value as JSON.
pub fn value_text(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A JSON formatter that escapes the characters of [`is_unsafe`] too.
struct TerminalSafe<F>(F);

impl<F: Formatter> Formatter for TerminalSafe<F> {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut units = [0; 2];
        let mut plain = 0;
        for (at, character) in fragment.char_indices().filter(|(_, character)| is_unsafe(*character)) {
            writer.write_all(&fragment.as_bytes()[plain..at])?;
            for unit in character.encode_utf16(&mut units) {
                write!(writer, "\\u{unit:04x}")?;
            }
            plain = at + character.len_utf8();
        }
        writer.write_all(&fragment.as_bytes()[plain..])
    }

    fn write_char_escape<W: ?Sized + Write>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        self.0.write_char_escape(writer, escape)
    }

    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}

/// Whether JSON leaves a character unescaped that could control a terminal: DEL, a C1 control, or a mark that reorders or
/// hides text.
fn is_unsafe(character: char) -> bool {
    matches!(character, '\u{7f}'..='\u{9f}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_json_is_the_same_value_and_has_no_control_characters() {
        let hostile =
            serde_json::json!({"a\u{9b}2J": ["\u{1b}[2J", "é\u{202e}x", "\u{e0041}", {"b": {}}, []], "c": null});
        for indented in [true, false] {
            let text = json(&hostile, indented);
            assert!(text.chars().all(|c| c == '\n' || (!c.is_control() && !is_unsafe(c))), "{text:?}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), hostile);
        }
        assert_eq!(json(&hostile, false).lines().count(), 1);
    }
}
