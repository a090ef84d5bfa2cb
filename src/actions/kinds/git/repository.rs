//! A work tree, and calls of the `git` program in it.
//!
//! git runs as for a person, with hooks, signing and the ssh configuration, but without editors, prompts or force.
//!
//! **Invariant:** a runbook's values never become an option, an address or a helper program of git. git gets them as a
//! checked revision, a ref that starts with `refs/`, a listed remote, or a path behind `--`.

use std::path::{Path, PathBuf};

use super::error_code;
use crate::actions::transport::host;
use crate::actions::transport::nonce::nonce;
use crate::actions::transport::process::capture::Capture;
use crate::actions::transport::process::{Ending, Job, NotStarted};
use crate::actions::{Context, Progress};
use crate::domain::core::reason::Reason;
use crate::domain::core::text;
use crate::domain::incident::outcome::{Outcome, Verdict};

/// Bytes kept of git's output: ten times two hundred commits with long subjects.
const OUTPUT_LIMIT: usize = 512 * 1024;

/// Bytes of a list that must be complete, such as the files of a commit: fifty thousand files.
const LISTING_LIMIT: usize = 8 * 1024 * 1024;

/// Characters of git's message in a summary.
const MESSAGE_LENGTH: usize = 240;

/// Environment that shows the history as the remote has it, without local grafts and replacements.
const AS_PUSHED: [(&str, &str); 2] = [("GIT_NO_REPLACE_OBJECTS", "1"), ("GIT_GRAFT_FILE", "/dev/null/none")];

/// Environment with the author of a commit, if the repository's configuration has none.
const DEFAULT_AUTHOR: [(&str, &str); 4] = [
    ("GIT_AUTHOR_NAME", "runbook"),
    ("GIT_AUTHOR_EMAIL", "runbook@localhost"),
    ("GIT_COMMITTER_NAME", "runbook"),
    ("GIT_COMMITTER_EMAIL", "runbook@localhost"),
];

/// Files in the git directory while an operation is in progress, and the name of the operation.
const OPERATIONS: [(&str, &str); 6] = [
    ("MERGE_HEAD", "a merge"),
    ("REVERT_HEAD", "a revert"),
    ("CHERRY_PICK_HEAD", "a cherry-pick"),
    ("rebase-merge", "a rebase"),
    ("rebase-apply", "a rebase"),
    ("BISECT_LOG", "a bisection"),
];

/// Why an operation failed.
#[derive(Debug)]
pub(super) struct GitError {
    verdict: Verdict,
    reason: Reason,
}

impl GitError {
    pub(super) fn new(summary: impl Into<String>) -> Self {
        Reason::new("git", summary).into()
    }

    pub(super) fn summary(&self) -> &str {
        &self.reason.text
    }

    /// The reason without the verdict.
    pub(super) fn into_reason(self) -> Reason {
        self.reason
    }
}

impl From<Reason> for GitError {
    fn from(reason: Reason) -> Self {
        Self { verdict: Verdict::Failed, reason }
    }
}

impl From<NotStarted> for GitError {
    fn from(error: NotStarted) -> Self {
        Reason::from(error).into()
    }
}

impl From<GitError> for Outcome {
    fn from(error: GitError) -> Self {
        if error.verdict == Verdict::Unknown {
            return Outcome::lost(error.reason.text);
        }
        Outcome::ended(error.verdict, error.reason.text)
    }
}

/// The result of a git command.
pub(super) struct GitOutput {
    pub(super) code: i32,
    pub(super) stdout: String,
    pub(super) stderr: String,
    is_whole: bool,
}

impl GitOutput {
    /// The last lines of git's error output, which includes that of the remote, as one line.
    pub(super) fn stderr_tail(&self) -> String {
        let matters = |line: &&str| !line.trim().is_empty() && !line.starts_with("hint:") && !line.starts_with("To ");
        let lines: Vec<&str> = self.stderr.lines().filter(matters).collect();
        text::one_line(&lines[lines.len().saturating_sub(3)..].join("; "), MESSAGE_LENGTH)
    }

    /// The reason for a failure, with the text for people.
    pub(super) fn reason(&self, text: String) -> Reason {
        Reason::new(error_code::code(&self.stderr), text)
    }
}

/// A work tree in which git commands run.
pub(super) struct Repository<'c> {
    context: &'c Context,
    /// The same context without live output.
    quiet: Context,
    directory: PathBuf,
}

impl<'c> Repository<'c> {
    /// The repository of the step, or of the environment.
    pub(super) fn of(given: Option<&str>, context: &'c Context) -> Result<Self, GitError> {
        let given = given.or(context.environment.repository.as_deref());
        let name = &context.environment_name;
        let given = given.ok_or_else(|| GitError::new(format!("environment `{name}` has no `repository`")))?;
        let quiet = Context { progress: Progress::none(), ..context.clone() };
        Ok(Self { context, quiet, directory: context.there(given) })
    }

