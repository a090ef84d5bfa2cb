//! A body as JSON, forgivingly: what one careless sender or template got wrong should not cost the rest of the body.
//!
//! A body that is JSON is read at once. Else what is known to go wrong is mended and said: bytes that are no text, half
//! of a surrogate pair, a line break inside a text, a number beyond what a number can be.
//!
//! **Invariant:** nesting is bounded by the parser (128 levels), so that no body overflows the stack.
//!
//! Texts are not copied out of a body that needs no mending: most of it is never looked at.
//!
//! Deliberately absent: guessing. What is still no JSON then is none.

use serde::Deserialize;
use serde_json_borrow::Value;

/// A parsed body, and a warning if it had to be repaired.
#[derive(Debug)]
pub(crate) struct Body<'a> {
    pub value: Value<'a>,
    pub warning: Option<String>,
}

/// Parses a body.
///
/// # Errors
/// Why it is not JSON, even after repair.
pub(crate) fn json(bytes: &[u8]) -> Result<Body<'_>, String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err("it is empty".to_owned());
    }
    let first = match serde_json::from_slice(bytes) {
        Ok(value) => return Ok(Body { value, warning: None }),
        Err(error) => error,
    };
    let mended = serde_json::from_str(&repaired(&String::from_utf8_lossy(bytes)));
    match mended.and_then(|value: serde_json::Value| Value::deserialize(value)) {
        Ok(value) => Ok(Body { value, warning: Some(format!("the body was mended, it is no JSON: {first}")) }),
        Err(_) => Err(format!("it is no JSON: {first}")),
    }
}

/// The text with known defects repaired.
fn repaired(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 64);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => string(rest, &mut out),
            '0'..='9' | '-' | 'A'..='Z' | 'a'..='z' => literal(rest, &mut out),
            _ => {
                out.push(first);
                first.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    out
}

/// Copies a number or a bare word; returns its length in bytes.
fn literal(rest: &str, out: &mut String) -> usize {
    let is_inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    let length = rest.find(|c| !is_inside(c)).unwrap_or(rest.len());
    let word = &rest[..length];
    // Rust parses `NaN` and `inf` as numbers too, and some senders write them.
    let is_too_much = word.parse::<f64>().is_ok_and(|number| !number.is_finite());
    out.push_str(if is_too_much { "null" } else { word });
    length
}

/// Copies a string with its quotes; returns its length in bytes.
fn string(rest: &str, out: &mut String) -> usize {
    out.push('"');
    let mut at = 1;
    while let Some(c) = rest[at..].chars().next() {
        at += match c {
            '"' => {
                out.push('"');
                return at + 1;
            }
            '\\' => escape(&rest[at..], out),
            '\0'..='\x1f' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
                1
            }
            _ => {
                out.push(c);
                c.len_utf8()
            }
        };
    }
    at
}

/// Copies an escape; returns its length in bytes.
fn escape(rest: &str, out: &mut String) -> usize {
    let (length, is_whole) = match unit(rest) {
        Some(0xd800..=0xdbff) => match unit(&rest[6..]) {
            Some(0xdc00..=0xdfff) => (12, true),
            _ => (6, false),
        },
        Some(0xdc00..=0xdfff) => (6, false),
        Some(_) => (6, true),
        None => (1 + rest[1..].chars().next().map_or(0, char::len_utf8), true),
    };
    out.push_str(if is_whole { &rest[..length] } else { "\\ufffd" });
    length
}

/// The code unit of an escape such as `\ud83d` at the beginning.
fn unit(rest: &str) -> Option<u16> {
    let digits = rest.strip_prefix("\\u")?.get(..4)?;
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn mends(bytes: &[u8], expected: serde_json::Value) {
        let body = json(bytes).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(serde_json::Value::from(body.value), expected);
        assert!(body.warning.is_some(), "it was no JSON");
    }

    #[test]
    fn what_careless_senders_get_wrong_is_mended() {
        mends(br#"{"a": 1e999, "b": -1e999, "c": "1e999"}"#, json!({ "a": null, "b": null, "c": "1e999" }));
        mends(br#"{"a": NaN, "b": [Infinity, -Infinity]}"#, json!({ "a": null, "b": [null, null] }));
        mends(
            br#"["\ud83d", "\ude00", "\ud83d\ud83d\ude00", "\\ud83d"]"#,
            json!(["\u{fffd}", "\u{fffd}", "\u{fffd}\u{1f600}", "\\ud83d"]),
        );
        mends(b"{\"a\": \"one\ntwo\0\"}", json!({ "a": "one\ntwo\0" }));
        mends(b"{\"a\": \"\xff\"}", json!({ "a": "\u{fffd}" }));
    }

    #[test]
    fn what_is_json_is_left_alone() {
        let body = json(b"\xef\xbb\xbf{\"a\": 1, \"a\": \"\\ud83d\\ude00\"}").expect("it is JSON");
        assert_eq!((serde_json::Value::from(body.value), body.warning), (json!({ "a": "😀" }), None));
    }

    #[test]
    fn what_is_none_is_said_to_be_none() {
        for none in [&b""[..], b" \n", b"{", b"\"\\", b"\"\\u", b"\"\\ud83d\\u", b"{\"a\": tru}", b"\xff\xfe", b"a=1"] {
            assert!(json(none).is_err(), "{none:?}");
        }
        let deep = "[".repeat(10_000) + &"]".repeat(10_000);
        assert!(json(deep.as_bytes()).is_err_and(|why| why.contains("recursion")));
    }

    proptest::proptest! {
        #[test]
        fn mending_never_panics(text in "[\\\\\"ud830-9a-f{}\\[\\]:,\u{0}\n é-]{0,40}") {
            let _ = json(text.as_bytes());
        }
    }
}
