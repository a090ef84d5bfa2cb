//! The facts of a certificate, for people and for conditions.
//!
//! Not here: whether it is valid; see [`super::verify`].

use std::net::IpAddr;

use chrono::DateTime;
use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use x509_parser::time::ASN1Time;

use crate::domain::core::reason::Reason;
use crate::domain::core::text::one_line;
use crate::domain::core::time::Timestamp;

/// Names that are kept, and the longest text of a field in characters.
const NAMES: usize = 100;
const LENGTH: usize = 200;

/// The fields of a certificate that are reported.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Certificate {
    pub(super) subject: String,
    pub(super) issuer: String,
    pub(super) names: Vec<String>,
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
    pub(super) fingerprint: String,
    /// Whether its issuer equals its subject, as in a self-signed certificate.
    pub(super) is_self_issued: bool,
}

impl Certificate {
    /// Parses a certificate.
    ///
    /// # Errors
    /// `tls` if it cannot be parsed.
    pub(super) fn read(der: &CertificateDer<'_>) -> Result<Self, Reason> {
        let unreadable = || Reason::new("tls", "its certificate cannot be read");
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| unreadable())?;
        let names = certificate.subject_alternative_name().ok().flatten();
        let names = names.into_iter().flat_map(|names| &names.value.general_names).filter_map(shown).take(NAMES);
        let validity = certificate.validity();
        Ok(Self {
            subject: one_line(&certificate.subject().to_string(), LENGTH),
            issuer: one_line(&certificate.issuer().to_string(), LENGTH),
            names: names.collect(),
            not_before: instant(validity.not_before).ok_or_else(unreadable)?,
            not_after: instant(validity.not_after).ok_or_else(unreadable)?,
            fingerprint: hex::encode(Sha256::digest(der.as_ref())),
            is_self_issued: certificate.subject().as_raw() == certificate.issuer().as_raw(),
        })
    }

    /// Whole days until it expires; negative if it has expired.
    pub(super) fn days_left(&self, now: Timestamp) -> i64 {
        (self.not_after - now).num_seconds().div_euclid(24 * 60 * 60)
    }
}

/// A host name or IP address; `None` for a name of another type.
fn shown(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(one_line(name, LENGTH)),
        GeneralName::IPAddress(bytes) => {
            let address = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            address.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from)).ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

fn instant(time: ASN1Time) -> Option<Timestamp> {
    DateTime::from_timestamp(time.timestamp(), 0)
}
