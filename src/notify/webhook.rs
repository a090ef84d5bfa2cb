//! The webhook channel: a signed POST request as in Standard Webhooks, <https://www.standardwebhooks.com>.
//!
//! The headers `webhook-id`, `webhook-timestamp` and `webhook-signature` prove who sent the body and when. The id is
//! the same for every attempt, so that the receiver can recognise a repeat.
//!
//! **Invariant:** no error here holds the key. The signed bytes are the bytes sent.

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use secrecy::{ExposeSecret, SecretString};

use super::{
    MessageChannel, OutgoingMessage, Receipt, Undelivered, client, permanent, requested_wait, root_cause, temporary,
};
use crate::domain::core::text::printable;
use crate::domain::core::time::stamp;

/// A channel that sends signed requests.
pub struct WebhookChannel {
    client: reqwest::Client,
    address: url::Url,
    key: hmac::Key,
}

impl WebhookChannel {
    /// Sends to `address`; the secret is `whsec_` and the key in base64.
    ///
    /// # Errors
    /// If the address is invalid, or neither encrypted nor on this machine, or if the key is invalid.
    pub fn new(address: &str, secret: &SecretString) -> Result<Self, Undelivered> {
        let address: url::Url =
            address.parse().map_err(|error| permanent(format!("its address is no URL: {error}")))?;
        let is_loopback = match address.host() {
            Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
            Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
            Some(url::Host::Domain(name)) => name == "localhost",
            None => false,
        };
        if address.scheme() != "https" && !(address.scheme() == "http" && is_loopback) {
            return Err(permanent("its address does not begin with `https://`"));
        }
        let key = secret.expose_secret().trim();
        let key = STANDARD
            .decode(key.strip_prefix("whsec_").unwrap_or(key))
            .map_err(|_| permanent("its key is not `whsec_` and base64"))?;
        Ok(Self { client: client()?, address, key: hmac::Key::new(hmac::HMAC_SHA256, &key) })
    }

    /// Signs a body with its id and timestamp.
    fn signature(&self, id: &str, seconds: &str, body: &str) -> String {
        let tag = hmac::sign(&self.key, format!("{id}.{seconds}.{body}").as_bytes());
        format!("v1,{}", STANDARD.encode(tag.as_ref()))
    }
}

impl std::fmt::Debug for WebhookChannel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Webhook")
    }
}

#[async_trait]
impl MessageChannel for WebhookChannel {
    async fn send(&self, message: &OutgoingMessage) -> Result<Receipt, Undelivered> {
        let body = serde_json::json!({
            "type": "runbook.message",
            "timestamp": stamp(message.at),
            "data": {"key": message.key, "incident": message.incident, "severity": message.severity, "text": printable(&message.text)},
        });
        let (body, id) = (body.to_string(), format!("msg_{}", message.key));
        let seconds = message.at.timestamp().to_string();
        let post = self
            .client
            .post(self.address.clone())
            .header("content-type", "application/json")
            .header("webhook-id", &id)
            .header("webhook-timestamp", &seconds)
            .header("webhook-signature", self.signature(&id, &seconds, &body))
            .body(body);
        let response = post
            .send()
            .await
            .map_err(|error| temporary(format!("it cannot be reached: {}", root_cause(&error.without_url()))))?;
        receipt(&response, message)
    }
}

/// Interprets a status. Every 2yz is success, as the specification says. Only a status that cannot change is permanent.
fn receipt(response: &reqwest::Response, message: &OutgoingMessage) -> Result<Receipt, Undelivered> {
    let status = response.status();
    if status.is_success() {
        return Ok(Receipt { message: None, place: None });
    }
    let reason = format!("it answered with HTTP status {}", status.as_u16());
    let retry_after = requested_wait(response, message.at);
    let is_temporary = status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429);
    Err(Undelivered { reason, retry_after, permanent: !is_temporary })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_equals_that_of_the_specification() {
        // From the specification's reference libraries.
        let hook =
            WebhookChannel::new("https://example.com", &"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()).unwrap();
        let signature = hook.signature("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", r#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn an_unencrypted_address_of_another_machine_is_refused() {
        let key = SecretString::from("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        assert!(WebhookChannel::new("http://127.0.0.1:1/hook", &key).is_ok());
        for address in ["http://shop.example/hook", "ftp://127.0.0.1/", "no address"] {
            assert!(WebhookChannel::new(address, &key).unwrap_err().permanent, "{address}");
        }
    }
}
