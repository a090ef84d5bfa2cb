//! The walk over a marked script: what a POSIX shell and bash agree on about places, and nothing more.
//!
//! **Invariant:** where the two shells would disagree, or where this walk cannot be sure, it is *lost*: scripts
//! without a further value pass, and any further value is refused.
//!
//! Deliberately absent: commands, expansion and execution; only places matter.

use super::quoting::{self, Place};
use super::{Datum, MARK, MARK_END, Refusal};

/// Frames that may be open at once; more are refused rather than followed.
const MAX_FRAMES: usize = 100;

/// What came of walking a script.
pub(super) struct Read {
    pub script: String,
    pub refusals: Vec<Refusal>,
}

/// Walks `marked` and writes each value in the quoting of its place.
pub(super) fn read(marked: &str, values: &[Datum]) -> Read {
    let mut lexer = Lexer::new(marked, values, 0, Frame::Bare { parens: 0, substitution: false });
    lexer.run();
    Read { script: lexer.out, refusals: lexer.refusals }
}

/// An open construct.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frame {
    Bare {
        parens: usize,
        substitution: bool,
    },
    Double,
    /// The body of a here-document that is expanded.
    Expanded,
    Arithmetic {
        parens: usize,
    },
    /// `${ … }`, inside double quotes or not.
    Parameter {
        quoted: bool,
    },
}

/// A here-document that was announced and whose body follows the next newline.
struct Pending {
    word: String,
    quoted: bool,
    strips_tabs: bool,
    depth: usize,
}

struct Lexer<'a> {
    text: &'a str,
    /// Where `text` starts in the whole marked script.
    base: usize,
    at: usize,
    values: &'a [Datum],
    out: String,
    frames: Vec<Frame>,
    pending: Vec<Pending>,
    /// Whether the next character would start a word, which is where `#` starts a comment.
    word_start: bool,
    lost: Option<&'static str>,
    refusals: Vec<Refusal>,
}

impl<'a> Lexer<'a> {
    fn new(text: &'a str, values: &'a [Datum], base: usize, frame: Frame) -> Self {
        Self {
            text,
            base,
            at: 0,
            values,
            out: String::with_capacity(text.len()),
            frames: vec![frame],
            pending: Vec::new(),
            word_start: true,
            lost: None,
            refusals: Vec::new(),
        }
    }

    fn run(&mut self) {
        while let Some(next) = self.peek() {
            if self.frames.len() > MAX_FRAMES {
                self.lose("too many constructs are open at once");
                self.frames.truncate(1);
            }
            match *self.frames.last().expect("the outermost frame is never popped") {
                Frame::Bare { .. } => self.bare(next),
                Frame::Double | Frame::Expanded => self.double(next),
                Frame::Arithmetic { .. } => self.arithmetic(next),
                Frame::Parameter { quoted } => self.parameter(next, quoted),
            }
        }
        if !self.pending.is_empty() || self.frames.len() > 1 {
            self.lose("a construct before this place is never closed");
        }
    }

    // ── walking ──────────────────────────────────────────────────────────────────────────────────────────────

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Copies the next character.
    fn take(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        self.out.push(next);
        Some(next)
    }

    fn take_str(&mut self, text: &str) {
        self.at += text.len();
        self.out.push_str(text);
    }

    fn lose(&mut self, why: &'static str) {
        self.lost.get_or_insert(why);
    }

    fn pop(&mut self) {
        if self.pending.iter().any(|pending| pending.depth >= self.frames.len()) {
            self.lose("a here-document is announced before this place and its text does not follow");
            self.pending.clear();
        }
        if self.frames.len() > 1 {
            self.frames.pop();
        }
        self.word_start = false;
    }

    /// A newline that is not the end of a command while a here-document waits: shells differ.
    fn inner_newline(&mut self) {
        if !self.pending.is_empty() {
            self.lose("a here-document is announced in the middle of a text of several lines");
        }
    }

    // ── the places ───────────────────────────────────────────────────────────────────────────────────────────

