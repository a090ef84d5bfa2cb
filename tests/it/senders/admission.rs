//! Authentication of senders: credentials in headers, the rotation of secrets, and signatures with a shared key, compared
//! with the code of vendors.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::TimeDelta;
use runbook::actions::Secrets;
use runbook::domain::core::time::Timestamp;
use runbook::surface::intake::{self, Admission, Certificates, Rejected, SenderRequest};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::{estate, headers, now, sample};

const BODY: &str = "{\"a\": \"é\u{1f600}\"}\r\n";
const KEY: &str = "whsec_c2VjcmV0IHRoYXQgaXMgbG9uZyBlbm91Z2g=";
const NEXT: &str = "the next key, already in use";

pub fn secrets() -> Secrets {
    let values = [("key", KEY), ("next", NEXT)].map(|(name, value)| (name.to_owned(), Ok(SecretString::from(value))));
    Secrets::new(BTreeMap::from(values))
}

/// Authenticates a post at this time.
fn admit_at(now: Timestamp, sender: &str, pairs: &[(&str, &str)], body: &str) -> Result<(), Rejected> {
    let estate = estate();
    let headers = headers(pairs);
    let post = SenderRequest { headers: &headers, body: body.as_bytes(), now };
    intake::admit(&estate.senders[sender], &secrets(), &post, &Certificates::default())
}

fn admit(sender: &str, pairs: &[(&str, &str)], body: &str) -> Result<(), Rejected> {
    admit_at(now(), sender, pairs, body)
}

/// The packages that `tests/run` installs.
fn vendors() -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is below the target").join("vendors");
    assert!(path.join("node_modules").exists(), "`{}` is not filled; `tests/run` does it", path.display());
    path
}

