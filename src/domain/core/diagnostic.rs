//! Problems of a file and how they are shown: all at once, each as `file:line:column`, the line, a caret, and what to type.
//!
//! **Invariant:** no byte of a file reaches a terminal as a control sequence.
//!
//! Not here: reading files, deciding what is wrong, and colour settings.

use std::fmt::Write as _;
use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// Problems shown for one file; the rest are only counted. Nobody mends more in one go.
pub const MAX_SHOWN: usize = 50;

/// Characters of one source line that are shown around a problem.
const MAX_LINE: usize = 400;

/// Characters of foreign text that a message quotes.
pub const MAX_QUOTED: usize = 80;

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

/// One thing that is wrong, with its place and its remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub span: SourceSpan,
    /// What: a lowercase fragment with back-ticked values.
    pub message: String,
    /// What stands at the place, in a few words, beside the caret.
    pub label: Option<String>,
    /// What to do: a sentence that says what to type.
    pub help: Option<String>,
    /// Another place that belongs to it, with a few words: where the first of two was.
    pub related: Option<(SourceSpan, String)>,
}

impl Problem {
    /// A problem at a place.
    pub fn new(span: SourceSpan, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), label: None, help: None, related: None }
    }

    /// With a remedy.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// With the question whether a known name was meant, where one is near.
    #[must_use]
    pub fn did_you_mean<'a>(mut self, wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        if let Some(name) = crate::domain::core::suggest::nearest(wrong, known) {
            self.help = Some(crate::domain::core::suggest::did_you_mean(name));
            self.label = Some(format!("perhaps `{name}`"));
        }
        self
    }

    /// With a remedy unless a better one is there already.
    #[must_use]
    pub fn or_help(mut self, help: impl Into<String>) -> Self {
        self.help.get_or_insert_with(|| help.into());
        self
    }

    /// With words beside the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// With another place that belongs to it.
    #[must_use]
    pub fn related(mut self, span: SourceSpan, words: impl Into<String>) -> Self {
        self.related = Some((span, words.into()));
        self
    }
}

/// A file as text: its name as it is shown, and what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The path as the reader would type it.
    pub name: String,
    /// The whole text.
    pub text: String,
}

impl Source {
    /// A file by name and text.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into() }
    }

    /// The place of a range of bytes.
    pub fn span(&self, range: Range<usize>) -> SourceSpan {
        span_in(&self.text, range)
    }

    /// The file's name without directories and `.yaml`: what its id must be.
    pub fn stem(&self) -> &str {
        let file = self.name.rsplit('/').next().unwrap_or(&self.name);
        file.strip_suffix(".yaml").or_else(|| file.strip_suffix(".yml")).unwrap_or(file)
    }
}

/// The place of a range of bytes in a text; ranges that do not fit are moved to where they do.
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

/// How problems are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// ASCII without colour: for pipes, logs and dumb terminals.
    Plain,
    /// Colour.
    Styled,
}

/// Renders every problem of a file, in the order of the file, and ends with a count.
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
    let title = visible_lines(&problem.message);
    let primary = Excerpt::of(&source.text, &problem.span);
    let label = problem.label.as_deref().map(visible_lines);
    let path = visible(&source.name, MAX_LINE);
    let annotation = AnnotationKind::Primary.span(primary.range.clone()).label(label);
    let snippet =
        Snippet::source(primary.text.as_str()).line_start(primary.line).path(path.as_str()).annotation(annotation);
    let mut report: Vec<Group<'_>> = vec![Level::ERROR.primary_title(title.as_str()).element(snippet)];
    let related = problem.related.as_ref().map(|(span, words)| (Excerpt::of(&source.text, span), words));
    if let Some((excerpt, words)) = &related {
        let annotation = AnnotationKind::Context.span(excerpt.range.clone());
        let snippet =
            Snippet::source(excerpt.text.as_str()).line_start(excerpt.line).path(path.as_str()).annotation(annotation);
        report.push(Level::NOTE.secondary_title(visible_lines(words)).element(snippet));
    }
    if let Some(help) = &problem.help {
        report.push(Group::with_title(Level::HELP.secondary_title(visible_lines(help))));
    }
    renderer.render(&report)
}

/// The line of a problem, neutral and of bounded length, with the range moved into it.
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
        // The pad keeps the column right when the start of a very long line is left out.
        let left_out = text[line_start..from].chars().count();
        let pad = " ".repeat(left_out);
        Self {
            text: format!("{pad}{}", neutral(&text[from..until])),
            line: span.line.max(1),
            range: start - from + pad.len()..end - from + pad.len(),
        }
    }
}

/// The same text with every character that a terminal might obey replaced by one of the same length in bytes, so
/// that ranges stay true.
fn neutral(text: &str) -> String {
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

/// Characters that a terminal obeys or that reorder the text around them.
fn is_hostile(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{61c}' | '\u{e0000}'..='\u{e007f}')
}

/// Foreign text as a message may quote it: hostile characters escaped, cut after `limit` characters.
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

/// A message of ours with foreign parts: everything hostile escaped, at a length that fits a screen.
fn visible_lines(text: &str) -> String {
    visible(text, 600)
}

fn boundary_before(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
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
    fn a_problem_shows_its_place_its_line_and_its_remedy() {
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
    fn foreign_text_cannot_reach_the_terminal_as_a_command() {
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
    fn a_very_long_line_is_cut_and_its_column_stays() {
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
