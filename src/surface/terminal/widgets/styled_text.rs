//! Lines as the terminal face thinks of them: text with a tone, and the signs that stand before it.
//!
//! Deliberately absent: colours. A tone says what a text means; [`super::palette`] alone knows what that looks like.
//!
//! **Invariant:** text enters a line through [`StyledSpan::new`] only, which lets no control character pass: the last line
//! of defence against foreign text, whatever its author has done to it before.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::domain::core::text::printable;

/// The most characters of one foreign text in one line; the rest is cut with a sign.
const TEXT_LIMIT: usize = 2_000;

/// What a text means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Tone {
    /// Nothing in particular.
    #[default]
    Plain,
    /// Less important than its neighbours.
    Faint,
    /// More important than its neighbours.
    Strong,
    /// As it should be.
    Good,
    /// Look at this soon.
    Warn,
    /// Look at this now.
    Bad,
    /// Where the person is, or what may be pressed.
    Accent,
}

/// A text of one tone, free of control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StyledSpan {
    tone: Tone,
    text: String,
}

impl StyledSpan {
    /// A text made safe and short enough.
    pub fn new(tone: Tone, text: &str) -> Self {
        Self { tone, text: safe(text) }
    }

    /// What it means.
    pub fn tone(&self) -> Tone {
        self.tone
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How many columns it takes.
    pub fn width(&self) -> usize {
        width(&self.text)
    }
}

/// A line before it is laid out: it may be longer than the terminal is wide.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StyledLine {
    /// What it says.
    pub spans: Vec<StyledSpan>,
    /// Stands at the right edge of the first row, such as a duration.
    pub right: Option<StyledSpan>,
    /// What every row after the first begins with.
    pub hanging: String,
    /// Stands before the line where there is room for it, such as the time of day.
    pub left: Option<StyledSpan>,
}

impl StyledLine {
    /// An empty line.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same line with a plain text added.
    #[must_use]
    pub fn plain(self, text: &str) -> Self {
        self.with(Tone::Plain, text)
    }

    /// The same line with a faint text added.
    #[must_use]
    pub fn faint(self, text: &str) -> Self {
        self.with(Tone::Faint, text)
    }

    /// The same line with a text added.
    #[must_use]
    pub fn with(mut self, tone: Tone, text: &str) -> Self {
        if !text.is_empty() {
            self.spans.push(StyledSpan::new(tone, text));
        }
        self
    }

    /// The same line with a text at the right edge.
    #[must_use]
    pub fn right(self, tone: Tone, text: &str) -> Self {
        Self { right: Some(StyledSpan::new(tone, text)), ..self }
    }

    /// The same line with a text before it where there is room.
    #[must_use]
    pub fn left(self, text: &str) -> Self {
        Self { left: Some(StyledSpan::new(Tone::Faint, text)), ..self }
    }

    /// The same line; rows after the first are indented by so many columns.
    #[must_use]
    pub fn indent(self, columns: usize) -> Self {
        Self { hanging: " ".repeat(columns), ..self }
    }

    /// The same line; rows after the first begin with this text.
    #[must_use]
    pub fn hanging(self, text: &str) -> Self {
        Self { hanging: safe(text), ..self }
    }

    /// How many columns its text takes.
    pub fn width(&self) -> usize {
        self.spans.iter().map(StyledSpan::width).sum()
    }
}

/// How many columns a text takes.
pub fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// How many columns a character takes.
pub fn char_width(c: char) -> usize {
    UnicodeWidthChar::width(c).unwrap_or(0)
}

fn safe(text: &str) -> String {
    let mut safe: String = printable(text).chars().take(TEXT_LIMIT).map(harmless).collect();
    if text.chars().nth(TEXT_LIMIT).is_some() {
        safe.push('…');
    }
    safe
}

/// White space becomes a blank; what steers a terminal or the direction of writing becomes a sign that is seen.
fn harmless(c: char) -> char {
    match c {
        '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => ' ',
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

/// The signs of one set of letters.
#[derive(Debug, PartialEq, Eq)]
pub struct Signs {
    /// Done.
    pub done: &'static str,
    /// Failed.
    pub failed: &'static str,
    /// Passed over.
    pub skipped: &'static str,
    /// Being done.
    pub running: &'static str,
    /// A timer runs.
    pub timer: &'static str,
    /// A question.
    pub question: &'static str,
    /// A change to agree to.
    pub change: &'static str,
    /// Worth a look.
    pub warning: &'static str,
    /// A person did or said something.
    pub person: &'static str,
    /// A message went out, or an answer came in.
    pub arrow: &'static str,
    /// Again.
    pub again: &'static str,
    /// The choice that enter takes.
    pub pointer: &'static str,
    /// A choice that is taken, of many.
    pub ticked: &'static str,
    /// A choice that is not taken, of many.
    pub unticked: &'static str,
    /// Before a line that a program printed.
    pub bar: &'static str,
    /// A rule is made of these.
    pub rule: &'static str,
    /// Between two facts.
    pub dot: &'static str,
    /// Where a text was cut.
    pub cut: &'static str,
    /// The head of an incident.
    pub head: &'static str,
    /// The head of a further run.
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

/// For every other terminal. Every sign is as wide as its Unicode sister, so that columns stay where they are.
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
    fn no_control_character_gets_into_a_line() {
        let hostile = "a\u{1b}[2Jb\u{9b}31mc\rd\ne\tf\u{7}g\u{202e}h\0";
        let span = StyledSpan::new(Tone::Plain, hostile);
        assert!(!span.text().chars().any(char::is_control), "{span:?}");
        assert!(span.text().contains("[2J"), "what it was stays visible: {span:?}");
    }

    #[test]
    fn a_text_of_a_mebibyte_is_cut() {
        let span = StyledSpan::new(Tone::Plain, &"x".repeat(1 << 20));
        assert_eq!(span.text().chars().count(), TEXT_LIMIT + 1);
    }
}
