//! Splits a template into text and code (`{{ … }}`, `{% … %}` and `{# … #}`), by byte range.
//!
//! The engine's parser decides what a template means. This scanner only finds places for diagnostics.
//!
//! Not here: syntax errors. Code that is never closed is text for this scanner and an error for the parser.

use std::ops::Range;

/// The kind of a [`Piece`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PieceKind {
    /// Copied to the result.
    Text,
    /// `{{ … }}`.
    Expression,
    /// `{% … %}`.
    Block,
    /// `{# … #}`.
    Comment,
}

/// One piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub kind: PieceKind,
    /// The whole piece, delimiters included, as bytes of the source.
    pub outer: Range<usize>,
    /// The text between the delimiters and their `-` or `+`, as bytes of the source.
    pub inner: Range<usize>,
}

/// Splits a template into its pieces, in order. Together they cover the source.
pub(crate) fn pieces(source: &str) -> Vec<Piece> {
    let mut found = Vec::new();
    let mut text_from = 0;
    let mut at = 0;
    while let Some((kind, start)) = next_opening(source, at) {
        // The rest is text to this scanner. Trying every later delimiter would take quadratic time.
        let Some(piece) = close(source, kind, start) else { break };
        push_text(&mut found, text_from..start);
        at = piece.outer.end;
        if kind == PieceKind::Block && source[piece.inner.clone()].trim() == "raw" {
            at = end_of_raw(source, at);
        }
        text_from = piece.outer.end;
        if at > text_from {
            push_text(&mut found, text_from..at);
            text_from = at;
        }
        found.push(piece);
    }
    push_text(&mut found, text_from..source.len());
    found.sort_by_key(|piece| piece.outer.start);
    found
}

/// The first opening delimiter that is never closed.
pub(crate) fn unclosed(source: &str) -> Option<Range<usize>> {
    let pieces = pieces(source);
    let last = pieces.iter().rfind(|piece| piece.kind != PieceKind::Text);
    let (_, start) = next_opening(source, last.map_or(0, |piece| piece.outer.end))?;
    let is_raw =
        last.is_some_and(|piece| piece.kind == PieceKind::Block && source[piece.inner.clone()].trim() == "raw");
    (!is_raw).then_some(start..start + 2)
}

/// The expression of a source that is one `{{ … }}`, with or without blanks around it.
pub(crate) fn whole_expression(source: &str) -> Option<Range<usize>> {
    let lead = source.len() - source.trim_start().len();
    let body = source.trim();
    if !body.starts_with("{{") {
        return None;
    }
    let piece = close(source, PieceKind::Expression, lead)?;
    (piece.outer.end == lead + body.len()).then_some(piece.inner)
}

fn push_text(found: &mut Vec<Piece>, range: Range<usize>) {
    if !range.is_empty() {
        found.push(Piece { kind: PieceKind::Text, outer: range.clone(), inner: range });
    }
}

fn next_opening(source: &str, from: usize) -> Option<(PieceKind, usize)> {
    let bytes = source.as_bytes();
    (from..bytes.len().saturating_sub(1)).find_map(|at| match &bytes[at..at + 2] {
        b"{{" => Some((PieceKind::Expression, at)),
        b"{%" => Some((PieceKind::Block, at)),
        b"{#" => Some((PieceKind::Comment, at)),
        _ => None,
    })
}

fn close(source: &str, kind: PieceKind, start: usize) -> Option<Piece> {
    let inner_start = start + 2;
    let (inner_end, end) = match kind {
        PieceKind::Comment => {
            let at = inner_start + source[inner_start..].find("#}")?;
            (at, at + 2)
        }
        PieceKind::Block => code_end(source, inner_start, b"%}")?,
        PieceKind::Expression | PieceKind::Text => code_end(source, inner_start, b"}}")?,
    };
    Some(Piece { kind, outer: start..end, inner: trim_markers(source, inner_start..inner_end) })
}

/// The end of code that starts at `from`, as the engine finds it: strings are skipped, and brackets balance.
fn code_end(source: &str, from: usize, closing: &[u8; 2]) -> Option<(usize, usize)> {
    let bytes = source.as_bytes();
    let mut depth = 0_usize;
    let mut at = from;
    while at < bytes.len() {
        match bytes[at] {
            quote @ (b'"' | b'\'') => {
                at = end_of_string(bytes, at, quote)?;
                continue;
            }
            _ if depth == 0 && bytes[at..].starts_with(closing) => return Some((at, at + 2)),
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    None
}

/// The byte after a string literal that opens at `at`.
pub(super) fn end_of_string(bytes: &[u8], at: usize, quote: u8) -> Option<usize> {
    let mut at = at + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            byte if byte == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
    None
}

fn trim_markers(source: &str, range: Range<usize>) -> Range<usize> {
    let bytes = source.as_bytes();
    let marker = |at: usize| matches!(bytes.get(at), Some(b'-' | b'+'));
    let start = if range.start < range.end && marker(range.start) { range.start + 1 } else { range.start };
    let end = if start < range.end && marker(range.end - 1) { range.end - 1 } else { range.end };
    start..end
}

fn end_of_raw(source: &str, from: usize) -> usize {
    let mut at = from;
    while let Some(found) = source[at..].find("{%") {
        let start = at + found;
        match close(source, PieceKind::Block, start) {
            Some(piece) if source[piece.inner.clone()].trim() == "endraw" => return start,
            _ => at = start + 2,
        }
    }
    source.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(source: &str) -> Vec<(PieceKind, &str)> {
        pieces(source).into_iter().map(|piece| (piece.kind, &source[piece.inner])).collect()
    }

    #[test]
    fn text_and_code_are_separated() {
        use PieceKind::{Block, Comment, Expression, Text};
        assert_eq!(
            shape("a {{ b }} c {%- if d -%} {# e #}"),
            [(Text, "a "), (Expression, " b "), (Text, " c "), (Block, " if d "), (Text, " "), (Comment, " e ")]
        );
        assert_eq!(shape(r#"{{ "}}" ~ {"a": {}} }}"#), [(Expression, r#" "}}" ~ {"a": {}} "#)]);
        assert_eq!(shape("{{ open"), [(Text, "{{ open")]);
        assert_eq!(
            shape("{% raw %}{{ x }}{% endraw %}{{ y }}"),
            [(Block, " raw "), (Text, "{{ x }}"), (Block, " endraw "), (Expression, " y ")]
        );
    }

    #[test]
    fn a_delimiter_that_is_never_closed_is_found_outside_raw_text_only() {
        assert_eq!(unclosed("{{ a }} {{ b"), Some(8..10));
        assert_eq!(unclosed("{{ raw }} {{ b"), Some(10..12));
        assert_eq!(unclosed("{% raw %} {{ b"), None);
        assert_eq!(unclosed("{{ a }}"), None);
    }

    #[test]
    fn a_whole_expression_is_exactly_one_pair_of_braces() {
        assert_eq!(whole_expression("{{ a }}"), Some(2..5));
        assert_eq!(whole_expression("{{ a }}\n"), Some(2..5));
        assert_eq!(whole_expression("{{ a }}{{ b }}"), None);
        assert_eq!(whole_expression("x {{ a }}"), None);
        assert_eq!(whole_expression("{{ '}}' }}"), Some(2..8));
    }
}
