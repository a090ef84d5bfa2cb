//! Parses a body as JSON. Repairs known defects, so that a defect in one field does not lose the whole body.
//!
//! Valid JSON is parsed directly, and its texts are not copied. Otherwise these defects are repaired, with a warning: invalid
//! UTF-8, half of a surrogate pair, a control character inside a string, and a number that is infinite or `NaN`.
//!
//! **Invariant:** the parser limits nesting to 128 levels, so no body overflows the stack.

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
/// The reason why it is not JSON, even after repairs.
pub(crate) fn json(bytes: &[u8]) -> Result<Body<'_>, String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err("it is empty".to_owned());
    }
    let error = match serde_json::from_slice(bytes) {
        Ok(value) => return Ok(Body { value, warning: None }),
        Err(error) => error,
    };
    let repaired = serde_json::from_str(&repair(&String::from_utf8_lossy(bytes)));
    match repaired.and_then(|value: serde_json::Value| Value::deserialize(value)) {
        Ok(value) => Ok(Body { value, warning: Some(format!("the body is not JSON and was repaired: {error}")) }),
        Err(_) => Err(format!("it is not JSON: {error}")),
    }
}

/// The text with known defects repaired.
fn repair(text: &str) -> String {
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

/// Copies a number or a word without quotes, such as `true`. Returns its length in bytes.
fn literal(rest: &str, out: &mut String) -> usize {
    let is_inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    let length = rest.find(|c| !is_inside(c)).unwrap_or(rest.len());
    let word = &rest[..length];
    // Rust also parses `NaN` and `inf` as numbers, which some senders write.
    let is_not_finite = word.parse::<f64>().is_ok_and(|number| !number.is_finite());
    out.push_str(if is_not_finite { "null" } else { word });
    length
}

/// Copies a string with its quotes. Returns its length in bytes.
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

/// Copies an escape, or replaces half of a surrogate pair. Returns the length in bytes.
fn escape(rest: &str, out: &mut String) -> usize {
    let (length, is_valid) = match code_unit(rest) {
        Some(0xd800..=0xdbff) => match code_unit(&rest[6..]) {
            Some(0xdc00..=0xdfff) => (12, true),
            _ => (6, false),
        },
        Some(0xdc00..=0xdfff) => (6, false),
        Some(_) => (6, true),
        None => (1 + rest[1..].chars().next().map_or(0, char::len_utf8), true),
    };
    out.push_str(if is_valid { &rest[..length] } else { "\\ufffd" });
    length
}

/// The code unit of an escape such as `\ud83d` at the beginning of the text.
fn code_unit(rest: &str) -> Option<u16> {
    let digits = rest.strip_prefix("\\u")?.get(..4)?;
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn assert_repaired(bytes: &[u8], expected: serde_json::Value) {
        let body = json(bytes).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(serde_json::Value::from(body.value), expected);
        assert!(body.warning.is_some(), "the body is not JSON");
    }

    #[test]
    fn known_defects_are_repaired_with_a_warning() {
        assert_repaired(br#"{"a": 1e999, "b": -1e999, "c": "1e999"}"#, json!({ "a": null, "b": null, "c": "1e999" }));
        assert_repaired(br#"{"a": NaN, "b": [Infinity, -Infinity]}"#, json!({ "a": null, "b": [null, null] }));
        assert_repaired(
            br#"["\ud83d", "\ude00", "\ud83d\ud83d\ude00", "\\ud83d"]"#,
            json!(["\u{fffd}", "\u{fffd}", "\u{fffd}\u{1f600}", "\\ud83d"]),
        );
        assert_repaired(b"{\"a\": \"one\ntwo\0\"}", json!({ "a": "one\ntwo\0" }));
        assert_repaired(b"{\"a\": \"\xff\"}", json!({ "a": "\u{fffd}" }));
    }

    #[test]
    fn valid_json_is_not_changed() {
        let body = json(b"\xef\xbb\xbf{\"a\": 1, \"a\": \"\\ud83d\\ude00\"}").expect("it is JSON");
        assert_eq!((serde_json::Value::from(body.value), body.warning), (json!({ "a": "😀" }), None));
    }

    #[test]
    fn other_defects_are_errors() {
        for invalid in
            [&b""[..], b" \n", b"{", b"\"\\", b"\"\\u", b"\"\\ud83d\\u", b"{\"a\": tru}", b"\xff\xfe", b"a=1"]
        {
            assert!(json(invalid).is_err(), "{invalid:?}");
        }
        let deep = "[".repeat(10_000) + &"]".repeat(10_000);
        assert!(json(deep.as_bytes()).is_err_and(|why| why.contains("recursion")));
    }

    proptest::proptest! {
        #[test]
        fn repairing_never_panics(text in "[\\\\\"ud830-9a-f{}\\[\\]:,\u{0}\n é-]{0,40}") {
            let _ = json(text.as_bytes());
        }
    }
}
