//! Styled lines: spans of text with a tone, and the signs before them.
//!
//! A tone is the meaning of a text; [`super::palette`] maps it to a colour.
//!
//! **Invariant:** text enters a line only through [`StyledSpan::new`], which replaces control characters.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::domain::core::text::printable;

/// Maximum number of characters in a span; a longer text is cut and marked.
const TEXT_LIMIT: usize = 2_000;

/// The meaning of a text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Tone {
    #[default]
    Plain,
    /// Less important than its neighbours.
    Faint,
    /// More important than its neighbours.
    Strong,
    Good,
    /// Needs attention soon.
    Warn,
    /// Needs attention now.
    Bad,
    /// A key, a pointer or a person's action.
    Accent,
}

/// A text of one tone, free of control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StyledSpan {
    tone: Tone,
    text: String,
}

impl StyledSpan {
    /// Replaces control characters and cuts a text that is too long.
    pub fn new(tone: Tone, text: &str) -> Self {
        Self { tone, text: safe(text) }
    }

    /// The tone.
    pub fn tone(&self) -> Tone {
        self.tone
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The width in columns.
    pub fn width(&self) -> usize {
        width(&self.text)
    }
}

/// A line before it is wrapped; it may be longer than the terminal is wide.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StyledLine {
    pub spans: Vec<StyledSpan>,
    /// Text at the right edge of the first row, such as a duration.
    pub right: Option<StyledSpan>,
    /// The beginning of every row after the first.
    pub hanging: String,
    /// Text before the line if there is space, such as the time of day.
    pub left: Option<StyledSpan>,
}

impl StyledLine {
    /// An empty line.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends plain text.
    #[must_use]
    pub fn plain(self, text: &str) -> Self {
        self.with(Tone::Plain, text)
    }

    /// Appends faint text.
    #[must_use]
    pub fn faint(self, text: &str) -> Self {
        self.with(Tone::Faint, text)
    }

    /// Appends text of a tone.
    #[must_use]
    pub fn with(mut self, tone: Tone, text: &str) -> Self {
        if !text.is_empty() {
            self.spans.push(StyledSpan::new(tone, text));
        }
        self
    }

    /// Sets the text at the right edge.
    #[must_use]
    pub fn right(self, tone: Tone, text: &str) -> Self {
        Self { right: Some(StyledSpan::new(tone, text)), ..self }
    }

    /// Sets the text before the line.
    #[must_use]
    pub fn left(self, text: &str) -> Self {
        Self { left: Some(StyledSpan::new(Tone::Faint, text)), ..self }
    }

    /// Indents the rows after the first by this many columns.
    #[must_use]
    pub fn indent(self, columns: usize) -> Self {
        Self { hanging: " ".repeat(columns), ..self }
    }

    /// Sets the beginning of the rows after the first.
    #[must_use]
    pub fn hanging(self, text: &str) -> Self {
        Self { hanging: safe(text), ..self }
    }

    /// The width of the spans in columns.
    pub fn width(&self) -> usize {
        self.spans.iter().map(StyledSpan::width).sum()
    }
}

/// The width of a text in columns.
pub fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// The width of a character in columns.
pub fn char_width(c: char) -> usize {
    UnicodeWidthChar::width(c).unwrap_or(0)
}

fn safe(text: &str) -> String {
    let mut safe: String = printable(text).chars().take(TEXT_LIMIT).map(replace_control).collect();
    if text.chars().nth(TEXT_LIMIT).is_some() {
        safe.push('…');
    }
    safe
}

/// Replaces line ends and tabs by a blank, and control and direction characters by a visible sign.
fn replace_control(c: char) -> char {
    match c {
        '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => ' ',
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

/// The signs of one character set.
#[derive(Debug, PartialEq, Eq)]
pub struct Signs {
    pub done: &'static str,
    pub failed: &'static str,
    pub skipped: &'static str,
    pub running: &'static str,
    pub timer: &'static str,
    pub question: &'static str,
    /// A change to approve.
    pub change: &'static str,
    pub warning: &'static str,
    /// A person did or wrote something.
    pub person: &'static str,
    /// A message was sent, or an answer arrived.
    pub arrow: &'static str,
    /// A retry.
    pub again: &'static str,
    /// The choice that enter takes.
    pub pointer: &'static str,
    /// A ticked choice, if several may be taken.
    pub ticked: &'static str,
    /// A choice that is not ticked.
    pub unticked: &'static str,
    /// Before a line of a program's output.
    pub bar: &'static str,
    /// Repeated to draw a horizontal rule.
    pub rule: &'static str,
    /// Between two facts.
    pub dot: &'static str,
    /// Where a text was cut.
    pub cut: &'static str,
    /// The heading of an incident.
    pub head: &'static str,
    /// The heading of a further run.
    pub run: &'static str,
}

/// For a terminal that shows Unicode.
pub const UNICODE: Signs = Signs {
    done: "✓",
    failed: "✗",
    skipped: "–",
    running: "●",
    timer: "◷",
    question: "?",
    change: "◆",
    warning: "!",
    person: "›",
    arrow: "→",
    again: "↻",
    pointer: "▸",
    ticked: "◉",
    unticked: "○",
    bar: "│",
    rule: "─",
    dot: "·",
    cut: "…",
    head: "●",
    run: "▸",
};

/// For any other terminal. Each sign is as wide as its Unicode counterpart, so columns do not move.
pub const ASCII: Signs = Signs {
    done: "+",
    failed: "x",
    skipped: "-",
    running: "*",
    timer: "@",
    question: "?",
    change: "#",
    warning: "!",
    person: ">",
    arrow: ">",
    again: "~",
    pointer: ">",
    ticked: "x",
    unticked: "o",
    bar: "|",
    rule: "-",
    dot: "-",
    cut: ".",
    head: "*",
    run: ">",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_no_control_characters() {
        let hostile = "a\u{1b}[2Jb\u{9b}31mc\rd\ne\tf\u{7}g\u{202e}h\0";
        let span = StyledSpan::new(Tone::Plain, hostile);
        assert!(!span.text().chars().any(char::is_control), "{span:?}");
        assert!(span.text().contains("[2J"), "the replaced sequence stays visible: {span:?}");
    }

    #[test]
    fn a_text_of_a_mebibyte_is_cut() {
        let span = StyledSpan::new(Tone::Plain, &"x".repeat(1 << 20));
        assert_eq!(span.text().chars().count(), TEXT_LIMIT + 1);
    }
}
