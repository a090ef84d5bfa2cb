//! Finds the commit to revert, and checks that the history is complete enough to revert it.
//!
//! A deploy host often has a shallow clone, which lacks the parents of its oldest commits. If the revert is pushed, a few
//! hundred generations are fetched at most, since the step connects to the remote anyway. Without a push, a person
//! fetches them.
//!
//! **Invariant:** the repository has a target's parents, and all commits of the branch after the target.

use super::commit::{revert_mark, short};
use super::repository::{GitError, Repository};
use crate::domain::core::text;

/// Generations of commits that each fetch adds to a shallow clone. Most reverts are of the newest commit, for which one
/// is enough. More than all of them is too much to download during an incident unasked.
const DEEPEN_STEPS: [u32; 3] = [1, 32, 256];

/// The fewest digits of an abbreviated commit that git accepts.
const ABBREVIATED: usize = 4;

/// A commit that can be reverted.
pub(super) struct Target {
    pub(super) commit: String,
    /// The parents, the first parent first. All are present.
    pub(super) parents: Vec<String>,
}

/// The commit to search, and where.
pub(super) struct TargetSearch<'r> {
    pub(super) repository: &'r Repository<'r>,
    pub(super) revision: &'r str,
    pub(super) branch: &'r str,
    pub(super) remote: &'r str,
    /// Whether the remote may be asked for older commits.
    pub(super) may_deepen: bool,
}

/// The result of a search for the target.
enum Search {
    Found(Target),
    /// The history is too short; the text says what is unknown.
    TooShort(String),
}

impl TargetSearch<'_> {
    /// The commit to revert. `HEAD` means the newest commit of `base`.
    pub(super) async fn target(&self, base: &str) -> Result<Target, GitError> {
        let mut search = self.search(base).await?;
        for by in if self.may_deepen { &DEEPEN_STEPS[..] } else { &[] } {
            if matches!(search, Search::Found(_)) || !self.repository.deepen(self.remote, self.branch, *by).await? {
                break;
            }
            search = self.search(base).await?;
        }
        match search {
            Search::Found(target) => Ok(target),
            Search::TooShort(missing) => {
                Err(GitError::new(self.repository.incomplete_message(&missing, self.remote, self.branch).await))
            }
        }
    }

    async fn search(&self, base: &str) -> Result<Search, GitError> {
        let commit = match self.named(base).await? {
            Ok(commit) => commit,
            Err(missing) => return Ok(Search::TooShort(missing)),
        };
        let parents = self.repository.parents_of(&commit).await?;
        let short = short(&commit);
        if parents.hidden {
            let missing = format!("the parent of {short} is not in this shallow clone");
            return Ok(Search::TooShort(missing));
        }
        if self.repository.is_incomplete(&[&format!("{commit}..{base}")]).await? {
            let branch = self.branch;
            let missing =
                format!("commits of `{branch}` since {short} are not in this shallow clone: one may revert it");
            return Ok(Search::TooShort(missing));
        }
        Ok(Search::Found(Target { commit, parents: parents.all }))
    }

    /// The named commit, which must be on the branch. The inner error is the text of [`Search::TooShort`].
    async fn named(&self, base: &str) -> Result<Result<String, String>, GitError> {
        let given = self.revision.trim();
        let shown = text::one_line(given, 80);
        if given.contains("@{") {
            // A reflog entry could name another commit at the next attempt.
            return Err(GitError::new(format!("`{shown}` depends on the reflog of this work tree; name the commit")));
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
        let (branch, short) = (self.branch, short(&target));
        if relative.is_none() {
            return match self.repository.is_ancestor(&target, base).await? {
                Some(true) => Ok(Ok(target)),
                Some(false) => Err(GitError::new(format!("{short} is not on `{branch}`"))),
                None => Ok(Err(format!("whether {short} is on `{branch}` is unknown in this shallow clone"))),
            };
        }
        if self.repository.message(&target).await?.contains(&revert_mark("")) {
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
