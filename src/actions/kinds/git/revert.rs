//! Takes a commit back by a new commit, and pushes it.
//!
//! The new commit is made in a work tree of its own inside the git directory, pushed from there, and only then is the
//! deployed work tree brought forward to it. So a conflict, a refused push or a kill leaves the deployed tree as it was.
//! Deliberately absent: force, reset, and resolving conflicts.
//!
//! In a shallow clone, what the revert needs of the history is fetched first; see [`target`](super::target).
//!
//! **Invariant:** nothing is on the remote but a descendant of what was there, and never two reverts of the same commit:
//! before one is made, it is looked for.
//!
//! **Invariant:** what is pushed takes back what the commit did and nothing else; see [`extent`](super::extent).

use serde_json::{Value, json};

use super::extent::Extent;
use super::history::Apart;
use super::repository::{GitError, Repository};
use super::target::Target;
use super::worktree::Worktree;
use crate::actions::Reconciled;
use crate::domain::core::text;
use crate::domain::incident::outcome::Outcome;

/// How many reverts of reverts are followed.
const BACK_AND_FORTH: usize = 32;

/// Conflicting files that a summary names.
const NAMED: usize = 5;

/// The commit to revert, and where.
pub(super) struct Revert<'c> {
    pub(super) repository: Repository<'c>,
    pub(super) revision: String,
    pub(super) branch: String,
    pub(super) remote: String,
    pub(super) push: bool,
}

/// The state of the local and the remote branch.
struct BranchState {
    head: String,
    /// The parent of the revert: the remote's branch if it is pushed, otherwise the local one.
    base: String,
    /// Local commits that the remote lacks.
    ahead: u64,
}

/// Who made a revert.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Made before this step.
    Already,
    Now,
    /// Made by an interrupted attempt.
    Before,
}

impl Standing {
    fn words(self) -> &'static str {
        match self {
            Self::Already => "is already reverted by",
            Self::Now => "is reverted by",
            Self::Before => "was reverted by",
        }
    }
}

