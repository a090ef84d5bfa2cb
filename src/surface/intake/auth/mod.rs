//! Whether a post is its sender's: credentials in the headers, or a signature over the raw bytes of the body.
//!
//! **Invariant:** nothing of a body is parsed before its signature holds, except what an SNS envelope says of how it was
//! signed.
//!
//! **Invariant:** everything secret is compared in constant time, its length too.
//!
//! Deliberately absent: HTTP statuses; [`Rejected`] says enough to choose one.

mod credentials;
mod hmac;
mod sns_signature;

use axum::http::HeaderMap;

use super::SenderRequest;
use crate::actions::Secrets;
use crate::domain::config::sender::{Auth, Sender};
use crate::domain::core::time::{Span, Timestamp};

pub(in crate::surface::intake) use self::credentials::bearer;
pub(super) use self::sns_signature::on_aws;
pub use self::sns_signature::{CertificateUrl, Certificates};

/// How far the time of a signed request may be from our clock, in either direction. Standard Webhooks and Slack use the
/// same limit.
pub const REPLAY_WINDOW: Span = Span::seconds(5 * 60);

/// Why a request is not accepted as its sender's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// It has no credentials or no signature.
    #[error("{0}")]
    Missing(String),
    #[error("{0}")]
    Credentials(String),
    #[error("{0}")]
    Signature(String),
    /// It was signed too long ago or in the future, so it may be a replay.
    #[error("{0}")]
    OutsideWindow(String),
    /// Its topic is not one of the sender's.
    #[error("{0}")]
    Topic(String),
    /// The certificate that signed it is not cached: [fetch](Certificates::fetch) it and check again.
    #[error("the certificate that signed it is not at hand")]
    CertificateWanted(CertificateUrl),
    /// We cannot decide, because of an error on our side such as an unreadable secret. The sender should retry.
    #[error("{0}")]
    Ours(String),
}

impl Rejected {
    /// Whether the error is on our side, so that the sender should retry.
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::Ours(_) | Self::CertificateWanted(_))
    }
}

/// The result of checking the headers alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    Granted,
    /// It is signed, so the body is needed.
    NeedsBody,
}

/// Checks a request before its body is read. A request without a well-formed signature is rejected here.
///
/// # Errors
/// Why the request is rejected.
pub fn admit_headers(
    sender: &Sender,
    secrets: &Secrets,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Admission, Rejected> {
    match &sender.auth {
        Auth::None => Ok(Admission::Granted),
        Auth::Bearer { secrets: names } => credentials::bearer(headers, names, secrets),
        Auth::Basic { user, secrets: names } => credentials::basic(headers, user, names, secrets),
        Auth::Header { name, secrets: names } => credentials::own(headers, name, names, secrets),
        signed => hmac::is_there(signed, headers, now),
    }
}

/// Checks that a request is its sender's.
///
/// # Errors
/// Why the request is rejected. On [`Rejected::CertificateWanted`], fetch the certificate and check again.
pub fn admit(
    sender: &Sender,
    secrets: &Secrets,
    post: &SenderRequest<'_>,
    certificates: &Certificates,
) -> Result<(), Rejected> {
    match admit_headers(sender, secrets, post.headers, post.now)? {
        Admission::Granted if sender.topics.is_empty() => Ok(()),
        Admission::Granted => sns_signature::topics_are_known(sender, post),
        Admission::NeedsBody if sender.auth == Auth::Sns => sns_signature::admit(sender, post, certificates),
        Admission::NeedsBody => hmac::admit(&sender.auth, secrets, post),
    }
}

/// The values of the secrets that can be read, and the last error of those that cannot.
fn values<'s>(names: &[String], secrets: &'s Secrets) -> (Vec<&'s str>, Option<String>) {
    use secrecy::ExposeSecret;
    let (mut values, mut trouble) = (Vec::new(), None);
    for name in names {
        match secrets.get(name) {
            Ok(value) => values.push(value.expose_secret()),
            Err(why) => trouble = Some(why),
        }
    }
    (values, trouble)
}

/// Succeeds when any of the secrets fits. If none fits and one could not be read, the error may be ours.
fn any(
    names: &[String],
    secrets: &Secrets,
    wrong: Rejected,
    mut fits: impl FnMut(&str) -> Result<bool, String>,
) -> Result<(), Rejected> {
    let (values, mut trouble) = values(names, secrets);
    let mut is_right = false;
    // Every one is tried, so that the time taken does not reveal which one fits.
    for value in values {
        match fits(value) {
            Ok(fits) => is_right |= fits,
            Err(why) => trouble = Some(why),
        }
    }
    match (is_right, trouble) {
        (true, _) => Ok(()),
        (false, Some(why)) => Err(Rejected::Ours(why)),
        (false, None) => Err(wrong),
    }
}
