//! Reverts a commit by a new commit, and pushes it.
//!
//! The new commit is made in a temporary work tree and pushed from there. Only then the deployed work tree is
//! fast-forwarded to it. So a conflict, a refused push or a kill leaves the deployed tree unchanged. In a shallow clone,
//! missing commits are fetched first; see [`target`](super::target).
//!
//! **Invariant:** a push only fast-forwards the remote's branch. A commit is never reverted twice, because an existing
//! revert is searched first.
//!
//! **Invariant:** a published revert undoes its commit and does nothing else; see [`revert_check`](super::revert_check).
//!
//! Not here: force, reset, and resolving conflicts.

use serde_json::{Value, json};

use super::commit::{revert_mark, short};
use super::history::Divergence;
use super::repository::{GitError, Repository};
use super::revert_check::Extent;
use super::target::{Target, TargetSearch};
use super::worktree::Worktree;
use crate::actions::Reconciled;
use crate::domain::core::text;
use crate::domain::incident::outcome::Outcome;

/// Maximum length of a chain of reverts of reverts that is followed.
const REVERT_CHAIN: usize = 32;

/// Conflicting files that a summary names.
const NAMED_LIMIT: usize = 5;

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

/// When a revert was made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RevertOrigin {
    BeforeStep,
    ThisAttempt,
    InterruptedAttempt,
}

impl RevertOrigin {
    /// The verb between the commit and its revert in a summary.
    fn phrase(self) -> &'static str {
        match self {
            Self::BeforeStep => "is already reverted by",
            Self::ThisAttempt => "is reverted by",
            Self::InterruptedAttempt => "was reverted by",
        }
    }
}

