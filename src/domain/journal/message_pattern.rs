//! The shape of a message: what differs between like ones becomes a wildcard, so that they can be counted as one.
//!
//! `<n>` stands for a number (with dots and colons: an address, a version, a time of day), `<uuid>` and `<hex>` for what
//! they say, `<id>` for a longer mixture of letters and digits, and `<text>` for what stands in quotes.
//!
//! **Invariant:** a message is scrubbed before its shape is taken, since a secret with other digits is not found.

/// The longest text in quotes that is taken for a value; a longer one is more likely two stray quotes.
const QUOTED: usize = 120;

/// Letters of a UUID, hyphens included (RFC 9562).
const UUID: usize = 36;

/// So many letters of nothing but hexadecimal digits are an id when two of them are digits.
const HEX: usize = 8;

/// So many letters and digits mixed are an id when three of them are digits: `01HF7YAT31`, and not `base64` or `ipv6`.
const ID: usize = 10;

/// The shape of a message.
pub fn shape(message: &str) -> String {
    let mut shape = String::with_capacity(message.len());
    let mut rest = message;
    let mut before = ' ';
    while let Some(first) = rest.chars().next() {
        let fresh = !before.is_alphanumeric();
        let (taken, wildcard) = match first {
            '"' | '\'' | '`' if fresh => quoted(rest, first),
            _ if first.is_ascii_alphanumeric() && fresh => generalised(rest),
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

/// How long the text in quotes is that `rest` begins with.
fn quoted(rest: &str, quote: char) -> (usize, &'static str) {
    let inside = &rest[1..rest.floor_char_boundary(QUOTED)];
    match inside.find([quote, '\n']) {
        Some(end) if inside[end..].starts_with(quote) => (end + 2, "<text>"),
        _ => (0, ""),
    }
}

/// What the word is that `rest` begins with; nothing when it is only a word.
fn generalised(rest: &str) -> (usize, &'static str) {
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
        // A number with its unit is one: `1763986399913ms`.
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

/// How long the number is that `rest` begins with: digits, and further ones behind a dot or a colon.
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
    fn like_messages_are_one() {
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
        fn numbers_never_matter(text in "[a-z日 ]{0,12}", one in 0u32..99_999, two in 0u32..99_999) {
            prop_assert_eq!(shape(&format!("{text} {one}")), shape(&format!("{text} {two}")));
        }

        #[test]
        fn any_text_has_a_shape(text in any::<String>()) {
            let _ = shape(&text);
        }
    }
}