impl Revert<'_> {
    /// Makes the revert, or reports an existing one.
    pub(super) async fn perform(&self) -> Result<Outcome, GitError> {
        self.check_tree().await?;
        let stand = self.stand().await?;
        let target = self.target(&stand.base).await?;
        if let Some(done) = self.reverted_by(&target.commit, &stand.base).await? {
            let extent = self.extent_of(&done).await?;
            return self.described(&done, &target.commit, Standing::Already, extent.as_ref()).await;
        }
        let workshop = match stand.ahead {
            0 => Some(Worktree::new(&self.repository).await?),
            _ => None,
        };
        let done = self.carried_out(workshop.as_ref(), &target, &stand).await;
        if let Some(workshop) = workshop {
            workshop.leave(&self.repository).await;
        }
        done
    }

    async fn carried_out(
        &self,
        workshop: Option<&Worktree>,
        target: &Target,
        stand: &BranchState,
    ) -> Result<Outcome, GitError> {
        let (before, commit) = (self.before(target)?, target.commit.as_str());
        let revert = match workshop {
            Some(workshop) => self.make(workshop, target, &stand.base).await?,
            None => self.unpushed(commit, stand).await?,
        };
        let extent = self.repository.checked_revert([before, commit], [&stand.base, &revert]).await?;
        let mut outcome = self.described(&revert, commit, Standing::Now, Some(&extent)).await?;
        if self.push {
            self.publish(&revert).await?;
        }
        // The remote has the revert. That the local tree cannot follow is then only a remark; without a push it is an
        // error.
        let forward = self.repository.git(&["merge", "--ff-only", "--quiet", &revert]).await?;
        if forward.code != 0 && !self.push {
            return Err(GitError::new(format!(
                "the work tree could not be brought forward: {}",
                forward.stderr_tail()
            )));
        }
        outcome.output["work_tree"] = json!(if forward.code == 0 { "forward" } else { "behind" });
        if forward.code != 0 {
            outcome.summary += &format!("; the work tree here could not be brought forward: {}", forward.stderr_tail());
        }
        Ok(outcome)
    }

    /// The commit's first parent. A root commit has none, so it cannot be reverted here.
    fn before<'t>(&self, target: &'t Target) -> Result<&'t str, GitError> {
        target.parents.first().map(String::as_str).ok_or_else(|| {
            let (branch, short) = (&self.branch, short(&target.commit));
            GitError::new(format!(
                "{short} is a root commit of `{branch}`: a revert would delete every file that it added; \
                 nothing was changed, and a person has to revert it"
            ))
        })
    }

    /// What [`Revert::reconcile`] needs after a crash.
    pub(super) async fn observe(&self) -> Result<Value, GitError> {
        let head = self.repository.commit(&format!("refs/heads/{}", self.branch)).await?;
        let base = match self.push {
            true => {
                self.repository.checked_remote(&self.remote).await?;
                self.repository.fetched(&self.remote, &self.branch).await?
            }
            false => head.clone(),
        };
        let target = self.target(&base).await?;
        let mut observed = json!({"branch": self.branch, "head": head, "base": base, "target": target.commit});
        if let Some(before) = target.parents.first() {
            let extent = self.repository.extent(before, &target.commit).await?;
            for (name, count) in extent.counts_reversed() {
                observed[name] = count;
            }
        }
        Ok(observed)
    }

    /// Whether the revert was made or pushed since `before`.
    pub(super) async fn reconcile(&self, before: &Value) -> Result<Reconciled, GitError> {
        let (Some(base), Some(target)) = (before["base"].as_str(), before["target"].as_str()) else {
            return Ok(Reconciled::CannotTell("where the branch stood before was not recorded".to_owned()));
        };
        let (base, target) = (self.repository.commit(base).await?, self.repository.commit(target).await?);
        let now = match self.push {
            true => self.repository.fetched(&self.remote, &self.branch).await?,
            false => self.repository.commit(&format!("refs/heads/{}", self.branch)).await?,
        };
        if let Some(done) = self.newest_revert(&target, &base, &now).await? {
            let extent = self.extent_of(&done).await?;
            let mut outcome = self.described(&done, &target, Standing::Before, extent.as_ref()).await?;
            let here = self.repository.git(&["merge-base", "--is-ancestor", &done, "HEAD"]).await?;
            outcome.output["work_tree"] = json!(if here.code == 0 { "forward" } else { "behind" });
            return Ok(Reconciled::Happened(outcome));
        }
        let place = if self.push { &self.remote } else { "this repository" };
        let is_cut = self.repository.is_cut(&[&format!("{base}..{now}")]).await?;
        let (target, now) = (short(&target), short(&now));
        if is_cut {
            let missing = format!(
                "commits of `{}` are not in this shallow clone: whether {target} was reverted is unknown",
                self.branch
            );
            return Ok(Reconciled::CannotTell(self.to_be_completed(&missing).await));
        }
        let reason = format!("`{}` of {place} stands on {now} and has no revert of {target}", self.branch);
        Ok(Reconciled::DidNotHappen(reason))
    }

    /// Refuses a work tree that a person or another program is using.
    async fn check_tree(&self) -> Result<(), GitError> {
        let current = self.repository.branch().await?;
        let branch = &self.branch;
        self.repository.checked_branch(branch).await?;
        if let Some(what) = self.repository.operation_in_progress().await? {
            return Err(GitError::new(format!("the work tree is in the middle of {what}; end or abort it first")));
        }
        if current.as_deref() != Some(branch) {
            let current = current.map_or_else(|| "no branch".to_owned(), |current| format!("`{current}`"));
            return Err(GitError::new(format!("the work tree is on {current}, not on `{branch}`")));
        }
        let changes = self.repository.changes().await?;
        if !changes.is_empty() {
            return Err(GitError::new(format!(
                "the work tree has changes that are not committed: {}",
                names(&changes)
            )));
        }
        Ok(())
    }

    async fn stand(&self) -> Result<BranchState, GitError> {
        let head = self.repository.commit("HEAD").await?;
        if !self.push {
            return Ok(BranchState { base: head.clone(), head, ahead: 0 });
        }
        self.repository.checked_remote(&self.remote).await?;
        let base = self.repository.fetched(&self.remote, &self.branch).await?;
        let (branch, remote) = (&self.branch, &self.remote);
        let Some(apart) = self.repository.apart(&base, &head).await? else {
            let missing = format!("how `{branch}` and `{remote}` stand to each other is unknown in this shallow clone");
            return Err(GitError::new(self.to_be_completed(&missing).await));
        };
        let Apart { first: behind, second: ahead, at_most } = apart;
        let commits = |count| format!("{}{}", if at_most { "at most " } else { "" }, commits(count));
        match (behind, ahead) {
            (0, _) => Ok(BranchState { head, base, ahead }),
            (_, 0) => Err(GitError::new(format!(
                "`{branch}` is {} behind `{remote}`; look at what came and pull it first",
                commits(behind)
            ))),
            _ => Err(GitError::new(format!(
                "`{branch}` and `{remote}` have diverged: {} here, {} there",
                commits(ahead),
                commits(behind)
            ))),
        }
    }

    pub(super) async fn message(&self, commit: &str) -> Result<String, GitError> {
        self.repository.ask(&["log", "--max-count=1", "--format=%B", commit]).await
    }

    /// The newest commit after `from`, up to `to`, that says it reverts `target`.
    async fn newest_revert(&self, target: &str, from: &str, to: &str) -> Result<Option<String>, GitError> {
        let (grep, range) = (format!("--grep={}", revert_mark(target)), format!("{from}..{to}"));
        let found = self.repository.ask(&["log", "--format=%H", "--fixed-strings", &grep, &range]).await?;
        Ok(found.lines().next().map(str::to_owned))
    }

    /// The effective revert of a commit. A revert may itself be reverted.
    async fn reverted_by(&self, target: &str, base: &str) -> Result<Option<String>, GitError> {
        let (mut current, mut in_force) = (target.to_owned(), None);
        for _ in 0..BACK_AND_FORTH {
            let Some(found) = self.newest_revert(&current, &current, base).await? else {
                break;
            };
            in_force = if in_force.is_none() { Some(found.clone()) } else { None };
            current = found;
        }
        Ok(in_force)
    }

    /// The only unpushed commit, if it is this revert.
    async fn unpushed(&self, target: &str, stand: &BranchState) -> Result<String, GitError> {
        let is_ours = stand.ahead == 1 && self.message(&stand.head).await?.contains(&revert_mark(target));
        if is_ours {
            return Ok(stand.head.clone());
        }
        let (branch, ahead) = (&self.branch, commits(stand.ahead));
        Err(GitError::new(format!("`{branch}` has {ahead} that `{}` lacks; push or remove them first", self.remote)))
    }

    /// Makes the revert in a temporary work tree.
    async fn make(&self, workshop: &Worktree, target: &Target, base: &str) -> Result<String, GitError> {
        let path = workshop.path();
        // Checkout hooks are for people who switch branches.
        let quiet = ["-c", "core.hooksPath=/dev/null", "worktree", "add", "--quiet", "--detach", path, base];
        let added = self.repository.git(&quiet).await?;
        if added.code != 0 {
            return Err(GitError::new(format!("no second work tree could be made: {}", added.stderr_tail())));
        }
        let there = self.repository.at(path.as_ref());
        let mut arguments = vec!["revert", "--no-edit"];
        if target.parents.len() > 1 {
            arguments.extend(["--mainline", "1"]);
        }
        arguments.push(&target.commit);
        let answer = there.git_committing(&arguments).await?;
        if answer.code == 0 {
            return there.commit("HEAD").await;
        }
        let conflicts = there.ask(&["diff", "--name-only", "--diff-filter=U"]).await?;
        let conflicts: Vec<String> = conflicts.lines().map(str::to_owned).collect();
        let short = short(&target.commit);
        Err(GitError::new(if !conflicts.is_empty() {
            format!("reverting {short} conflicts with later changes in {}; nothing was changed", names(&conflicts))
        } else if answer.code == 1 && there.changes().await?.is_empty() {
            // Another code means that git failed, for example because a partial clone lacks an object.
            format!("reverting {short} would change nothing: its changes are gone already")
        } else {
            format!("reverting {short} failed: {}; nothing was changed", answer.stderr_tail())
        }))
    }

    /// The changes of a commit with one parent. `None` if the parent is missing or not the only one.
    async fn extent_of(&self, commit: &str) -> Result<Option<Extent>, GitError> {
        let parents = self.repository.parents_of(commit).await?;
        match &parents.all[..] {
            [parent] if !parents.hidden => Ok(Some(self.repository.extent(parent, commit).await?)),
            _ => Ok(None),
        }
    }

    async fn publish(&self, revert: &str) -> Result<(), GitError> {
        let refspec = format!("{revert}:refs/heads/{}", self.branch);
        let answer = self.repository.git_remotely(&["push", "--quiet", &self.remote, &refspec]).await?;
        if answer.code == 0 {
            return Ok(());
        }
        Err(GitError::new(format!(
            "`{}` refused the push: {}; nothing was changed here",
            self.remote,
            answer.stderr_tail()
        )))
    }

    async fn described(
        &self,
        revert: &str,
        target: &str,
        standing: Standing,
        extent: Option<&Extent>,
    ) -> Result<Outcome, GitError> {
        let line = self.repository.ask(&["log", "--max-count=1", "--format=%s", target]).await?;
        let subject = text::one_line(&line, 80);
        let changed = extent.map(|extent| format!(", {}", extent.summary())).unwrap_or_default();
        let pushed = if self.push { format!(", pushed to `{}`", self.remote) } else { String::new() };
        let (old, new) = (short(target), short(revert));
        let how = standing.words();
        let summary = format!("{old} `{subject}` {how} {new} on `{}`{changed}{pushed}", self.branch);
        let mut output = json!({
            "sha": revert, "short": new, "reverted": target, "subject": subject, "branch": self.branch,
            "pushed": self.push, "already": standing == Standing::Already,
        });
        for (name, count) in extent.map(Extent::counts).into_iter().flatten() {
            output[name] = count;
        }
        Ok(Outcome::succeeded(summary, output))
    }
}

/// The line that git writes into the message of a revert. Without a commit, the prefix of any revert. git records no
/// other link from a revert to its commit.
pub(super) fn revert_mark(commit: &str) -> String {
    format!("This reverts commit {commit}")
}

fn commits(count: u64) -> String {
    if count == 1 { "1 commit".to_owned() } else { format!("{count} commits") }
}

pub(super) fn short(commit: &str) -> &str {
    commit.get(..10).unwrap_or(commit)
}

fn names(files: &[String]) -> String {
    let named: Vec<String> = files.iter().take(NAMED).map(|file| format!("`{}`", text::one_line(file, 80))).collect();
    let more = files.len().saturating_sub(NAMED);
    if more == 0 { named.join(", ") } else { format!("{} and {more} more", named.join(", ")) }
}
