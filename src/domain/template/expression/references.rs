//! The names that an expression or a template refers to, with their places. The checker reports those that are undefined.
//!
//! The engine's parser returns the free root names (not a loop variable, not set by the template); a small scanner finds
//! their places.
//!
//! Not here: which names are defined; see [`check`](crate::domain::runbook::check).

use std::ops::Range;

use super::scanner;
use super::scanner::PieceKind;

/// One reference to a free name, such as `steps.cause.answer`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The dotted path; a literal subscript such as `["cause"]` counts as a part of it.
    pub path: String,
    /// The place, in bytes of the source.
    pub range: Range<usize>,
}

impl Reference {
    /// The parts of the path, the root first.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.path.split('.')
    }
}

/// A filter applied in a source, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FilterUse {
    pub name: String,
    pub range: Range<usize>,
}

/// The references of a template whose root is `free`, and all filters.
pub(super) fn in_template(source: &str, free: &dyn Fn(&str) -> bool) -> (Vec<Reference>, Vec<FilterUse>) {
    let mut references = Vec::new();
    let mut filters = Vec::new();
    for piece in scanner::pieces(source) {
        if matches!(piece.kind, PieceKind::Expression | PieceKind::Block) {
            in_code(source, piece.inner, free, &mut references, &mut filters);
        }
    }
    (references, filters)
}

/// Adds those of a range of `source` that is code without delimiters.
pub(super) fn in_code(
    source: &str,
    code: Range<usize>,
    free: &dyn Fn(&str) -> bool,
    references: &mut Vec<Reference>,
    filters: &mut Vec<FilterUse>,
) {
    let mut walk = ReferenceWalk { bytes: &source.as_bytes()[..code.end], source, at: code.start };
    let mut before = Before::Start;
    while let Some(token) = walk.token() {
        before = match token {
            Token::Name(range) if before == Before::Pipe => {
                filters.push(FilterUse { name: source[range.clone()].to_owned(), range });
                Before::Other
            }
            Token::Name(range) => {
                let name = &source[range.clone()];
                if before == Before::Dot || walk.is_keyword_argument() || before == Before::Test {
                    Before::Other
                } else if name == "is" {
                    Before::Test
                } else {
                    if free(name) {
                        references.push(walk.chain(range));
                    }
                    Before::Other
                }
            }
            Token::Byte(b'|') => Before::Pipe,
            Token::Byte(b'.') => Before::Dot,
            Token::Byte(_) | Token::Literal(_) => Before::Other,
        };
    }
}

/// The token before the current one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Start,
    Pipe,
    Dot,
    Test,
    Other,
}

enum Token {
    Name(Range<usize>),
    Literal(Range<usize>),
    Byte(u8),
}

struct ReferenceWalk<'a> {
    bytes: &'a [u8],
    source: &'a str,
    at: usize,
}

impl ReferenceWalk<'_> {
    fn token(&mut self) -> Option<Token> {
        self.blanks();
        let start = self.at;
        let first = *self.bytes.get(start)?;
        if first == b'"' || first == b'\'' {
            self.at =
                scanner::end_of_string(self.bytes, start, first).unwrap_or(self.bytes.len()).min(self.bytes.len());
            return Some(Token::Literal(start..self.at));
        }
        if starts_name(first) {
            while self.bytes.get(self.at).copied().is_some_and(continues_name) {
                self.at += 1;
            }
            return Some(Token::Name(start..self.at));
        }
        if first.is_ascii_digit() {
            while self.bytes.get(self.at).copied().is_some_and(|b| continues_name(b) || b == b'.') {
                self.at += 1;
            }
            return Some(Token::Literal(start..self.at));
        }
        self.at += 1;
        Some(Token::Byte(first))
    }

    fn blanks(&mut self) {
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }

    /// Whether one `=` follows the name that was read, as in `default(value=x)` and `set x = 1`.
    fn is_keyword_argument(&mut self) -> bool {
        self.blanks();
        self.bytes.get(self.at) == Some(&b'=') && self.bytes.get(self.at + 1) != Some(&b'=')
    }

    /// The reference from a root along `.name` and `["name"]`. A part before `(` is a method and does not belong to the path.
    fn chain(&mut self, root: Range<usize>) -> Reference {
        let mut path = self.source[root.clone()].to_owned();
        let mut range = root;
        loop {
            let save = self.at;
            let Some((part, end)) = self.part() else {
                self.at = save;
                return Reference { path, range };
            };
            self.at = end;
            self.blanks();
            if self.bytes.get(self.at) == Some(&b'(') {
                return Reference { path, range };
            }
            self.at = end;
            path.push('.');
            path.push_str(&part);
            range.end = end;
        }
    }

    /// The next part of a path, and where it ends.
    fn part(&mut self) -> Option<(String, usize)> {
        self.blanks();
        match self.bytes.get(self.at)? {
            b'.' => {
                self.at += 1;
                match self.token()? {
                    Token::Name(name) => Some((self.source[name.clone()].to_owned(), name.end)),
                    Token::Literal(_) | Token::Byte(_) => None,
                }
            }
            b'[' => {
                self.at += 1;
                let Token::Literal(text) = self.token()? else { return None };
                let literal = &self.source[text];
                self.blanks();
                let plain = literal.len() >= 2
                    && literal[1..].bytes().all(|b| continues_name(b) || b == b'"' || b == b'\'' || b == b'-');
                (plain && literal.starts_with(['"', '\'']) && self.bytes.get(self.at) == Some(&b']'))
                    .then(|| (literal[1..literal.len() - 1].to_owned(), self.at + 1))
            }
            _ => None,
        }
    }
}

const fn starts_name(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

const fn continues_name(byte: u8) -> bool {
    starts_name(byte) || byte.is_ascii_digit()
}
