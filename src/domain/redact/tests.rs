//! Secrets in all encodings are redacted, and pieces give the same result as the whole text.

use super::*;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use proptest::prelude::*;
use serde_json::json;

fn redactor(secrets: &[(&str, &str)]) -> Redactor {
    Redactor::new(secrets.iter().copied()).expect("the secrets are long enough")
}

fn streamed(redactor: &Redactor, pieces: &[&[u8]]) -> String {
    let mut stream = redactor.stream();
    let mut out = Vec::new();
    for piece in pieces {
        out.extend_from_slice(&stream.push(piece));
    }
    out.extend(stream.finish());
    String::from_utf8_lossy(&out).into_owned()
}

#[test]
fn a_secret_is_replaced_by_its_name() {
    let redactor = redactor(&[("db", "hunter22"), ("slack", "xoxb-1234")]);
    assert_eq!(redactor.scrub("a hunter22 b xoxb-1234"), "a [redacted:db] b [redacted:slack]");
    assert!(matches!(redactor.scrub("nothing here"), Cow::Borrowed(_)));
    assert!(matches!(Redactor::default().scrub("hunter22"), Cow::Borrowed("hunter22")));
}

#[test]
fn values_that_are_too_short_or_too_long_are_refused() {
    let refused = |value: &str| Redactor::new([("pin", value)]).expect_err("it is refused");
    assert_eq!(refused("123").to_string(), "secret `pin` is shorter than 4 characters");
    assert_eq!(refused(" 1 2 3\n\n"), RefusedSecret::TooShort("pin".into()));
    assert_eq!(refused(&"x".repeat(LONGEST_SECRET + 1)), RefusedSecret::TooLong("pin".into()));
}

#[test]
fn overlapping_and_nested_secrets_are_replaced_together() {
    let redactor = redactor(&[("short", "pass"), ("long", "my-password"), ("tail", "word-or-two")]);
    assert_eq!(redactor.scrub("pass my-password"), "[redacted:short] [redacted:long]");
    assert_eq!(redactor.scrub("my-password-or-two!"), "[redacted:long]!");
}

#[test]
fn basic_authentication_is_redacted_at_every_alignment() {
    let redactor = redactor(&[("db", "s3cr3t~pass?word")]);
    for user in ["", "a", "ab", "abc", "admin:", "é:"] {
        for tail in ["", "x", "xy", "\n"] {
            let plain = format!("{user}s3cr3t~pass?word{tail}");
            for encoded in [STANDARD.encode(&plain), URL_SAFE.encode(&plain), URL_SAFE_NO_PAD.encode(&plain)] {
                let header = format!("Authorization: Basic {encoded}");
                let scrubbed = redactor.scrub(&header);
                assert!(scrubbed.contains("[redacted:db]"), "{header}");
                let rest = scrubbed.replace("[redacted:db]", "");
                let removed = header.len() - rest.len();
                assert!(removed * 6 >= "s3cr3t~pass?word".len() * 8, "{header} → {scrubbed}");
            }
        }
    }
}

#[test]
fn an_escaped_secret_is_redacted() {
    let secret = "p/ss \"wörd\"\\n%";
    let redactor = redactor(&[("db", secret)]);
    let json = serde_json::to_string(secret).expect("text is JSON");
    let twice = serde_json::to_string(&json).expect("text is JSON");
    let percent: String = secret.bytes().map(|b| format!("%{b:02x}")).collect();
    let form = "p%2Fss+%22w%C3%B6rd%22%5Cn%25";
    let ascii_json = r#""p\/ss \"w\u00f6rd\"\\n%""#;
    for text in [secret, &json, &twice, &percent, form, ascii_json, &hex::encode(secret), &hex::encode_upper(secret)] {
        let scrubbed = redactor.scrub(text);
        assert!(scrubbed.contains("[redacted:db]"), "{text} → {scrubbed}");
        assert!(!scrubbed.contains("rd"), "{text} → {scrubbed}");
    }
}

#[test]
fn a_secret_with_other_white_space_is_redacted() {
    let key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQ\n-----END KEY-----\n";
    let redactor = redactor(&[("key", key)]);
    assert_eq!(redactor.scrub(&format!("key={}", key.replace('\n', "\r\n  "))), "key=[redacted:key]\r\n  ");
    assert_eq!(redactor.scrub(&key.replace('\n', "\\n")), "[redacted:key]\\n");
}

#[test]
fn keys_texts_and_numbers_of_json_are_redacted() {
    let redactor = redactor(&[("pin", "12345678"), ("word", "hunter22")]);
    let mut value = json!({
        "hunter22": 1, "HUNTER hunter22": [12345678, "x hunter22", null, true], "[redacted:word]": 2,
    });
    redactor.scrub_value(&mut value);
    assert_eq!(
        value,
        json!({"[redacted:word]": 1, "HUNTER [redacted:word]": ["[redacted:pin]", "x [redacted:word]", null, true],
               "[redacted:word]'": 2})
    );
}