    /// The same repository in another of its work trees.
    pub(super) fn at(&self, directory: &Path) -> Self {
        Self { context: self.context, quiet: self.quiet.clone(), directory: directory.to_owned() }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Whether it is on a remote host.
    pub(super) fn is_remote(&self) -> bool {
        self.context.environment.host.ssh().is_some()
    }

    /// A random suffix that distinguishes this step's files from those of others.
    pub(super) fn nonce(&self) -> String {
        nonce()[..12].to_owned()
    }

    /// Runs git without live output.
    pub(super) async fn git(&self, arguments: &[&str]) -> Result<GitOutput, GitError> {
        self.run(arguments, &[], OUTPUT_LIMIT, &self.quiet).await
    }

    /// Runs a git command that connects to a remote. Its output is live, and ssh never prompts.
    pub(super) async fn git_remotely(&self, arguments: &[&str]) -> Result<GitOutput, GitError> {
        self.run(arguments, &[("GIT_SSH_COMMAND", &self.ssh().await?)], OUTPUT_LIMIT, self.context).await
    }

    /// Runs a git command that makes a commit, with `runbook` as the author if none is configured. In a partial clone
    /// it may connect to the remote.
    pub(super) async fn git_committing(&self, arguments: &[&str]) -> Result<GitOutput, GitError> {
        let ssh = self.ssh().await?;
        let mut environment = vec![("GIT_SSH_COMMAND", ssh.as_str())];
        for key in ["user.name", "user.email"] {
            if self.git(&["config", "--get", key]).await?.code != 0 {
                environment.extend(DEFAULT_AUTHOR);
                break;
            }
        }
        self.run(arguments, &environment, OUTPUT_LIMIT, self.context).await
    }

    /// The complete output of a git command, without live output. In a partial clone it may connect to the remote.
    pub(super) async fn listing(&self, arguments: &[&str]) -> Result<String, GitError> {
        let environment = [("GIT_SSH_COMMAND", &*self.ssh().await?)];
        let output = self.run(arguments, &environment, LISTING_LIMIT, &self.quiet).await?;
        let verb = verb(arguments);
        match output {
            GitOutput { code: 0, is_whole: true, stdout, .. } => Ok(stdout),
            GitOutput { code: 0, .. } => {
                let limit = text::bytes(LISTING_LIMIT as u64);
                Err(GitError::new(format!("`git {verb}` printed more than {limit}")))
            }
            failed => Err(GitError::new(format!("`git {verb}` failed: {}", failed.stderr_tail()))),
        }
    }

    /// The ssh command for git, without prompts.
    async fn ssh(&self) -> Result<String, GitError> {
        let configured = self.git(&["config", "--get", "core.sshCommand"]).await?;
        let ssh = configured.stdout.trim();
        Ok(format!("{} -oBatchMode=yes", if ssh.is_empty() { "ssh" } else { ssh }))
    }

    /// The output of a git command. Fails with git's message if the command fails.
    pub(super) async fn output(&self, arguments: &[&str]) -> Result<String, GitError> {
        let output = self.git(arguments).await?;
        if output.code == 0 {
            return Ok(output.stdout.trim_end().to_owned());
        }
        Err(output.reason(format!("`git {}` failed: {}", arguments[0], output.stderr_tail())).into())
    }

    /// The output of a shell script on the repository's host, for files that git commands do not cover.
    pub(super) async fn sh<'a>(
        &self,
        script: &'a str,
        arguments: impl IntoIterator<Item = &'a str>,
    ) -> Result<String, GitError> {
        let argv = ["sh", "-c", script, "sh"].into_iter().chain(arguments);
        let (exit, capture) = host::run(&Job::new(argv, &self.quiet), &self.quiet).await?;
        match exit.ending {
            Ending::Code(0) => Ok(capture.stdout()),
            Ending::Lost => Err(GitError { verdict: Verdict::Unknown, ..GitError::new("the connection was lost") }),
            _ => {
                let stderr = text::one_line(&capture.stderr(), MESSAGE_LENGTH);
                Err(GitError::new(format!("a script in the git directory failed: {stderr}")))
            }
        }
    }

    async fn run(
        &self,
        arguments: &[&str],
        environment: &[(&str, &str)],
        limit: usize,
        context: &Context,
    ) -> Result<GitOutput, GitError> {
        let mut job = Job::new(["git", "--no-pager"].iter().chain(arguments).copied(), context)
            .env("LC_ALL", "C")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("SSH_ASKPASS_REQUIRE", "never")
            .env("GIT_EDITOR", "true")
            .env("GIT_OPTIONAL_LOCKS", "0");
        for (name, value) in AS_PUSHED.iter().chain(environment) {
            job = job.env(name, *value);
        }
        job.directory = self.directory.clone();
        let mut capture = Capture::keeping(limit, context);
        let exit = host::run_into(&job, context, &mut capture).await?;
        capture.finish();
        let verb = verb(arguments);
        let stopped = |verdict, how: &str| Err(GitError { verdict, ..GitError::new(format!("`git {verb}` {how}")) });
        match exit.ending {
            Ending::Code(code) => {
                let is_whole = capture.is_whole();
                Ok(GitOutput { code, stdout: capture.stdout(), stderr: capture.stderr(), is_whole })
            }
            Ending::Signal(signal) => Err(GitError::new(format!("`git {verb}` was ended by signal {signal}"))),
            Ending::TimedOut => stopped(Verdict::TimedOut, "did not end in time and was stopped"),
            Ending::Cancelled => stopped(Verdict::Cancelled, "was cancelled"),
            Ending::Lost => stopped(Verdict::Unknown, "was running when the connection was lost"),
        }
    }

