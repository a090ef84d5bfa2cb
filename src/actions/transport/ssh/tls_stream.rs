//! TLS over a stream to a host, for addresses that ask for it; trusted is whom this machine trusts.
//!
//! Deliberately absent: looking at certificates, which is the kind `tls`.

use std::sync::{Arc, OnceLock};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::actions::error::ActionError;
use crate::domain::core::text::one_line;

/// The longest reason that is kept.
const SAID: usize = 200;

/// A stream by TLS, to a server that proves to be `name`.
///
/// # Errors
/// `tls`.
pub async fn secured<S: AsyncRead + AsyncWrite + Unpin>(stream: S, name: &str) -> Result<TlsStream<S>, ActionError> {
    let distrusted =
        |reason: String| ActionError::new("tls", format!("no trusted connection: {}", one_line(&reason, SAID)));
    let server = ServerName::try_from(name.trim_matches(['[', ']']).to_owned());
    let server = server.map_err(|error| distrusted(error.to_string()))?;
    TlsConnector::from(config()).connect(server, stream).await.map_err(|error| distrusted(error.to_string()))
}

fn config() -> Arc<ClientConfig> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    let made = CONFIG.get_or_init(|| {
        // `main` has installed it already; a test or a library user may not have.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
    });
    Arc::clone(made)
}
