//! Reads a marked script and finds the place of each mark, as far as a POSIX shell and bash agree on it.
//!
//! **Invariant:** where the two shells disagree, or the place is uncertain, the lexer is *lost*: every later value is refused.
//! A script without a later value is accepted.
//!
//! Not here: commands, expansion and execution.

mod expansion;
mod here_document;
mod substitute;

use self::here_document::Pending;
use super::quoting::QuotingContext;
use super::{Datum, MARK, UnsafeInterpolation};

/// Limit of constructs that are open at once. With more, the lexer is lost.
const MAX_FRAMES: usize = 100;

/// Builtins that evaluate their arguments as code, as arithmetic or as a subscript, where `a[$(x)]` runs `x`.
const REREADERS: &[&str] =
    &["eval", "let", "declare", "typeset", "local", "unset", "read", "mapfile", "readarray", "trap", "alias"];

const REREAD: &str = "this command reads its words a second time, as code";

const CONDITION: &str = "`[[` evaluates numbers as code; use `[`";

/// The result of reading a script.
pub(super) struct LexedScript {
    pub script: String,
    pub refusals: Vec<UnsafeInterpolation>,
}

/// Reads `marked` and writes each value, quoted for its place.
pub(super) fn read(marked: &str, values: &[Datum]) -> LexedScript {
    let mut lexer = Lexer::new(marked, values, 0, OpenConstruct::Bare { parens: 0, substitution: false });
    lexer.run();
    LexedScript { script: lexer.out, refusals: lexer.refusals }
}

/// An open construct.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OpenConstruct {
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

struct Lexer<'a> {
    text: &'a str,
    /// Where `text` starts in the whole marked script.
    base: usize,
    at: usize,
    values: &'a [Datum],
    out: String,
    frames: Vec<OpenConstruct>,
    pending: Vec<Pending>,
    /// Whether the next character would start a word, which is where `#` starts a comment.
    word_start: bool,
    lost: Option<&'static str>,
    /// Commands that evaluate their arguments again, each with the number of frames that were open at it.
    hazards: Vec<(usize, &'static str)>,
    refusals: Vec<UnsafeInterpolation>,
}

impl<'a> Lexer<'a> {
    fn new(text: &'a str, values: &'a [Datum], base: usize, frame: OpenConstruct) -> Self {
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
            hazards: Vec::new(),
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
                OpenConstruct::Bare { .. } => self.unquoted(next),
                OpenConstruct::Double | OpenConstruct::Expanded => self.double(next),
                OpenConstruct::Arithmetic { .. } => self.arithmetic(next),
                OpenConstruct::Parameter { quoted } => self.parameter(next, quoted),
            }
        }
        if !self.pending.is_empty() || self.frames.len() > 1 {
            self.lose("a construct before this place is never closed");
        }
    }

    // ── reading ──────────────────────────────────────────────────────────────────────────────────────────────

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

    /// Marks the lexer as lost; the first reason is reported.
    fn lose(&mut self, why: &'static str) {
        self.lost.get_or_insert(why);
    }

    /// Closes the innermost construct.
    fn pop(&mut self) {
        if self.pending.iter().any(|pending| pending.depth >= self.frames.len()) {
            self.lose("a here-document is announced before this place and its text does not follow");
            self.pending.clear();
        }
        if self.frames.len() > 1 {
            self.frames.pop();
        }
        let depth = self.frames.len();
        self.hazards.retain(|(opened, _)| *opened <= depth);
        self.word_start = false;
    }

    /// A newline inside a construct. While a here-document is pending, shells read it differently.
    fn inner_newline(&mut self) {
        if !self.pending.is_empty() {
            self.lose("a here-document is announced in the middle of a text of several lines");
        }
    }

    // ── places ───────────────────────────────────────────────────────────────────────────────────────────────

    fn unquoted(&mut self, next: char) {
        match next {
            MARK => self.value(QuotingContext::Bare),
            '\\' => self.backslash(),
            '\'' => self.single(),
            '"' => self.open(OpenConstruct::Double),
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
            ' ' | '\t' | '<' | '>' => {
                self.take();
                self.word_start = true;
            }
            ';' | '&' | '|' => {
                self.take();
                self.command_ends();
            }
            _ => self.quoted_word(),
        }
    }

    fn quoted_word(&mut self) {
        if self.word_start {
            let word = self.rest().split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default();
            let inside = matches!(self.frames.last(), Some(OpenConstruct::Bare { substitution: true, .. }));
            match word {
                "" if self.rest().starts_with("[[") => self.hazards.push((self.frames.len(), CONDITION)),
                "" if self.rest().starts_with("]]") => self.hazards.retain(|(_, why)| *why != CONDITION),
                word if REREADERS.contains(&word) => self.hazards.push((self.frames.len(), REREAD)),
                "case" if inside => self.lose("a `case` inside `$( … )` is read differently by different shells"),
                _ => {}
            }
        }
        self.take();
        self.word_start = false;
    }

    /// The end of a command, and of its hazard. The hazard of a condition lasts until `]]`.
    fn command_ends(&mut self) {
        let depth = self.frames.len();
        self.hazards.retain(|(opened, why)| *opened < depth || *why == CONDITION);
        self.word_start = true;
    }

    fn parenthesis(&mut self, next: char) {
        let doubled = self.rest().starts_with("((");
        self.take();
        self.word_start = true;
        let Some(OpenConstruct::Bare { parens, substitution }) = self.frames.last_mut() else { return };
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
        let body = self.frames.last() == Some(&OpenConstruct::Expanded);
        match next {
            MARK => self.value(if body { QuotingContext::Expanded } else { QuotingContext::Double }),
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

    fn open(&mut self, frame: OpenConstruct) {
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
                self.take(); // A line continuation neither ends nor begins a word.
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
                MARK => self.value(QuotingContext::Single),
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
                MARK => self.value(QuotingContext::Comment),
                _ => {
                    self.take();
                }
            }
        }
    }
}
