//! The address of a datastore: from the estate by its name, or from the field `url`.
//!
//! **Invariant:** no message from this module contains an address.

use serde::Deserialize;
use url::Url;

use crate::actions::{Context, SecretText};
use crate::domain::config::estate::Datastore;
use crate::domain::config::kind_schema::{Field, Shape};
use crate::domain::core::reason::Reason;
use crate::domain::core::secret_ref::SecretRef;
use crate::domain::core::text::one_line;

/// Characters of a datastore name in a message.
const NAME_LIMIT: usize = 80;

/// The field `datastore`: a name in the estate.
pub const DATASTORE: Field = Field::optional(
    "datastore",
    Shape::Datastore,
    "The datastore of the estate; the only one of this kind unless given. Its address is its `url`, otherwise its `port` on this host.",
);

/// The field `url`, used instead of `datastore`.
pub const URL: Field = Field::optional(
    "url",
    Shape::Secret,
    "Its address, instead of `datastore`: `{secret: name}`, or text without a password.",
);

/// The fields of a spec that give the address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct DatastoreAddress {
    /// The name in the estate.
    pub datastore: Option<String>,
    pub url: Option<SecretText>,
}

impl DatastoreAddress {
    /// The address with its secrets. `kind` is the URL scheme and the kind in the estate; `port` is the default port.
    ///
    /// # Errors
    /// `no_such_datastore`, `secret` or `address`.
    pub fn address(&self, kind: &str, port: u16, context: &Context) -> Result<Url, Reason> {
        let reveal = |text: &SecretText| {
            let text = text.reveal(&context.secrets).map_err(|reason| Reason::new("secret", reason))?;
            parse(text.trim(), kind)
        };
        if let Some(text) = &self.url {
            let url = reveal(text)?;
            return match text {
                SecretText::Plain(_) if url.password().is_some() => {
                    Err(Reason::new("address", "an address with a password is given as `{secret: name}`"))
                }
                _ => Ok(url),
            };
        }
        let store = self.store(kind, context)?;
        match &store.url {
            Some(SecretRef { secret }) => reveal(&SecretText::Secret(SecretRef { secret: secret.clone() })),
            None => parse(&format!("{kind}://127.0.0.1:{}/", store.port.unwrap_or(port)), kind),
        }
    }

    /// The datastore for people: its name, or a description without the address.
    pub fn shown(&self, kind: &str) -> String {
        match (&self.datastore, &self.url) {
            (Some(name), _) => one_line(name, NAME_LIMIT),
            (None, Some(SecretText::Secret(reference))) => format!("the {kind} at secret `{}`", reference.secret),
            _ => format!("the estate's {kind}"),
        }
    }

    fn store<'e>(&self, kind: &str, context: &'e Context) -> Result<&'e Datastore, Reason> {
        let unknown = |message: String| Reason::new("no_such_datastore", message);
        let stores = &context.estate.datastores;
        let Some(name) = &self.datastore else {
            let mut of_kind = stores.iter().filter(|(_, store)| store.kind == kind);
            return match (of_kind.next(), of_kind.next()) {
                (Some((_, store)), None) => Ok(store),
                (None, _) => Err(unknown(format!("the estate has no datastore of the kind `{kind}`"))),
                _ => Err(unknown(format!("the estate has several datastores of the kind `{kind}`: name one"))),
            };
        };
        let shown = one_line(name, NAME_LIMIT);
        match stores.get(name) {
            None => Err(unknown(format!("the estate has no datastore `{shown}`"))),
            Some(store) if store.kind != kind => {
                Err(unknown(format!("the datastore `{shown}` is of the kind `{}`, not `{kind}`", store.kind)))
            }
            Some(store) => Ok(store),
        }
    }
}

/// Parses an address of this kind; `redis` allows `rediss`, `postgres` allows `postgresql`.
fn parse(text: &str, kind: &str) -> Result<Url, Reason> {
    let invalid = |message: String| Reason::new("address", message);
    let url = Url::parse(text).map_err(|error| invalid(format!("the address of the {kind} is invalid: {error}")))?;
    match url.scheme() {
        scheme if scheme.starts_with(kind) => Ok(url),
        _ => Err(invalid(format!("the address does not begin with `{kind}://`"))),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::actions::kinds::support::testing::context;

    fn with(stores: serde_json::Value) -> Context {
        let estate = serde_json::from_value(json!({ "estate": "shop", "datastores": stores })).unwrap();
        Context { estate: Arc::new(estate), ..context() }
    }

    #[test]
    fn the_only_datastore_of_a_kind_is_the_default() {
        let context = with(json!({ "cache": { "kind": "redis", "port": 6380 }, "db": { "kind": "postgres" } }));
        let address = |name: Option<&str>| {
            DatastoreAddress { datastore: name.map(str::to_owned), url: None }.address("redis", 6379, &context)
        };
        assert_eq!(address(None).unwrap().as_str(), "redis://127.0.0.1:6380/");
        assert_eq!(address(Some("cache")).unwrap().port(), Some(6380));
        assert_eq!(address(Some("db")).unwrap_err().text, "the datastore `db` is of the kind `postgres`, not `redis`");
        assert_eq!(address(Some("cash")).unwrap_err().text, "the estate has no datastore `cash`");
        let two = with(json!({ "a": { "kind": "redis" }, "b": { "kind": "redis" } }));
        assert_eq!(DatastoreAddress::default().address("redis", 6379, &two).unwrap_err().code, "no_such_datastore");
    }

    #[test]
    fn a_message_about_an_invalid_address_does_not_contain_it() {
        for text in ["hunter2", "redis://u:hunter2@[::1", "http://u:hunter2@x/", "redis://:hunter2@x:99999/"] {
            let message = parse(text, "redis").unwrap_err().text;
            assert!(!message.contains("hunter2"), "{message}");
        }
    }
}
