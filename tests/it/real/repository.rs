//! A real git repository with a bare remote, as `/opt/pakashop` is on a host.
//!
//! Its branches are `main` and `production`. All names, dates and settings are fixed, and no configuration of the user or
//! the machine is read.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use runbook::surface::demo::lab::repository::{self, Project};
use tempfile::TempDir;

/// The author and the first commit.
const PROJECT: Project<'static> = Project {
    author: "Pakashop Deploy",
    email: "deploy@pakashop.store",
    readme: "# Pakashop\n",
    message: "shop: the first version",
};

/// A work tree and its bare remote; both are removed with the value.
pub struct Repository {
    repository: repository::DemoRepository,
    directory: TempDir,
}

impl Repository {
    /// A work tree on `production` with one commit, pushed.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let repository =
            repository::DemoRepository::create(directory.path(), &PROJECT).expect("git makes a repository");
        let repository = repository.expect("git is there; install the Debian package `git`");
        Self { repository, directory }
    }

    /// A history with a merge as the newest commit of `production`, as after a deployment.
    pub fn with_history() -> Self {
        let repository = Self::new();
        repository.commit("gateway/server.js", "listen(8000)\n", "gateway: answer health checks");
        repository.git(&["branch", "main"]);
        repository.git(&["push", "--quiet", "-u", "origin", "main"]);
        repository.merge(
            "payments-retry",
            &[
                ("gateway/payments.js", "retry(3)\n", "gateway: try a payment again"),
                ("gateway/server.js", "listen(8000)\nretry()\n", "gateway: use the new retry"),
            ],
        );
        repository.push();
        repository
    }

    /// A copy with the same history, which is faster than a new one.
    pub fn copy(&self) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let mut copy = Command::new("cp");
        copy.arg("-a").arg(self.directory.path().join(".")).arg(directory.path());
        super::run(&mut copy, "coreutils");
        Self { repository: repository::DemoRepository::below(directory.path()), directory }
    }

    /// The directory of the work tree and the remote.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The work tree.
    pub fn work(&self) -> PathBuf {
        self.repository.work().to_owned()
    }

    /// The bare repository of `origin`.
    pub fn remote(&self) -> PathBuf {
        self.repository.remote().to_owned()
    }

    /// Runs git in the work tree and returns its output, without the last newline.
    pub fn git(&self, arguments: &[&str]) -> String {
        git_in(&self.work(), arguments)
    }

    /// Writes a file and commits it; returns the new commit's full hash.
    pub fn commit(&self, file: &str, content: &str, message: &str) -> String {
        self.repository.commit(file, content, message).expect("git commits");
        self.head()
    }

    /// Makes a branch with these commits (file, content, message) and merges it into the current one with a merge
    /// commit; returns the merge's hash.
    pub fn merge(&self, branch: &str, commits: &[(&str, &str, &str)]) -> String {
        let target = self.git(&["rev-parse", "--abbrev-ref", "HEAD"]);
        let message = format!("Merge branch '{branch}' into {target}");
        self.repository.merge(branch, commits, &message).expect("git merges");
        self.head()
    }

    /// Pushes the current branch.
    pub fn push(&self) {
        self.repository.push().expect("git pushes");
    }

    /// The current commit of the work tree.
    pub fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"])
    }

    /// The newest commit of a branch of the remote.
    pub fn remote_head(&self, branch: &str) -> String {
        git_in(&self.remote(), &["rev-parse", &format!("refs/heads/{branch}")])
    }

    /// `git status --porcelain`: empty if no file is changed and no merge or revert is in progress.
    pub fn status(&self) -> String {
        self.git(&["status", "--porcelain"])
    }

    /// Subjects of a branch of the remote, newest first.
    pub fn remote_log(&self, branch: &str) -> Vec<String> {
        git_in(&self.remote(), &["log", "--format=%s", branch]).lines().map(str::to_owned).collect()
    }

    /// Replaces the history, here and at the remote, by one old commit: nothing was merged recently.
    pub fn age(&self) {
        let mut command = Command::new("git");
        command.current_dir(self.work()).args(["commit-tree", "HEAD^{tree}", "-m", "shop: as it has long been"]);
        for name in ["GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"] {
            command.env(name, "2020-01-01T00:00:00Z");
        }
        let commit = super::run(&mut command, "git");
        let commit = String::from_utf8(commit.stdout).expect("a hash");
        self.git(&["reset", "--quiet", "--hard", commit.trim()]);
        self.git(&["push", "--quiet", "--force", "origin", "HEAD"]);
    }

    /// Leaves an uncommitted change.
    pub fn make_dirty(&self) {
        write(&self.work().join("README.md"), "# Somebody was editing here\n");
    }

    /// Pushes a commit to `branch` from another clone. Returns its hash.
    pub fn pushed_by_somebody_else(&self, branch: &str, file: &str, content: &str) -> String {
        let elsewhere = tempfile::tempdir().expect("a temporary directory can be made");
        let remote = self.remote();
        let remote = remote.to_str().expect("temporary directories have names in UTF-8");
        git_in(elsewhere.path(), &["clone", "--quiet", "--branch", branch, remote, "copy"]);
        let copy = elsewhere.path().join("copy");
        for (key, value) in [("user.name", PROJECT.author), ("user.email", PROJECT.email)] {
            git_in(&copy, &["config", key, value]);
        }
        write(&copy.join(file), content);
        git_in(&copy, &["add", "--all"]);
        git_in(&copy, &["commit", "--quiet", "-m", "elsewhere: a change by a colleague"]);
        git_in(&copy, &["push", "--quiet", "origin", "HEAD"]);
        git_in(&copy, &["rev-parse", "HEAD"])
    }

    /// Makes the remote refuse every push with `reason`, as a protected branch does.
    pub fn refuse_pushes(&self, reason: &str) {
        self.hook(&format!("echo '{reason}' >&2; exit 1"));
    }

    /// Makes every push hang, as with lost packets.
    pub fn hang_pushes(&self) {
        self.hook("sleep 1000");
    }

    /// Makes the remote accept pushes again.
    pub fn accept_pushes(&self) {
        fs::remove_file(self.remote().join("hooks/pre-receive")).expect("a hook was set before");
    }

    fn hook(&self, script: &str) {
        let hook = self.remote().join("hooks/pre-receive");
        write(&hook, &format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).expect("a hook can be made executable");
    }
}

