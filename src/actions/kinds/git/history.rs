//! Questions about the history that a shallow clone may not be able to answer: it lacks the parents of its oldest commits.
//!
//! git treats such a commit as a root commit that added every file. So parents are read from the commit object, and a
//! walk that ends at such a commit counts as incomplete.
//!
//! **Invariant:** that a commit is missing is concluded only from a complete history.

use super::repository::{GitError, Repository};
use crate::domain::core::text;

/// Commits in one call of git: far below the limit of a command line.
const BATCH: usize = 200;

/// The parents of a commit.
pub(super) struct Parents {
    /// The parents in the commit object, the first parent first.
    pub(super) all: Vec<String>,
    /// Whether git hides some of them, because the clone is shallow.
    pub(super) hidden: bool,
}

/// The difference between a local commit and an upstream commit.
#[derive(Default)]
pub(super) struct Divergence {
    /// Commits of upstream that the local commit lacks.
    pub(super) behind: u64,
    /// Local commits that upstream lacks.
    pub(super) ahead: u64,
    /// Whether the true numbers may be smaller: a merge may contain commits that the other side has beyond the end of a
    /// shallow clone.
    pub(super) at_most: bool,
}

impl Repository<'_> {
    /// The parents of these commits, in the same order.
    pub(super) async fn parents(&self, commits: &[&str]) -> Result<Vec<Parents>, GitError> {
        let mut all = Vec::with_capacity(commits.len());
        for commits in commits.chunks(BATCH) {
            let mut arguments = vec!["rev-list", "--no-walk=unsorted", "--parents", "--header"];
            arguments.extend(commits);
            let printed = self.listing(&arguments).await?;
            all.extend(printed.split_terminator('\0').map(parents));
        }
        if all.len() == commits.len() {
            return Ok(all);
        }
        Err(GitError::new("`git rev-list` left commits out"))
    }

    pub(super) async fn parents_of(&self, commit: &str) -> Result<Parents, GitError> {
        self.parents(&[commit]).await?.pop().ok_or_else(|| GitError::new("`git rev-list` left the commit out"))
    }

    /// Whether the clone is shallow. An old git prints the unknown option back, which counts as shallow.
    pub(super) async fn is_shallow(&self) -> Result<bool, GitError> {
        Ok(self.output(&["rev-parse", "--is-shallow-repository"]).await? != "false")
    }

    /// Whether commits of this range are missing, because one of its commits has hidden parents.
    ///
    /// If `a..b` is complete, git's results are certain: whether `a` is an ancestor of `b`, and which descendants of `a`
    /// are in the range.
    pub(super) async fn is_incomplete(&self, range: &[&str]) -> Result<bool, GitError> {
        if !self.is_shallow().await? {
            return Ok(false);
        }
        let mut arguments = vec!["rev-list", "--max-parents=0"];
        arguments.extend(range);
        let roots = self.listing(&arguments).await?;
        let roots: Vec<&str> = roots.lines().collect();
        for roots in roots.chunks(BATCH) {
            if self.parents(roots).await?.iter().any(|parents| parents.hidden) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether one commit is an ancestor of another or the same. `None` if the history is too short to decide.
    pub(super) async fn is_ancestor(&self, ancestor: &str, of: &str) -> Result<Option<bool>, GitError> {
        let merge_base = self.git(&["merge-base", "--is-ancestor", ancestor, of]).await?;
        match merge_base.code {
            0 => Ok(Some(true)),
            1 if self.is_incomplete(&[&format!("{ancestor}..{of}")]).await? => Ok(None),
            1 => Ok(Some(false)),
            _ => Err(GitError::new(format!("`git merge-base` failed: {}", merge_base.stderr_tail()))),
        }
    }

    /// The difference between a local commit and an upstream commit. `None` if the history is too short to decide.
    pub(super) async fn divergence(&self, local: &str, upstream: &str) -> Result<Option<Divergence>, GitError> {
        let range = format!("{upstream}...{local}");
        let counts = self.output(&["rev-list", "--left-right", "--count", &range]).await?;
        let counts: Option<Vec<u64>> = counts.split_whitespace().map(|count| count.parse().ok()).collect();
        let Some([behind, ahead]) = counts.as_deref() else {
            return Err(GitError::new("`git rev-list` did not print two numbers"));
        };
        let (behind, ahead) = (*behind, *ahead);
        if (behind, ahead) == (0, 0) || !self.is_shallow().await? {
            return Ok(Some(Divergence { behind, ahead, at_most: false }));
        }
        if self.is_incomplete(&[&range]).await? {
            return Ok(None);
        }
        let merges = self.output(&["rev-list", "--merges", "--max-count=1", &range]).await?;
        Ok(Some(Divergence { behind, ahead, at_most: !merges.is_empty() }))
    }

    /// Fetches `by` more generations of commits. Returns whether the fetch succeeded.
    pub(super) async fn deepen(&self, remote: &str, branch: &str, by: u32) -> Result<bool, GitError> {
        let deepen = format!("--deepen={by}");
        let refspec = format!("+refs/heads/{branch}:refs/remotes/{remote}/{branch}");
        let fetch = ["fetch", "--quiet", "--no-tags", &deepen, remote, &refspec];
        Ok(self.git_remotely(&fetch).await?.code == 0)
    }

    /// The message that part of the history is missing, that nothing was changed, and which command fetches the rest.
    pub(super) async fn incomplete_message(&self, missing: &str, remote: &str, branch: &str) -> String {
        let command = self.unshallow_command(remote, branch).await;
        format!("{missing}; nothing was changed. Complete the history, then try again: `{command}`")
    }

    /// The command to type on the repository's host to complete a shallow clone.
    async fn unshallow_command(&self, remote: &str, branch: &str) -> String {
        let from = match self.checked_remote(remote).await {
            Ok(()) => format!(" {} {}", text::shell_word(remote), text::shell_word(branch)),
            Err(_) => String::new(),
        };
        let directory = self.directory().display().to_string();
        format!("git -C {} fetch --unshallow{from}", text::shell_word(&directory))
    }
}

/// Parses a record of `rev-list --parents --header`: the commit, its visible parents, and the commit object.
fn parents(record: &str) -> Parents {
    let mut lines = record.lines();
    let visible: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().skip(1).collect();
    let header = lines.take_while(|line| !line.is_empty());
    let all: Vec<String> = header.filter_map(|line| line.strip_prefix("parent ")).map(str::to_owned).collect();
    let hidden = all != visible;
    Parents { all, hidden }
}
