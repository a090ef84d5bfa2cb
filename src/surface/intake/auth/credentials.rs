//! Credentials in a header: a bearer token, user and password, or a token in a header that the estate names.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;

use super::{Admission, Rejected, any};
use crate::actions::Secrets;
use crate::surface::intake::parse::field_reader;

/// Checks `Authorization: Bearer …`. The routes without a sender use it too.
pub(in crate::surface::intake) fn bearer(
    headers: &HeaderMap,
    names: &[String],
    secrets: &Secrets,
) -> Result<Admission, Rejected> {
    let given = authorization(headers, "bearer")?;
    any(names, secrets, wrong("the bearer token"), |secret| Ok(is_same(given.as_bytes(), secret.as_bytes())))?;
    Ok(Admission::Granted)
}

pub(super) fn basic(
    headers: &HeaderMap,
    user: &str,
    names: &[String],
    secrets: &Secrets,
) -> Result<Admission, Rejected> {
    let given = authorization(headers, "basic")?;
    let decoded = STANDARD.decode(given).map_err(|_| wrong("the user or the password"))?;
    any(names, secrets, wrong("the user or the password"), |secret| {
        Ok(is_same(&decoded, format!("{user}:{secret}").as_bytes()))
    })?;
    Ok(Admission::Granted)
}

/// Checks a token in the header `name`.
pub(super) fn header_token(
    headers: &HeaderMap,
    name: &str,
    names: &[String],
    secrets: &Secrets,
) -> Result<Admission, Rejected> {
    let given =
        field_reader::header(headers, name).ok_or_else(|| Rejected::Missing(format!("there is no header `{name}`")))?;
    any(names, secrets, wrong("the token"), |secret| Ok(is_same(given.as_bytes(), secret.as_bytes())))?;
    Ok(Admission::Granted)
}

/// The credentials behind a scheme; the scheme is case-insensitive.
fn authorization<'h>(headers: &'h HeaderMap, scheme: &str) -> Result<&'h str, Rejected> {
    let missing = || Rejected::Missing(format!("there is no header `Authorization` with the scheme `{scheme}`"));
    let (given_scheme, credentials) = field_reader::header(headers, AUTHORIZATION.as_str())
        .and_then(|value| value.split_once(' '))
        .ok_or_else(missing)?;
    if given_scheme.eq_ignore_ascii_case(scheme) { Ok(credentials.trim()) } else { Err(missing()) }
}

fn wrong(what: &str) -> Rejected {
    Rejected::Credentials(format!("{what} is wrong"))
}

/// Compares two texts in constant time. Because digests are compared, the time does not even reveal their lengths.
fn is_same(given: &[u8], secret: &[u8]) -> bool {
    Sha256::digest(given).as_slice().ct_eq(Sha256::digest(secret).as_slice()).into()
}
