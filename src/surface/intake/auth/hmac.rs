//! Signatures by a shared key: HMAC-SHA256 over the raw body, as GitHub, Grafana, PagerDuty and Standard Webhooks each
//! write it.
//!
//! Sources: GitHub "Validating webhook deliveries", Grafana "Webhook notifications: HMAC signature", PagerDuty
//! "Webhook signatures", the Standard Webhooks specification.

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::DateTime;
use ring::hmac;
use subtle::ConstantTimeEq as _;

use super::{Admission, REPLAY_WINDOW, Rejected, any};
use crate::actions::Secrets;
use crate::domain::config::sender::Auth;
use crate::domain::core::time::{Span, Timestamp};
use crate::surface::intake::SenderRequest;
use crate::surface::intake::parse::field_reader;

/// Maximum number of signatures tried per request. During a key rotation a sender sends two.
const SIGNATURES: usize = 16;

const GITHUB: &str = "x-hub-signature-256";
const GRAFANA: &str = "x-grafana-alerting-signature";
const PAGERDUTY: &str = "x-pagerduty-signature";

/// The signatures in the headers, and the text that is signed before the body.
struct Signed<'h> {
    signatures: Vec<Vec<u8>>,
    before: Vec<&'h str>,
}

/// Checks that the headers hold a signature that could be valid: present, well-formed and recent. The body is not read
/// yet.
pub(super) fn is_there(auth: &Auth, headers: &HeaderMap, now: Timestamp) -> Result<Admission, Rejected> {
    if *auth != Auth::Sns {
        signed(auth, headers, now)?;
    }
    Ok(Admission::NeedsBody)
}

/// Checks that one of the signatures in the headers is that of the body.
pub(super) fn admit(auth: &Auth, secrets: &Secrets, post: &SenderRequest<'_>) -> Result<(), Rejected> {
    let signed = signed(auth, post.headers, post.now)?;
    let wrong = Rejected::Signature("the signature is not that of the body".to_owned());
    any(auth.secrets(), secrets, wrong, |secret| {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &key(auth, secret)?));
        signed.before.iter().for_each(|part| context.update(part.as_bytes()));
        context.update(post.body);
        let tag = context.sign();
        Ok(signed.signatures.iter().fold(false, |is_right, given| bool::from(tag.as_ref().ct_eq(given)) | is_right))
    })
}

/// The HMAC key of a secret. Standard Webhooks writes it in base64, after `whsec_`.
fn key(auth: &Auth, secret: &str) -> Result<Vec<u8>, String> {
    match auth {
        Auth::Standard { .. } => STANDARD
            .decode(secret.strip_prefix("whsec_").unwrap_or(secret))
            .map_err(|_| "the key of a Standard Webhook is not `whsec_` and base64".to_owned()),
        _ => Ok(secret.as_bytes().to_vec()),
    }
}

fn signed<'h>(auth: &Auth, headers: &'h HeaderMap, now: Timestamp) -> Result<Signed<'h>, Rejected> {
    match auth {
        Auth::Grafana { timestamp_header, .. } => {
            let signatures =
                signatures(GRAFANA, required(headers, GRAFANA)?.split(','), |given| hex::decode(given).ok())?;
            let before = match timestamp_header {
                Some(name) => vec![recent(headers, name, now)?, ":"],
                None => Vec::new(),
            };
            Ok(Signed { signatures, before })
        }
        Auth::Pagerduty { .. } => {
            let given = required(headers, PAGERDUTY)?.split(',');
            Ok(Signed {
                signatures: signatures(PAGERDUTY, given, |given| hexadecimal(given, "v1="))?,
                before: Vec::new(),
            })
        }
        Auth::Standard { .. } => standard(headers, now),
        // What remains is GitHub; `Auth::Sns` is checked in `sns_signature`.
        _ => {
            let given = std::iter::once(required(headers, GITHUB)?);
            Ok(Signed {
                signatures: signatures(GITHUB, given, |given| hexadecimal(given, "sha256="))?,
                before: Vec::new(),
            })
        }
    }
}

fn standard(headers: &HeaderMap, now: Timestamp) -> Result<Signed<'_>, Rejected> {
    let id = required(headers, "webhook-id")?;
    let given = required(headers, "webhook-signature")?.split(' ');
    let signatures = signatures("webhook-signature", given, |given| STANDARD.decode(given.strip_prefix("v1,")?).ok())?;
    Ok(Signed { signatures, before: vec![id, ".", recent(headers, "webhook-timestamp", now)?, "."] })
}

fn hexadecimal(given: &str, prefix: &str) -> Option<Vec<u8>> {
    hex::decode(given.strip_prefix(prefix)?).ok()
}

/// The well-formed signatures; at least one.
fn signatures<'h>(
    name: &str,
    given: impl Iterator<Item = &'h str>,
    read: impl Fn(&str) -> Option<Vec<u8>>,
) -> Result<Vec<Vec<u8>>, Rejected> {
    let found: Vec<Vec<u8>> = given.take(SIGNATURES).filter_map(|given| read(given.trim())).collect();
    if found.is_empty() {
        return Err(Rejected::Signature(format!("`{name}` holds no signature of a kind that is known")));
    }
    Ok(found)
}

fn required<'h>(headers: &'h HeaderMap, name: &str) -> Result<&'h str, Rejected> {
    field_reader::header(headers, name).ok_or_else(|| Rejected::Missing(format!("there is no header `{name}`")))
}

/// A header with a time in seconds since 1970 that lies within the replay window. It is returned as written, because
/// the signature covers that text.
fn recent<'h>(headers: &'h HeaderMap, name: &str, now: Timestamp) -> Result<&'h str, Rejected> {
    let text = required(headers, name)?;
    let at = text.parse().ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    let at = at.ok_or_else(|| Rejected::Signature(format!("`{name}` is no number of seconds since 1970")))?;
    let apart = Span::between(at, now).max(Span::between(now, at));
    if apart > REPLAY_WINDOW {
        return Err(Rejected::OutsideWindow(format!(
            "`{name}` is {apart} from our time, and {REPLAY_WINDOW} are allowed"
        )));
    }
    Ok(text)
}