    fn bare(&mut self, next: char) {
        match next {
            MARK => self.value(Place::Bare),
            '\\' => self.backslash(),
            '\'' => self.single(),
            '"' => self.open(Frame::Double),
            '`' => self.backticks(),
            '$' => self.dollar(),
            '#' if self.word_start => self.comment(),
            '\n' => self.newline(),
            '<' if self.rest().starts_with("<<") => self.redirection(),
            '(' | ')' => self.parenthesis(next),
            '=' if self.rest().starts_with("=~") => {
                self.lose("this walk does not follow `=~` expressions");
                self.take();
            }
            ' ' | '\t' | ';' | '&' | '|' | '<' | '>' => {
                self.take();
                self.word_start = true;
            }
            _ => self.word(),
        }
    }

    fn word(&mut self) {
        if self.word_start {
            let word: &str =
                self.rest().split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default();
            let inside = matches!(self.frames.last(), Some(Frame::Bare { substitution: true, .. }));
            match word {
                "eval" => self.lose("`eval` reads its words a second time, as code"),
                "case" if inside => self.lose("a `case` inside `$( … )` is read differently by different shells"),
                _ => {}
            }
        }
        self.take();
        self.word_start = false;
    }

    fn parenthesis(&mut self, next: char) {
        let doubled = self.rest().starts_with("((");
        self.take();
        self.word_start = true;
        let Some(Frame::Bare { parens, substitution }) = self.frames.last_mut() else { return };
        match next {
            '(' => {
                *parens += 1;
                if doubled {
                    self.lose("`((` is arithmetic to one shell and a command to another");
                }
            }
            _ if *parens > 0 => *parens -= 1,
            _ if *substitution => return self.pop(),
            _ => {}
        }
        if next == ')' && self.peek() == Some('#') {
            self.lose("`)#` is a comment in some places and text in others");
        }
    }

    fn double(&mut self, next: char) {
        let body = self.frames.last() == Some(&Frame::Expanded);
        match next {
            MARK => self.value(if body { Place::Expanded } else { Place::Double }),
            '\\' => self.backslash(),
            '"' if !body => {
                self.take();
                self.pop();
            }
            '`' => self.backticks(),
            '$' => self.dollar(),
            '\n' => {
                self.inner_newline();
                self.take();
            }
            _ => {
                self.take();
            }
        }
    }

    fn arithmetic(&mut self, next: char) {
        match next {
            MARK => self.value(Place::Arithmetic),
            '$' => self.dollar(),
            '(' | ')' => self.arithmetic_parenthesis(next),
            '\\' | '\'' | '"' | '`' | '\n' => {
                self.lose("quotes in arithmetic are read differently by different shells");
                self.take();
            }
            '#' if self.out.ends_with([' ', '\t', '(']) => {
                self.lose("`#` in arithmetic is read differently by different shells");
                self.take();
            }
            _ => {
                self.take();
            }
        }
    }

    fn arithmetic_parenthesis(&mut self, next: char) {
        self.take();
        let Some(Frame::Arithmetic { parens }) = self.frames.last_mut() else { return };
        if next == '(' {
            *parens += 1;
            return;
        }
        *parens = parens.saturating_sub(1);
        if *parens == 1 {
            if self.peek() == Some(')') {
                self.take();
            } else {
                self.lose("`$((` is arithmetic to one shell and a command to another");
            }
            self.pop();
        }
    }

    fn parameter(&mut self, next: char, quoted: bool) {
        match next {
            MARK => {
                self.refuse_here("a value cannot stand inside `${ … }`", "Assign it to a variable first: `x={{ … }}`.")
            }
            '}' => {
                self.take();
                self.pop();
            }
            '\\' => self.backslash(),
            '\'' | '"' if quoted => {
                self.lose("quotes inside a quoted `${ … }` are read differently by different shells");
                self.take();
            }
            '\'' => self.single(),
            '"' => self.open(Frame::Double),
            '`' => self.backticks(),
            '$' => self.dollar(),
            '\n' => {
                self.inner_newline();
                self.take();
            }
            _ => {
                self.take();
            }
        }
    }

