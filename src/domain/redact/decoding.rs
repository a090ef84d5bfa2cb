//! The decodings of a text: the text itself, with percent escapes decoded, with backslash escapes decoded, and each of these decoded
//! again. A secret is searched for in every decoding, so it is found in any of these escapes.
//!
//! **Invariant:** every decoded byte has the range of the source from which it was decoded.
//!
//! Not here: base64 and hexadecimal, which have no marks in the text; secrets are encoded for those.

use std::borrow::Cow;

/// The number of times that escapes are decoded: for JSON inside JSON, or an escaped address inside JSON.
const LAYERS: usize = 2;

/// One decoding of a source text.
pub(super) struct DecodedText<'a> {
    pub(super) bytes: Cow<'a, [u8]>,
    /// The range of the source of each byte, as start and end; none for the source itself.
    places: Option<Vec<(u32, u32)>>,
    /// The start in the source of an escape that is incomplete at its end.
    pub(super) unfinished: Option<usize>,
}

impl<'a> DecodedText<'a> {
    /// Every decoding of `source`, the first unchanged. If the source goes on, a decoding ends before an incomplete escape;
    /// otherwise the characters of the escape stand for themselves.
    pub(super) fn all(source: &'a [u8], goes_on: bool) -> Vec<Self> {
        let mut decodings = vec![DecodedText { bytes: Cow::Borrowed(source), places: None, unfinished: None }];
        let mut layer = 0..1;
        for _ in 0..LAYERS {
            for at in layer.clone() {
                for escape in [Escape::Percent, Escape::Backslash] {
                    decodings.extend(decodings[at].decoded(escape, goes_on));
                }
            }
            layer = layer.end..decodings.len();
        }
        decodings
    }

    /// The range of the source from which the byte at this index was decoded, as start and end.
    pub(super) fn place(&self, at: usize) -> (usize, usize) {
        match &self.places {
            None => (at, at + 1),
            Some(places) => (places[at].0 as usize, places[at].1 as usize),
        }
    }

    /// The start of the escape in the source that contains this place, if one does and does not start there.
    pub(super) fn escape_around(&self, place: usize) -> Option<usize> {
        let places = self.places.as_ref()?;
        let before = places.partition_point(|(start, _)| (*start as usize) < place);
        let (start, end) = places[before.checked_sub(1)?];
        (place < end as usize).then_some(start as usize)
    }

    /// The text with the escapes of one kind decoded; none if there are no such escapes.
    fn decoded(&self, escape: Escape, goes_on: bool) -> Option<DecodedText<'static>> {
        let lead = escape.lead();
        if !self.bytes.contains(&lead) {
            return None;
        }
        let mut bytes = Vec::with_capacity(self.bytes.len());
        let mut places = Vec::with_capacity(self.bytes.len());
        let mut unfinished = self.unfinished;
        let mut at = 0;
        while at < self.bytes.len() {
            let rest = &self.bytes[at..];
            let (width, meaning) = match escape.read(rest) {
                DecodedChar::Literal => (1, Meaning::byte(rest[0])),
                DecodedChar::Escaped { width, meaning } => (width, meaning),
                DecodedChar::Unfinished if goes_on => {
                    let start = self.place(at).0;
                    unfinished = Some(unfinished.map_or(start, |earlier| earlier.min(start)));
                    break;
                }
                DecodedChar::Unfinished => (1, Meaning::byte(rest[0])),
            };
            let place = (self.place(at).0 as u32, self.place(at + width - 1).1 as u32);
            bytes.extend_from_slice(meaning.bytes());
            places.extend(meaning.bytes().iter().map(|_| place));
            at += width;
        }
        Some(DecodedText { bytes: Cow::Owned(bytes), places: Some(places), unfinished })
    }
}

#[derive(Clone, Copy)]
enum Escape {
    /// `%2F`, as in addresses and forms.
    Percent,
    /// `\n`, `\"`, `\u00e9`, `\x41`, as in JSON and most programming languages.
    Backslash,
}

/// The beginning of a text, decoded.
enum DecodedChar {
    /// A byte that stands for itself.
    Literal,
    /// An escape of so many bytes.
    Escaped { width: usize, meaning: Meaning },
    /// The beginning of an escape.
    Unfinished,
}

/// The meaning of an escape: one byte, or the bytes of one character.
struct Meaning {
    bytes: [u8; 4],
    len: usize,
}

impl Meaning {
    fn byte(byte: u8) -> Self {
        Self { bytes: [byte, 0, 0, 0], len: 1 }
    }