/// Runs the code of vendors on a request.
pub fn vendor(request: &Value) -> Value {
    // A script without a file takes packages from its working directory.
    let mut command = Command::new("node");
    let script = include_str!("../../fixtures/vendors/vendors.mjs");
    command
        .args(["--input-type=module", "--eval", script])
        .current_dir(vendors())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child =
        command.spawn().unwrap_or_else(|error| panic!("`node`: {error}; install the Debian package `nodejs`"));
    child.stdin.take().expect("it is piped").write_all(request.to_string().as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{request}");
    serde_json::from_slice(&output.stdout).expect("it answers in JSON")
}

/// The signature of [`BODY`] by the code of a vendor.
fn signature(scheme: &str, secret: &str, more: &Value) -> String {
    let mut request = json!({ "sign": scheme, "secret": secret, "body": BODY });
    request.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    vendor(&request).as_str().expect("a signature is text").to_owned()
}

#[test]
fn a_bearer_token_is_checked_before_the_body_is_read() {
    let estate = estate();
    let bearer = |value: &str| {
        let headers = headers(&[("authorization", value)]);
        intake::admit_headers(&estate.senders["alertmanager"], &secrets(), &headers, now())
    };
    for right in [format!("Bearer {KEY}"), format!("bearer {NEXT}")] {
        assert_eq!(bearer(&right), Ok(Admission::Granted), "either of two during a rotation");
    }
    for wrong in [format!("Bearer {KEY}x"), "Bearer x".to_owned(), "Bearer ".to_owned()] {
        assert!(matches!(bearer(&wrong), Err(Rejected::Credentials(_))), "{wrong}");
    }
    for missing in ["Basic YTpi", "Bearer", KEY] {
        assert!(matches!(bearer(missing), Err(Rejected::Missing(_))), "{missing}");
    }
    let both = [("authorization", "Bearer x"), ("authorization", &format!("Bearer {KEY}"))];
    assert!(matches!(admit("alertmanager", &both, BODY), Err(Rejected::Missing(_))), "two headers prove nothing");
    let signed = intake::admit_headers(
        &estate.senders["github"],
        &secrets(),
        &headers(&[("x-hub-signature-256", "sha256=00")]),
        now(),
    );
    assert_eq!(signed, Ok(Admission::NeedsBody));
    assert!(matches!(
        intake::admit_headers(&estate.senders["github"], &secrets(), &headers(&[]), now()),
        Err(Rejected::Missing(_))
    ));
}

#[test]
fn user_and_password_are_both_needed() {
    let basic =
        |pair: &str| admit("prometheus", &[("authorization", &format!("Basic {}", STANDARD.encode(pair)))], BODY);
    assert_eq!(basic(&format!("am:{KEY}")), Ok(()));
    for wrong in [format!("ma:{KEY}"), "am:x".to_owned(), format!("am{KEY}"), String::new()] {
        assert!(matches!(basic(&wrong), Err(Rejected::Credentials(_))), "{wrong}");
    }
    assert!(matches!(admit("prometheus", &[("authorization", "Basic %%%")], BODY), Err(Rejected::Credentials(_))));
    assert_eq!(admit("sns_raw", &[("X-Token", KEY)], "hello"), Ok(()));
    assert_eq!(admit("open", &[], BODY), Ok(()));
}

#[test]
fn an_unreadable_secret_is_an_internal_error_not_a_rejection() {
    let estate = estate();
    let values =
        [("key".to_owned(), Err("`KEY` is not set".to_owned())), ("next".to_owned(), Ok(SecretString::from(NEXT)))];
    let secrets = Secrets::new(values.into());
    let admit = |token: &str| {
        let headers = headers(&[("authorization", &format!("Bearer {token}"))]);
        intake::admit_headers(&estate.senders["alertmanager"], &secrets, &headers, now())
    };
    assert_eq!(admit(NEXT), Ok(Admission::Granted), "the other secret can be read");
    assert_eq!(admit("x"), Err(Rejected::Internal("secret `key`: `KEY` is not set".to_owned())));
}

#[test]
fn the_signature_vector_of_github_is_accepted() {
    let vector = sample("github_signature_vector");
    let text = |key: &str| vector[key].as_str().expect("it is text");
    let secrets = Secrets::new(
        [("key".to_owned(), Ok(SecretString::from(text("secret")))), ("next".to_owned(), Ok(SecretString::from(NEXT)))]
            .into(),
    );
    let (estate, headers) = (estate(), headers(&[("x-hub-signature-256", text("X-Hub-Signature-256"))]));
    let admit = |body: &str| {
        let post = SenderRequest { headers: &headers, body: body.as_bytes(), now: now() };
        intake::admit(&estate.senders["github"], &secrets, &post, &Certificates::default())
    };
    assert_eq!(admit(text("raw_body")), Ok(()));
    assert!(matches!(admit("Hello, World?"), Err(Rejected::Signature(_))));
}

#[test]
fn only_bodies_that_the_vendors_code_signed_are_accepted() {
    let seconds = json!({ "id": "msg_1", "seconds": now().timestamp() });
    let time = now().timestamp().to_string();
    let github = signature("github", KEY, &json!({}));
    let pagerduty = format!("v1={}, {}", "00".repeat(32), signature("pagerduty", NEXT, &json!({})));
    let standard = format!("v1a,x v1,AAAA {}", signature("standard", KEY, &seconds));
    let (grafana, timed) = (signature("grafana", KEY, &json!({})), signature("grafana", KEY, &seconds));
    let posts: [(&str, Vec<(&str, &str)>); 5] = [
        ("github", vec![("X-Hub-Signature-256", &github)]),
        ("pagerduty", vec![("X-PagerDuty-Signature", &pagerduty)]),
        ("standard", vec![("webhook-id", "msg_1"), ("webhook-timestamp", &time), ("webhook-signature", &standard)]),
        ("grafana", vec![("X-Grafana-Alerting-Signature", &grafana)]),
        ("grafana_timed", vec![("X-Grafana-Alerting-Signature", &timed), ("X-Time", &time)]),
    ];
    for (sender, pairs) in &posts {
        assert_eq!(admit(sender, pairs, BODY), Ok(()), "{sender}");
        for other in [&BODY[1..], &format!("{BODY} "), ""] {
            assert!(matches!(admit(sender, pairs, other), Err(Rejected::Signature(_))), "{sender}: {other:?}");
        }
        for missing in 0..pairs.len() {
            let mut pairs = pairs.clone();
            pairs.remove(missing);
            assert!(matches!(admit(sender, &pairs, BODY), Err(Rejected::Missing(_))), "{sender}");
        }
    }
    let moved: Vec<(&str, &str)> = vec![("webhook-id", "msg_2"), posts[2].1[1], posts[2].1[2]];
    assert!(matches!(admit("standard", &moved, BODY), Err(Rejected::Signature(_))), "the id is signed too");
    for late in [TimeDelta::seconds(301), TimeDelta::seconds(-301)] {
        for (sender, pairs) in [&posts[2], &posts[4]] {
            assert!(matches!(admit_at(now() + late, sender, pairs, BODY), Err(Rejected::OutsideWindow(_))), "{sender}");
            assert_eq!(admit_at(now() + late / 2, sender, pairs, BODY), Ok(()), "{sender}");
        }
    }
}

#[test]
fn a_malformed_signature_is_rejected() {
    for given in ["", "sha256=", "sha256=0", "sha1=00", "757107ea", "sha256=zz", "v1=00"] {
        assert!(
            matches!(admit("github", &[("x-hub-signature-256", given)], BODY), Err(Rejected::Signature(_))),
            "{given}"
        );
    }
    let standard = |time: &str| {
        admit("standard", &[("webhook-id", "1"), ("webhook-timestamp", time), ("webhook-signature", "v1,AAAA")], BODY)
    };
    for time in ["", "soon", "1e3", "99999999999999999999", "-1"] {
        assert!(matches!(standard(time), Err(Rejected::Signature(_) | Rejected::OutsideWindow(_))), "{time}");
    }
}