    fn open(&mut self, frame: Frame) {
        self.take();
        self.frames.push(frame);
        self.word_start = false;
    }

    fn backslash(&mut self) {
        self.take();
        match self.peek() {
            Some(MARK) => self.refuse_here(
                "a value cannot stand after a backslash",
                "Take the backslash away; the value is quoted by itself.",
            ),
            Some('\n') => {
                self.inner_newline();
                self.take(); // A continued line is still where it was: `word_start` stays.
            }
            _ => {
                self.take();
                self.word_start = false;
            }
        }
    }

    fn single(&mut self) {
        self.take();
        self.word_start = false;
        while let Some(next) = self.peek() {
            match next {
                MARK => self.value(Place::Single),
                '\'' => {
                    self.take();
                    return;
                }
                '\n' => {
                    self.inner_newline();
                    self.take();
                }
                _ => {
                    self.take();
                }
            }
        }
        self.lose("a single quote before this place is never closed");
    }

    fn backticks(&mut self) {
        self.take();
        self.word_start = false;
        while let Some(next) = self.peek() {
            match next {
                MARK => {
                    self.refuse_here("a value cannot stand inside back-ticks", "Write `$( … )` instead of back-ticks.")
                }
                '`' => {
                    self.take();
                    return;
                }
                '\\' => self.backslash(),
                '\n' => {
                    self.inner_newline();
                    self.take();
                }
                _ => {
                    self.take();
                }
            }
        }
        self.lose("a back-tick before this place is never closed");
    }

    fn comment(&mut self) {
        while let Some(next) = self.peek() {
            match next {
                '\n' => return,
                MARK => self.value(Place::Comment),
                _ => {
                    self.take();
                }
            }
        }
    }

    fn dollar(&mut self) {
        let quoted = matches!(self.frames.last(), Some(Frame::Double | Frame::Expanded | Frame::Arithmetic { .. }))
            || self.frames.last() == Some(&Frame::Parameter { quoted: true });
        let rest = self.rest();
        let after = rest[1..].chars().next();
        if rest.starts_with("$((") {
            self.take_str("$((");
            self.frames.push(Frame::Arithmetic { parens: 2 });
        } else if rest.starts_with("$(") {
            self.take_str("$(");
            self.frames.push(Frame::Bare { parens: 0, substitution: true });
            self.word_start = true;
        } else if rest.starts_with("${") {
            self.take_str("${");
            self.frames.push(Frame::Parameter { quoted });
        } else if rest.starts_with("$'") && !quoted {
            self.take();
            self.ansi_quotes();
        } else if after == Some(MARK) {
            self.take();
            self.refuse_here("a value cannot stand after `$`", "Write `\\$` for the character itself.");
        } else {
            if rest.starts_with("$[") {
                self.lose("`$[` is arithmetic to one shell and text to another");
            }
            self.take();
            self.variable_name(quoted);
        }
    }