impl Revert<'_> {
    /// Makes the revert, or reports an existing one.
    pub(super) async fn perform(&self) -> Result<Outcome, GitError> {
        self.check_tree().await?;
        let state = self.branch_state().await?;
        let target = self.search().target(&state.base).await?;
        if let Some(revert) = self.reverted_by(&target.commit, &state.base).await? {
            let extent = self.extent_of(&revert).await?;
            return self.outcome(&revert, &target.commit, RevertOrigin::BeforeStep, extent.as_ref()).await;
        }
        let worktree = match state.ahead {
            0 => Some(Worktree::new(&self.repository).await?),
            _ => None,
        };
        let outcome = self.perform_in(worktree.as_ref(), &target, &state).await;
        if let Some(worktree) = worktree {
            worktree.remove(&self.repository).await;
        }
        outcome
    }

    /// Makes the revert in the temporary work tree and publishes it. Without a work tree, publishes the unpushed revert.
    async fn perform_in(
        &self,
        worktree: Option<&Worktree>,
        target: &Target,
        state: &BranchState,
    ) -> Result<Outcome, GitError> {
        let (before, commit) = (self.first_parent(target)?, target.commit.as_str());
        let revert = match worktree {
            Some(worktree) => self.make(worktree, target, &state.base).await?,
            None => self.unpushed_revert(commit, state).await?,
        };
        let extent = self.repository.checked_revert([before, commit], [&state.base, &revert]).await?;
        let mut outcome = self.outcome(&revert, commit, RevertOrigin::ThisAttempt, Some(&extent)).await?;
        if self.push {
            self.publish(&revert).await?;
        }
        let merge = self.repository.git(&["merge", "--ff-only", "--quiet", &revert]).await?;
        outcome.output["work_tree"] = json!(if merge.code == 0 { "forward" } else { "behind" });
        if merge.code != 0 {
            let problem = format!("the work tree could not be fast-forwarded: {}", merge.stderr_tail());
            if !self.push {
                return Err(GitError::new(problem));
            }
            // The remote has the revert, so the step succeeded.
            outcome.summary += &format!("; {problem}");
        }
        Ok(outcome)
    }

    /// The search for the commit to revert.
    fn search(&self) -> TargetSearch<'_> {
        TargetSearch {
            repository: &self.repository,
            revision: &self.revision,
            branch: &self.branch,
            remote: &self.remote,
            may_deepen: self.push,
        }
    }

    /// The commit's first parent. A root commit has none, so it is not reverted here.
    fn first_parent<'t>(&self, target: &'t Target) -> Result<&'t str, GitError> {
        target.parents.first().map(String::as_str).ok_or_else(|| {
            let (branch, short) = (&self.branch, short(&target.commit));
            GitError::new(format!(
                "{short} is a root commit of `{branch}`: a revert would delete every file that it added; \
                 nothing was changed, and a person has to revert it"
            ))
        })
    }

    /// The state that [`Revert::reconcile`] needs after a crash, and the size of the change.
    pub(super) async fn observe(&self) -> Result<Value, GitError> {
        let head = self.repository.commit(&format!("refs/heads/{}", self.branch)).await?;
        let base = match self.push {
            true => {
                self.repository.checked_remote(&self.remote).await?;
                self.repository.fetched(&self.remote, &self.branch).await?
            }
            false => head.clone(),
        };
        let target = self.search().target(&base).await?;
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
            return Ok(Reconciled::CannotTell("the state of the branch before was not recorded".to_owned()));
        };
        let (base, target) = (self.repository.commit(base).await?, self.repository.commit(target).await?);
        let now = match self.push {
            true => self.repository.fetched(&self.remote, &self.branch).await?,
            false => self.repository.commit(&format!("refs/heads/{}", self.branch)).await?,
        };
        if let Some(revert) = self.newest_revert(&target, &base, &now).await? {
            let extent = self.extent_of(&revert).await?;
            let mut outcome = self.outcome(&revert, &target, RevertOrigin::InterruptedAttempt, extent.as_ref()).await?;
            let merge_base = self.repository.git(&["merge-base", "--is-ancestor", &revert, "HEAD"]).await?;
            outcome.output["work_tree"] = json!(if merge_base.code == 0 { "forward" } else { "behind" });
            return Ok(Reconciled::Happened(outcome));
        }
        let place = if self.push { &self.remote } else { "this repository" };
        let is_incomplete = self.repository.is_incomplete(&[&format!("{base}..{now}")]).await?;
        let (target, now) = (short(&target), short(&now));
        if is_incomplete {
            let missing = format!(
                "commits of `{}` are not in this shallow clone: whether {target} was reverted is unknown",
                self.branch
            );
            return Ok(Reconciled::CannotTell(
                self.repository.incomplete_message(&missing, &self.remote, &self.branch).await,
            ));
        }
        let reason = format!("`{}` of {place} is at {now} and has no revert of {target}", self.branch);
        Ok(Reconciled::DidNotHappen(reason))
    }

    /// Fails unless the work tree is on the branch, without changes and without an operation in progress.
    async fn check_tree(&self) -> Result<(), GitError> {
        let current = self.repository.branch().await?;
        let branch = &self.branch;
        self.repository.checked_branch(branch).await?;
        if let Some(operation) = self.repository.operation_in_progress().await? {
            return Err(GitError::new(format!("the work tree is in the middle of {operation}; end or abort it first")));
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

    /// The state of both branches. Fails if the local branch lacks commits of the remote's.
    async fn branch_state(&self) -> Result<BranchState, GitError> {
        let head = self.repository.commit("HEAD").await?;
        if !self.push {
            return Ok(BranchState { base: head.clone(), head, ahead: 0 });
        }
        self.repository.checked_remote(&self.remote).await?;
        let base = self.repository.fetched(&self.remote, &self.branch).await?;
        let (branch, remote) = (&self.branch, &self.remote);
        let Some(divergence) = self.repository.divergence(&head, &base).await? else {
            let missing = format!("the difference of `{branch}` from `{remote}` is unknown in this shallow clone");
            return Err(GitError::new(self.repository.incomplete_message(&missing, &self.remote, &self.branch).await));
        };
        let Divergence { behind, ahead, at_most } = divergence;
        let commits = |count| format!("{}{}", if at_most { "at most " } else { "" }, commits(count));
        match (behind, ahead) {
            (0, _) => Ok(BranchState { head, base, ahead }),
            (_, 0) => Err(GitError::new(format!(
                "`{branch}` is {} behind `{remote}`; review and pull them first",
                commits(behind)
            ))),
            _ => Err(GitError::new(format!(
                "`{branch}` and `{remote}` have diverged: {} here, {} there",
                commits(ahead),
                commits(behind)
            ))),
        }
    }

    /// The newest commit after `from`, up to `to`, whose message says that it reverts `target`.
    async fn newest_revert(&self, target: &str, from: &str, to: &str) -> Result<Option<String>, GitError> {
        let (grep, range) = (format!("--grep={}", revert_mark(target)), format!("{from}..{to}"));
        let found = self.repository.output(&["log", "--format=%H", "--fixed-strings", &grep, &range]).await?;
        Ok(found.lines().next().map(str::to_owned))
    }

    /// The revert of a commit, unless that revert is itself reverted.
    async fn reverted_by(&self, target: &str, base: &str) -> Result<Option<String>, GitError> {
        let (mut current, mut effective) = (target.to_owned(), None);
        for _ in 0..REVERT_CHAIN {
            let Some(found) = self.newest_revert(&current, &current, base).await? else {
                break;
            };
            effective = if effective.is_none() { Some(found.clone()) } else { None };
            current = found;
        }
        Ok(effective)
    }

    /// The only unpushed commit, if it is this revert.
    async fn unpushed_revert(&self, target: &str, state: &BranchState) -> Result<String, GitError> {
        let is_revert = state.ahead == 1 && self.repository.message(&state.head).await?.contains(&revert_mark(target));
        if is_revert {
            return Ok(state.head.clone());
        }
        let (branch, ahead) = (&self.branch, commits(state.ahead));
        Err(GitError::new(format!("`{branch}` has {ahead} that `{}` lacks; push or remove them first", self.remote)))
    }

    /// Makes the revert in a temporary work tree.
    async fn make(&self, worktree: &Worktree, target: &Target, base: &str) -> Result<String, GitError> {
        let path = worktree.path();
        // Checkout hooks are meant for the deployed work tree, so none runs.
        let add = ["-c", "core.hooksPath=/dev/null", "worktree", "add", "--quiet", "--detach", path, base];
        let added = self.repository.git(&add).await?;
        if added.code != 0 {
            return Err(GitError::new(format!("no temporary work tree could be made: {}", added.stderr_tail())));
        }
        let temporary = self.repository.at(path.as_ref());
        let mut arguments = vec!["revert", "--no-edit"];
        if target.parents.len() > 1 {
            arguments.extend(["--mainline", "1"]);
        }
        arguments.push(&target.commit);
        let revert = temporary.git_committing(&arguments).await?;
        if revert.code == 0 {
            return temporary.commit("HEAD").await;
        }
        let conflicts = temporary.output(&["diff", "--name-only", "--diff-filter=U"]).await?;
        let conflicts: Vec<String> = conflicts.lines().map(str::to_owned).collect();
        let short = short(&target.commit);
        Err(GitError::new(if !conflicts.is_empty() {
            format!("reverting {short} conflicts with later changes in {}; nothing was changed", names(&conflicts))
        } else if revert.code == 1 && temporary.changes().await?.is_empty() {
            // Another code means that git failed, for example because a partial clone lacks an object.
            format!("reverting {short} would change nothing: its changes are gone already")
        } else {
            format!("reverting {short} failed: {}; nothing was changed", revert.stderr_tail())
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
        let push = self.repository.git_remotely(&["push", "--quiet", &self.remote, &refspec]).await?;
        if push.code == 0 {
            return Ok(());
        }
        Err(GitError::new(format!(
            "`{}` refused the push: {}; nothing was changed here",
            self.remote,
            push.stderr_tail()
        )))
    }

    async fn outcome(
        &self,
        revert: &str,
        target: &str,
        origin: RevertOrigin,
        extent: Option<&Extent>,
    ) -> Result<Outcome, GitError> {
        let subject = self.repository.output(&["log", "--max-count=1", "--format=%s", target]).await?;
        let subject = text::one_line(&subject, 80);
        let changed = extent.map(|extent| format!(", {}", extent.summary())).unwrap_or_default();
        let pushed = if self.push { format!(", pushed to `{}`", self.remote) } else { String::new() };
        let (old, new, is_reverted_by) = (short(target), short(revert), origin.phrase());
        let summary = format!("{old} `{subject}` {is_reverted_by} {new} on `{}`{changed}{pushed}", self.branch);
        let mut output = json!({
            "sha": revert, "short": new, "reverted": target, "subject": subject, "branch": self.branch,
            "pushed": self.push, "already": origin == RevertOrigin::BeforeStep,
        });
        for (name, count) in extent.map(Extent::counts).into_iter().flatten() {
            output[name] = count;
        }
        Ok(Outcome::succeeded(summary, output))
    }
}

fn commits(count: u64) -> String {
    if count == 1 { "1 commit".to_owned() } else { format!("{count} commits") }
}

fn names(files: &[String]) -> String {
    let named: Vec<String> =
        files.iter().take(NAMED_LIMIT).map(|file| format!("`{}`", text::one_line(file, 80))).collect();
    let more = files.len().saturating_sub(NAMED_LIMIT);
    if more == 0 { named.join(", ") } else { format!("{} and {more} more", named.join(", ")) }
}
