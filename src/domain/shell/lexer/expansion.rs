//! What starts with `$`: substitutions, arithmetic, parameters, ANSI quotes and plain variables.

use super::{Frame, Lexer};
use crate::domain::shell::MARK;

impl Lexer<'_> {
    pub(super) fn dollar(&mut self) {
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
}
