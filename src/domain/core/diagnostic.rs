//! The problems of a file, and their rendering: each with `file:line:column`, the line, a caret and a remedy.
//!
//! **Invariant:** no byte of a file reaches a terminal as a control sequence.
//!
//! Not here: reading and checking files, and colour settings.

use std::fmt::Write as _;
use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// The most problems shown of one file; the rest are counted. Nobody repairs more at once.
pub const MAX_SHOWN: usize = 50;

/// The most characters of a source line shown on each side of a problem.
const MAX_LINE: usize = 400;

/// The most characters of foreign text that a message quotes.
pub const MAX_QUOTED: usize = 80;

/// The longest message, label or help, in characters.
const MAX_MESSAGE: usize = 600;

/// A place in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceSpan {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The bytes of the file.
    pub range: Range<usize>,
}

/// One problem, with its place and its remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub span: SourceSpan,
    /// What is wrong: a fragment in lower case, with values in backticks.
    pub message: String,
    /// A short note beside the caret.
    pub label: Option<String>,
    /// The remedy: a sentence that gives the text to type.
    pub help: Option<String>,
    /// Another place with a note, such as the first of two duplicates.
    pub related: Option<(SourceSpan, String)>,
}

impl Problem {
    /// A problem without a remedy.
    pub fn new(span: SourceSpan, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), label: None, help: None, related: None }
    }

    /// Sets the remedy.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Sets the remedy and the label to the nearest known name, if one is near.
    #[must_use]
    pub fn did_you_mean<'a>(mut self, wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        if let Some(name) = crate::domain::core::suggest::nearest(wrong, known) {
            self.help = Some(crate::domain::core::suggest::did_you_mean(name));
            self.label = Some(format!("perhaps `{name}`"));
        }
        self
    }

    /// Sets the remedy if there is none.
    #[must_use]
    pub fn or_help(mut self, help: impl Into<String>) -> Self {
        self.help.get_or_insert_with(|| help.into());
        self
    }

    /// Sets the note beside the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Sets the related place and its note.
    #[must_use]
    pub fn related(mut self, span: SourceSpan, note: impl Into<String>) -> Self {
        self.related = Some((span, note.into()));
        self
    }
}

/// The name and text of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The path as the reader would type it.
    pub name: String,
    /// The whole text.
    pub text: String,
}

impl Source {
    /// A file with this name and text.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into() }
    }

    /// The place of a range of bytes.
    pub fn span(&self, range: Range<usize>) -> SourceSpan {
        span_in(&self.text, range)
    }

    /// The file's name without directories and `.yaml`. The id of a runbook must be the same.
    pub fn stem(&self) -> &str {
        let file = self.name.rsplit('/').next().unwrap_or(&self.name);
        file.strip_suffix(".yaml").or_else(|| file.strip_suffix(".yml")).unwrap_or(file)
    }
}

/// The place of a range of bytes in a text. A range is clamped to the text and to character boundaries.
pub fn span_in(text: &str, range: Range<usize>) -> SourceSpan {
    let start = boundary_before(text, range.start);
    let end = boundary_before(text, range.end).max(start);
    let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
    SourceSpan {
        line: text.as_bytes()[..start].iter().filter(|byte| **byte == b'\n').count() + 1,
        column: text[line_start..start].chars().count() + 1,
        range: start..end,
    }
}

/// The style of rendered problems. Both use ASCII for lines and arrows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Without colour: for pipes, logs and dumb terminals.
    Plain,
    /// With colour.
    Styled,
}

/// Renders the problems of a file in the order of their places, at most [`MAX_SHOWN`], and then their count.
pub fn render(source: &Source, problems: &[Problem], style: Style) -> String {
    let renderer = match style {
        Style::Plain => Renderer::plain(),
        Style::Styled => Renderer::styled(),
    }
    .decor_style(DecorStyle::Ascii)
    .term_width(120);
    let mut order: Vec<&Problem> = problems.iter().collect();
    order.sort_by_key(|problem| (problem.span.line, problem.span.column));
    let mut out = String::new();
    for problem in order.iter().take(MAX_SHOWN) {
        out.push_str(&render_one(source, problem, &renderer));
        out.push_str("\n\n");
    }
    if order.len() > MAX_SHOWN {
        let _ = writeln!(out, "... and {} more\n", order.len() - MAX_SHOWN);
    }
    let _ = writeln!(out, "{}: {}", visible(&source.name, MAX_LINE), count(problems.len()));
    out
}

/// `no problems`, `1 problem`, `12 problems`.
pub fn count(problems: usize) -> String {
    match problems {
        0 => "no problems".to_owned(),
        1 => "1 problem".to_owned(),
        many => format!("{many} problems"),
    }
}