fn write(path: &Path, content: &str) {
    fs::create_dir_all(path.parent().expect("a file has a directory")).expect("a directory can be made");
    fs::write(path, content).expect("a file can be written");
}

fn git_in(directory: &Path, arguments: &[&str]) -> String {
    repository::git_in(directory, arguments).unwrap_or_else(|error| panic!("{error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_commit_of_production_is_a_merge_and_is_on_the_remote() {
        let repository = Repository::with_history();
        let parents = repository.git(&["log", "-1", "--format=%P"]);
        assert_eq!(parents.split(' ').count(), 2);
        assert_eq!(repository.head(), repository.remote_head("production"));
        assert_eq!(repository.status(), "");
    }

    #[test]
    fn a_copy_has_a_remote_of_its_own() {
        let repository = Repository::with_history();
        let copy = repository.copy();
        let head = copy.commit("a.txt", "a", "a change");
        copy.push();
        assert_eq!((copy.remote_head("production"), copy.status()), (head.clone(), String::new()));
        assert_ne!(repository.remote_head("production"), head);
    }

    #[test]
    fn somebody_else_can_push_to_the_remote() {
        let repository = Repository::with_history();
        let theirs = repository.pushed_by_somebody_else("production", "a.txt", "a");
        assert_eq!(repository.remote_head("production"), theirs);
        assert_ne!(repository.head(), theirs);
    }
}
