//! The e-mail channel: one plain-text message by SMTP.
//!
//! Messages of one incident form a thread: each refers to the first by its Message-ID.
//!
//! **Invariant:** passwords and messages leave this machine only over TLS. Without TLS, the server must be a loopback address,
//! or `localhost` with only loopback addresses.
//!
//! Not here: HTML, attachments and queues.

use std::net::{IpAddr, ToSocketAddrs as _};

use async_trait::async_trait;
use lettre::message::{Mailbox, header};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use secrecy::{ExposeSecret, SecretString};

use super::{
    EXCHANGE_LIMIT, MessageChannel, OutgoingMessage, Receipt, Undelivered, permanent, root_cause, subject, temporary,
};
use crate::domain::config::estate::{Email, Tls as TlsMode};
use crate::domain::core::text::printable;

/// Sends messages to a list of addresses.
pub struct EmailChannel {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
    server: String,
}

impl EmailChannel {
    /// Uses the server in `email`. `trust` holds PEM certificates to trust instead of the system's.
    ///
    /// # Errors
    /// If an address is invalid, certificates cannot be read, or TLS is off for a remote server.
    pub fn new(email: &Email, password: Option<&SecretString>, trust: Option<&[u8]>) -> Result<Self, Undelivered> {
        if email.tls == TlsMode::None && !is_loopback(&email.server, email.port) {
            return Err(permanent("without TLS a message goes only to this machine; write `tls: starttls`"));
        }
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(email.server.as_str())
            .port(email.port)
            .timeout(Some(EXCHANGE_LIMIT))
            .tls(tls(email, trust)?);
        if let (Some(user), Some(password)) = (&email.user, password) {
            builder = builder.credentials(Credentials::new(user.clone(), password.expose_secret().to_owned()));
        }
        let to = email.to.iter().map(|address| mailbox(address)).collect::<Result<_, _>>()?;
        let server = format!("{}:{}", email.server, email.port);
        Ok(Self { transport: builder.build(), from: mailbox(&email.from)?, to, server })
    }

    fn message(&self, message: &OutgoingMessage) -> Result<Message, Undelivered> {
        let id = |key: &str| format!("<{key}@{}>", self.from.email.domain());
        let mut builder = Message::builder()
            .from(self.from.clone())
            .subject(subject(message))
            .date(message.at.into())
            .message_id(Some(id(&message.key)));
        for to in &self.to {
            builder = builder.to(to.clone());
        }
        if let Some(first) = message.thread.as_ref().filter(|first| **first != message.key) {
            builder = builder.in_reply_to(id(first)).references(id(first));
        }
        builder
            .header(header::ContentType::TEXT_PLAIN)
            .body(printable(&message.text).into_owned())
            .map_err(|error| permanent(format!("the message cannot be written as e-mail: {error}")))
    }
}

impl std::fmt::Debug for EmailChannel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EmailChannel({})", self.server)
    }
}

#[async_trait]
impl MessageChannel for EmailChannel {
    async fn send(&self, message: &OutgoingMessage) -> Result<Receipt, Undelivered> {
        let email = self.message(message)?;
        // The library limits only the time to connect.
        let sent = tokio::time::timeout(EXCHANGE_LIMIT, self.transport.send(email)).await;
        let timed_out = |_| temporary(format!("the server {} does not answer", self.server));
        sent.map_err(timed_out)?.map_err(|error| undelivered(&error, &self.server))?;
        Ok(Receipt { message: Some(message.key.clone()), place: None })
    }
}

/// Whether a server is a loopback address, or `localhost` with only loopback addresses.
fn is_loopback(server: &str, port: u16) -> bool {
    if let Ok(address) = server.parse::<IpAddr>() {
        return address.is_loopback();
    }
    server == "localhost"
        && (server, port).to_socket_addrs().is_ok_and(|mut found| found.all(|address| address.ip().is_loopback()))
}

fn tls(email: &Email, trust: Option<&[u8]>) -> Result<Tls, Undelivered> {
    let wrong = |error: lettre::transport::smtp::Error| permanent(format!("no TLS: {}", root_cause(&error)));
    let mut parameters = TlsParameters::builder(email.server.clone());
    if let Some(pem) = trust {
        parameters = parameters.certificate_store(CertificateStore::None);
        parameters = parameters.add_root_certificate(Certificate::from_pem(pem).map_err(wrong)?);
    }
    Ok(match email.tls {
        TlsMode::None => Tls::None,
        // Not `Opportunistic`: an attacker in between could remove `STARTTLS` from the server's response.
        TlsMode::Starttls => Tls::Required(parameters.build_rustls().map_err(wrong)?),
        TlsMode::Implicit => Tls::Wrapper(parameters.build_rustls().map_err(wrong)?),
    })
}

fn mailbox(address: &str) -> Result<Mailbox, Undelivered> {
    let address: Address = address.parse().map_err(|_| permanent(format!("`{address}` is no e-mail address")))?;
    Ok(Mailbox::new(None, address))
}

/// Explains an SMTP error. 4yz is temporary, 5yz permanent (RFC 5321, 4.2.1).
fn undelivered(error: &lettre::transport::smtp::Error, server: &str) -> Undelivered {
    let cause = root_cause(error);
    if error.is_permanent() {
        return permanent(format!("the server {server} rejected the message: {cause}"));
    }
    temporary(format!("the server {server} did not accept the message: {cause}"))
}