    fn variable_name(&mut self, quoted: bool) {
        self.word_start = false;
        if !self.peek().is_some_and(|c| c.is_ascii_alphabetic() || c == '_') {
            return;
        }
        while self.peek().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_') {
            self.take();
        }
        if quoted && self.peek() == Some(MARK) {
            self.refuse_here("a value here would lengthen the variable's name", "Write the variable as `${name}`.");
        }
    }

    fn ansi_quotes(&mut self) {
        self.take();
        self.word_start = false;
        while let Some(next) = self.peek() {
            match next {
                MARK => self.refuse_here("a value cannot stand inside `$'…'`", "Use plain quotes around the value."),
                '\'' => {
                    self.take();
                    return;
                }
                '\\' => {
                    self.lose("`$'…'` with a backslash is read differently by different shells");
                    self.backslash();
                }
                _ => {
                    self.take();
                }
            }
        }
        self.lose("`$'` before this place is never closed");
    }

    // ── here-documents ───────────────────────────────────────────────────────────────────────────────────────

    fn redirection(&mut self) {
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
        match self.end_word() {
            Some((word, quoted)) => self.pending.push(Pending { word, quoted, strips_tabs, depth }),
            None => self.lose("the end word of a here-document is not a plain word"),
        }
        self.word_start = false;
    }

    fn end_word(&mut self) -> Option<(String, bool)> {
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

    fn newline(&mut self) {
        self.take();
        self.word_start = true;
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
        let place = if pending.quoted { Place::Verbatim } else { Place::Expanded };
        if place == Place::Expanded {
            let mut inner = Lexer::new(body, self.values, base, Frame::Expanded);
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
        self.body_keeps_its_end(pending, body, from);
        self.take_str(end_line);
    }

    /// A value must neither end the here-document early nor lose tabs that `<<-` strips.
    fn body_keeps_its_end(&mut self, pending: &Pending, body: &str, from: usize) {
        if !body.contains(MARK) {
            return;
        }
        let written = &self.out[from..];
        let strip = |line: &'_ str| -> String {
            if pending.strips_tabs { line.trim_start_matches('\t').to_owned() } else { line.to_owned() }
        };
        let ends = written.lines().chain(written.split('\n')).any(|line| strip(line) == pending.word);
        let tabs = pending.strips_tabs && stripped(written) != stripped(body);
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

    // ── values ───────────────────────────────────────────────────────────────────────────────────────────────

    /// Reads the mark that stands here: which value it is, and where it stood.
    fn mark(&mut self) -> (usize, Option<usize>) {
        let at = self.base + self.at;
        let rest = &self.rest()[MARK.len_utf8()..];
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let index = rest[..digits].parse().ok().filter(|_| rest[digits..].starts_with(MARK_END));
        self.at += MARK.len_utf8();
        if index.is_some() {
            self.at += digits + MARK_END.len_utf8();
        }
        (at, index)
    }

    fn value(&mut self, place: Place) {
        let starts_word = self.word_start;
        let (at, index) = self.mark();
        self.word_start = false;
        let Some(datum) = index.and_then(|index| self.values.get(index)) else {
            return self.refuse_value(
                at,
                index,
                "a filter has cut a value in two".to_owned(),
                "Filter the value, not the text around it.",
            );
        };
        if let Some(why) = self.lost {
            return self.refuse_value(
                at,
                index,
                format!("a value cannot stand here: {why}"),
                "Assign the value to a variable on a line before: `x={{ … }}`.",
            );
        }
        if matches!(datum, Datum::Words(_)) && place == Place::Bare && !(starts_word && self.ends_word()) {
            let message = "a list cannot be a part of a word".to_owned();
            return self.refuse_value(
                at,
                index,
                message,
                "Put a blank before and after it, or use `| join(',')` for one text.",
            );
        }
        match quoting::write(datum, place) {
            Ok(text) if !self.pending.is_empty() && text.contains('\n') => {
                let message =
                    "a value of several lines cannot stand on the line that announces a here-document".to_owned();
                self.refuse_value(at, index, message, "Assign it to a variable on a line before.");
            }
            Ok(text) => self.out.push_str(&text),
            Err((message, hint)) => self.refuse_value(at, index, message, hint),
        }
    }

    fn ends_word(&self) -> bool {
        matches!(self.peek(), None | Some(' ' | '\t' | '\n' | ';' | '&' | '|' | ')'))
    }

    fn refuse_here(&mut self, message: &str, hint: &'static str) {
        let (at, value) = self.mark();
        self.refuse_value(at, value, message.to_owned(), hint);
    }

    fn refuse(&mut self, at: usize, message: String, hint: &'static str) {
        self.refuse_value(at, None, message, hint);
    }

    fn refuse_value(&mut self, at: usize, value: Option<usize>, message: String, hint: &'static str) {
        self.refusals.push(Refusal { at, value, message, hint });
    }
}

/// How many tabs stand at the start of lines.
fn stripped(text: &str) -> usize {
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
