//! Redaction: replaces secrets in text that is about to be written or shown by `[redacted:name]`.
//!
//! A secret is found as it is and in the encodings that programs commonly use: base64 (standard and URL-safe, at each of the three
//! alignments, so also within `user:secret`, and wrapped over lines), hexadecimal, percent escapes, JSON and other backslash
//! escapes, and one escape within another.
//!
//! **Invariant:** white space within a secret does not matter. It is left out of both secret and text before they are compared, so
//! a secret that is wrapped over lines is found.
//!
//! **Invariant:** text is redacted before it is shortened, because a part of a secret is not found.
//!
//! Not here: compressed or encrypted text, and reading the values of secrets.

mod automaton;
mod decoding;
mod phone;
mod stream;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::Value;

use self::automaton::Automaton;
use self::decoding::DecodedText;
pub use self::stream::RedactStream;

/// The shortest secret, in bytes without white space. A shorter one occurs in ordinary words, and a reader could guess it from the
/// words in which it is replaced.
pub const SHORTEST_SECRET: usize = 4;

/// The longest secret, in bytes: the largest private keys in use fit, with their certificates.
pub const LONGEST_SECRET: usize = 32 * 1024;

/// Why a value cannot be redacted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefusedSecret {
    /// It would be found in ordinary words.
    #[error("secret `{0}` is shorter than {SHORTEST_SECRET} characters")]
    TooShort(String),
    /// It would make every search slow, and no known key or password is so long.
    #[error("secret `{0}` is longer than {LONGEST_SECRET} bytes")]
    TooLong(String),
}

/// Redacts the secrets of an estate; cheap to clone.
#[derive(Clone, Default)]
pub struct Redactor(Option<Arc<Inner>>);

struct Inner {
    names: Vec<String>,
    needles: Vec<Needle>,
    automaton: Automaton,
}

/// One encoding of one secret, without white space.
struct Needle {
    bytes: Vec<u8>,
    /// The index of the secret's name.
    secret: usize,
    /// Whether the character before it has some bits of the secret, as in base64.
    shares_first: bool,
    /// Whether the character after it has some bits of the secret.
    shares_last: bool,
}

/// A part of a text that is replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Redaction {
    range: Range<usize>,
    /// The index of the secret's name.
    secret: usize,
    /// The length of the needle.
    length: usize,
}

/// The result of searching a text.
struct Scan {
    /// In order, without overlaps.
    found: Vec<Redaction>,
    /// Everything before this offset is final.
    settled: usize,
    /// The length of the longest partial match at the end.
    pending: usize,
}

impl Redactor {
    /// A redactor of these secrets, given as name and value.
    ///
    /// # Errors
    ///
    /// The first value that is too short or too long.
    pub fn new<N, V>(secrets: impl IntoIterator<Item = (N, V)>) -> Result<Self, RefusedSecret>
    where
        N: Into<String>,
        V: AsRef<str>,
    {
        let (mut names, mut needles) = (Vec::new(), Vec::new());
        for (name, value) in secrets {
            let (name, value) = (name.into(), value.as_ref());
            if without_white_space(value.as_bytes()).len() < SHORTEST_SECRET {
                return Err(RefusedSecret::TooShort(name));
            }
            if value.len() > LONGEST_SECRET {
                return Err(RefusedSecret::TooLong(name));
            }
            push_needles(&mut needles, names.len(), value);
            names.push(name);
        }
        if needles.is_empty() {
            return Ok(Self(None));
        }
        let automaton = Automaton::new(&needles.iter().map(|needle| needle.bytes.as_slice()).collect::<Vec<_>>());
        Ok(Self(Some(Arc::new(Inner { names, needles, automaton }))))
    }

    /// Whether there are no secrets.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The text with `[redacted:name]` in place of every secret. Overlapping secrets are replaced together, by the name of the
    /// longest.
    pub fn scrub<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match self.scrub_bytes(text.as_bytes()) {
            Cow::Borrowed(_) => Cow::Borrowed(text),
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }

