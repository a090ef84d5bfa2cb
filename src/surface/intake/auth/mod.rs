//! Authenticates a request of a sender: by credentials in the headers, or by a signature over the raw bytes of the
//! body.
//!
//! **Invariant:** nothing in a body is parsed before its signature is valid, except the envelope of SNS, which has the
//! signature and the topic.
//!
//! Secrets of every length are compared in constant time. [`Rejected`] has no HTTP status; the server chooses one.

mod credentials;
mod hmac;
mod sns_signature;

use axum::http::HeaderMap;

use super::SenderRequest;
use crate::actions::Secrets;
use crate::domain::config::sender::{Auth, Sender};
use crate::domain::core::time::{Span, Timestamp};

pub(in crate::surface::intake) use self::credentials::bearer;
pub use self::sns_signature::{CertificateUrl, Certificates};

/// How much the time of a signed request may differ from the clock of this host. Standard Webhooks and Slack use the same
/// limit.
pub const REPLAY_WINDOW: Span = Span::seconds(5 * 60);

/// Why a request is not authenticated.
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
    #[error("the certificate that signed it has not been fetched")]
    CertificateWanted(CertificateUrl),
    /// It cannot be decided because of an error on this side, such as an unreadable secret. The sender should retry.
    #[error("{0}")]
    Internal(String),
}

impl Rejected {
    /// Whether the error is on this side, so that the sender should retry.
    pub fn is_internal(&self) -> bool {
        matches!(self, Self::Internal(_) | Self::CertificateWanted(_))
    }
}

/// The result of checking the headers alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    Granted,
    /// The headers have a signature, which has to be checked with the body.
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
        Auth::Header { name, secrets: names } => credentials::header_token(headers, name, names, secrets),
        signed => hmac::check_headers(signed, headers, now),
    }
}

/// Authenticates a request.
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
    let (mut values, mut error) = (Vec::new(), None);
    for name in names {
        match secrets.get(name) {
            Ok(value) => values.push(value.expose_secret()),
            Err(reason) => error = Some(reason),
        }
    }
    (values, error)
}

/// Succeeds when any of the secrets matches. If none matches and one cannot be read, the result is
/// [`Rejected::Internal`]: that one might match.
fn any(
    names: &[String],
    secrets: &Secrets,
    wrong: Rejected,
    mut matches: impl FnMut(&str) -> Result<bool, String>,
) -> Result<(), Rejected> {
    let (values, mut error) = values(names, secrets);
    let mut is_valid = false;
    // Every secret is tried, so that the time does not reveal which one matches.
    for value in values {
        match matches(value) {
            Ok(matched) => is_valid |= matched,
            Err(reason) => error = Some(reason),
        }
    }
    match (is_valid, error) {
        (true, _) => Ok(()),
        (false, Some(reason)) => Err(Rejected::Internal(reason)),
        (false, None) => Err(wrong),
    }
}
