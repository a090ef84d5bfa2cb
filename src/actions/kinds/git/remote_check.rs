//! Checks whether a remote can be reached, and lists its branches. It fetches nothing.

use std::collections::BTreeSet;

use super::REMOTE;
use super::repository::{GitError, Repository};
use crate::actions::Context;
use crate::domain::core::reason::Reason;

/// A remote that answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// Its address as in git's configuration; an HTTP address without user and password.
    pub address: String,
    pub branches: BTreeSet<String>,
}

/// Why a remote did not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreached {
    /// The host in its address, if there is one.
    pub host: Option<String>,
    /// The code is one of [`error_code`](super::error_code), or that of a program that did not start.
    pub reason: Reason,
}

/// Asks the remote of a work tree for its branches, within the context's deadline and without a prompt.
///
/// # Errors
/// git's message, after the address if that is known.
pub async fn reach(tree: &str, context: &Context) -> Result<Reached, Unreached> {
    let without_address = |error: GitError| Unreached { host: None, reason: error.into_reason() };
    let repository = Repository::of(Some(tree), context).map_err(without_address)?;
    let address = shown(&repository.output(&["remote", "get-url", REMOTE]).await.map_err(without_address)?);
    let at_address = |reason: Reason| Unreached { host: host(&address).map(str::to_owned), reason };
    let listed = repository.git_remotely(&["ls-remote", "--heads", REMOTE]).await;
    let listed =
        listed.map_err(|error| at_address(error.into_reason().worded(|text| format!("`{address}`: {text}"))))?;
    if listed.code != 0 {
        return Err(at_address(listed.reason(format!("`{address}` does not answer: {}", listed.stderr_tail()))));
    }
    let branch = |line: &str| Some(line.split_once("refs/heads/")?.1.to_owned());
    Ok(Reached { address, branches: listed.stdout.lines().filter_map(branch).collect() })
}

/// The host of an address: `https://git.example/shop.git`, `ssh://git@git.example:22/shop.git` or
/// `git@git.example:shop.git`.
fn host(address: &str) -> Option<&str> {
    let authority = match address.split_once("://") {
        Some((_, rest)) => rest.split('/').next()?,
        None => address.split_once(':')?.0,
    };
    let host = authority.rsplit('@').next()?;
    let host = if host.starts_with('[') { host } else { host.split(':').next()? };
    (!host.is_empty() && !host.contains('/')).then_some(host)
}

/// An address without user and password.
fn shown(address: &str) -> String {
    match address.split_once("://") {
        Some((scheme @ ("http" | "https"), rest)) => {
            let host = rest.split_once('@').filter(|(user, _)| !user.contains('/')).map_or(rest, |(_, host)| host);
            format!("{scheme}://{host}")
        }
        _ => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{host, shown};

    #[test]
    fn an_address_has_a_host_unless_it_is_a_path() {
        assert_eq!(host("https://git.example/shop.git"), Some("git.example"));
        assert_eq!(host("ssh://git@git.example:2222/shop.git"), Some("git.example"));
        assert_eq!(host("git@git.example:shop.git"), Some("git.example"));
        assert_eq!((host("/srv/git/shop.git"), host("file:///srv/git/shop.git"), host("./a:b")), (None, None, None));
    }

    #[test]
    fn a_password_in_an_address_is_not_shown() {
        assert_eq!(shown("https://ada:secret@git.example/shop.git"), "https://git.example/shop.git");
        assert_eq!(shown("git@git.example:shop.git"), "git@git.example:shop.git");
        assert_eq!(shown("https://git.example/a@b"), "https://git.example/a@b");
    }
}
