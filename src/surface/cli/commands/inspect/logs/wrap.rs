//! Wraps styled words into lines.
//!
//! Not here: sanitising. The input must be printable.

use anstyle::Style;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Text that is broken only if it is wider than a line: a word, or a field's name and value.
#[derive(Debug, Clone, Default)]
pub(super) struct Unbreakable(pub(super) Vec<(Style, String)>);

impl Unbreakable {
    /// A word in one style.
    pub(super) fn new(style: Style, text: impl Into<String>) -> Self {
        Self(vec![(style, text.into())])
    }

    /// The words of a text. Several blanks in a row stay, except where a line is broken.
    pub(super) fn all(style: Style, text: &str) -> impl Iterator<Item = Self> {
        text.split(' ').map(move |word| Self::new(style, word))
    }

    fn width(&self) -> usize {
        self.0.iter().map(|(_, text)| text.width()).sum()
    }

    fn push_into(&self, out: &mut String) {
        for (style, text) in self.0.iter().filter(|(_, text)| !text.is_empty()) {
            out.push_str(&format!("{style}{text}{style:#}"));
        }
    }

    /// Splits it into pieces no wider than `room`.
    fn pieces(&self, room: usize) -> Vec<Self> {
        if self.width() <= room {
            return vec![self.clone()];
        }
        let mut pieces = vec![Self::default()];
        for (style, character) in self.0.iter().flat_map(|(style, text)| text.chars().map(move |c| (*style, c))) {
            let last = pieces.last().map_or(0, Self::width);
            if last > 0 && last + character.width().unwrap_or(0) > room {
                pieces.push(Self::default());
            }
            let piece = pieces.last_mut().expect("the list begins with one piece");
            match piece.0.last_mut() {
                Some((known, text)) if *known == style => text.push(character),
                _ => piece.0.push((style, character.to_string())),
            }
        }
        pieces
    }
}

/// Wraps words: the first line begins at column `at`, further lines with `indent`. Without a width there is one line.
pub(super) fn flow(words: &[Unbreakable], at: usize, indent: &str, width: Option<usize>) -> String {
    let width = width.unwrap_or(usize::MAX);
    let room = width.saturating_sub(indent.width()).max(1);
    let (mut out, mut column, mut is_first) = (String::new(), at, true);
    for word in words {
        let first_room = if is_first { width.saturating_sub(at).max(1) } else { room };
        for piece in word.pieces(first_room.max(room)) {
            let wide = piece.width();
            if !is_first && column + 1 + wide > width || is_first && column + wide > width && column > indent.width() {
                out.truncate(out.trim_end_matches(' ').len());
                out.push('\n');
                out.push_str(indent);
                column = indent.width();
            } else if !is_first {
                out.push(' ');
                column += 1;
            }
            piece.push_into(&mut out);
            column += wide;
            is_first = false;
        }
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_the_width_and_keep_every_word() {
        let plain = Style::new();
        let words: Vec<Unbreakable> = Unbreakable::all(plain, "one two three4567890 four").collect();
        assert_eq!(flow(&words, 0, "  ", None), "one two three4567890 four\n");
        assert_eq!(flow(&words, 4, "  ", Some(10)), "one\n  two\n  three456\n  7890\n  four\n");
        let field = Unbreakable(vec![(plain, "a=".to_owned()), (plain, "1".to_owned())]);
        assert_eq!(flow(&[Unbreakable::new(plain, "x"), field], 0, " ", Some(4)), "x\n a=1\n");
        assert_eq!(flow(&Unbreakable::all(plain, "a  b").collect::<Vec<_>>(), 0, "", Some(9)), "a  b\n");
    }
}
