//! Markdown that foreign text cannot take part in.
//!
//! A template writes Markdown; everything that it interpolates is text, and is escaped by [`escape`] unless a filter
//! of ours has put it into a place of its own: `fence`, `code`, `yaml`. There is no way to interpolate raw Markdown.
//!
//! **Invariant:** an interpolated text is one line, is shown as it is, and begins and ends nothing: no emphasis, link,
//! image, HTML, heading, list, table cell, code span, comment, or template of a site generator.

/// Characters that mean something to Markdown wherever they stand.
const ALWAYS: &[char] = &['\\', '`', '*', '[', ']', '<', '>', '|', '~', '$'];

/// Characters that mean something at the beginning of a line. Where a text will stand is not known here.
const LEADING: &[char] = &['#', '+', '-', '=', ':', '.', ')', '!', '_'];

/// The shortest fence.
const FENCE: usize = 3;

/// Text as Markdown that shows it: one line, nothing in it has a meaning.
pub(super) fn escape(text: &str) -> String {
    let line = flat(text);
    let mut safe = String::with_capacity(line.len() + 8);
    let mut rest = line.chars().peekable();
    let mut before = None;
    // The number of an ordered list: digits, then `.` or `)`.
    let mut numbering = true;
    while let Some(c) = rest.next() {
        let next = rest.peek().copied();
        let meaning = ALWAYS.contains(&c)
            || (before.is_none() && LEADING.contains(&c))
            || (numbering && before.is_some() && matches!(c, '.' | ')'))
            || (c == '_' && !(is_word(before) && is_word(next)))
            || (c == '&' && next.is_some_and(|next| next == '#' || next.is_ascii_alphabetic()))
            || (c == '!' && next == Some('['))
            || (before == Some('{') && matches!(c, '{' | '%' | '#' | ':'))
            || (c == '-' && before == Some('-'));
        if meaning {
            safe.push('\\');
        }
        safe.push(c);
        numbering = numbering && c.is_ascii_digit();
        before = Some(c);
    }
    safe
}

/// Text as a code span: its marks are longer than any run of back-ticks in it.
pub(super) fn code(text: &str) -> String {
    let line = flat(text).replace('|', "¦");
    if line.is_empty() {
        return String::new();
    }
    let marks = "`".repeat(longest_run(&line, '`') + 1);
    let pad = if line.starts_with('`') || line.ends_with('`') { " " } else { "" };
    format!("{marks}{pad}{line}{pad}{marks}")
}

/// Text as a fenced block that no line of it can close.
pub(super) fn fence(text: &str) -> String {
    let text = crate::domain::text::printable(text);
    let marks = "`".repeat(FENCE.max(longest_run(&text, '`') + 1));
    format!("{marks}text\n{}\n{marks}", text.trim_end_matches('\n'))
}

/// Text as a double-quoted scalar of YAML 1.2 on one line.
pub(super) fn yaml(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in flat(text).chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            ' '..='~' => quoted.push(c),
            c if c.is_alphanumeric() => quoted.push(c),
            c => quoted.push_str(&format!("\\U{:08X}", c as u32)),
        }
    }
    quoted.push('"');
    quoted
}

/// Text on one line and printable.
fn flat(text: &str) -> String {
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&crate::domain::text::printable(word));
    }
    line
}

fn longest_run(text: &str, mark: char) -> usize {
    text.split(|c| c != mark).map(str::len).max().unwrap_or(0)
}

fn is_word(c: Option<char>) -> bool {
    c.is_some_and(char::is_alphanumeric)
}
