//! The host on which steps act: this machine, or another one by SSH.
//!
//! **Invariant:** the checker validates destinations and option values before they become arguments of `ssh`.
//!
//! Not here: the connection (see `actions::transport`), and keys and known hosts, which OpenSSH reads.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::core::glob_name::matches;

/// The name in the estate of the machine that this program runs on.
pub const LOCAL: &str = "local";

/// The phrase for this machine in messages.
pub const HERE: &str = "this host";

/// A host of an environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Host {
    /// This machine.
    #[default]
    Local,
    /// A host reached by SSH.
    Ssh(SshHost),
}

/// A host that is reached by SSH.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SshHost {
    /// The destination: `deploy@web1`, or a host of ssh's configuration.
    pub to: String,
    /// The port of its SSH server; without it, the port in ssh's configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// A configuration file of ssh in place of the account's, relative to the project directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
    /// Options of ssh by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// Patterns of names and addresses that are connected to from this host, besides its loopback.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reaches: Vec<String>,
}

impl Host {
    /// The host reached by SSH, if it is one.
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
    /// Whether a name or address is connected to from this host, and not from the machine that `runbook` runs on: its loopback,
    /// and the patterns in `reaches`.
    pub fn reaches(&self, name: &str) -> bool {
        let name = name.trim_matches(['[', ']']).to_ascii_lowercase();
        is_loopback(&name) || self.reaches.iter().any(|pattern| matches(&pattern.to_ascii_lowercase(), &name))
    }
}

/// Whether a name is of the loopback interface. RFC 6761 reserves `localhost` and all names below it.
fn is_loopback(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name == "localhost"
        || name.ends_with(".localhost")
        || name == "::1"
        || name.starts_with("127.") && name.split('.').filter(|part| part.parse::<u8>().is_ok()).count() == 4
}

/// Whether a text is a destination: `host` or `user@host`, without characters that ssh or a shell could interpret.
pub fn is_destination(text: &str) -> bool {
    let (user, host) = text.rsplit_once('@').map_or((None, text), |(user, host)| (Some(user), host));
    let is_plain = |part: &str, more: &str, longest: usize| {
        let fits = |c: char| c.is_ascii_alphanumeric() || more.contains(c);
        !part.is_empty() && part.len() <= longest && !part.starts_with('-') && part.chars().all(fits)
    };
    is_plain(host, "._-:", 253) && user.is_none_or(|user| is_plain(user, "._-+", 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_has_no_options_and_no_shell_syntax() {
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
    fn loopback_and_the_declared_patterns_are_reached_from_the_host() {
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