    /// The full object name of the commit that a revision names.
    pub(super) async fn commit(&self, revision: &str) -> Result<String, GitError> {
        let unknown = || GitError::new(format!("there is no commit `{}`", text::one_line(revision, 80)));
        // No valid revision starts with a dash or contains a control character.
        if revision.is_empty() || revision.starts_with('-') || revision.contains(char::is_control) {
            return Err(unknown());
        }
        let output = self.git(&["rev-parse", "--verify", "--quiet", &format!("{revision}^{{commit}}")]).await?;
        let name = output.stdout.trim();
        let is_name = name.len() >= 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        if output.code == 0 && is_name { Ok(name.to_owned()) } else { Err(unknown()) }
    }

    /// The branch that is checked out; `None` if HEAD is detached.
    pub(super) async fn branch(&self) -> Result<Option<String>, GitError> {
        let output = self.git(&["symbolic-ref", "--quiet", "--short", "HEAD"]).await?;
        match output.code {
            0 => Ok(Some(output.stdout.trim_end().to_owned())),
            1 => Ok(None),
            _ => Err(GitError::new(format!("`{}`: {}", self.directory.display(), output.stderr_tail()))),
        }
    }

    /// Fails unless git accepts this as the name of a branch.
    pub(super) async fn checked_branch(&self, branch: &str) -> Result<(), GitError> {
        // git would accept a leading dash, but a person could not use such a name in a command.
        let is_refused = branch.starts_with('-') || branch.contains('\0');
        if is_refused || self.git(&["check-ref-format", &format!("refs/heads/{branch}")]).await?.code != 0 {
            return Err(GitError::new(format!("`{}` cannot be the name of a branch", text::one_line(branch, 80))));
        }
        Ok(())
    }

    /// Fails unless the repository has this remote.
    pub(super) async fn checked_remote(&self, remote: &str) -> Result<(), GitError> {
        if self.output(&["remote"]).await?.lines().any(|line| line == remote) && !remote.starts_with('-') {
            return Ok(());
        }
        Err(GitError::new(format!("the repository has no remote `{}`", text::one_line(remote, 80))))
    }

    /// Fetches the remote's branch. Returns its commit.
    pub(super) async fn fetched(&self, remote: &str, branch: &str) -> Result<String, GitError> {
        let tracking = format!("refs/remotes/{remote}/{branch}");
        let refspec = format!("+refs/heads/{branch}:{tracking}");
        let fetch = self.git_remotely(&["fetch", "--quiet", "--no-tags", remote, &refspec]).await?;
        if fetch.code != 0 {
            return Err(GitError::new(format!(
                "`{branch}` could not be fetched from `{remote}`: {}",
                fetch.stderr_tail()
            )));
        }
        self.commit(&tracking).await
    }

    /// The directory that all work trees share.
    pub(super) async fn common(&self) -> Result<PathBuf, GitError> {
        Ok(PathBuf::from(self.output(&["rev-parse", "--path-format=absolute", "--git-common-dir"]).await?))
    }

    /// The operation in progress in the work tree, such as a merge or a rebase.
    pub(super) async fn operation_in_progress(&self) -> Result<Option<&'static str>, GitError> {
        let directory = self.output(&["rev-parse", "--absolute-git-dir"]).await?;
        let script =
            "cd -- \"$1\" && shift && for file; do if [ -e \"$file\" ]; then printf %s \"$file\"; exit; fi; done";
        let files = OPERATIONS.iter().map(|(file, _)| *file);
        let present = self.sh(script, [directory.as_str()].into_iter().chain(files)).await?;
        let found = OPERATIONS.iter().find(|(file, _)| *file == present);
        Ok(found.map(|(_, operation)| *operation))
    }

    /// Changed files that git tracks. Untracked files, such as installed packages, do not matter.
    pub(super) async fn changes(&self) -> Result<Vec<String>, GitError> {
        let status =
            self.output(&["status", "--porcelain", "--untracked-files=no", "--ignore-submodules=none"]).await?;
        Ok(status.lines().map(|line| line.get(3..).unwrap_or(line).to_owned()).collect())
    }
}

/// The git command among the arguments, after any `-c` settings.
fn verb<'a>(arguments: &[&'a str]) -> &'a str {
    let mut remaining = arguments;
    while let ["-c", _, rest @ ..] = remaining {
        remaining = rest;
    }
    remaining.first().copied().unwrap_or_default()
}
