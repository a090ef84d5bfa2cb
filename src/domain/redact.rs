//! Scrubs secrets from whatever is about to be written or shown.
//!
//! A secret is found as it stands and in the disguises that programs put on it without meaning
//! to hide it: base64 (standard and address-safe, at any of the three alignments, so also within
//! `user:secret`, and wrapped over lines), hexadecimal, percent escapes, JSON and other backslash
//! escapes, and one escape within another. What was found becomes `[redacted:name]`. Deliberately
//! absent: compressed or encrypted text, and the reading of secrets; values are handed in.
//!
//! **Invariant:** white space never separates a secret from being found: it is left out of the
//! secrets and of the text before they are compared, so line wraps and prompts change nothing.
//!
//! **Invariant:** scrubbing comes before cutting text short, since half a secret is not found.

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

/// A secret must have this many bytes besides white space: shorter ones occur in ordinary words,
/// and scrubbing those would betray the secret by what is missing.
pub const SHORTEST_SECRET: usize = 4;

/// Room for the largest private keys in use, with their certificates.
pub const LONGEST_SECRET: usize = 32 * 1024;

/// Why a value cannot be kept secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefusedSecret {
    /// It would be found in ordinary words.
    #[error("secret `{0}` is shorter than {SHORTEST_SECRET} characters")]
    TooShort(String),
    /// It is no key or password that we know of, and would slow everything down.
    #[error("secret `{0}` is longer than {LONGEST_SECRET} bytes")]
    TooLong(String),
}

/// Knows every secret of the estate and scrubs them; cheap to clone.
#[derive(Clone, Default)]
pub struct Redactor(Option<Arc<Inner>>);

struct Inner {
    names: Vec<String>,
    needles: Vec<Needle>,
    automaton: Automaton,
}

/// One disguise of one secret, without white space.
struct Needle {
    bytes: Vec<u8>,
    /// Which name it goes by.
    secret: usize,
    /// The character before holds some bits of the secret.
    shares_first: bool,
    /// The character after holds some bits of the secret.
    shares_last: bool,
}

/// A part of a text to be replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Redaction {
    range: Range<usize>,
    secret: usize,
    length: usize,
}

/// What a pass over a text found.
struct Scan {
    /// Not overlapping, in their order.
    found: Vec<Redaction>,
    /// From here on, what follows may turn the text into a secret.
    settled: usize,
    /// The most bytes of a secret that the text ends with.
    pending: usize,
}

impl Redactor {
    /// A redactor of these secrets, given as name and value.
    ///
    /// # Errors
    ///
    /// The first value that is too short or too long to be kept secret.
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
            push_disguises(&mut needles, names.len(), value);
            names.push(name);
        }
        if needles.is_empty() {
            return Ok(Self(None));
        }
        let automaton = Automaton::new(&needles.iter().map(|needle| needle.bytes.as_slice()).collect::<Vec<_>>());
        Ok(Self(Some(Arc::new(Inner { names, needles, automaton }))))
    }

    /// Whether there is nothing to scrub.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The text with `[redacted:name]` in place of every secret. Where secrets overlap, all that
    /// they cover goes, under the name of the longest.
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
        Cow::Owned(inner.written(text, 0, &scan.found))
    }

    /// Whether [`Redactor::scrub_value`] may change anything in what this JSON says. A yes may be a mistake: where texts
    /// follow each other, or where they are escaped.
    pub fn may_find_in(&self, json: &[u8]) -> bool {
        // Without escapes, every text of the JSON stands there as it is.
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

    /// Scrubs every text, key and number within a JSON value.
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
                    // Two secret keys may look alike afterwards; neither value is lost.
                    while fields.contains_key(&key) {
                        key.push('\'');
                    }
                    fields.insert(key, value);
                }
            }
        }
    }

    /// A scrubber for bytes that arrive piece by piece.
    pub fn stream(&self) -> RedactStream {
        RedactStream::new(self.0.clone())
    }

    /// Masks what looks like an international phone number, `+260971234556` as `+26097*****56`:
    /// a plus sign and nine to fifteen digits keep their first six characters and last two.
    pub fn mask_phones<'t>(&self, text: &'t str) -> Cow<'t, str> {
        phone::mask(text)
    }
}

/// Never shows a value.
impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.0.as_ref().map_or(&[][..], |inner| &inner.names);
        f.debug_tuple("Redactor").field(&names).finish()
    }
}

