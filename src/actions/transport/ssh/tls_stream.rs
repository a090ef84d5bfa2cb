//! TLS over a forwarded stream. It trusts the certificate authorities of this machine.
//!
//! Not here: reporting the problems of a certificate; see the kind `tls`.

use std::sync::{Arc, OnceLock};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::domain::core::reason::Reason;
use crate::domain::core::text::one_line;

/// Characters of a message that are kept.
const SHOWN_LIMIT: usize = 200;

/// Starts TLS on a stream. The server must prove that it is `name`.
///
/// # Errors
/// `tls`, with the reason.
pub async fn secured<S: AsyncRead + AsyncWrite + Unpin>(stream: S, name: &str) -> Result<TlsStream<S>, Reason> {
    let distrusted =
        |reason: String| Reason::new("tls", format!("no trusted connection: {}", one_line(&reason, SHOWN_LIMIT)));
    let server = ServerName::try_from(name.trim_matches(['[', ']']).to_owned());
    let server = server.map_err(|error| distrusted(error.to_string()))?;
    TlsConnector::from(config()).connect(server, stream).await.map_err(|error| distrusted(error.to_string()))
}

fn config() -> Arc<ClientConfig> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    let config = CONFIG.get_or_init(|| {
        // `main` has installed it; a test or a library user may not have.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
    });
    Arc::clone(config)
}
