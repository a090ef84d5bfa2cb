//! The signature of AWS SNS: by a certificate that stands at an address in the envelope itself.
//!
//! Source: AWS, "Verifying the signatures of Amazon SNS messages".
//!
//! Deliberately absent: a replay window. SNS tries again for an hour with the time of the first attempt, and a queue
//! between keeps a message for days; an alarm that is sent again is a repeat, which the alert itself tells.
//!
//! **Invariant:** no request leaves before the topic is one of the sender's, nor to any address but a [`CertificateUrl`];
//! redirects are not followed.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, OnceLock};
use std::time::Duration;

use chrono::DateTime;
use regex::Regex;
use reqwest::redirect::Policy;
use ring::signature::{
    RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, RsaParameters, UnparsedPublicKey,
};
use tokio::sync::Semaphore;
use url::Url;
use x509_parser::prelude::{FromDer as _, X509Certificate, parse_x509_pem};

use super::Rejected;
use crate::domain::config::sender::Sender;
use crate::domain::core::time::Timestamp;
use crate::surface::intake::SenderRequest;
use crate::surface::intake::senders::sns::{Envelope, envelopes, topics};
use crate::sync::lock;

/// The largest certificate, in bytes; those of AWS have 2 KiB.
const CERTIFICATE_LIMIT: usize = 16 * 1024;

/// How long fetching a certificate may take. SNS itself waits 15 seconds for a response.
const FETCH_LIMIT: Duration = Duration::from_secs(5);

/// Number of certificates kept. AWS has one per region and changes it about once a year.
const KEPT: usize = 64;

/// Maximum concurrent fetches. Anybody who knows the name of a topic can make us send requests to AWS, so they are few.
const FETCHES: usize = 2;

/// The address of a certificate on AWS's own host for SNS.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CertificateUrl(Url);

impl CertificateUrl {
    /// Accepts an address only on AWS's own host for SNS: `https`, no user, port, query or fragment, a path that ends
    /// in `.pem`.
    pub fn new(text: &str) -> Option<Self> {
        let url = on_aws(text)?;
        (url.path().ends_with(".pem") && url.query().is_none()).then_some(Self(url))
    }
}

impl std::fmt::Display for CertificateUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Accepts an address only on AWS's own host for SNS.
pub(in crate::surface::intake) fn on_aws(text: &str) -> Option<Url> {
    static HOST: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^sns\.[a-zA-Z0-9-]{3,}\.amazonaws\.com(\.cn)?$").expect("a constant pattern is right")
    });
    let url = Url::parse(text).ok()?;
    let is_plain =
        url.username().is_empty() && url.password().is_none() && url.port().is_none() && url.fragment().is_none();
    (url.scheme() == "https" && is_plain && HOST.is_match(url.host_str()?)).then_some(url)
}

/// A certificate: its key and its validity period.
#[derive(Debug)]
struct Certificate {
    key: Vec<u8>,
    holds: (Timestamp, Timestamp),
}

impl Certificate {
    fn read(pem: &[u8]) -> Result<Self, String> {
        let (_, pem) = parse_x509_pem(pem).map_err(|_| "it is no certificate in PEM")?;
        let (_, certificate) = X509Certificate::from_der(&pem.contents).map_err(|_| "it is no X.509 certificate")?;
        let instant = |seconds| DateTime::from_timestamp(seconds, 0).ok_or("its validity is no time");
        let validity = certificate.validity();
        Ok(Self {
            key: certificate.public_key().subject_public_key.data.to_vec(),
            holds: (instant(validity.not_before.timestamp())?, instant(validity.not_after.timestamp())?),
        })
    }

    fn signed(&self, envelope: &Envelope, now: Timestamp) -> Result<(), Rejected> {
        if now < self.holds.0 || now > self.holds.1 {
            return Err(Rejected::Signature("the certificate that signed it does not hold now".to_owned()));
        }
        let algorithm: &RsaParameters = match envelope.signature_version.as_str() {
            "1" => &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
            "2" => &RSA_PKCS1_2048_8192_SHA256,
            _ => return Err(Rejected::Signature("its `SignatureVersion` is neither 1 nor 2".to_owned())),
        };
        UnparsedPublicKey::new(algorithm, &self.key)
            .verify(envelope.signed_text().as_bytes(), &envelope.signature)
            .map_err(|_| Rejected::Signature("the signature is not that of the message".to_owned()))
    }
}

/// The certificates in memory, and the client that fetches others.
#[derive(Debug)]
pub struct Certificates {
    fetched: Mutex<BTreeMap<CertificateUrl, Arc<Certificate>>>,
    pinned: Mutex<BTreeMap<String, Arc<Certificate>>>,
    client: OnceLock<Result<reqwest::Client, String>>,
    slots: Semaphore,
}

