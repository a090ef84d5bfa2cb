//! Data on standard output, talk on standard error; JSON that no terminal can be tricked with.
//!
//! **Invariant:** a closed pipe ends the command quietly; nothing here panics.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CharEscape, Formatter, PrettyFormatter};

use super::error::Result;
use crate::domain::core::text::printable;
use crate::surface::cli::context::settings::{Format, Settings};

/// The output of a command.
#[derive(Debug)]
pub struct Output {
    format: Format,
}

impl Output {
    /// The output in the format of the settings.
    pub fn new(settings: &Settings) -> Self {
        Self { format: settings.format }
    }

    /// The format of data.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Whether the data is printed as text for people.
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

    /// Prints a message on standard error, with control characters made visible.
    pub fn print_message(&self, text: &str) {
        self.print_styled(&printable(text));
    }

    /// Prints a message that is already safe and may contain styles.
    pub fn print_styled(&self, text: &str) {
        // A closed standard error is no reason to stop.
        let _ = writeln!(anstream::stderr().lock(), "{text}");
    }

    /// Prints a warning on standard error.
    pub fn warn(&self, text: &str) {
        let yellow = anstyle::AnsiColor::Yellow.on_default().bold();
        self.print_styled(&format!("{yellow}warning:{yellow:#} {}", printable(text)));
    }

    /// Prints the commands to type next.
    pub fn next(&self, commands: &[String]) {
        let dim = anstyle::Style::new().dimmed();
        for (index, command) in commands.iter().enumerate() {
            let lead = if index == 0 { "next:" } else { "   or" };
            self.print_styled(&format!("{dim}{lead}{dim:#} {}", printable(command)));
        }
    }
}

/// JSON in which every character that a terminal might obey is escaped.
pub fn json(value: &impl Serialize, indented: bool) -> String {
    let mut bytes = Vec::new();
    let written = if indented {
        let formatter = Harmless(PrettyFormatter::new());
        value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, formatter))
    } else {
        let formatter = Harmless(serde_json::ser::CompactFormatter);
        value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, formatter))
    };
    written.expect("our types have text keys, and a vector takes every byte");
    bytes.push(b'\n');
    String::from_utf8(bytes).expect("JSON is UTF-8")
}

/// A JSON formatter that also escapes C1 controls, DEL, and characters that reorder or hide text.
struct Harmless<F>(F);

impl<F: Formatter> Formatter for Harmless<F> {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut units = [0; 2];
        let mut plain = 0;
        for (at, character) in fragment.char_indices().filter(|(_, character)| is_hostile(*character)) {
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

/// Characters that JSON does not escape but a terminal might obey: DEL, the C1 controls, and marks that reorder or hide
/// text.
fn is_hostile(character: char) -> bool {
    matches!(character, '\u{7f}'..='\u{9f}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_the_same_value_and_holds_nothing_that_a_terminal_obeys() {
        let hostile =
            serde_json::json!({"a\u{9b}2J": ["\u{1b}[2J", "é\u{202e}x", "\u{e0041}", {"b": {}}, []], "c": null});
        for indented in [true, false] {
            let text = json(&hostile, indented);
            assert!(text.chars().all(|c| c == '\n' || (!c.is_control() && !is_hostile(c))), "{text:?}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), hostile);
        }
        assert_eq!(json(&hostile, false).lines().count(), 1);
    }
}
