//! Makes a TLS handshake that accepts any certificate, and returns the certificate chain.

use std::io;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, ProtocolVersion, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::actions::Context;
use crate::actions::transport::host;
use crate::domain::core::reason::Reason;
use crate::domain::core::text::one_line;

/// Characters of a message that are kept.
const SHOWN_LIMIT: usize = 200;

/// The result of a handshake.
#[derive(Debug)]
pub(super) struct Handshake {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) protocol: String,
    pub(super) cipher: Option<String>,
}

impl Handshake {
    /// The server's own certificate, the first of the chain.
    pub(super) fn leaf(&self) -> &CertificateDer<'static> {
        &self.chain[0]
    }
}

/// The cryptography for handshakes and certificates.
pub(super) fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(ring::default_provider()))
}

/// Connects to a server and makes the handshake, through the environment's host if only that reaches the server.
pub(super) async fn make(
    host: &str,
    port: u16,
    name: ServerName<'static>,
    context: &Context,
) -> Result<Handshake, Reason> {
    let Some(forward) = host::open_forward(host, port, context).await? else {
        let stream = TcpStream::connect((host, port)).await.map_err(|error| connect_error(&error))?;
        return over(stream, name).await;
    };
    match over(forward.stream, name).await {
        // The reason why the stream ended explains more than an error that follows from it.
        Err(error) if error.code == "closed" => Err(forward.end.reason().await.unwrap_or(error)),
        result => result,
    }
}

/// Makes the handshake over a stream.
async fn over<S: AsyncRead + AsyncWrite + Unpin>(stream: S, name: ServerName<'static>) -> Result<Handshake, Reason> {
    let config = ClientConfig::builder_with_provider(Arc::clone(provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Reason::new("tls", error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AcceptAny))
        .with_no_client_auth();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    let stream = stream.map_err(|error| handshake_error(&error))?;
    let (_, connection) = stream.get_ref();
    let chain: Vec<_> =
        connection.peer_certificates().unwrap_or_default().iter().cloned().map(CertificateDer::into_owned).collect();
    if chain.is_empty() {
        return Err(Reason::new("tls", "it sends no certificate"));
    }
    let protocol = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => "TLS 1.2".to_owned(),
        Some(ProtocolVersion::TLSv1_3) => "TLS 1.3".to_owned(),
        other => format!("{other:?}"),
    };
    let cipher = connection.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite()));
    Ok(Handshake { chain, protocol, cipher })
}

fn connect_error(error: &io::Error) -> Reason {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Reason::new("refused", "the connection was refused: nothing listens there"),
        io::ErrorKind::TimedOut => Reason::new("timeout", "no connection in time"),
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
            Reason::new("unreachable", one_line(&error.to_string(), SHOWN_LIMIT))
        }
        // The resolver's errors have no OS error number.
        _ if error.raw_os_error().is_none() => Reason::new("dns", "the name of the host is not known"),
        _ => Reason::new("closed", one_line(&error.to_string(), SHOWN_LIMIT)),
    }
}

fn handshake_error(error: &io::Error) -> Reason {
    let reason = one_line(&error.to_string(), SHOWN_LIMIT);
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::InvalidMessage(_)) => Reason::new("not_tls", "its response is not TLS"),
        Some(Error::AlertReceived(_) | Error::PeerIncompatible(_) | Error::PeerMisbehaved(_)) => {
            Reason::new("protocol", format!("no handshake: {reason}"))
        }
        Some(_) => Reason::new("tls", format!("no handshake: {reason}")),
        None => Reason::new("closed", format!("it closed the connection: {reason}")),
    }
}

/// Accepts any certificate, but verifies that the server has its private key.
#[derive(Debug)]
struct AcceptAny;

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
