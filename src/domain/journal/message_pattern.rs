//! The shape of a message: its variable parts are replaced by wildcards, so that similar messages are counted together.
//!
//! `<n>` is a number (with dots and colons: an address, a version, a time of day), `<uuid>` a UUID, `<hex>` a hexadecimal number,
//! `<id>` a long mixture of letters and digits, and `<text>` a text in quotes.
//!
//! **Invariant:** a message is redacted before its shape is computed, because a secret whose digits are replaced is not found.

/// The longest text in quotes that is replaced, in bytes. The quotes of a longer one probably do not belong together.
const QUOTED: usize = 120;

/// The length of a UUID, hyphens included (RFC 9562).
const UUID: usize = 36;

/// The least length of hexadecimal digits that are replaced, if at least two of them are decimal digits.
const HEX: usize = 8;

/// The least length of mixed letters and digits that are replaced, if at least three are digits: `01HF7YAT31`, and not `base64` or
/// `ipv6`.
const ID: usize = 10;

/// The shape of a message.
pub fn shape(message: &str) -> String {
    let mut shape = String::with_capacity(message.len());
    let mut rest = message;
    let mut before = ' ';
    while let Some(first) = rest.chars().next() {
        let starts_word = !before.is_alphanumeric();
        let (taken, wildcard) = match first {
            '"' | '\'' | '`' if starts_word => quoted(rest, first),
            _ if first.is_ascii_alphanumeric() && starts_word => word_wildcard(rest),
            _ if first.is_ascii_digit() => (number(rest), "<n>"),
            _ => (0, ""),
        };
        if taken == 0 {
            shape.push(first);
            before = first;
            rest = &rest[first.len_utf8()..];
            continue;
        }
        match first {
            '"' | '\'' | '`' => shape.extend([&rest[..1], wildcard, &rest[..1]]),
            _ => shape.push_str(wildcard),
        }
        before = rest[..taken].chars().next_back().unwrap_or(' ');
        rest = &rest[taken..];
    }
    shape
}

/// The length of the text in quotes at the beginning of `rest`, quotes included, and its wildcard; 0 if there is none.
fn quoted(rest: &str, quote: char) -> (usize, &'static str) {
    let inside = &rest[1..rest.floor_char_boundary(QUOTED)];
    match inside.find([quote, '\n']) {
        Some(end) if inside[end..].starts_with(quote) => (end + 2, "<text>"),
        _ => (0, ""),
    }
}

/// The length of the part of the first word of `rest` that is replaced, and its wildcard; 0 for an ordinary word.
fn word_wildcard(rest: &str) -> (usize, &'static str) {
    if is_uuid(rest) {
        return (UUID, "<uuid>");
    }
    let length = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
    let word = &rest[..length];
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let hex = |word: &str| word.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b.to_ascii_lowercase()));
    match word.strip_prefix("0x") {
        Some(value) if !value.is_empty() && hex(value) => return (length, "<hex>"),
        _ if digits == length => return (number(rest), "<n>"),
        _ if digits >= 2 && length >= HEX && hex(word) => return (length, "<hex>"),
        // A number with a short unit is no id: `1763986399913ms`.
        _ if digits >= 3 && length >= ID && !word.starts_with(|c: char| c.is_ascii_digit()) => return (length, "<id>"),
        _ if digits >= 3 && length >= ID && word.trim_start_matches(|c: char| c.is_ascii_digit()).len() > 4 => {
            return (length, "<id>");
        }
        _ => {}
    }
    if word.starts_with(|c: char| c.is_ascii_digit()) { (number(rest), "<n>") } else { (0, "") }
}

fn is_uuid(rest: &str) -> bool {
    let Some(candidate) = rest.as_bytes().get(..UUID) else {
        return false;
    };
    let fits = |(at, byte): (usize, &u8)| match at {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    let ends = rest.as_bytes().get(UUID).is_none_or(|byte| !byte.is_ascii_alphanumeric());
    ends && candidate.iter().enumerate().all(fits)
}

/// The length of the number at the beginning of `rest`: digits, also after a dot or a colon.
fn number(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let mut end = 0;
    loop {
        end += bytes[end..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        match bytes[end..] {
            [b'.' | b':', next, ..] if next.is_ascii_digit() => end += 1,
            _ => return end,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn variable_parts_become_wildcards() {
        for (message, kind) in [
            ("order A-17 took 3.5ms", "order A-<n> took <n>ms"),
            ("took 1763986399913ms", "took <n>ms"),
            ("connect ECONNREFUSED 127.0.0.1:5432", "connect ECONNREFUSED <n>"),
            ("trace 4bf92f3577b34da6a3ce929d0e0e4736 lost", "trace <hex> lost"),
            ("user 6a3f0c5d-9e1b-4f7c-a2d8-4b60e7913c55 gone", "user <uuid> gone"),
            ("at 0x7ffe", "at <hex>"),
            ("deadbeef cafe feed", "deadbeef cafe feed"),
            ("session 01HF7YAT31JZECMK ended", "session <id> ended"),
            ("utf8 sha256 web1 v2", "utf<n> sha<n> web<n> v<n>"),
            ("no column \"price\" of 'orders'", "no column \"<text>\" of '<text>'"),
            ("it's ours, isn't it", "it's ours, isn't it"),
            ("naïve 日本 7", "naïve 日本 <n>"),
            ("", ""),
        ] {
            assert_eq!(shape(message), kind);
        }
    }

    proptest! {
        #[test]
        fn messages_that_differ_in_a_number_have_one_shape(text in "[a-z日 ]{0,12}", one in 0u32..99_999, two in 0u32..99_999) {
            prop_assert_eq!(shape(&format!("{text} {one}")), shape(&format!("{text} {two}")));
        }

        #[test]
        fn any_text_has_a_shape(text in any::<String>()) {
            let _ = shape(&text);
        }
    }
}
