//! Maps tones to colours; no other module of the terminal interface knows colours.
//!
//! **Invariant:** only the sixteen standard colours are used and no background, so that the user's theme decides. No meaning
//! depends on colour alone.

use super::styled_text::{ASCII, Signs, Tone, UNICODE};
use super::wrap::WrappedRow;

/// Whether tones become colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// The sixteen standard colours.
    Sixteen,
    /// No colours: `NO_COLOR`, `TERM=dumb`, a pipe.
    None,
}

/// The character set that the terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CharacterSet {
    /// The locale is UTF-8.
    Unicode,
    /// Any other locale.
    Ascii,
}

impl CharacterSet {
    /// The signs of this character set.
    pub fn signs(self) -> &'static Signs {
        match self {
            Self::Unicode => &UNICODE,
            Self::Ascii => &ASCII,
        }
    }
}

/// The bytes of a row, without a line end.
pub fn styled(row: &WrappedRow, colour: Colour, charset: CharacterSet) -> String {
    let mut out = String::new();
    for span in &row.0 {
        let codes = match colour {
            Colour::Sixteen => codes(span.tone()),
            Colour::None => "",
        };
        if !codes.is_empty() {
            out.push_str(&format!("\x1b[{codes}m"));
        }
        match charset {
            CharacterSet::Unicode => out.push_str(span.text()),
            CharacterSet::Ascii => out.extend(span.text().chars().map(ascii_char)),
        }
        if !codes.is_empty() {
            out.push_str("\x1b[0m");
        }
    }
    out.truncate(out.trim_end_matches(' ').len());
    out
}

/// The parameters of the terminal's SGR sequence (ECMA-48, 8.3.117).
fn codes(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain => "",
        // Not bright black, which is invisible in some common themes.
        Tone::Faint => "2",
        Tone::Strong => "1",
        Tone::Good => "32",
        Tone::Warn => "33",
        Tone::Bad => "1;31",
        Tone::Accent => "36",
    }
}

fn ascii_char(c: char) -> char {
    match c {
        c if c.is_ascii() => c,
        '·' | '–' | '—' => '-',
        '’' | '‘' => '\'',
        '“' | '”' => '"',
        '…' => '.',
        _ => '?',
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::surface::terminal::widgets::styled_text::StyledLine;
    use crate::surface::terminal::widgets::wrap::rows;

    #[test]
    fn without_colour_a_row_is_plain_text() {
        let row = &rows(&StyledLine::new().with(Tone::Bad, "✗ broken").faint(" · why"), 40)[0];
        assert_eq!(styled(row, Colour::None, CharacterSet::Unicode), "✗ broken · why");
        assert_eq!(styled(row, Colour::None, CharacterSet::Ascii), "? broken - why");
        assert_eq!(
            styled(row, Colour::Sixteen, CharacterSet::Unicode),
            "\x1b[1;31m✗ broken\x1b[0m\x1b[2m · why\x1b[0m"
        );
    }
}
