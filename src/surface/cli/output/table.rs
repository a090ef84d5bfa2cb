//! Tables for people: columns on a wide terminal, one paragraph per row on a narrow one.
//!
//! **Invariant:** every cell is made printable, so foreign text cannot send a control sequence to the terminal.

use comfy_table::{ContentArrangement, presets};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::domain::core::text::printable;

/// Below this width a row becomes a paragraph, because columns would be too narrow to read.
const PARAGRAPHS_BELOW: usize = 60;

/// Rows under headings.
#[derive(Debug, Default)]
pub struct Table {
    headings: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table with these headings.
    pub fn new<const N: usize>(headings: [&str; N]) -> Self {
        Self { headings: headings.into_iter().map(str::to_owned).collect(), rows: Vec::new() }
    }

    /// Adds a row, with one cell per heading.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        debug_assert_eq!(N, self.headings.len(), "one cell per heading");
        self.rows.push(cells.iter().map(|cell| single_line(cell)).collect());
    }

    /// The table, wrapped to `width`. Without a width, every row is one line.
    pub fn render(&self, width: Option<usize>) -> String {
        match width {
            Some(width) if width < PARAGRAPHS_BELOW => self.paragraphs(width),
            _ => self.columns(width),
        }
    }

    fn columns(&self, width: Option<usize>) -> String {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING).set_header(&self.headings).add_rows(&self.rows);
        if let Some(width) = width {
            table
                .set_width(u16::try_from(width).unwrap_or(u16::MAX))
                .set_content_arrangement(ContentArrangement::Dynamic);
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        let lines: String = table.lines().map(|line| format!("{}\n", line.trim_end())).collect();
        lines
    }

    /// One paragraph per row: the first cell, then each other cell on its own line after its column's name.
    fn paragraphs(&self, width: usize) -> String {
        let mut out = String::new();
        for row in &self.rows {
            let (first, rest) = row.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
            out.push_str(&wrapped(first, width, ""));
            for (heading, cell) in self.headings.iter().skip(1).zip(rest).filter(|(_, cell)| !cell.is_empty()) {
                out.push_str(&wrapped(&format!("{}: {cell}", heading.to_lowercase()), width, "  "));
            }
        }
        out
    }
}

/// Wraps text between words; a word wider than a line is broken. Each line begins with `indent`.
pub fn wrapped(text: &str, width: usize, indent: &str) -> String {
    let room = width.saturating_sub(indent.width()).max(1);
    let mut lines = vec![String::new()];
    for word in text.split(' ').flat_map(|word| pieces(word, room)) {
        let line = lines.last_mut().expect("the list begins with one line");
        if line.is_empty() {
            line.push_str(&word);
        } else if line.width() + 1 + word.width() <= room {
            line.push(' ');
            line.push_str(&word);
        } else {
            lines.push(word);
        }
    }
    lines.iter().map(|line| format!("{indent}{line}\n")).collect()
}

/// Breaks a word into pieces no wider than `room`.
fn pieces(word: &str, room: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for character in word.chars() {
        let wide = character.width().unwrap_or(0);
        let piece = pieces.last_mut().expect("the list begins with one piece");
        if piece.width() + wide > room && !piece.is_empty() {
            pieces.push(character.to_string());
        } else {
            piece.push(character);
        }
    }
    pieces
}

/// Foreign text made printable, on one line.
pub fn single_line(text: &str) -> String {
    printable(&text.split_whitespace().collect::<Vec<_>>().join(" ")).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(["RUNBOOK", "SEVERITY", "TITLE"]);
        table.row([
            "p1".to_owned(),
            "P1".to_owned(),
            "Live platform down, customers cannot use the shop at all".to_owned(),
        ]);
        table.row(["restart-search".to_owned(), "P3".to_owned(), "Search\nis stale".to_owned()]);
        table
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for width in [40, 59, 60, 80] {
            let text = table().render(Some(width));
            assert!(text.lines().all(|line| line.width() <= width), "{width}\n{text}");
            assert!(text.contains("restart-search") && text.contains("Search is stale"), "{text}");
        }
    }

    #[test]
    fn a_word_wider_than_a_line_is_broken() {
        assert_eq!(wrapped("a bcdefgh ij", 5, " "), " a\n bcde\n fgh\n ij\n");
        assert_eq!(wrapped("", 5, ""), "\n");
    }

    #[test]
    fn without_a_width_a_row_is_one_line() {
        assert_eq!(table().render(None).lines().count(), 3);
    }
}
