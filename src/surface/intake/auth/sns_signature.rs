//! The signature of AWS SNS. Its certificate is fetched from an address in the envelope itself.
//!
//! Source: AWS, "Verifying the signatures of Amazon SNS messages".
//!
//! **Invariant:** a certificate is fetched only after the topic is found to be one of the sender's, and only from a
//! [`CertificateUrl`]. Redirects are not followed.
//!
//! Not here: a replay window. SNS retries for an hour with the time of the first attempt, and a queue in between may hold a
//! message for days. A repeated alarm has the same identity, so it is recognised as a repeat.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use chrono::DateTime;
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
use crate::surface::intake::parse::sns_envelope::{Envelope, envelopes, on_aws, topics};
use crate::sync::lock;

/// The largest certificate, in bytes; those of AWS have 2 KiB.
const CERTIFICATE_LIMIT: usize = 16 * 1024;

/// How long fetching a certificate may take. SNS itself waits 15 seconds for a response.
const FETCH_LIMIT: Duration = Duration::from_secs(5);

/// The most cached certificates. AWS has one per region and changes it about once a year.
const CACHE_LIMIT: usize = 64;

/// The most fetches at the same time. They are few, because everybody who knows the name of a topic can cause one.
const CONCURRENT_FETCHES: usize = 2;

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

/// A certificate: its key and its validity period.
#[derive(Debug)]
struct Certificate {
    key: Vec<u8>,
    validity: (Timestamp, Timestamp),
}

impl Certificate {
    fn read(pem: &[u8]) -> Result<Self, String> {
        let (_, pem) = parse_x509_pem(pem).map_err(|_| "it is not a certificate in PEM")?;
        let (_, certificate) =
            X509Certificate::from_der(&pem.contents).map_err(|_| "it is not an X.509 certificate")?;
        let instant = |seconds| DateTime::from_timestamp(seconds, 0).ok_or("its validity period is not a time");
        let validity = certificate.validity();
        Ok(Self {
            key: certificate.public_key().subject_public_key.data.to_vec(),
            validity: (instant(validity.not_before.timestamp())?, instant(validity.not_after.timestamp())?),
        })
    }

    /// Checks that the certificate is valid now and signed the envelope.
    fn verify(&self, envelope: &Envelope, now: Timestamp) -> Result<(), Rejected> {
        if now < self.validity.0 || now > self.validity.1 {
            return Err(Rejected::Signature("the certificate that signed it is expired or not yet valid".to_owned()));
        }
        let algorithm: &RsaParameters = match envelope.signature_version.as_str() {
            "1" => &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
            "2" => &RSA_PKCS1_2048_8192_SHA256,
            _ => return Err(Rejected::Signature("its `SignatureVersion` is neither 1 nor 2".to_owned())),
        };
        UnparsedPublicKey::new(algorithm, &self.key)
            .verify(envelope.signed_text().as_bytes(), &envelope.signature)
            .map_err(|_| Rejected::Signature("the signature does not match the message".to_owned()))
    }
}

/// The cached and the configured certificates, and the client that fetches others.
#[derive(Debug)]
pub struct Certificates {
    fetched: Mutex<BTreeMap<CertificateUrl, Arc<Certificate>>>,
    /// The certificates in files that senders name, by the name of the file.
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
            slots: Semaphore::new(CONCURRENT_FETCHES),
        }
    }
}

impl Certificates {
    /// Uses this client to fetch certificates. It must follow no redirect.
    pub fn with_client(client: reqwest::Client) -> Self {
        Self { client: OnceLock::from(Ok(client)), ..Self::default() }
    }

    /// Adds the certificate in the file that a sender names as its `certificate`. `pem` is the content of the file.
    ///
    /// # Errors
    /// When it is not a certificate.
    pub fn pin(&self, file: &str, pem: &[u8]) -> Result<(), String> {
        let certificate = Certificate::read(pem)?;
        lock(&self.pinned).insert(file.to_owned(), Arc::new(certificate));
        Ok(())
    }

    /// Fetches a certificate and caches it.
    ///
    /// # Errors
    /// [`Rejected::Internal`] when it cannot be fetched now; [`Rejected::Signature`] when there is no certificate at the address.
    pub async fn fetch(&self, url: &CertificateUrl) -> Result<(), Rejected> {
        let failed = |why: String| Rejected::Internal(format!("the certificate of SNS cannot be fetched: {why}"));
        let _slot = self.slots.try_acquire().map_err(|_| failed("too many are being fetched".to_owned()))?;
        let client = self.client.get_or_init(client).as_ref().map_err(|why| failed(why.clone()))?;
        let mut response = client.get(url.0.clone()).send().await.map_err(|error| failed(reason(&error)))?;
        if response.status().is_client_error() {
            return Err(Rejected::Signature("there is no certificate at its `SigningCertURL`".to_owned()));
        }
        if !response.status().is_success() {
            return Err(failed(format!("AWS answered {}", response.status().as_u16())));
        }
        let mut pem = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| failed(reason(&error)))? {
            if pem.len() + chunk.len() > CERTIFICATE_LIMIT {
                return Err(Rejected::Signature("the certificate at its `SigningCertURL` is too large".to_owned()));
            }
            pem.extend_from_slice(&chunk);
        }
        let certificate = Certificate::read(&pem).map_err(Rejected::Signature)?;
        let mut fetched = lock(&self.fetched);
        while fetched.len() >= CACHE_LIMIT {
            fetched.pop_first();
        }
        fetched.insert(url.clone(), Arc::new(certificate));
        Ok(())
    }

    /// The certificate for an envelope: the one that its sender configures, or a cached one.
    fn of(&self, sender: &Sender, envelope: &Envelope) -> Result<Arc<Certificate>, Rejected> {
        if let Some(file) = &sender.certificate {
            let pinned = lock(&self.pinned).get(file).cloned();
            return pinned.ok_or_else(|| Rejected::Internal(format!("the certificate in `{file}` was not read")));
        }
        let url = CertificateUrl::new(&envelope.certificate_url)
            .ok_or_else(|| Rejected::Signature("its `SigningCertURL` is not on AWS's own host".to_owned()))?;
        let cached = lock(&self.fetched).get(&url).cloned();
        cached.ok_or(Rejected::CertificateWanted(url))
    }
}

fn client() -> Result<reqwest::Client, String> {
    // Fails if a provider is already installed, as `main` does.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder().https_only(true).redirect(Policy::none()).timeout(FETCH_LIMIT).no_proxy();
    builder.build().map_err(|error| reason(&error))
}

/// The message of the innermost error, which is the most specific one.
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
    // Every topic is checked before a certificate may be fetched.
    topics_are_known(sender, post)?;
    envelopes.iter().try_for_each(|envelope| certificates.of(sender, envelope)?.verify(envelope, post.now))
}

/// Checks that every topic that a request names is one of the sender's.
pub(super) fn topics_are_known(sender: &Sender, post: &SenderRequest<'_>) -> Result<(), Rejected> {
    let topics = topics(post);
    if topics.is_empty() || topics.iter().any(|topic| !sender.topics.contains(topic)) {
        return Err(Rejected::Topic("its topic is not in the sender's `topics`".to_owned()));
    }
    Ok(())
}