#[test]
fn a_secret_in_two_pieces_is_redacted() {
    let redactor = redactor(&[("db", "hunter22"), ("b", "22-and-more")]);
    let text = b"x hunter22-and-more y hunter2 hunter22";
    for at in 0..text.len() {
        let (one, two) = text.split_at(at);
        assert_eq!(streamed(&redactor, &[one, two]), "x [redacted:b] y hunter2 [redacted:db]");
    }
}

#[test]
fn an_escape_in_two_pieces_is_decoded() {
    let redactor = redactor(&[("one", "aabba"), ("two", "bbaa"), ("three", "abab")]);
    let text = b"aaaa%aab%61b";
    let pieces: Vec<&[u8]> = text.chunks(1).collect();
    assert_eq!(streamed(&redactor, &pieces), redactor.scrub("aaaa%aab%61b"));
}

#[test]
fn a_line_is_returned_although_its_end_begins_a_secret() {
    let mut stream = redactor(&[("db", "hunter22")]).stream();
    assert_eq!(&*stream.push(b"flush\n"), b"flush\n");
    assert_eq!(&*stream.push(b"hunter"), b"");
    assert_eq!(&*stream.push(b" season\n"), b"hunter season\n");
}

#[test]
fn debug_output_shows_names_only() {
    let shown = format!("{:?}", redactor(&[("db", "hunter22")]));
    assert!(shown.contains("db") && !shown.contains("hunter22"));
}

fn encoded(secret: &str, encoding: u8) -> String {
    match encoding {
        0 => secret.to_owned(),
        1 => STANDARD.encode(secret),
        2 => URL_SAFE.encode(format!("u:{secret}")),
        3 => hex::encode(secret),
        4 => secret.bytes().map(|b| format!("%{b:02X}")).collect(),
        5 => serde_json::to_string(secret).expect("text is JSON"),
        6 => secret.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect(),
        _ => STANDARD_NO_PAD.encode(format!("é{secret}@host")),
    }
}

fn cut<'t>(text: &'t [u8], sizes: &[usize]) -> Vec<&'t [u8]> {
    let (mut rest, mut pieces) = (text, Vec::new());
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, left) = rest.split_at((*size).min(rest.len()));
        pieces.push(piece);
        rest = left;
    }
    pieces
}

proptest! {
    #[test]
    fn a_secret_is_redacted_in_every_encoding_and_in_pieces(
        secret in "[!-~é日]{4,24}", before in "[ -~é]{0,20}", after in "[ -~é]{0,20}",
        encoding in 0u8..8, sizes in prop::collection::vec(1usize..9, 1..6),
    ) {
        let redactor = redactor(&[("it", &secret)]);
        let encoded = encoded(&secret, encoding);
        let text = format!("{before} {encoded} {after}");
        let whole = redactor.scrub(&text);
        prop_assert!(whole.contains("[redacted:it]"), "{text} → {whole}");
        prop_assert!(!whole.contains(&encoded) || "[redacted:it]".contains(&encoded));
        prop_assert_eq!(streamed(&redactor, &cut(text.as_bytes(), &sizes)), whole.as_ref());
    }

    #[test]
    fn wrapped_base64_is_redacted_in_pieces(
        secret in "[!-~]{8,120}", before in "[ -~]{40,80}", sizes in prop::collection::vec(1usize..40, 1..6),
    ) {
        let redactor = redactor(&[("it", &secret)]);
        let encoded = STANDARD.encode(format!("{before}{secret}{before}"));
        let lines: Vec<&str> = encoded.as_bytes().chunks(76).map(|l| std::str::from_utf8(l).expect("ASCII")).collect();
        let scrubbed = streamed(&redactor, &cut(lines.join("\r\n").as_bytes(), &sizes));
        prop_assert!(scrubbed.contains("[redacted:it]"), "{scrubbed}");
    }

    #[test]
    fn the_result_does_not_depend_on_the_pieces(
        text in prop::collection::vec(prop_oneof![3 => Just(b'a'), 3 => Just(b'b'), 1 => Just(b'%'), 1 => Just(b'\\'),
            1 => Just(b'6'), 1 => Just(b'1'), 1 => Just(b' '), 1 => any::<u8>().prop_filter("no line end", |b| *b != b'\n')], 0..60),
        sizes in prop::collection::vec(1usize..7, 1..6),
    ) {
        let redactor = redactor(&[("one", "aabba"), ("two", "bbaa"), ("three", "abab")]);
        let whole = String::from_utf8_lossy(&redactor.scrub_bytes(&text)).into_owned();
        prop_assert_eq!(streamed(&redactor, &cut(&text, &sizes)), whole);
    }
}
