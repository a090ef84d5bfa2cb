//! Text for people: foreign text made safe to show, long text shortened, numbers and sizes formatted.
//!
//! Output of a command, a journal entry or an alert may contain escape sequences that move the cursor, or invisible characters
//! that make one word look like another. [`printable`] replaces them by visible marks.
//!
//! **Invariant:** the result of [`printable`] holds no character that a terminal acts upon except line feed and tab, and none
//! that reorders or hides its neighbours.
//!
//! Not here: escaping for one format (Markdown, HTML, JSON); the writer of that format does it.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Replaces every character that a terminal acts upon, and every invisible one, by a visible mark: `␛` for an escape, `\u{202e}`
/// for a change of writing direction. Line feeds and tabs stay. The carriage return of a `\r\n` is removed.
pub fn printable(text: &str) -> Cow<'_, str> {
    let Some(first) = text.find(is_unprintable) else {
        return Cow::Borrowed(text);
    };
    let mut safe = String::with_capacity(text.len() + 16);
    safe.push_str(&text[..first]);
    let mut rest = text[first..].chars().peekable();
    while let Some(c) = rest.next() {
        if c == '\r' && rest.peek() == Some(&'\n') {
            continue;
        }
        push_visibly(&mut safe, c);
    }
    Cow::Owned(safe)
}

/// A text as one word of a shell command, in quotes only where it needs them.
pub fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text.to_owned() } else { shell_quoted(text) }
}

/// A text as one word of a shell command, always in quotes. At the beginning of a command, `if` and `A=b` need them.
pub fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The text as one printable line of at most `max_chars` characters. Every run of white space becomes one blank. A cut is marked
/// by `…`, which counts as a character.
pub fn one_line(text: &str, max_chars: usize) -> String {
    if text.len() <= max_chars && is_plain(text) {
        return text.to_owned();
    }
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&printable(word));
        // No character is longer than four bytes, so the line is long enough to be cut.
        if line.len() > max_chars.saturating_mul(4) {
            break;
        }
    }
    match line.char_indices().nth(max_chars) {
        None => line,
        Some(_) if max_chars == 0 => String::new(),
        Some(_) => {
            let end = line.char_indices().nth(max_chars - 1).map_or(0, |(at, _)| at);
            line.truncate(end);
            line.push('…');
            line
        }
    }
}

/// Whether [`one_line`] would not change a short text: printable ASCII with single blanks between words.
fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    let visible = bytes.iter().all(|byte| matches!(byte, b' '..=b'~'));
    visible && !text.starts_with(' ') && !text.ends_with(' ') && !bytes.windows(2).any(|pair| pair == b"  ")
}

/// At most `head` bytes of the beginning and `tail` bytes of the end, and between them a line with the number of missing bytes.
/// Characters are not split.
pub fn head_and_tail(text: &str, head: usize, tail: usize) -> String {
    if text.len() <= head.saturating_add(tail) {
        return text.to_owned();
    }
    let head_end = text.floor_char_boundary(head);
    let tail_start = text.ceil_char_boundary(text.len() - tail);
    joined_around_cut(&text[..head_end], (tail_start - head_end) as u64, &text[tail_start..])
}

/// Joins the beginning and the end of a text by a line that marks a cut of `missing` bytes.
pub fn joined_around_cut(head: &str, missing: u64, tail: &str) -> String {
    let before = if head.is_empty() || head.ends_with('\n') { "" } else { "\n" };
    let after = if tail.is_empty() || tail.starts_with('\n') { "" } else { "\n" };
    format!("{head}{before}… {} bytes cut …{after}{tail}", grouped(missing))
}

/// A number with a comma between every three digits.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of bytes with a unit: `1.5 KiB`, `512 MiB`.
pub fn bytes(number: u64) -> String {
    let (mut size, mut unit) = (number as f64, "B");
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if size < 1024.0 {
            break;
        }
        (size, unit) = (size / 1024.0, larger);
    }
    format!("{} {unit}", (size * 10.0).round() / 10.0)
}

fn push_visibly(safe: &mut String, c: char) {
    match c {
        '\n' | '\t' => safe.push(c),
        '\u{7f}' => safe.push('␡'),
        // Unicode has a picture of every C0 control, in their order, from U+2400.
        '\0'..='\u{1f}' => safe.push(char::from_u32(0x2400 + c as u32).unwrap_or('\u{fffd}')),
        c if is_unprintable(c) => {
            write!(safe, "\\u{{{:x}}}", c as u32).expect("writing to a string cannot fail");
        }
        c => safe.push(c),
    }
}

