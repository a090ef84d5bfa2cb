//! Who or what caused an event, and how a person is identified.
//!
//! **Invariant:** a person is identified by what an interface has verified: the local account, the Slack user id, the e-mail address.
//! A name is for reading; it never gives a permission.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Who or what an event comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// A person, by name in the estate or by account, and the face that was used: `cli`, `stepper`, `slack`.
    Person {
        /// What to call the person: the key in the estate's `people`, else the bare account or id. Proves nothing.
        name: String,
        /// Through which face.
        via: String,
        /// What the face has proved; without it the person may do only what anybody may.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<Identity>,
    },
    /// A sender of alerts, by its name in the estate.
    Sender {
        /// Its name.
        name: String,
    },
    /// The engine itself.
    Engine,
}

impl Actor {
    /// A person at a face that proves nothing.
    pub fn person(name: impl Into<String>, via: impl Into<String>) -> Self {
        Self::Person { name: name.into(), via: via.into(), id: None }
    }

    /// The name for people.
    pub fn name(&self) -> &str {
        match self {
            Self::Person { name, .. } | Self::Sender { name } => name,
            Self::Engine => "runbook",
        }
    }

    /// What the face has proved of the person.
    pub fn identity(&self) -> Option<&Identity> {
        match self {
            Self::Person { id, .. } => id.as_ref(),
            Self::Sender { .. } | Self::Engine => None,
        }
    }
}

/// What proves who a person is: written `account:ada`, `slack:U024BE7LH`, `email:ada@shop.example`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identity {
    /// An account on the host, as the kernel has it.
    Account(String),
    /// A Slack user id, from a request that Slack has signed or sent over its socket.
    Slack(String),
    /// An e-mail address that the face has verified.
    Email(String),
}

impl Identity {
    /// The account, id or address itself.
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
