//! The actor that caused an event, and the identity of a person.
//!
//! **Invariant:** a person is identified by a local account, a Slack user id or an e-mail address that an interface has verified.
//! A name is for reading; it never gives a permission.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The cause of an event.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// A person.
    Person {
        /// The name that is shown: the key in the estate's `people`, otherwise the account or id. It proves nothing.
        name: String,
        /// The interface that the person used: `cli`, `stepper`, `slack`.
        via: String,
        /// The identity that the interface has verified. Without it, the person has only the permissions of everybody.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<Identity>,
    },
    /// A sender of alerts.
    Sender {
        /// Its name in the estate.
        name: String,
    },
    /// The engine.
    Engine,
}

impl Actor {
    /// A person without a verified identity.
    pub fn person(name: impl Into<String>, via: impl Into<String>) -> Self {
        Self::Person { name: name.into(), via: via.into(), id: None }
    }

    /// The name that is shown to people.
    pub fn name(&self) -> &str {
        match self {
            Self::Person { name, .. } | Self::Sender { name } => name,
            Self::Engine => "runbook",
        }
    }

    /// The verified identity of a person.
    pub fn identity(&self) -> Option<&Identity> {
        match self {
            Self::Person { id, .. } => id.as_ref(),
            Self::Sender { .. } | Self::Engine => None,
        }
    }
}

/// The verified identity of a person, written `account:ada`, `slack:U024BE7LH` or `email:ada@shop.example`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identity {
    /// An account on the host, as the kernel reports it.
    Account(String),
    /// A Slack user id, from a request that Slack has signed or sent over Socket Mode.
    Slack(String),
    /// An e-mail address that an interface has verified.
    Email(String),
}

impl Identity {
    /// The account, id or address, without its kind.
    pub fn value(&self) -> &str {
        match self {
            Self::Account(value) | Self::Slack(value) | Self::Email(value) => value,
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(value) => write!(f, "account:{value}"),
            Self::Slack(value) => write!(f, "slack:{value}"),
            Self::Email(value) => write!(f, "email:{value}"),
        }
    }
}

impl FromStr for Identity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some(("account", value)) => Ok(Self::Account(value.to_owned())),
            Some(("slack", value)) => Ok(Self::Slack(value.to_owned())),
            Some(("email", value)) => Ok(Self::Email(value.to_owned())),
            _ => Err(format!("`{}` is no identity such as `account:ada`", text.escape_debug())),
        }
    }
}

impl Serialize for Identity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Identity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
