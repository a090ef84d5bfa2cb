//! A commit's abbreviated name, and its message, which identifies a revert.

use super::repository::{GitError, Repository};

/// Digits of an abbreviated commit in messages.
const SHORT: usize = 10;

/// The abbreviated name of a commit.
pub(super) fn short(commit: &str) -> &str {
    commit.get(..SHORT).unwrap_or(commit)
}

/// The line that git writes into the message of a revert; its beginning if `commit` is empty. git records no other link
/// from a revert to its commit.
pub(super) fn revert_mark(commit: &str) -> String {
    format!("This reverts commit {commit}")
}

impl Repository<'_> {
    /// The whole message of a commit.
    pub(super) async fn message(&self, commit: &str) -> Result<String, GitError> {
        self.output(&["log", "--max-count=1", "--format=%B", commit]).await
    }
}