    fn char(c: char) -> Self {
        let mut bytes = [0; 4];
        let len = c.encode_utf8(&mut bytes).len();
        Self { bytes, len }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Escape {
    fn lead(self) -> u8 {
        match self {
            Self::Percent => b'%',
            Self::Backslash => b'\\',
        }
    }

    fn read(self, rest: &[u8]) -> DecodedChar {
        if rest[0] != self.lead() {
            return DecodedChar::Literal;
        }
        match (self, rest.get(1)) {
            (_, None) => DecodedChar::Unfinished,
            (Self::Percent, _) => read_digits(rest, 1, 2),
            (Self::Backslash, Some(b'u')) => read_utf16(rest),
            (Self::Backslash, Some(b'x')) => read_digits(rest, 2, 2),
            (Self::Backslash, Some(&named)) => {
                DecodedChar::Escaped { width: 2, meaning: Meaning::byte(named_control(named)) }
            }
        }
    }
}

fn named_control(name: u8) -> u8 {
    match name {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'f' => 0x0c,
        other => other,
    }
}

fn read_digits(rest: &[u8], from: usize, count: usize) -> DecodedChar {
    match hexadecimal(rest, from, count) {
        Digits::Number(byte) => DecodedChar::Escaped { width: from + count, meaning: Meaning::byte(byte as u8) },
        Digits::Missing => DecodedChar::Unfinished,
        Digits::Wrong => DecodedChar::Literal,
    }
}

/// Reads `\u00e9`, or the two surrogates of a character beyond U+FFFF.
fn read_utf16(rest: &[u8]) -> DecodedChar {
    let high = match hexadecimal(rest, 2, 4) {
        Digits::Number(unit) => unit,
        Digits::Missing => return DecodedChar::Unfinished,
        Digits::Wrong => return DecodedChar::Literal,
    };
    if let Some(c) = char::from_u32(high) {
        return DecodedChar::Escaped { width: 6, meaning: Meaning::char(c) };
    }
    if rest.len() < 12 && b"\\u".starts_with(&rest[6..rest.len().min(8)]) {
        return DecodedChar::Unfinished;
    }
    let low = match (rest[6..].starts_with(b"\\u"), hexadecimal(rest, 8, 4)) {
        (true, Digits::Number(low)) => low,
        _ => return DecodedChar::Literal,
    };
    match char::decode_utf16([high as u16, low as u16]).next() {
        Some(Ok(c)) => DecodedChar::Escaped { width: 12, meaning: Meaning::char(c) },
        _ => DecodedChar::Literal,
    }
}

enum Digits {
    Number(u32),
    Missing,
    Wrong,
}

fn hexadecimal(rest: &[u8], from: usize, count: usize) -> Digits {
    let digits = &rest[from.min(rest.len())..rest.len().min(from + count)];
    let mut number = 0;
    for &digit in digits {
        match char::from(digit).to_digit(16) {
            Some(value) => number = number * 16 + value,
            None => return Digits::Wrong,
        }
    }
    if digits.len() == count { Digits::Number(number) } else { Digits::Missing }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decodings(source: &str) -> Vec<String> {
        let all = DecodedText::all(source.as_bytes(), false);
        all.iter().map(|r| String::from_utf8_lossy(&r.bytes).into_owned()).collect()
    }

    #[test]
    fn plain_text_has_one_decoding() {
        assert_eq!(decodings("plain + text"), ["plain + text"]);
    }

    #[test]
    fn escapes_are_decoded_in_every_order() {
        assert!(decodings("a%2Fb%c3%a9").contains(&"a/bé".to_owned()));
        assert!(decodings(r#"\"\u00e9\ud83d\ude80\x41\/"#).contains(&"\"é🚀A/".to_owned()));
        assert!(decodings(r"\\u0041").contains(&"A".to_owned()), "JSON inside JSON");
        assert!(decodings("%5Cu0041").contains(&"A".to_owned()), "JSON inside an address");
        assert!(decodings(r"\u00252F").contains(&"/".to_owned()), "an address inside JSON");
    }

    #[test]
    fn invalid_escapes_stand_for_themselves_and_incomplete_ones_are_reported() {
        assert!(decodings("100% of %zz").contains(&"100% of %zz".to_owned()));
        for (text, at) in [("ab%4", 2), ("ab\\", 2), ("ab\\u00", 2), ("ab\\ud83d\\u", 2), ("%", 0)] {
            let unfinished = DecodedText::all(text.as_bytes(), true).iter().filter_map(|r| r.unfinished).min();
            assert_eq!(unfinished, Some(at), "{text}");
        }
        assert!(DecodedText::all(b"a%41 \\n", true).iter().all(|r| r.unfinished.is_none()));
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_decoded_and_places_are_in_the_source(source in prop::collection::vec(prop_oneof![
            any::<u8>(), Just(b'%'), Just(b'\\'), Just(b'u'), Just(b'd'), Just(b'8')], 0..40)) {
            for decoded in DecodedText::all(&source, false) {
                for at in 0..decoded.bytes.len() {
                    let (start, end) = decoded.place(at);
                    prop_assert!(start < end && end <= source.len());
                }
            }
        }
    }
}
