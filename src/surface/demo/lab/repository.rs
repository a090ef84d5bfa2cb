//! A real git repository: a work tree on the deployed branch, and a bare remote in another directory.
//!
//! No configuration of the user or the machine is read, so that the result is the same on every machine.

use std::io;
use std::path::{Path, PathBuf};

use crate::actions::transport::process::output_detached;

/// The deployed branch.
pub const BRANCH: &str = "production";

/// The author and the first commit of a repository.
#[derive(Debug, Clone, Copy)]
pub struct Project<'a> {
    /// The name of the author.
    pub author: &'a str,
    /// The author's address.
    pub email: &'a str,
    /// The text of `README.md` in the first commit.
    pub readme: &'a str,
    /// The message of the first commit.
    pub message: &'a str,
}

/// A repository with its history.
#[derive(Debug)]
pub struct DemoRepository {
    work: PathBuf,
    remote: PathBuf,
}

impl DemoRepository {
    /// Creates a repository below `directory` with one commit, which is pushed. None if git is not installed.
    ///
    /// # Errors
    /// When git fails.
    pub fn create(directory: &Path, project: &Project<'_>) -> io::Result<Option<Self>> {
        let repository = Self::below(directory);
        let (work, remote) = (path_text(&repository.work), path_text(&repository.remote));
        match git_in(directory, &["init", "--quiet", "--bare", "--initial-branch", BRANCH, &remote]) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            created => created?,
        };
        git_in(directory, &["init", "--quiet", "--initial-branch", BRANCH, &work])?;
        for (key, value) in [("user.name", project.author), ("user.email", project.email), ("commit.gpgsign", "false")]
        {
            repository.git(&["config", key, value])?;
        }
        // A relative path, so that in a copy of the directory the remote is the copied one.
        repository.git(&["remote", "add", "origin", "../remote.git"])?;
        repository.commit("README.md", project.readme, project.message)?;
        repository.git(&["push", "--quiet", "--set-upstream", "origin", BRANCH])?;
        Ok(Some(repository))
    }

    /// The repository that was created below `directory`, or copied there.
    pub fn below(directory: &Path) -> Self {
        Self { work: directory.join("source"), remote: directory.join("remote.git") }
    }

    /// The work tree.
    pub fn work(&self) -> &Path {
        &self.work
    }

    /// The bare repository, which is the remote `origin`.
    pub fn remote(&self) -> &Path {
        &self.remote
    }

    /// Writes a file and commits it.
    ///
    /// # Errors
    /// When git fails or the disk cannot be written.
    pub fn commit(&self, file: &str, content: &str, message: &str) -> io::Result<()> {
        let path = self.work.join(file);
        std::fs::create_dir_all(path.parent().expect("a file in the work tree has a directory"))?;
        std::fs::write(path, content)?;
        self.git(&["add", "--all"])?;
        self.git(&["commit", "--quiet", "--message", message]).map(drop)
    }

    /// Creates a branch with these commits (file, content, message), and merges it into the present branch with a merge
    /// commit.
    ///
    /// # Errors
    /// When git fails or the disk cannot be written.
    pub fn merge(&self, branch: &str, commits: &[(&str, &str, &str)], message: &str) -> io::Result<()> {
        let target = self.git(&["rev-parse", "--abbrev-ref", "HEAD"])?;
        self.git(&["switch", "--quiet", "--create", branch])?;
        for (file, content, message) in commits {
            self.commit(file, content, message)?;
        }
        self.git(&["switch", "--quiet", &target])?;
        self.git(&["merge", "--quiet", "--no-ff", "--message", message, branch]).map(drop)
    }

    /// Pushes the present branch.
    ///
    /// # Errors
    /// When git fails.
    pub fn push(&self) -> io::Result<()> {
        self.git(&["push", "--quiet", "origin", "HEAD"]).map(drop)
    }

    /// Runs git in the work tree; returns its output without the last line end.
    ///
    /// # Errors
    /// When git fails, with its error output.
    pub fn git(&self, arguments: &[&str]) -> io::Result<String> {
        git_in(&self.work, arguments)
    }
}

/// Runs git in a directory, with the repository's configuration only; returns its output without the last line end.
///
/// # Errors
/// When git is not installed, or fails.
#[expect(clippy::disallowed_methods, reason = "the program is not an action of a runbook")]
pub fn git_in(directory: &Path, arguments: &[&str]) -> io::Result<String> {
    let mut command = std::process::Command::new("git");
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1").env("LC_ALL", "C");
    command.env_remove("GIT_DIR").env_remove("GIT_WORK_TREE");
    let output = output_detached(command.args(arguments).current_dir(directory))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned());
    }
    let error = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("`git {}`: {}", arguments.join(" "), error.trim())))
}

fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merge_is_pushed_and_its_revert_removes_its_files() {
        let directory = tempfile::tempdir().unwrap();
        let project = Project { author: "Ada", email: "ada@localhost", readme: "# Shop\n", message: "Open" };
        let repository = DemoRepository::create(directory.path(), &project);
        let repository = repository.unwrap().expect("git is installed (Debian package `git`)");
        repository.merge("faster", &[("a/b", "fast\n", "Be faster")], "Merge faster").unwrap();
        repository.push().unwrap();
        let log = git_in(repository.remote(), &["log", "--topo-order", "--format=%s", BRANCH]).unwrap();
        assert_eq!(log, "Merge faster\nBe faster\nOpen");
        repository.git(&["revert", "--no-edit", "--mainline", "1", "HEAD"]).unwrap();
        assert!(!repository.work().join("a/b").exists());
        assert!(repository.git(&["switch", "nowhere"]).unwrap_err().to_string().starts_with("`git switch nowhere`: "));
    }
}