    /// As [`Redactor::scrub`], for text that need not be UTF-8.
    pub fn scrub_bytes<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        let Some(inner) = &self.0 else {
            return Cow::Borrowed(text);
        };
        let scan = inner.scan(text, false);
        if scan.found.is_empty() {
            return Cow::Borrowed(text);
        }
        Cow::Owned(inner.redacted(text, 0, &scan.found))
    }

    /// Whether [`Redactor::scrub_value`] may change the value of this JSON. `true` may be wrong: for JSON with escapes, or when a
    /// match extends over several texts.
    pub fn may_find_in(&self, json: &[u8]) -> bool {
        // Without a backslash, JSON has every text unchanged.
        self.0.as_ref().is_some_and(|inner| json.contains(&b'\\') || !inner.scan(json, false).found.is_empty())
    }

    /// Whether [`Redactor::scrub_value`] would change anything.
    pub fn finds_in(&self, value: &Value) -> bool {
        let found = |text: &str| matches!(self.scrub(text), Cow::Owned(_));
        match value {
            _ if self.0.is_none() => false,
            Value::Null | Value::Bool(_) => false,
            Value::Number(number) => found(&number.to_string()),
            Value::String(text) => found(text),
            Value::Array(items) => items.iter().any(|item| self.finds_in(item)),
            Value::Object(fields) => fields.iter().any(|(key, value)| found(key) || self.finds_in(value)),
        }
    }

    /// Redacts every text, key and number in a JSON value.
    pub fn scrub_value(&self, value: &mut Value) {
        if self.0.is_none() {
            return;
        }
        match value {
            Value::Null | Value::Bool(_) => {}
            Value::Number(number) => {
                let digits = number.to_string();
                if let Cow::Owned(scrubbed) = self.scrub(&digits) {
                    *value = Value::String(scrubbed);
                }
            }
            Value::String(text) => {
                if let Cow::Owned(scrubbed) = self.scrub(text) {
                    *text = scrubbed;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.scrub_value(item)),
            Value::Object(fields) => {
                for (mut key, mut value) in std::mem::take(fields) {
                    self.scrub_value(&mut value);
                    if let Cow::Owned(scrubbed) = self.scrub(&key) {
                        key = scrubbed;
                    }
                    // Two redacted keys may be equal; both values stay.
                    while fields.contains_key(&key) {
                        key.push('\'');
                    }
                    fields.insert(key, value);
                }
            }
        }
    }

    /// A redactor for bytes that arrive in pieces.
    pub fn stream(&self) -> RedactStream {
        RedactStream::new(self.0.clone())
    }

    /// Masks international phone numbers, `+260971234556` as `+26097*****56`: of a plus sign and nine to fifteen digits, the first
    /// six characters and the last two stay.
    pub fn mask_phones<'t>(&self, text: &'t str) -> Cow<'t, str> {
        phone::mask(text)
    }
}

/// Shows the names, never the values.
impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.0.as_ref().map_or(&[][..], |inner| &inner.names);
        f.debug_tuple("Redactor").field(&names).finish()
    }
}

impl Inner {
    /// Searches every decoding of the text for every needle. With `goes_on`, the text is the beginning of a longer one.
    fn scan(&self, text: &[u8], goes_on: bool) -> Scan {
        let mut scan = Scan { found: Vec::new(), settled: text.len(), pending: 0 };
        let decodings = DecodedText::all(text, goes_on);
        for decoded in &decodings {
            scan.settled = scan.settled.min(decoded.unfinished.unwrap_or(text.len()));
            self.scan_decoded(decoded, goes_on, &mut scan);
        }
        // The rest must not begin within an escape, or it would be decoded differently from the whole. The start of an escape in
        // one decoding may be within an escape of another.
        while let Some(start) = decodings.iter().find_map(|decoded| decoded.escape_around(scan.settled)) {
            scan.settled = start;
        }
        scan.found = merged(scan.found);
        scan
    }

    fn scan_decoded(&self, decoded: &DecodedText<'_>, goes_on: bool, scan: &mut Scan) {
        let (mut state, mut next) = (self.automaton.start(), 0);
        loop {
            if state == self.automaton.start() {
                next += self.automaton.idle(&decoded.bytes[next..]);
            }
            let at = next;
            let Some(&byte) = decoded.bytes.get(at) else { break };
            next += 1;
            if byte.is_ascii_whitespace() {
                continue;
            }
            state = self.automaton.step(state, byte);
            if let Some(needle) = self.automaton.ends(state) {
                let needle = &self.needles[needle];
                let found = locate(decoded, needle, at);
                if goes_on && needle.shares_last && at + 1 == decoded.bytes.len() {
                    scan.settled = scan.settled.min(found.range.start);
                }
                scan.found.push(found);
            }
        }
        let pending = self.automaton.depth(state);
        if goes_on {
            scan.pending = scan.pending.max(pending);
            scan.settled = scan.settled.min(settled(decoded, pending));
        }
    }

