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
pub use self::sns_signature::{CertificateUrl, Certificates};

/// How far the time of a signed post may be from ours, either way: Standard Webhooks' and Slack's own limit.
pub const REPLAY_WINDOW: Span = Span::seconds(5 * 60);

/// Why a post is not taken for its sender's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// It brings no credentials, or no signature.
    #[error("{0}")]
    Missing(String),
    /// Its credentials are wrong.
    #[error("{0}")]
    Credentials(String),
    /// Its signature is not that of these bytes.
    #[error("{0}")]
    Signature(String),
    /// It was signed too long ago, or in the future: somebody may send it again.
    #[error("{0}")]
    OutsideWindow(String),
    /// It comes from a topic that may not post here.
    #[error("{0}")]
    Topic(String),
    /// The certificate that signed it is not at hand: [fetch](Certificates::fetch) it and ask again.
    #[error("the certificate that signed it is not at hand")]
    CertificateWanted(CertificateUrl),
    /// We cannot tell, through our own trouble: a secret that cannot be read. The sender should try again.
    #[error("{0}")]
    Ours(String),
}

impl Rejected {
    /// Whether it is our own trouble, so that the sender should try again.
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::Ours(_) | Self::CertificateWanted(_))
    }
}

/// What the headers alone decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It is the sender's.
    Granted,
    /// The body is needed: it is signed.
    NeedsBody,
}

/// Whether a post may be its sender's, before its body is read. What lacks a signature is rejected already.
///
/// # Errors
/// Why not.
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

/// Whether a post is its sender's.
///
/// # Errors
/// Why not. [`Rejected::CertificateWanted`] means: fetch it, then ask again.
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

/// The values of those of these secrets that can be read, and why the others cannot.
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

/// Grants when any of the secrets fits. Where none does but one could not be read, the fault may be ours.
fn any(
    names: &[String],
    secrets: &Secrets,
    wrong: Rejected,
    mut fits: impl FnMut(&str) -> Result<bool, String>,
) -> Result<(), Rejected> {
    let (values, mut trouble) = values(names, secrets);
    let mut is_right = false;
    // Every one is tried, so that the time taken does not tell which fits.
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