fn render_one(source: &Source, problem: &Problem, renderer: &Renderer) -> String {
    let title = visible_message(&problem.message);
    let primary = Excerpt::of(&source.text, &problem.span);
    let label = problem.label.as_deref().map(visible_message);
    let path = visible(&source.name, MAX_LINE);
    let annotation = AnnotationKind::Primary.span(primary.range.clone()).label(label);
    let snippet =
        Snippet::source(primary.text.as_str()).line_start(primary.line).path(path.as_str()).annotation(annotation);
    let mut report: Vec<Group<'_>> = vec![Level::ERROR.primary_title(title.as_str()).element(snippet)];
    let related = problem.related.as_ref().map(|(span, note)| (Excerpt::of(&source.text, span), note));
    if let Some((excerpt, note)) = &related {
        let annotation = AnnotationKind::Context.span(excerpt.range.clone());
        let snippet =
            Snippet::source(excerpt.text.as_str()).line_start(excerpt.line).path(path.as_str()).annotation(annotation);
        report.push(Level::NOTE.secondary_title(visible_message(note)).element(snippet));
    }
    if let Some(help) = &problem.help {
        report.push(Group::with_title(Level::HELP.secondary_title(visible_message(help))));
    }
    renderer.render(&report)
}

/// The part of the line around a problem, safe for a terminal, and the range of the problem within it.
struct Excerpt {
    text: String,
    line: usize,
    range: Range<usize>,
}

impl Excerpt {
    fn of(text: &str, span: &SourceSpan) -> Self {
        let start = boundary_before(text, span.range.start);
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        let from = boundary_before(text, line_start.max(start.saturating_sub(MAX_LINE)));
        let until = boundary_before(text, line_end.min(start + MAX_LINE));
        let end = boundary_before(text, span.range.end).clamp(start, until.max(start));
        // Padding in place of the start of a very long line, so that the column stays right.
        let left_out = text[line_start..from].chars().count();
        let pad = " ".repeat(left_out);
        Self {
            text: format!("{pad}{}", without_hostile(&text[from..until])),
            line: span.line.max(1),
            range: start - from + pad.len()..end - from + pad.len(),
        }
    }
}

/// The text with each hostile character replaced by a harmless one of as many bytes, so that ranges stay valid.
fn without_hostile(text: &str) -> String {
    text.chars().map(|c| if is_hostile(c) && c != '\t' { replacement(c) } else { c }).collect()
}

const fn replacement(character: char) -> char {
    match character.len_utf8() {
        1 => '?',
        2 => '\u{b7}',
        3 => '\u{fffd}',
        _ => '\u{1f6ab}',
    }
}

/// Whether a terminal acts upon a character, or the character is invisible or reorders the text around it.
fn is_hostile(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{61c}' | '\u{e0000}'..='\u{e007f}')
}

/// Foreign text that is safe in a message: hostile characters escaped, cut after `limit` characters.
pub fn visible(text: &str, limit: usize) -> String {
    let mut out = String::new();
    for (index, character) in text.chars().enumerate() {
        if index == limit {
            out.push('…');
            break;
        }
        if is_hostile(character) {
            let _ = write!(out, "{}", character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

/// A message, which may quote foreign text, with hostile characters escaped.
fn visible_message(text: &str) -> String {
    visible(text, MAX_MESSAGE)
}

fn boundary_before(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, range: Range<usize>) -> String {
        let source = Source::new("runbooks/p1.yaml", text);
        let problem = Problem::new(source.span(range), "unknown key `untl`").help("Did you mean `until`?");
        render(&source, &[problem], Style::Plain)
    }

    #[test]
    fn a_problem_is_rendered_with_its_place_line_and_remedy() {
        let text = "runbook: p1\nsteps:\n  - untl: x\n";
        let expected = "\
error: unknown key `untl`
 --> runbooks/p1.yaml:3:5
  |
3 |   - untl: x
  |     ^^^^
  |
help: Did you mean `until`?

runbooks/p1.yaml: 1 problem
";
        assert_eq!(shown(text, 23..27), expected);
    }

    #[test]
    fn control_characters_of_foreign_text_are_replaced() {
        for hostile in ["\u{1b}[2J", "\u{9b}2J", "\r", "\u{202e}", "\u{7}", "\0"] {
            let text = format!("a: {hostile}x\n");
            let out = shown(&text, 0..text.len() - 1);
            assert!(out.chars().all(|c| !is_hostile(c) || c == '\n'), "{out:?}");
        }
        let source = Source::new("a\u{1b}[31m.yaml", "a");
        let problem = Problem::new(source.span(0..1), "bad `\u{1b}[2J`");
        let out = render(&source, &[problem], Style::Plain);
        assert!(!out.contains('\u{1b}'), "{out:?}");
    }

    #[test]
    fn the_column_is_right_in_a_long_line_that_is_cut() {
        let text = format!("{}bad", "é".repeat(1_000_000));
        let out = shown(&text, 2_000_000..2_000_003);
        assert!(out.contains(":1:1000001"), "{}", &out[..200]);
    }

    #[test]
    fn ranges_beyond_the_text_are_moved_into_it() {
        let source = Source::new("x", "é");
        assert_eq!(source.span(1..99), SourceSpan { line: 1, column: 1, range: 0..2 });
        let problems: Vec<Problem> =
            (0..60).map(|_| Problem::new(SourceSpan { line: 9, column: 9, range: 90..99 }, "m")).collect();
        let out = render(&source, &problems, Style::Plain);
        assert!(out.ends_with("... and 10 more\n\nx: 60 problems\n"), "{out}");
    }
}