impl Default for Certificates {
    fn default() -> Self {
        Self {
            fetched: Mutex::default(),
            pinned: Mutex::default(),
            client: OnceLock::new(),
            slots: Semaphore::new(FETCHES),
        }
    }
}

impl Certificates {
    /// Fetches certificates with this client. It must follow no redirect.
    pub fn with_client(client: reqwest::Client) -> Self {
        Self { client: OnceLock::from(Ok(client)), ..Self::default() }
    }

    /// Reads the contents of the file that a sender names as its `certificate`.
    ///
    /// # Errors
    /// When it is not a certificate.
    pub fn pin(&self, file: &str, pem: &[u8]) -> Result<(), String> {
        let certificate = Certificate::read(pem)?;
        lock(&self.pinned).insert(file.to_owned(), Arc::new(certificate));
        Ok(())
    }

    /// Fetches a certificate and keeps it in memory.
    ///
    /// # Errors
    /// [`Rejected::Ours`] when it cannot be fetched now; [`Rejected::Signature`] when the address holds no certificate.
    pub async fn fetch(&self, url: &CertificateUrl) -> Result<(), Rejected> {
        let ours = |why: String| Rejected::Ours(format!("the certificate of SNS cannot be fetched: {why}"));
        let _slot = self.slots.try_acquire().map_err(|_| ours("too many are being fetched".to_owned()))?;
        let client = self.client.get_or_init(client).as_ref().map_err(|why| ours(why.clone()))?;
        let mut answer = client.get(url.0.clone()).send().await.map_err(|error| ours(reason(&error)))?;
        if answer.status().is_client_error() {
            return Err(Rejected::Signature("there is no certificate at its `SigningCertURL`".to_owned()));
        }
        if !answer.status().is_success() {
            return Err(ours(format!("AWS answered {}", answer.status().as_u16())));
        }
        let mut pem = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| ours(reason(&error)))? {
            if pem.len() + chunk.len() > CERTIFICATE_LIMIT {
                return Err(Rejected::Signature("what is at its `SigningCertURL` is too large".to_owned()));
            }
            pem.extend_from_slice(&chunk);
        }
        let certificate = Certificate::read(&pem).map_err(Rejected::Signature)?;
        let mut fetched = lock(&self.fetched);
        while fetched.len() >= KEPT {
            fetched.pop_first();
        }
        fetched.insert(url.clone(), Arc::new(certificate));
        Ok(())
    }

    /// The certificate of an envelope: the pinned one of its sender, or a fetched one.
    fn of(&self, sender: &Sender, envelope: &Envelope) -> Result<Arc<Certificate>, Rejected> {
        if let Some(file) = &sender.certificate {
            let pinned = lock(&self.pinned).get(file).cloned();
            return pinned.ok_or_else(|| Rejected::Ours(format!("the certificate in `{file}` was not read")));
        }
        let url = CertificateUrl::new(&envelope.certificate_url)
            .ok_or_else(|| Rejected::Signature("its `SigningCertURL` is not on AWS's own host".to_owned()))?;
        let known = lock(&self.fetched).get(&url).cloned();
        known.ok_or(Rejected::CertificateWanted(url))
    }
}

fn client() -> Result<reqwest::Client, String> {
    // `main` has installed it already; a test may not have.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder().https_only(true).redirect(Policy::none()).timeout(FETCH_LIMIT).no_proxy();
    builder.build().map_err(|error| reason(&error))
}

/// The innermost reason, which is the specific one.
fn reason(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// Checks that every envelope of a request comes from one of the sender's topics and is signed by AWS.
pub(super) fn admit(sender: &Sender, post: &SenderRequest<'_>, certificates: &Certificates) -> Result<(), Rejected> {
    let envelopes =
        envelopes(post.body).map_err(|why| Rejected::Missing(format!("there is no signature in it: {why}")))?;
    // Every topic is checked before a certificate is wanted.
    topics_are_known(sender, post)?;
    envelopes.iter().try_for_each(|envelope| certificates.of(sender, envelope)?.signed(envelope, post.now))
}

/// Checks that every topic that a request names is one of the sender's.
pub(super) fn topics_are_known(sender: &Sender, post: &SenderRequest<'_>) -> Result<(), Rejected> {
    let topics = topics(post);
    if topics.is_empty() || topics.iter().any(|topic| !sender.topics.contains(topic)) {
        return Err(Rejected::Topic("its topic is none of the sender's".to_owned()));
    }
    Ok(())
}
