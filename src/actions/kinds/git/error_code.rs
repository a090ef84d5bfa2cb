//! Classifies the error output of git and its ssh. git has one exit code for most failures, so only its messages
//! distinguish them. `LC_ALL=C` keeps the messages untranslated.
//!
//! **Invariant:** no other module searches git's messages.

use crate::domain::core::reason::ReasonCode;

/// The work tree belongs to another account.
pub const UNSAFE_OWNER: &str = "unsafe_owner";
/// The remote's host key is unknown or has changed.
pub const HOST_KEY: &str = "host_key";
/// The remote accepts none of our keys.
pub const ACCESS: &str = "access";
/// The remote asks for a password.
pub const CREDENTIALS: &str = "credentials";
/// The remote does not exist.
pub const NO_REMOTE: &str = "no_remote";
/// The directory is not a work tree.
pub const NO_REPOSITORY: &str = "no_repository";

/// Codes and the parts of messages that identify them; the first match counts.
const KNOWN: [(&str, &[&str]); 6] = [
    (UNSAFE_OWNER, &["dubious ownership"]),
    (HOST_KEY, &["Host key verification failed"]),
    (ACCESS, &["Permission denied", "publickey"]),
    (CREDENTIALS, &["Authentication failed", "could not read Username", "terminal prompts disabled"]),
    (NO_REMOTE, &["No such remote"]),
    (NO_REPOSITORY, &["not a git repository"]),
];

/// The code for git's error output; `git` if it is not recognised.
pub(super) fn code(stderr: &str) -> ReasonCode {
    let matches = |parts: &[&str]| parts.iter().any(|part| stderr.contains(part));
    KNOWN.iter().find(|(_, parts)| matches(parts)).map_or("git", |(code, _)| *code).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_git_have_a_code() {
        for (stderr, expected) in [
            ("Host key verification failed.\nfatal: Could not read from remote repository.", HOST_KEY),
            ("git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.", ACCESS),
            ("fatal: could not read Username for 'https://h': terminal prompts disabled", CREDENTIALS),
            ("error: No such remote 'origin'", NO_REMOTE),
            ("fatal: not a git repository (or any of the parent directories): .git", NO_REPOSITORY),
            ("fatal: detected dubious ownership in repository at '/srv/shop'", UNSAFE_OWNER),
            ("fatal: the remote end hung up unexpectedly", "git"),
        ] {
            assert_eq!(code(stderr), expected, "{stderr}");
        }
    }
}