impl Inner {
    /// Looks for every needle in every reading of the text. With `goes_on`, the text is the
    /// beginning of a longer one.
    fn scan(&self, text: &[u8], goes_on: bool) -> Scan {
        let mut scan = Scan { found: Vec::new(), settled: text.len(), pending: 0 };
        let readings = DecodedText::all(text, goes_on);
        for reading in &readings {
            scan.settled = scan.settled.min(reading.unfinished.unwrap_or(text.len()));
            self.scan_decoded(reading, goes_on, &mut scan);
        }
        // What is held must not begin within an escape, or it would be read in another way than the whole; going back
        // for one reading may land within an escape of another.
        while let Some(start) = readings.iter().find_map(|reading| reading.escape_around(scan.settled)) {
            scan.settled = start;
        }
        scan.found = merged(scan.found);
        scan
    }

    fn scan_decoded(&self, reading: &DecodedText<'_>, goes_on: bool, scan: &mut Scan) {
        let (mut state, mut next) = (self.automaton.start(), 0);
        loop {
            if state == self.automaton.start() {
                next += self.automaton.idle(&reading.bytes[next..]);
            }
            let at = next;
            let Some(&byte) = reading.bytes.get(at) else { break };
            next += 1;
            if byte.is_ascii_whitespace() {
                continue;
            }
            state = self.automaton.step(state, byte);
            if let Some(needle) = self.automaton.ends(state) {
                let needle = &self.needles[needle];
                let found = locate(reading, needle, at);
                if goes_on && needle.shares_last && at + 1 == reading.bytes.len() {
                    scan.settled = scan.settled.min(found.range.start);
                }
                scan.found.push(found);
            }
        }
        let pending = self.automaton.depth(state);
        if goes_on {
            scan.pending = scan.pending.max(pending);
            scan.settled = scan.settled.min(settled(reading, pending));
        }
    }

    /// The text from a place on, with the names of secrets in place of what was found.
    fn written(&self, text: &[u8], start: usize, found: &[Redaction]) -> Vec<u8> {
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

/// Up to where in the source nothing can change when the last `pending` bytes may become a secret,
/// and the character before that may share bits with it.
fn settled(reading: &DecodedText<'_>, pending: usize) -> usize {
    let first = back(&reading.bytes, reading.bytes.len(), pending);
    match first.checked_sub(1) {
        Some(before) if is_base64(reading.bytes[before]) => reading.place(before).0,
        Some(before) => reading.place(before).1,
        None => 0,
    }
}

/// Where in the source the needle is whose last byte is at `last` of the reading.
fn locate(reading: &DecodedText<'_>, needle: &Needle, last: usize) -> Redaction {
    let mut first = back(&reading.bytes, last + 1, needle.bytes.len());
    let mut last = last;
    if needle.shares_first && first > 0 && is_base64(reading.bytes[first - 1]) {
        first -= 1;
    }
    if needle.shares_last && reading.bytes.get(last + 1).is_some_and(|&byte| is_base64(byte)) {
        last += 1;
    }
    Redaction {
        range: reading.place(first).0..reading.place(last).1,
        secret: needle.secret,
        length: needle.bytes.len(),
    }
}

/// The index `count` bytes before `end`, white space not counted.
fn back(bytes: &[u8], end: usize, count: usize) -> usize {
    let solid = (0..end).rev().filter(|&at| !bytes[at].is_ascii_whitespace());
    solid.take(count).last().unwrap_or(end)
}

/// Unites what overlaps, under the name of the longest.
fn merged(mut found: Vec<Redaction>) -> Vec<Redaction> {
    found.sort_by_key(|found| (found.range.start, found.range.end));
    let mut united: Vec<Redaction> = Vec::with_capacity(found.len());
    for next in found {
        match united.last_mut() {
            Some(last) if next.range.start < last.range.end => {
                last.range.end = last.range.end.max(next.range.end);
                if next.length > last.length {
                    (last.secret, last.length) = (next.secret, next.length);
                }
            }
            _ => united.push(next),
        }
    }
    united
}

fn push_disguises(needles: &mut Vec<Needle>, secret: usize, value: &str) {
    let mut push = |bytes: Vec<u8>, shares_first, shares_last| {
        needles.push(Needle { bytes, secret, shares_first, shares_last });
    };
    push(without_white_space(value.as_bytes()), false, false);
    // Forms write a blank as a plus sign, which percent escapes do not undo.
    push(without_white_space(value.replace(' ', "+").as_bytes()), false, false);
    push(hex::encode(value).into_bytes(), false, false);
    push(hex::encode_upper(value).into_bytes(), false, false);
    for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
        for offset in 0..3 {
            push_base64(&mut push, &engine, value, offset);
        }
    }
}

/// The characters of base64 that depend on nothing but the secret when it starts `offset` bytes
/// after a multiple of three: three bytes are four characters of six bits each.
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
