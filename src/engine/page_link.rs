//! Links to the page of an incident. Each carries a key that only the holder of the estate's secret can make.
//!
//! **Invariant:** a key is valid for one incident, and comparing keys takes constant time.
//!
//! A link does not expire. A new secret revokes all links.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::hmac;
use secrecy::ExposeSecret as _;

use super::Engine;
use crate::actions::Secrets;
use crate::domain::config::incident_page::PageConfig;
use crate::domain::core::id::IncidentId;

/// The prefix of the signed text, so that a signature for another purpose cannot be used as a key.
const PURPOSE: &str = "runbook.page.v1";

/// The shortest secret, in bytes: 128 bits, if they are random.
pub const MIN_SECRET_BYTES: usize = 16;

/// The HMAC key that signs links.
///
/// # Errors
/// A message when the secret is not there or too short.
fn signing_key(page: &PageConfig, secrets: &Secrets) -> Result<hmac::Key, String> {
    let secret = secrets.get(&page.secret.secret)?.expose_secret().trim();
    if secret.len() < MIN_SECRET_BYTES {
        return Err(format!("secret `{}` has less than {MIN_SECRET_BYTES} bytes", page.secret.secret));
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()))
}

/// The problem of the page's secret, if it cannot sign links.
pub fn secret_problem(page: &PageConfig, secrets: &Secrets) -> Option<String> {
    signing_key(page, secrets).err()
}

fn signed_text(id: &IncidentId) -> String {
    format!("{PURPOSE}\n{id}")
}

impl Engine {
    fn page(&self) -> Option<(&PageConfig, hmac::Key)> {
        let page = self.parts.catalog.estate().content.as_ref().ok()?.page.as_ref()?;
        Some((page, signing_key(page, &self.parts.secrets).ok()?))
    }

    /// The link to the page of an incident; none where the estate has no page.
    pub fn page_link(&self, id: &IncidentId) -> Option<String> {
        let (page, signing_key) = self.page()?;
        let key = BASE64_URL_SAFE_NO_PAD.encode(hmac::sign(&signing_key, signed_text(id).as_bytes()));
        Some(format!("{}/incidents/{id}?key={key}", page.url.trim_end_matches('/')))
    }

    /// Whether a key opens the page of an incident.
    pub fn opens_page(&self, id: &IncidentId, key: &str) -> bool {
        let Some((_, signing_key)) = self.page() else { return false };
        let Ok(key) = BASE64_URL_SAFE_NO_PAD.decode(key) else { return false };
        hmac::verify(&signing_key, signed_text(id).as_bytes(), &key).is_ok()
    }
}
