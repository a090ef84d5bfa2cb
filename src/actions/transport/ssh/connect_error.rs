//! Why there is no connection, from ssh's own words, and what to type. ssh has no codes: these words are all it gives.
//!
//! Deliberately absent: mending it. A host key is taken in by a person who has compared it, never by this program.

use crate::domain::config::estate::SshHost;
use crate::domain::core::reason::{Reason, ReasonCode};
use crate::domain::core::text::one_line;

/// Characters of an ssh message that are quoted.
const SAID: usize = 200;

/// Why a host cannot be used. The host and the problem are separate fields, since callers may have named the host
/// already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectError {
    /// The host as the estate names it.
    pub host: String,
    /// The problem, as the rest of a sentence whose subject is the host.
    pub what: String,
}

impl ConnectError {
    /// For a host that ssh cannot connect to.
    pub(crate) fn unreachable(host: &SshHost, why: impl std::fmt::Display) -> Self {
        Self { host: host.to.clone(), what: format!("cannot be reached: {why}") }
    }
}

impl std::fmt::Display for ConnectError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` {}", self.host, self.what)
    }
}

impl From<ConnectError> for Reason {
    fn from(error: ConnectError) -> Self {
        Self::new(ReasonCode::HOST_UNREACHABLE, error.to_string())
    }
}

/// Translates what ssh printed when it could not connect.
pub(crate) fn of(said: &str, host: &SshHost) -> ConnectError {
    let by_hand = manual_command(host).replacen("ssh", "ssh -o StrictHostKeyChecking=ask", 1);
    let reason = if said.contains("REMOTE HOST IDENTIFICATION HAS CHANGED") {
        let forget = line_with(said, "ssh-keygen -f").map_or_else(|| "ssh-keygen -R <host>".to_owned(), str::to_owned);
        format!(
            "its host key is another than the one that is known; somebody may be listening in between. If it was really set up anew, \
             `{}` forgets the old key",
            one_line(&forget, SAID)
        )
    } else if said.contains("key is known for") || said.contains("Host key verification failed") {
        let name = between(said, "key is known for ", " and you have");
        let whose = name
            .map_or_else(|| "its host key".to_owned(), |name| format!("the host key of `{}`", one_line(name, SAID)));
        format!("{whose} is not known; compare it with the host's own and take it in once, by `{by_hand}`")
    } else if let Some(line) = line_with(said, "Permission denied") {
        format!("it does not let us in ({}); `{by_hand}` has to work without a password", one_line(line, SAID))
    } else {
        let last = said.lines().rev().find(|line| !line.trim().is_empty());
        last.map_or_else(|| "ssh says nothing about why".to_owned(), |line| one_line(line, SAID))
    };
    ConnectError::unreachable(host, reason)
}

/// The command a person types to connect as this program does. A remote command may follow it.
pub fn manual_command(host: &SshHost) -> String {
    let mut words = vec!["ssh".to_owned()];
    words.extend(host.config.iter().map(|config| format!("-F {config}")));
    words.extend(host.port.map(|port| format!("-p {port}")));
    words.extend(host.options.iter().map(|(name, value)| format!("-o {name}={value}")));
    words.push(host.to.clone());
    words.join(" ")
}

fn line_with<'s>(said: &'s str, part: &str) -> Option<&'s str> {
    said.lines().map(str::trim).find(|line| line.contains(part))
}

fn between<'s>(said: &'s str, before: &str, after: &str) -> Option<&'s str> {
    said.split_once(before)?.1.split_once(after).map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_key_that_is_not_known_is_told_with_what_to_type() {
        let host = SshHost { to: "deploy@web1".to_owned(), port: Some(2222), ..SshHost::default() };
        let said = "No ED25519 host key is known for [web1]:2222 and you have requested strict checking.\r\nHost key verification failed.\r\n";
        assert_eq!(
            of(said, &host).to_string(),
            "`deploy@web1` cannot be reached: the host key of `[web1]:2222` is not known; compare it with the host's own and take it in \
             once, by `ssh -o StrictHostKeyChecking=ask -p 2222 deploy@web1`"
        );
        let denied = of("deploy@web1: Permission denied (publickey).\r\n", &host).what;
        assert!(denied.contains("does not let us in (deploy@web1: Permission denied (publickey).)"), "{denied}");
        assert!(
            of("ssh: connect to host web1 port 22: Connection refused\n", &host).what.ends_with("Connection refused")
        );
    }
}
