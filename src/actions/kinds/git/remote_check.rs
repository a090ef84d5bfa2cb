//! Whether a remote answers, and what it has. Deliberately absent: fetching.

use std::collections::BTreeSet;

use super::REMOTE;
use super::repository::Repository;
use crate::actions::Context;

/// What a remote answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// Its address, as git shows it, without what stands before an `@` in an `https` address.
    pub address: String,
    /// Its branches.
    pub branches: BTreeSet<String>,
}

/// Asks the remote of a work tree what it has, within the context's time and without a prompt.
///
/// # Errors
/// Git's own words, the address in front where there is one.
pub async fn reach(tree: &str, context: &Context) -> Result<Reached, String> {
    let repository = Repository::of(Some(tree), context).map_err(|trouble| trouble.summary().to_owned())?;
    let asked = repository.ask(&["remote", "get-url", REMOTE]).await;
    let address = shown(&asked.map_err(|trouble| trouble.summary().to_owned())?);
    let answer = repository.git_remotely(&["ls-remote", "--heads", REMOTE]).await;
    let answer = answer.map_err(|trouble| format!("`{address}`: {}", trouble.summary()))?;
    if answer.code != 0 {
        return Err(format!("`{address}` does not answer: {}", answer.said()));
    }
    let branch = |line: &str| Some(line.split_once("refs/heads/")?.1.to_owned());
    Ok(Reached { address, branches: answer.stdout.lines().filter_map(branch).collect() })
}

/// An address without a password in it.
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
    use super::shown;

    #[test]
    fn a_password_in_an_address_is_not_shown() {
        assert_eq!(shown("https://ada:secret@git.example/shop.git"), "https://git.example/shop.git");
        assert_eq!(shown("git@git.example:shop.git"), "git@git.example:shop.git");
        assert_eq!(shown("https://git.example/a@b"), "https://git.example/a@b");
    }
}
