//! Constructs that start with `$`: substitutions, arithmetic, parameters, ANSI quotes and plain variables.

use super::{Lexer, OpenConstruct};
use crate::domain::template::shell::MARK;
use crate::domain::template::shell::quoting::QuotingContext;

impl Lexer<'_> {
    pub(super) fn dollar(&mut self) {
        let quoted = matches!(
            self.frames.last(),
            Some(OpenConstruct::Double | OpenConstruct::Expanded | OpenConstruct::Arithmetic { .. })
        ) || self.frames.last() == Some(&OpenConstruct::Parameter { quoted: true });
        let rest = self.rest();
        let after = rest[1..].chars().next();
        if rest.starts_with("$((") {
            self.take_str("$((");
            self.frames.push(OpenConstruct::Arithmetic { parens: 2 });
        } else if rest.starts_with("$(") {
            self.take_str("$(");
            self.frames.push(OpenConstruct::Bare { parens: 0, substitution: true });
            self.word_start = true;
        } else if rest.starts_with("${") {
            self.take_str("${");
            self.frames.push(OpenConstruct::Parameter { quoted });
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

    pub(super) fn arithmetic(&mut self, next: char) {
        match next {
            MARK => self.value(QuotingContext::Arithmetic),
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
        let Some(OpenConstruct::Arithmetic { parens }) = self.frames.last_mut() else { return };
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

    pub(super) fn parameter(&mut self, next: char, quoted: bool) {
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
            '"' => self.open(OpenConstruct::Double),
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
}
