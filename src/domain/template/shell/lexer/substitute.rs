//! Replaces each mark by its value, quoted for its place, or refuses it.

use super::{Lexer, OpenConstruct};
use crate::domain::template::shell::quoting;
use crate::domain::template::shell::quoting::QuotingContext;
use crate::domain::template::shell::{Datum, MARK, MARK_END, UnsafeInterpolation};

impl Lexer<'_> {
    /// Reads the mark here. Returns its place and, if the mark is whole, the index of its value.
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

    /// Writes the value of the mark here.
    pub(crate) fn value(&mut self, place: QuotingContext) {
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
        if let Some(why) = self.unsafe_here() {
            return self.refuse_value(
                at,
                index,
                format!("a value cannot stand here: {why}"),
                "Assign the value to a variable on a line before: `x={{ … }}`.",
            );
        }
        if matches!(datum, Datum::Words(_)) && place == QuotingContext::Bare && !(starts_word && self.is_word_end()) {
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

    /// Why no value is safe here, however it is quoted: the shell would evaluate it again.
    fn unsafe_here(&self) -> Option<&'static str> {
        let around = self.frames.split_last().map_or(&[][..], |(_, around)| around);
        let parameter = self.frames.iter().any(|frame| matches!(frame, OpenConstruct::Parameter { .. }));
        let arithmetic = around.iter().any(|frame| matches!(frame, OpenConstruct::Arithmetic { .. }));
        self.lost
            .or(self.hazards.last().map(|(_, why)| *why))
            .or(parameter.then_some("it is inside `${ … }`"))
            .or(arithmetic.then_some("arithmetic reads what it is given as code"))
    }

    fn is_word_end(&self) -> bool {
        matches!(self.peek(), None | Some(' ' | '\t' | '\n' | ';' | '&' | '|' | ')'))
    }

    /// Refuses the mark here.
    pub(crate) fn refuse_here(&mut self, message: &str, hint: &'static str) {
        let (at, value) = self.mark();
        self.refuse_value(at, value, message.to_owned(), hint);
    }

    pub(crate) fn refuse(&mut self, at: usize, message: String, hint: &'static str) {
        self.refuse_value(at, None, message, hint);
    }

    fn refuse_value(&mut self, at: usize, value: Option<usize>, message: String, hint: &'static str) {
        self.refusals.push(UnsafeInterpolation { at, value, message, hint });
    }
}
