//! Where steps act: this machine, or another one over SSH.
//!
//! **Invariant:** destinations and option values are validated by the checker before they become words of a command line.
//!
//! Not here: the connection (see `actions::transport`); keys and known hosts are OpenSSH's.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::core::glob_name::matches;

/// How the machine that this program runs on is called where a host is named.
pub const LOCAL: &str = "local";

/// How kinds call the machine that they act on, before it is known which one that is.
pub const HERE: &str = "this host";

/// Where an environment's host is.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Host {
    /// This machine.
    #[default]
    Local,
    /// Another one.
    Ssh(SshHost),
}

/// A machine that is reached by SSH.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SshHost {
    /// `deploy@web1`, or a name that the configuration of ssh knows.
    pub to: String,
    /// The port of its SSH server; ssh's configuration says it unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The configuration file of ssh in place of the account's own, relative to the shop's directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
    /// Further options of ssh by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// Patterns of names and addresses that are reached from there, besides its own loopback.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reaches: Vec<String>,
}

impl Host {
    /// The machine behind SSH, if it is one.
    pub fn ssh(&self) -> Option<&SshHost> {
        match self {
            Self::Local => None,
            Self::Ssh(host) => Some(host),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str(HERE),
            Self::Ssh(host) => f.write_str(&host.to),
        }
    }
}

impl SshHost {
    /// Whether a host's name or address means another machine when it is said over there: loopback does, and so does
    /// whatever the estate says is reached from there only.
    pub fn reaches(&self, name: &str) -> bool {
        let name = name.trim_matches(['[', ']']).to_ascii_lowercase();
        is_loopback(&name) || self.reaches.iter().any(|pattern| matches(&pattern.to_ascii_lowercase(), &name))
    }
}

/// RFC 6761 gives `localhost` and all below it to loopback.
fn is_loopback(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name == "localhost"
        || name.ends_with(".localhost")
        || name == "::1"
        || name.starts_with("127.") && name.split('.').filter(|part| part.parse::<u8>().is_ok()).count() == 4
}

/// Whether a text is a destination: `host` or `user@host`, and nothing that ssh or a shell could take for more.
pub fn is_destination(text: &str) -> bool {
    let (user, host) = text.rsplit_once('@').map_or((None, text), |(user, host)| (Some(user), host));
    let is_word = |word: &str, more: &str, longest: usize| {
        let fits = |c: char| c.is_ascii_alphanumeric() || more.contains(c);
        !word.is_empty() && word.len() <= longest && !word.starts_with('-') && word.chars().all(fits)
    };
    is_word(host, "._-:", 253) && user.is_none_or(|user| is_word(user, "._-+", 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_holds_nothing_that_could_be_more() {
        for right in ["web1", "deploy@web1.example.org", "deploy@10.0.0.7", "x@::1", "a_b@web-1"] {
            assert!(is_destination(right), "{right}");
        }
        for wrong in [
            "",
            "-oProxyCommand=id",
            "a@-b",
            "-a@b",
            "a b",
            "a@b;id",
            "$(id)",
            "a@b@c",
            "a@",
            "@b",
            "ssh://a",
            "a/b",
            "a\nb",
        ] {
            assert!(!is_destination(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn loopback_is_the_hosts_own_and_so_is_what_the_estate_says() {
        let host =
            SshHost { reaches: vec!["*.rds.amazonaws.com".to_owned(), "10.0.*".to_owned()], ..SshHost::default() };
        for there in [
            "127.0.0.1",
            "127.8.8.8",
            "::1",
            "[::1]",
            "localhost",
            "Redis.localhost",
            "db.RDS.amazonaws.com",
            "10.0.7.1",
        ] {
            assert!(host.reaches(there), "{there}");
        }
        for here in ["pakashop.store", "10.1.0.1", "localhost.evil.org", "128.0.0.1"] {
            assert!(!host.reaches(here), "{here}");
        }
    }
}
