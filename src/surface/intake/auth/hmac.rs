//! HMAC-SHA256 signatures over the raw body, in the formats of GitHub, Grafana, PagerDuty and Standard Webhooks.
//!
//! Sources: GitHub "Validating webhook deliveries", Grafana "Webhook notifications: HMAC signature", PagerDuty "Webhook
//! signatures", the Standard Webhooks specification.

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

/// The most signatures that are tried per request. During a key rotation a sender sends two.
const SIGNATURE_LIMIT: usize = 16;

const GITHUB: &str = "x-hub-signature-256";
const GRAFANA: &str = "x-grafana-alerting-signature";
const PAGERDUTY: &str = "x-pagerduty-signature";

/// The signatures in the headers.
struct Signed<'h> {
    signatures: Vec<Vec<u8>>,
    /// The text that is signed before the body.
    prefix: Vec<&'h str>,
}

/// Checks, before the body is read, that the headers have a signature that is well-formed and recent.
pub(super) fn check_headers(auth: &Auth, headers: &HeaderMap, now: Timestamp) -> Result<Admission, Rejected> {
    if *auth != Auth::Sns {
        signed(auth, headers, now)?;
    }
    Ok(Admission::NeedsBody)
}

/// Checks that one of the signatures in the headers is valid for the body.
pub(super) fn admit(auth: &Auth, secrets: &Secrets, post: &SenderRequest<'_>) -> Result<(), Rejected> {
    let signed = signed(auth, post.headers, post.now)?;
    let wrong = Rejected::Signature("the signature does not match the body".to_owned());
    any(auth.secrets(), secrets, wrong, |secret| {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &key(auth, secret)?));
        signed.prefix.iter().for_each(|part| context.update(part.as_bytes()));
        context.update(post.body);
        let tag = context.sign();
        // Compares with every signature, so that the time does not reveal which one is valid.
        Ok(signed.signatures.iter().fold(false, |is_valid, given| bool::from(tag.as_ref().ct_eq(given)) | is_valid))
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
            let prefix = match timestamp_header {
                Some(name) => vec![recent(headers, name, now)?, ":"],
                None => Vec::new(),
            };
            Ok(Signed { signatures, prefix })
        }
        Auth::Pagerduty { .. } => {
            let given = required(headers, PAGERDUTY)?.split(',');
            Ok(Signed {
                signatures: signatures(PAGERDUTY, given, |given| hexadecimal(given, "v1="))?,
                prefix: Vec::new(),
            })
        }
        Auth::Standard { .. } => standard(headers, now),
        // Only GitHub remains: `Auth::Sns` is checked in `sns_signature`, and the others have no signature.
        _ => {
            let given = std::iter::once(required(headers, GITHUB)?);
            Ok(Signed {
                signatures: signatures(GITHUB, given, |given| hexadecimal(given, "sha256="))?,
                prefix: Vec::new(),
            })
        }
    }
}

fn standard(headers: &HeaderMap, now: Timestamp) -> Result<Signed<'_>, Rejected> {
    let id = required(headers, "webhook-id")?;
    let given = required(headers, "webhook-signature")?.split(' ');
    let signatures = signatures("webhook-signature", given, |given| STANDARD.decode(given.strip_prefix("v1,")?).ok())?;
    Ok(Signed { signatures, prefix: vec![id, ".", recent(headers, "webhook-timestamp", now)?, "."] })
}

fn hexadecimal(given: &str, prefix: &str) -> Option<Vec<u8>> {
    hex::decode(given.strip_prefix(prefix)?).ok()
}

/// The well-formed signatures in a header.
///
/// # Errors
/// When there is none.
fn signatures<'h>(
    name: &str,
    given: impl Iterator<Item = &'h str>,
    decode: impl Fn(&str) -> Option<Vec<u8>>,
) -> Result<Vec<Vec<u8>>, Rejected> {
    let found: Vec<Vec<u8>> = given.take(SIGNATURE_LIMIT).filter_map(|given| decode(given.trim())).collect();
    if found.is_empty() {
        return Err(Rejected::Signature(format!("`{name}` has no signature of a known format")));
    }
    Ok(found)
}

fn required<'h>(headers: &'h HeaderMap, name: &str) -> Result<&'h str, Rejected> {
    field_reader::header(headers, name).ok_or_else(|| Rejected::Missing(format!("there is no header `{name}`")))
}

/// A header with a time in seconds since 1970 that is within the replay window. Returned unchanged, because the signature
/// covers the text.
fn recent<'h>(headers: &'h HeaderMap, name: &str, now: Timestamp) -> Result<&'h str, Rejected> {
    let text = required(headers, name)?;
    let at = text.parse().ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    let at = at.ok_or_else(|| Rejected::Signature(format!("`{name}` is not a number of seconds since 1970")))?;
    let difference = Span::between(at, now).max(Span::between(now, at));
    if difference > REPLAY_WINDOW {
        return Err(Rejected::OutsideWindow(format!(
            "`{name}` differs by {difference} from the time here; {REPLAY_WINDOW} are allowed"
        )));
    }
    Ok(text)
}
