//! Which commit a revert is for, and whether enough of the history is here to revert it.
//!
//! A shallow clone, which a deploy host often has, lacks the parents of its oldest commits. They are fetched when the revert
//! is pushed, a few hundred generations at most, since the remote is reached then anyhow. Without a push, a person fetches them.
//!
//! **Invariant:** a target's parents are here, and so are all commits of the branch that came after it.

use super::repository::GitError;
use super::revert::{Revert, revert_mark, short};
use crate::domain::core::text;

/// Generations of commits that each fetch adds to a shallow clone. Most reverts are of the newest commit, for which one
/// is enough. Anything older is too much to download during an incident without asking.
const DEEPEN: [u32; 3] = [1, 32, 256];

/// The fewest digits of an abbreviated commit that git accepts.
const ABBREVIATED: usize = 4;

/// A commit that can be reverted.
pub(super) struct Target {
    pub(super) commit: String,
    /// The parents, the first parent first. All are present.
    pub(super) parents: Vec<String>,
}

/// The result of a search for the target.
enum Search {
    Found(Target),
    /// The history is too short; the text says what is unknown.
    TooShort(String),
}

impl Revert<'_> {
    /// The commit to revert. `HEAD` means the newest commit of `base`.
    pub(super) async fn target(&self, base: &str) -> Result<Target, GitError> {
        let mut search = self.search(base).await?;
        for by in if self.push { &DEEPEN[..] } else { &[] } {
            if matches!(search, Search::Found(_)) || !self.repository.deepen(&self.remote, &self.branch, *by).await? {
                break;
            }
            search = self.search(base).await?;
        }
        match search {
            Search::Found(target) => Ok(target),
            Search::TooShort(missing) => Err(GitError::new(self.to_be_completed(&missing).await)),
        }
    }

    /// A message with the missing part, the command that fetches it, and that nothing was changed.
    pub(super) async fn to_be_completed(&self, missing: &str) -> String {
        let command = self.repository.completing(&self.remote, &self.branch).await;
        format!("{missing}; nothing was changed. Complete the history, then try again: `{command}`")
    }

    async fn search(&self, base: &str) -> Result<Search, GitError> {
        let commit = match self.named(base).await? {
            Ok(commit) => commit,
            Err(missing) => return Ok(Search::TooShort(missing)),
        };
        let parents = self.repository.parents_of(&commit).await?;
        let short = short(&commit);
        if parents.hidden {
            let what = format!("the commit that {short} is built upon is not in this shallow clone");
            return Ok(Search::TooShort(what));
        }
        if self.repository.is_cut(&[&format!("{commit}..{base}")]).await? {
            let branch = &self.branch;
            let what = format!("commits of `{branch}` since {short} are not in this shallow clone: one may revert it");
            return Ok(Search::TooShort(what));
        }
        Ok(Search::Found(Target { commit, parents: parents.all }))
    }

    /// The named commit, which must be on the branch. The inner error says what the history is too short for.
    async fn named(&self, base: &str) -> Result<Result<String, String>, GitError> {
        let given = self.revision.trim();
        let shown = text::one_line(given, 80);
        if given.contains("@{") {
            // A reflog entry would mean another commit at the next attempt.
            return Err(GitError::new(format!(
                "`{shown}` depends on what was done in this work tree; name the commit"
            )));
        }
        let relative = given.strip_prefix("HEAD").or_else(|| given.strip_prefix('@'));
        let relative = relative.filter(|rest| rest.is_empty() || rest.starts_with(['~', '^']));
        let revision = relative.map_or_else(|| given.to_owned(), |rest| format!("{base}{rest}"));
        let target = match self.repository.commit(&revision).await {
            Ok(target) => target,
            Err(_) if may_be_older(given) && self.repository.is_shallow().await? => {
                return Ok(Err(format!("there is no commit `{shown}` in this shallow clone")));
            }
            Err(unknown) => return Err(unknown),
        };
        let (branch, short) = (&self.branch, short(&target));
        if relative.is_none() {
            return match self.repository.is_ancestor(&target, base).await? {
                Some(true) => Ok(Ok(target)),
                Some(false) => Err(GitError::new(format!("{short} is not on `{branch}`"))),
                None => Ok(Err(format!("whether {short} is on `{branch}` is unknown in this shallow clone"))),
            };
        }
        if self.message(&target).await?.contains(&revert_mark("")) {
            return Err(GitError::new(format!(
                "`{shown}` of `{branch}` is a revert already ({short}); name the commit to revert"
            )));
        }
        Ok(Ok(target))
    }
}

/// Whether a revision may name a commit that only a deeper history has: an object name, or one relative to another.
fn may_be_older(revision: &str) -> bool {
    let is_object = revision.len() >= ABBREVIATED && revision.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_object || revision.contains(['~', '^'])
}
