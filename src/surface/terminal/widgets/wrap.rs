//! Wraps styled lines into rows, between words, by the display width of each character.

use super::styled_text::{Signs, StyledLine, StyledSpan, Tone, char_width, width};

/// The minimum width of the layout; a narrower terminal cuts rows.
pub const MIN_WIDTH: usize = 20;

/// From this width on the text before a line is shown.
pub const WIDE: usize = 64;

/// The width of a pipe: lines are not wrapped, and text for the right edge follows the line.
pub const UNLIMITED: usize = usize::MAX / 4;

/// One row of the terminal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WrappedRow(pub Vec<StyledSpan>);

impl WrappedRow {
    /// The text without its tones.
    pub fn text(&self) -> String {
        self.0.iter().map(StyledSpan::text).collect()
    }

    /// The width in columns.
    pub fn width(&self) -> usize {
        self.0.iter().map(StyledSpan::width).sum()
    }
}

/// A character with its tone.
type Cell = (char, Tone);

/// Wraps a line into rows of at most `columns`.
pub fn rows(line: &StyledLine, columns: usize) -> Vec<WrappedRow> {
    let columns = columns.max(MIN_WIDTH);
    let left = line.left.as_ref().filter(|_| columns >= WIDE);
    let margin = left.map_or(0, |left| left.width() + 1);
    let right = line.right.as_ref().filter(|right| right.width() + MIN_WIDTH / 2 <= columns);
    let first = columns - margin - right.map_or(0, |right| right.width() + 1);
    let indent = width(&line.hanging).min(columns / 2);
    let hanging = format!("{}{}", " ".repeat(margin), line.hanging);

    let mut rows = Vec::new();
    let cells: Vec<Cell> = line.spans.iter().flat_map(cells).collect();
    let mut rest = cells.as_slice();
    loop {
        let (row, after) = split(rest, if rows.is_empty() { first } else { columns - margin - indent });
        rows.push(row_of(if rows.is_empty() { "" } else { &hanging }, row));
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    if let Some(row) = rows.first_mut() {
        if let Some(left) = left {
            row.0.splice(0..0, [left.clone(), StyledSpan::new(Tone::Plain, " ")]);
        }
        if let Some(right) = right {
            let gap = if columns >= UNLIMITED { 2 } else { columns.saturating_sub(row.width() + right.width()) };
            row.0.push(StyledSpan::new(Tone::Plain, &" ".repeat(gap)));
            row.0.push(right.clone());
        }
    }
    rows
}

fn cells(span: &StyledSpan) -> impl Iterator<Item = Cell> {
    span.text().chars().map(|c| (c, span.tone()))
}

/// Splits off as many cells as fit in `room`, at a blank if there is one.
fn split(cells: &[Cell], room: usize) -> (&[Cell], &[Cell]) {
    let mut used = 0;
    let mut blank = None;
    for (index, (c, _)) in cells.iter().enumerate() {
        let wide = char_width(*c);
        if used + wide > room {
            // A word is broken only if it is longer than a row; otherwise it begins a new row.
            let end = blank.filter(|at| word_width(&cells[at + 1..]) <= room).unwrap_or(index).max(1);
            let next = cells[end..].iter().position(|(c, _)| *c != ' ').map_or(cells.len(), |skip| end + skip);
            return (&cells[..end], &cells[next..]);
        }
        used += wide;
        if *c == ' ' {
            blank = Some(index);
        }
    }
    (cells, &[])
}

/// The width of the word at the beginning of the cells.
fn word_width(cells: &[Cell]) -> usize {
    cells.iter().take_while(|(c, _)| *c != ' ').map(|(c, _)| char_width(*c)).sum()
}

fn row_of(start: &str, cells: &[Cell]) -> WrappedRow {
    let mut spans = Vec::new();
    if !start.is_empty() {
        spans.push(StyledSpan::new(Tone::Faint, start));
    }
    for run in cells.chunk_by(|a, b| a.1 == b.1) {
        let text: String = run.iter().map(|(c, _)| *c).collect();
        spans.push(StyledSpan::new(run[0].1, &text));
    }
    WrappedRow(spans)
}

/// Wraps lines, one after the other.
pub fn all(lines: &[StyledLine], columns: usize) -> Vec<WrappedRow> {
    lines.iter().flat_map(|line| rows(line, columns)).collect()
}

/// A text cut to `columns`; a sign marks the cut.
pub fn cut(text: &str, columns: usize, signs: &Signs) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let room = columns.saturating_sub(width(signs.cut));
    let mut used = 0;
    let mut shown: String = text
        .chars()
        .take_while(|c| {
            used += char_width(*c);
            used <= room
        })
        .collect();
    shown.push_str(signs.cut);
    shown
}

/// At most `limit` rows of a line; a sign marks the last one if rows were cut.
pub fn at_most(line: &StyledLine, columns: usize, limit: usize, signs: &Signs) -> Vec<WrappedRow> {
    let mut rows = rows(line, columns);
    if rows.len() > limit {
        rows.truncate(limit.max(1));
        if let Some(last) = rows.last_mut() {
            let room = columns.saturating_sub(width(signs.cut) + 1);
            while last.width() > room && last.0.len() > 1 {
                last.0.pop();
            }
            if last.width() > room
                && let Some(only) = last.0.pop()
            {
                last.0.push(StyledSpan::new(only.tone(), &cut(only.text(), room, signs)));
            }
            last.0.push(StyledSpan::new(Tone::Faint, &format!(" {}", signs.cut)));
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::surface::terminal::widgets::styled_text::UNICODE;

    fn texts(line: &StyledLine, columns: usize) -> Vec<String> {
        rows(line, columns).iter().map(WrappedRow::text).collect()
    }

    #[test]
    fn a_long_line_breaks_between_words_and_is_indented() {
        let line = StyledLine::new().plain("✓ State of every unit of the shop").indent(2).right(Tone::Faint, "0.3s");
        assert_eq!(texts(&line, 24), ["✓ State of every    0.3s", "  unit of the shop"]);
    }

    #[test]
    fn wide_characters_count_twice_and_no_row_is_too_long() {
        let line = StyledLine::new().plain(&"網關重啟完成".repeat(9)).indent(4);
        for row in rows(&line, 31) {
            assert!(row.width() <= 31, "{}", row.text());
        }
        assert_eq!(
            rows(&line, 31).iter().map(|row| row.text().replace(' ', "")).collect::<String>().chars().count(),
            54
        );
    }

    #[test]
    fn a_word_longer_than_the_row_is_broken() {
        assert_eq!(
            texts(&StyledLine::new().plain(&"x".repeat(45)), 20),
            ["x".repeat(20), "x".repeat(20), "x".repeat(5)]
        );
    }

    #[test]
    fn a_cut_text_is_marked() {
        assert_eq!(cut("production", 6, &UNICODE), "produ…");
        let rows = at_most(&StyledLine::new().plain("one two three four five six seven"), 20, 1, &UNICODE);
        assert_eq!(rows.iter().map(WrappedRow::text).collect::<Vec<_>>(), ["one two three four …"]);
    }
}
