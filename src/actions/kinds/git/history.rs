//! How much of the history is here: a shallow clone hides the parents of its oldest commits.
//!
//! Git takes such a commit for a root: one without parents that added every file. So its parents are read from the commit
//! object itself, and a walk that ends there is incomplete.
//!
//! **Invariant:** "is not there" is said of a complete history only.

use super::repository::{GitError, Repository};
use crate::domain::core::text;

/// Commits in one call of git: far from the limit of a command line.
const AT_ONCE: usize = 200;

/// The parents of a commit.
pub(super) struct Parents {
    /// The parents in the commit object, the first parent first.
    pub(super) all: Vec<String>,
    /// Whether git hides some of them, because the clone is shallow.
    pub(super) hidden: bool,
}

/// How far two commits are apart.
#[derive(Default)]
pub(super) struct Apart {
    /// Commits of the first that the second lacks.
    pub(super) first: u64,
    /// Commits of the second that the first lacks.
    pub(super) second: u64,
    /// Whether the true numbers may be smaller: a merge can bring commits that the other has below its cut.
    pub(super) at_most: bool,
}

impl Repository<'_> {
    /// The parents of these commits, in the same order.
    pub(super) async fn parents(&self, commits: &[&str]) -> Result<Vec<Parents>, GitError> {
        let mut all = Vec::with_capacity(commits.len());
        for commits in commits.chunks(AT_ONCE) {
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
        Ok(self.ask(&["rev-parse", "--is-shallow-repository"]).await? != "false")
    }

    /// Whether commits of this range are missing, because one of its commits has hidden parents.
    ///
    /// If `a..b` is not cut, git's results are certain: whether `a` is an ancestor of `b`, and which descendants of `a`
    /// are in the range.
    pub(super) async fn is_cut(&self, range: &[&str]) -> Result<bool, GitError> {
        if !self.is_shallow().await? {
            return Ok(false);
        }
        let mut arguments = vec!["rev-list", "--max-parents=0"];
        arguments.extend(range);
        let ends = self.listing(&arguments).await?;
        let ends: Vec<&str> = ends.lines().collect();
        for ends in ends.chunks(AT_ONCE) {
            if self.parents(ends).await?.iter().any(|parents| parents.hidden) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether one commit is an ancestor of another or the same. `None` if the history is too short to decide.
    pub(super) async fn is_ancestor(&self, ancestor: &str, of: &str) -> Result<Option<bool>, GitError> {
        let answer = self.git(&["merge-base", "--is-ancestor", ancestor, of]).await?;
        match answer.code {
            0 => Ok(Some(true)),
            1 if self.is_cut(&[&format!("{ancestor}..{of}")]).await? => Ok(None),
            1 => Ok(Some(false)),
            _ => Err(GitError::new(format!("`git merge-base` failed: {}", answer.stderr_tail()))),
        }
    }

    /// How far two commits are apart. `None` if the history is too short to decide.
    pub(super) async fn apart(&self, first: &str, second: &str) -> Result<Option<Apart>, GitError> {
        let range = format!("{first}...{second}");
        let counts = self.ask(&["rev-list", "--left-right", "--count", &range]).await?;
        let counts: Option<Vec<u64>> = counts.split_whitespace().map(|count| count.parse().ok()).collect();
        let Some([first, second]) = counts.as_deref() else {
            return Err(GitError::new("`git rev-list` did not print two numbers"));
        };
        let (first, second) = (*first, *second);
        if (first, second) == (0, 0) || !self.is_shallow().await? {
            return Ok(Some(Apart { first, second, at_most: false }));
        }
        if self.is_cut(&[&range]).await? {
            return Ok(None);
        }
        let merges = self.ask(&["rev-list", "--merges", "--max-count=1", &range]).await?;
        Ok(Some(Apart { first, second, at_most: !merges.is_empty() }))
    }

    /// Fetches `by` more generations of commits. Returns whether the fetch succeeded.
    pub(super) async fn deepen(&self, remote: &str, branch: &str, by: u32) -> Result<bool, GitError> {
        let deepen = format!("--deepen={by}");
        let refspec = format!("+refs/heads/{branch}:refs/remotes/{remote}/{branch}");
        let fetch = ["fetch", "--quiet", "--no-tags", &deepen, remote, &refspec];
        Ok(self.git_remotely(&fetch).await?.code == 0)
    }

    /// The command by which a person completes a shallow clone on the repository's host.
    pub(super) async fn completing(&self, remote: &str, branch: &str) -> String {
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
    let walked: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().skip(1).collect();
    let header = lines.take_while(|line| !line.is_empty());
    let all: Vec<String> = header.filter_map(|line| line.strip_prefix("parent ")).map(str::to_owned).collect();
    let hidden = all != walked;
    Parents { all, hidden }
}