fn is_unprintable(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' => true,
        ' '..='~' => false,
        _ => is_bidirectional_control(c) || is_invisible(c),
    }
}

/// Whether a character is a mark, embedding, override or isolate that changes the order in which text is shown.
fn is_bidirectional_control(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether a character has no width or no visible form, or is a line separator that only some programs support.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' // Hangul fillers
            | '\u{180e}'
            | '\u{200b}'..='\u{200d}'
            | '\u{2028}' | '\u{2029}'
            | '\u{2060}'..='\u{2065}'
            | '\u{206a}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}' // tags: a hidden alphabet
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_size_has_a_unit_and_one_decimal() {
        assert_eq!([0, 1536, 512 << 20, 3 << 40].map(bytes), ["0 B", "1.5 KiB", "512 MiB", "3 TiB"]);
    }

    #[test]
    fn a_shell_word_is_quoted_only_when_needed() {
        assert_eq!(["code", "a=b", "", "~root"].map(shell_word), ["code", "a=b", "''", "'~root'"]);
        assert_eq!(shell_word("it's; $(x)"), r"'it'\''s; $(x)'");
        assert_eq!(["it's $(id)\n", "", "if"].map(shell_quoted), ["'it'\\''s $(id)\n'", "''", "'if'"]);
    }

    #[test]
    fn ordinary_text_is_not_copied() {
        assert!(matches!(printable("naïve café — 日本 🚀\n\tnext"), Cow::Borrowed(_)));
    }

    #[test]
    fn control_and_invisible_characters_become_visible() {
        assert_eq!(printable("\x1b[2J\x07\x7f\0"), "␛[2J␇␡␀");
        assert_eq!(printable("\u{9b}31m"), "\\u{9b}31m");
        assert_eq!(printable("exe\u{202e}cod"), "exe\\u{202e}cod");
        assert_eq!(printable("pay\u{200b}pal\u{2028}"), "pay\\u{200b}pal\\u{2028}");
        assert_eq!(printable("one\r\ntwo\rthree"), "one\ntwo␍three");
    }

    #[test]
    fn one_line_collapses_white_space_and_marks_the_cut() {
        assert_eq!(one_line("  a\n\tb\r\n c ", 10), "a b c");
        assert_eq!(one_line("abcdef", 6), "abcdef");
        assert_eq!(one_line("abcdefg", 6), "abcde…");
        assert_eq!(one_line("ééééééé", 3), "éé…");
        assert_eq!(one_line("abc", 0), "");
    }

    #[test]
    fn a_cut_shows_the_number_of_missing_bytes() {
        assert_eq!(head_and_tail("short", 3, 3), "short");
        let long = "x".repeat(12_345 + 6);
        assert_eq!(head_and_tail(&long, 3, 3), "xxx\n… 12,345 bytes cut …\nxxx");
    }

    #[test]
    fn numbers_are_grouped_by_three() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_000), "1,000");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }

    proptest! {
        #[test]
        fn printable_text_has_no_unprintable_character(text in any::<String>()) {
            let safe = printable(&text);
            prop_assert!(!safe.contains(is_unprintable));
            prop_assert_eq!(printable(&safe), safe.as_ref());
        }

        #[test]
        fn one_line_is_one_line_of_limited_length(text in any::<String>(), max in 0usize..40) {
            let line = one_line(&text, max);
            prop_assert!(line.chars().count() <= max);
            prop_assert!(!line.contains('\n') && !line.contains('\t') && !line.contains(is_unprintable));
        }

        #[test]
        fn head_and_tail_never_splits_a_character(text in "[aé日🚀\n]{0,60}", head in 0usize..30, tail in 0usize..30) {
            let short = head_and_tail(&text, head, tail);
            if text.len() > head + tail {
                let (before, after) = short.split_once('…').expect("there is a cut");
                prop_assert!(text.starts_with(before.trim_end_matches('\n')));
                let after = after.rsplit('…').next().unwrap_or_default();
                prop_assert!(text.ends_with(after.trim_start_matches('\n')));
            } else {
                prop_assert_eq!(short, text);
            }
        }
    }
}
