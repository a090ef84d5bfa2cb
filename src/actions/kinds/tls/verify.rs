//! Finds every problem of a certificate. Each check is independent, so that one problem does not hide another.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error, RootCertStore};

use super::certificate::Certificate;
use super::handshake::{Handshake, provider};
use crate::actions::Context;
use crate::actions::transport::timeout::on_own_thread;
use crate::domain::core::reason::Reason;
use crate::domain::core::text::one_line;
use crate::domain::core::time::Timestamp;

/// Largest file of certificate authorities in bytes: ten times that of a Linux distribution.
const FILE_LIMIT: u64 = 4 * 1024 * 1024;

/// Characters of a path in a message.
const SHOWN_LIMIT: usize = 120;

/// The trusted authorities: those of the file, or the machine's.
pub(super) async fn roots(ca: Option<&str>, timeout: Duration, context: &Context) -> Result<RootCertStore, Reason> {
    match ca {
        None => on_own_thread(timeout, context, machine).await?,
        Some(file) => {
            let (path, shown) = (context.directory.join(file), one_line(file, SHOWN_LIMIT));
            let read = on_own_thread(timeout, context, move || authorities_in(path)).await?;
            read.map_err(|reason| Reason::new("ca", format!("`{shown}`: {reason}")))
        }
    }
}

/// The machine's authorities, about a hundred certificates. They are read once.
fn machine() -> Result<RootCertStore, Reason> {
    static MACHINE: OnceLock<RootCertStore> = OnceLock::new();
    let store = MACHINE.get_or_init(|| {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        store
    });
    if store.is_empty() {
        return Err(Reason::new(
            "ca",
            "this machine has no certificate authorities; install the package `ca-certificates`, or give `ca`",
        ));
    }
    Ok(store.clone())
}

fn authorities_in(path: PathBuf) -> Result<RootCertStore, String> {
    let mut text = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(FILE_LIMIT).read_to_end(&mut text).map_err(|error| error.to_string())?;
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| format!("it is not PEM: {error}"))?;
        store.add(certificate).map_err(|error| format!("a certificate in it cannot be used: {error}"))?;
    }
    if store.is_empty() { Err("there is no certificate in it".to_owned()) } else { Ok(store) }
}

/// The codes of all problems.
pub(super) fn problems(
    handshake: &Handshake,
    certificate: &Certificate,
    roots: &RootCertStore,
    name: &ServerName<'_>,
    now: Timestamp,
) -> Vec<&'static str> {
    let mut problems = Vec::new();
    if now > certificate.not_after {
        problems.push("expired");
    }
    if now < certificate.not_before {
        problems.push("not_yet_valid");
    }
    match ParsedCertificate::try_from(handshake.leaf()) {
        Err(_) => problems.push("untrusted"),
        Ok(leaf) => {
            problems.extend(verify_server_name(&leaf, name).err().map(|_| "wrong_host"));
            // The validity was checked above, so the chain is verified at an instant within it.
            let at = now.clamp(certificate.not_before, certificate.not_after.max(certificate.not_before));
            let seconds = u64::try_from(at.timestamp()).unwrap_or_default();
            let trusted = verify_server_cert_signed_by_trust_anchor(
                &leaf,
                roots,
                &handshake.chain[1..],
                UnixTime::since_unix_epoch(Duration::from_secs(seconds)),
                provider().signature_verification_algorithms.all,
            );
            problems.extend(trusted.err().map(|error| chain_problem(&error, certificate)));
        }
    }
    problems
}

fn chain_problem(error: &Error, certificate: &Certificate) -> &'static str {
    match error {
        _ if certificate.is_self_issued => "self_signed",
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => "unknown_issuer",
        _ => "untrusted",
    }
}