    /// The text from `start` on, with the redactions made.
    fn redacted(&self, text: &[u8], start: usize, found: &[Redaction]) -> Vec<u8> {
        let mut from = start;
        let mut into = Vec::with_capacity(text.len() - from);
        for Redaction { range, secret, .. } in found.iter().filter(|found| found.range.end > start) {
            into.extend_from_slice(&text[from..range.start.max(from)]);
            into.extend_from_slice(b"[redacted:");
            into.extend_from_slice(self.names[*secret].as_bytes());
            into.push(b']');
            from = range.end;
        }
        into.extend_from_slice(&text[from..]);
        into
    }
}

/// The end of the settled part of the source, if the last `pending` decoded bytes may become a secret. A character of base64 before
/// them may have bits of the secret.
fn settled(decoded: &DecodedText<'_>, pending: usize) -> usize {
    let first = back(&decoded.bytes, decoded.bytes.len(), pending);
    match first.checked_sub(1) {
        Some(before) if is_base64(decoded.bytes[before]) => decoded.place(before).0,
        Some(before) => decoded.place(before).1,
        None => 0,
    }
}

/// The redaction of a needle whose last byte is at the index `last` of the decoded text.
fn locate(decoded: &DecodedText<'_>, needle: &Needle, last: usize) -> Redaction {
    let mut first = back(&decoded.bytes, last + 1, needle.bytes.len());
    let mut last = last;
    if needle.shares_first && first > 0 && is_base64(decoded.bytes[first - 1]) {
        first -= 1;
    }
    if needle.shares_last && decoded.bytes.get(last + 1).is_some_and(|&byte| is_base64(byte)) {
        last += 1;
    }
    Redaction {
        range: decoded.place(first).0..decoded.place(last).1,
        secret: needle.secret,
        length: needle.bytes.len(),
    }
}

/// The index that is `count` bytes before `end`, without counting white space.
fn back(bytes: &[u8], end: usize, count: usize) -> usize {
    let solid = (0..end).rev().filter(|&at| !bytes[at].is_ascii_whitespace());
    solid.take(count).last().unwrap_or(end)
}

/// Merges overlapping redactions, with the name of the longest.
fn merged(mut found: Vec<Redaction>) -> Vec<Redaction> {
    found.sort_by_key(|found| (found.range.start, found.range.end));
    let mut merged: Vec<Redaction> = Vec::with_capacity(found.len());
    for next in found {
        match merged.last_mut() {
            Some(last) if next.range.start < last.range.end => {
                last.range.end = last.range.end.max(next.range.end);
                if next.length > last.length {
                    (last.secret, last.length) = (next.secret, next.length);
                }
            }
            _ => merged.push(next),
        }
    }
    merged
}

/// Adds the needles of a secret: its value, and its value in each encoding that is not decoded in the text.
fn push_needles(needles: &mut Vec<Needle>, secret: usize, value: &str) {
    let mut push = |bytes: Vec<u8>, shares_first, shares_last| {
        needles.push(Needle { bytes, secret, shares_first, shares_last });
    };
    push(without_white_space(value.as_bytes()), false, false);
    // A form encodes a blank as a plus sign, which is no percent escape.
    push(without_white_space(value.replace(' ', "+").as_bytes()), false, false);
    push(hex::encode(value).into_bytes(), false, false);
    push(hex::encode_upper(value).into_bytes(), false, false);
    for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
        for offset in 0..3 {
            push_base64(&mut push, &engine, value, offset);
        }
    }
}

/// Adds the characters of base64 that depend on the secret alone, if it starts `offset` bytes after a multiple of three. Three
/// bytes are encoded as four characters of six bits.
fn push_base64(
    push: &mut impl FnMut(Vec<u8>, bool, bool),
    engine: &base64::engine::GeneralPurpose,
    value: &str,
    offset: usize,
) {
    let mut padded = vec![0; offset];
    padded.extend_from_slice(value.as_bytes());
    let bits = padded.len() * 8;
    let (first, end) = ((offset * 8).div_ceil(6), bits / 6);
    let characters = engine.encode(padded).into_bytes();
    push(characters[first..end].to_vec(), offset > 0, !bits.is_multiple_of(6));
}

fn without_white_space(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect()
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}

#[cfg(test)]
mod tests;
