//! The demo's source: a real git repository with a bare remote, in which the last merge broke the gateway.
//!
//! Deliberately absent: a deployment. The services read their settings from the work tree, so a revert is live at once.

use std::io;
use std::path::{Path, PathBuf};

use crate::actions::transport::process::output_detached;

/// The branch that is deployed.
pub const BRANCH: &str = "production";

/// The file in the work tree from which the gateway reads its fault.
pub const GATEWAY: &str = "gateway/trouble";

/// The contents that the bad merge introduces.
const BAD_SETTINGS: &str = "unready payments\n";

/// A repository with its history, not broken yet.
#[derive(Debug)]
pub struct DemoRepository {
    work: PathBuf,
}

impl DemoRepository {
    /// Creates it below `directory`; none when git is not installed.
    ///
    /// # Errors
    /// When git fails.
    pub fn create(directory: &Path) -> io::Result<Option<Self>> {
        let (work, remote) = (directory.join("source"), directory.join("remote.git"));
        let made = run(directory, &["init", "--quiet", "--bare", "--initial-branch", BRANCH, &text(&remote)]);
        match made {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            made => made?,
        }
        run(directory, &["init", "--quiet", "--initial-branch", BRANCH, &text(&work)])?;
        let repository = Self { work };
        for (key, value) in
            [("user.name", "Corner shop"), ("user.email", "shop@localhost"), ("commit.gpgsign", "false")]
        {
            repository.git(&["config", key, value])?;
        }
        repository.git(&["remote", "add", "origin", &text(&remote)])?;
        repository.commit("README.md", "# Corner shop\n", "Open the shop")?;
        repository.git(&["push", "--quiet", "--set-upstream", "origin", BRANCH])?;
        Ok(Some(repository))
    }

    /// The work tree.
    pub fn work(&self) -> &Path {
        &self.work
    }

    /// Merges and pushes the fault of the gateway.
    ///
    /// # Errors
    /// When git fails.
    pub fn merge_the_fault(&self) -> io::Result<()> {
        self.git(&["switch", "--quiet", "--create", "faster-checkout"])?;
        self.commit(GATEWAY, BAD_SETTINGS, "Ask payments for every request")?;
        self.git(&["switch", "--quiet", BRANCH])?;
        self.git(&["merge", "--quiet", "--no-ff", "--message", "Merge branch 'faster-checkout'", "faster-checkout"])?;
        self.git(&["push", "--quiet"])
    }

    fn commit(&self, file: &str, content: &str, message: &str) -> io::Result<()> {
        let path = self.work.join(file);
        std::fs::create_dir_all(path.parent().expect("a file in the work tree has a directory"))?;
        std::fs::write(path, content)?;
        self.git(&["add", "--", file])?;
        self.git(&["commit", "--quiet", "--message", message])
    }

    fn git(&self, arguments: &[&str]) -> io::Result<()> {
        run(&self.work, arguments)
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[expect(clippy::disallowed_methods, reason = "what is started here is no action of a runbook")]
fn run(directory: &Path, arguments: &[&str]) -> io::Result<()> {
    let mut command = std::process::Command::new("git");
    // The user's own settings, such as hooks and signing, must not affect the demo.
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    let ended = output_detached(command.args(arguments).current_dir(directory))?;
    if ended.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ended.stderr);
    Err(io::Error::other(format!("`git {}`: {}", arguments.join(" "), said.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_merge_is_what_broke_the_gateway() {
        let directory = tempfile::tempdir().unwrap();
        let repository =
            DemoRepository::create(directory.path()).unwrap().expect("git is installed (Debian package `git`)");
        assert!(!repository.work().join(GATEWAY).exists());
        repository.merge_the_fault().unwrap();
        assert_eq!(std::fs::read_to_string(repository.work().join(GATEWAY)).unwrap(), BAD_SETTINGS);
        run(repository.work(), &["revert", "--no-edit", "--mainline", "1", "HEAD"]).unwrap();
        assert!(!repository.work().join(GATEWAY).exists());
    }
}
