//! Here-documents: the redirection on one line, the body from the next line on.

use super::{Lexer, OpenConstruct};
use crate::domain::template::shell::MARK;
use crate::domain::template::shell::quoting::QuotingContext;

/// A here-document whose body follows the next newline.
pub(super) struct Pending {
    word: String,
    quoted: bool,
    strips_tabs: bool,
    /// The number of constructs that were open at its redirection.
    pub depth: usize,
}

impl Lexer<'_> {
    pub(super) fn redirection(&mut self) {
        self.word_start = true;
        if self.rest().starts_with("<<<") {
            return self.take_str("<<<");
        }
        self.take_str("<<");
        let strips_tabs = self.peek() == Some('-');
        if strips_tabs {
            self.take();
        }
        while matches!(self.peek(), Some(' ' | '\t')) {
            self.take();
        }
        let depth = self.frames.len();
        match self.delimiter() {
            Some((word, quoted)) => self.pending.push(Pending { word, quoted, strips_tabs, depth }),
            None => self.lose("the end word of a here-document is not a plain word"),
        }
        self.word_start = false;
    }

    fn delimiter(&mut self) -> Option<(String, bool)> {
        let (mut word, mut quoted) = (String::new(), false);
        while let Some(next) = self.peek() {
            match next {
                ' ' | '\t' | '\n' | ';' | '&' | '|' | '<' | '>' | '(' | ')' => break,
                MARK => {
                    self.refuse_here(
                        "a value cannot be the end word of a here-document",
                        "Write a word such as `END`.",
                    );
                    return None;
                }
                '$' | '`' => return None,
                '\\' => {
                    quoted = true;
                    self.take();
                    word.push(self.take().filter(|c| *c != MARK && *c != '\n')?);
                }
                '\'' | '"' => {
                    quoted = true;
                    self.take();
                    let (text, _) = self.rest().split_once(next)?;
                    if text.contains([MARK, '\\', '$', '`', '\n']) {
                        return None;
                    }
                    word.push_str(text);
                    self.take_str(text);
                    self.take();
                }
                _ => {
                    word.push(next);
                    self.take();
                }
            }
        }
        (!word.is_empty()).then_some((word, quoted))
    }

    pub(super) fn newline(&mut self) {
        self.take();
        self.command_ends();
        for pending in std::mem::take(&mut self.pending) {
            if pending.depth == self.frames.len() {
                self.body(&pending);
            } else {
                self.lose("a here-document is announced before this place and its text does not follow");
            }
        }
    }

    fn body(&mut self, pending: &Pending) {
        let rest = self.rest();
        let Some((body, end_line)) = split_body(rest, pending) else {
            return self.lose("a here-document before this place is never ended");
        };
        let from = self.out.len();
        let (base, lost) = (self.base + self.at, self.lost);
        let place = if pending.quoted { QuotingContext::Verbatim } else { QuotingContext::Expanded };
        if place == QuotingContext::Expanded {
            let mut inner = Lexer::new(body, self.values, base, OpenConstruct::Expanded);
            inner.lost = lost;
            inner.run();
            self.refusals.append(&mut inner.refusals);
            if let Some(why) = inner.lost {
                self.lose(why);
            }
            self.out.push_str(&inner.out);
            self.at += body.len();
        } else {
            let end = self.at + body.len();
            while self.at < end {
                match self.peek() {
                    Some(MARK) => self.value(place),
                    _ => {
                        self.take();
                    }
                }
            }
        }
        self.check_body(pending, body, from);
        self.take_str(end_line);
    }

    /// Refuses values that end the here-document early, or that lose tabs because of `<<-`.
    fn check_body(&mut self, pending: &Pending, body: &str, from: usize) {
        if !body.contains(MARK) {
            return;
        }
        let written = &self.out[from..];
        let strip = |line: &'_ str| -> String {
            if pending.strips_tabs { line.trim_start_matches('\t').to_owned() } else { line.to_owned() }
        };
        let ends = written.lines().chain(written.split('\n')).any(|line| strip(line) == pending.word);
        let tabs = pending.strips_tabs && leading_tabs(written) != leading_tabs(body);
        let at = self.base + self.at - body.len() + body.find(MARK).unwrap_or(0);
        if ends {
            self.refuse(at, "a value holds the end word of its here-document".to_owned(), "Choose another end word.");
        } else if tabs {
            self.refuse(
                at,
                "a value has a line that starts with a tab, which `<<-` takes away".to_owned(),
                "Write `<<` instead of `<<-`.",
            );
        }
    }
}

/// The number of tabs at the starts of all lines.
fn leading_tabs(text: &str) -> usize {
    text.split('\n').map(|line| line.len() - line.trim_start_matches('\t').len()).sum()
}

/// The body of a here-document, and its end line (without the newline after it).
fn split_body<'a>(rest: &'a str, pending: &Pending) -> Option<(&'a str, &'a str)> {
    let mut start = 0;
    for line in rest.split_inclusive('\n') {
        let bare = line.strip_suffix('\n').unwrap_or(line);
        let word = if pending.strips_tabs { bare.trim_start_matches('\t') } else { bare };
        if word == pending.word {
            return Some((&rest[..start], bare));
        }
        start += line.len();
    }
    None
}
