//! Explains why ssh could not connect, and which command to type. ssh has one exit code for every failure, so its messages
//! are the only source.
//!
//! Not here: accepting a host key. A person compares and accepts it.

use crate::domain::config::estate::SshHost;
use crate::domain::core::reason::{Reason, ReasonCode};
use crate::domain::core::text::one_line;

/// Characters of an ssh message that are quoted.
const SHOWN_LIMIT: usize = 200;

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
    /// ssh cannot connect to the host.
    pub(crate) fn unreachable(host: &SshHost, reason: impl std::fmt::Display) -> Self {
        Self { host: host.to.clone(), what: format!("cannot be reached: {reason}") }
    }

    /// The host accepts a connection, but runs no command.
    pub(crate) fn no_command(host: &SshHost, reason: &str) -> Self {
        Self { host: host.to.clone(), what: format!("runs no command: {reason}") }
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

/// The error for the messages that ssh printed when it could not connect.
pub(crate) fn of(messages: &str, host: &SshHost) -> ConnectError {
    let by_hand = ssh_command(host, &["-o StrictHostKeyChecking=ask"]);
    let reason = if messages.contains("REMOTE HOST IDENTIFICATION HAS CHANGED") {
        let forget = line_with(messages, "ssh-keygen -f").unwrap_or("ssh-keygen -R <host>");
        format!(
            "its host key has changed; the connection may be intercepted. If the host was installed again, \
             `{}` removes the old key",
            one_line(forget, SHOWN_LIMIT)
        )
    } else if messages.contains("key is known for") || messages.contains("Host key verification failed") {
        let name = between(messages, "key is known for ", " and you have");
        let key = name.map_or_else(
            || "its host key".to_owned(),
            |name| format!("the host key of `{}`", one_line(name, SHOWN_LIMIT)),
        );
        format!("{key} is unknown; `{by_hand}` shows it: compare it with the key on the host, and accept it once")
    } else if let Some(line) = line_with(messages, "Permission denied") {
        format!("it refused the login ({}); `{by_hand}` must work without a password", one_line(line, SHOWN_LIMIT))
    } else {
        let last = messages.lines().rev().find(|line| !line.trim().is_empty());
        last.map_or_else(|| "ssh printed no reason".to_owned(), |line| one_line(line, SHOWN_LIMIT))
    };
    ConnectError::unreachable(host, reason)
}

/// The command to type to connect as this program does. A remote command may follow it.
pub fn manual_command(host: &SshHost) -> String {
    ssh_command(host, &[])
}

fn ssh_command(host: &SshHost, first_options: &[&str]) -> String {
    let mut parts = vec!["ssh".to_owned()];
    parts.extend(first_options.iter().map(|&option| option.to_owned()));
    parts.extend(host.config.iter().map(|config| format!("-F {config}")));
    parts.extend(host.port.map(|port| format!("-p {port}")));
    parts.extend(host.options.iter().map(|(name, value)| format!("-o {name}={value}")));
    parts.push(host.to.clone());
    parts.join(" ")
}

fn line_with<'m>(messages: &'m str, part: &str) -> Option<&'m str> {
    messages.lines().map(str::trim).find(|line| line.contains(part))
}

fn between<'m>(messages: &'m str, before: &str, after: &str) -> Option<&'m str> {
    messages.split_once(before)?.1.split_once(after).map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_for_an_unknown_host_key_has_the_command_to_type() {
        let host = SshHost { to: "deploy@web1".to_owned(), port: Some(2222), ..SshHost::default() };
        let messages = "No ED25519 host key is known for [web1]:2222 and you have requested strict checking.\r\nHost key verification failed.\r\n";
        assert_eq!(
            of(messages, &host).to_string(),
            "`deploy@web1` cannot be reached: the host key of `[web1]:2222` is unknown; \
             `ssh -o StrictHostKeyChecking=ask -p 2222 deploy@web1` shows it: compare it with the key on the host, and \
             accept it once"
        );
        let denied = of("deploy@web1: Permission denied (publickey).\r\n", &host).what;
        assert!(denied.contains("refused the login (deploy@web1: Permission denied (publickey).)"), "{denied}");
        assert!(
            of("ssh: connect to host web1 port 22: Connection refused\n", &host).what.ends_with("Connection refused")
        );
    }
}
