//! Escaping for Markdown.
//!
//! A template interpolates text, which [`escape`] escapes, unless one of the filters `fence`, `code` and `yaml` quotes it. Raw
//! Markdown cannot be interpolated.
//!
//! **Invariant:** an interpolated text is one line, is shown as it is, and begins or ends no Markdown construct: no emphasis, link,
//! image, HTML, heading, list, table cell, code span, comment, or template of a site generator.

/// Characters that have a meaning everywhere.
const ALWAYS: &[char] = &['\\', '`', '*', '[', ']', '<', '>', '|', '~', '$', '^'];

/// Characters that have a meaning at the beginning of a line. Any text may be at the beginning of a line.
const LEADING: &[char] = &['#', '+', '-', '=', ':', '.', ')', '!', '_'];

/// The shortest fence.
const FENCE: usize = 3;

/// Text as one line of Markdown in which no character has a meaning.
pub(super) fn escape(text: &str) -> String {
    let line = flat(text);
    let mut safe = String::with_capacity(line.len() + 8);
    let mut rest = line.chars().peekable();
    let mut before = None;
    // The number of an ordered list: digits, then `.` or `)`.
    let mut numbering = true;
    while let Some(c) = rest.next() {
        let next = rest.peek().copied();
        let has_meaning = ALWAYS.contains(&c)
            || (before.is_none() && LEADING.contains(&c))
            || (numbering && before.is_some() && matches!(c, '.' | ')'))
            || (c == '_' && !(is_word(before) && is_word(next)))
            || (c == '&' && next.is_some_and(|next| next == '#' || next.is_ascii_alphabetic()))
            || (c == '!' && next == Some('['))
            || (before == Some('{') && matches!(c, '{' | '%' | '#' | ':' | '.'))
            || (c == '-' && before == Some('-'));
        if has_meaning {
            safe.push('\\');
        }
        safe.push(c);
        numbering = numbering && c.is_ascii_digit();
        before = Some(c);
    }
    safe
}

/// Text as a code span, between more back-ticks than the text has in a row. Not for tables: there `|` ends a cell even in a code
/// span.
pub(super) fn code(text: &str) -> String {
    let line = flat(text);
    if line.is_empty() {
        return String::new();
    }
    let marks = "`".repeat(longest_run(&line, '`') + 1);
    let pad = if line.starts_with('`') || line.ends_with('`') { " " } else { "" };
    format!("{marks}{pad}{line}{pad}{marks}")
}

/// Text as a fenced block, between more back-ticks than the text has in a row.
pub(super) fn fence(text: &str) -> String {
    let text = crate::domain::core::text::printable(text);
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

/// Text on one line, without control characters.
fn flat(text: &str) -> String {
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&crate::domain::core::text::printable(word));
    }
    line
}

fn longest_run(text: &str, mark: char) -> usize {
    text.split(|c| c != mark).map(str::len).max().unwrap_or(0)
}

fn is_word(c: Option<char>) -> bool {
    c.is_some_and(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use pulldown_cmark::{Event, Options, Parser, TagEnd};

    /// The structure of a Markdown text and its plain text, parsed with every extension.
    fn read(markdown: &str) -> (Vec<String>, String) {
        let (mut structure, mut text) = (Vec::new(), String::new());
        let options = Options::all() - Options::ENABLE_SMART_PUNCTUATION;
        for event in Parser::new_ext(markdown, options) {
            match event {
                Event::Text(piece) => text.push_str(&piece),
                Event::SoftBreak => text.push(' '),
                Event::Start(tag) => structure.push(format!("{:?}", TagEnd::from(tag))),
                Event::End(_) => {}
                other => structure.push(format!("{other:?}")),
            }
        }
        (structure, text)
    }

    /// Text with many characters that have a meaning in Markdown.
    fn hostile() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            r"[\`*_\[\]<>|~$^&#+\-=:.)(!{}%@/0-9a-b \t\n]{1,6}",
            Just("<!-- x -->".to_owned()),
            Just("<script>".to_owned()),
            Just("&amp;".to_owned()),
            Just("http://x.example".to_owned()),
            Just("```".to_owned()),
            Just("\u{1b}[2J".to_owned()),
            Just("\r\n\r\n    ".to_owned()),
            r"\PC{1,3}",
        ];
        prop::collection::vec(piece, 1..6).prop_map(|pieces| pieces.concat())
    }

    /// Places in which a template interpolates text: the text before and after, and the expected structure.
    const PLACES: &[(&str, &str, &str)] = &[
        ("", "", "Paragraph"),
        ("before ", " after", "Paragraph"),
        ("- ", " (#1)", "List(false) Item"),
        ("### ", " (#1)", "Heading(H3)"),
        ("- **", "** – found (#1)", "List(false) Item Strong"),
        ("| a |\n|---|\n| ", " |", "Table TableHead TableCell TableRow TableCell"),
    ];

    proptest! {
        #[test]
        fn escaped_text_is_shown_as_it_is_and_has_no_structure(text in hostile()) {
            let line = flat(&text);
            prop_assume!(!line.is_empty());
            for (before, after, structure) in PLACES {
                let (found, shown) = read(&format!("{before}{}{after}\n", escape(&text)));
                prop_assert_eq!(found.join(" "), *structure, "{:?} in {:?}", escape(&text), before);
                prop_assert!(shown.contains(&line), "{:?} is not in {:?}", line, shown);
            }
        }

        #[test]
        fn no_line_of_a_fenced_text_ends_the_block(text in "(`{0,5}[a-z~# ]{0,3}\n?){0,8}") {
            let (structure, shown) = read(&format!("{}\n\nafter\n", fence(&text)));
            prop_assert_eq!(structure.join(" "), "CodeBlock Paragraph");
            prop_assert!(shown.ends_with("after"));
        }

        #[test]
        fn a_text_is_exactly_one_code_span(text in hostile()) {
            prop_assume!(!flat(&text).is_empty());
            let (structure, _) = read(&format!("x {} y\n", code(&text)));
            prop_assert_eq!(structure.len(), 2, "{:?}", structure);
            prop_assert!(structure[1].starts_with("Code("));
        }

        #[test]
        fn a_yaml_scalar_is_read_back(text in hostile()) {
            let read: String = serde_yaml::from_str(&yaml(&text)).unwrap();
            prop_assert_eq!(read, flat(&text));
        }
    }

    #[test]
    fn ordinary_text_is_not_escaped() {
        for text in ["pakashop-gateway.service runs again after 3.6s", "18 of 19 units run; 2 failed (a, b)", "x_y & z"]
        {
            assert_eq!(escape(text), text);
        }
    }
}
