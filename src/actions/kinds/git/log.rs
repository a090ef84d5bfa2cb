//! Lists recent commits, and reports the state of the work tree.
//!
//! **Invariant:** an incomplete log is reported as such, and nothing is claimed about commits that a shallow clone lacks.
//!
//! Not here: the changes of a commit; see [`revert_check`](super::revert_check).

use serde::Deserialize;
use serde_json::{Value, json};

use super::history::{Divergence, Parents};
use super::repository::{GitError, Repository};
use crate::actions::Context;
use crate::domain::core::text;
use crate::domain::core::time::stamp;
use crate::domain::core::time_input::moment;
use crate::domain::incident::outcome::Outcome;

/// The default of `limit`.
const COMMITS: usize = 20;

/// Characters of a subject or an author's name.
const SUBJECT: usize = 120;

/// Fields are separated by `%x1f`. The subject is last, since it may contain any character.
const FORMAT: &str = "--format=%H%x1f%h%x1f%an%x1f%cI%x1f%P%x1f%s";

/// The field `log` of a step.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Log {
    branch: Option<String>,
    since: Option<String>,
    limit: Option<usize>,
    path: Option<String>,
    fetch: bool,
}

impl Log {
    pub(super) async fn perform(
        &self,
        repository: &Repository<'_>,
        remote: &str,
        context: &Context,
    ) -> Result<Outcome, GitError> {
        let now = context.clock.now();
        let since = self.since.as_deref().map(|since| moment(since, now)).transpose();
        let since = since.map_err(|error| GitError::new(format!("`since` is {error}")))?;
        let branch = self.branch.as_ref().or(context.environment.branch.as_ref());
        let newest = self.newest(branch.map(String::as_str), repository, remote).await?;
        let max_count = format!("--max-count={}", self.limit.unwrap_or(COMMITS));
        let since_option = since.map(|since| format!("--since={}", stamp(since)));
        let mut arguments = vec!["log", FORMAT, &max_count];
        arguments.extend(since_option.as_deref());
        arguments.push(&newest);
        arguments.push("--");
        let path = self.path.as_ref().map(|path| format!(":(top,literal){path}"));
        arguments.extend(path.as_deref());
        let printed = repository.output(&arguments).await?;
        let listed: Vec<Value> = printed.lines().filter_map(commit).collect();
        let range: Vec<&str> = since_option.as_deref().into_iter().chain([newest.as_str()]).collect();
        let (commits, complete) = self.corrected(listed, &range, repository).await?;
        let since = since.map(|at| format!(" since {}", stamp(at))).unwrap_or_default();
        let mut outcome = outcome_of(&commits, branch.map_or("HEAD", String::as_str), &since);
        outcome.output["complete"] = json!(complete);
        if !complete {
            outcome.summary += "; older ones are not in this shallow clone";
        }
        Ok(outcome)
    }

    /// Corrects the commits at the end of a shallow clone, and returns whether the list is complete.
    ///
    /// git shows a merge there as an ordinary commit, so the parents are replaced. It also shows every commit there as
    /// changing every path, so these commits are left out if a path is given.
    async fn corrected(
        &self,
        mut listed: Vec<Value>,
        range: &[&str],
        repository: &Repository<'_>,
    ) -> Result<(Vec<Value>, bool), GitError> {
        if !repository.is_incomplete(range).await? {
            return Ok((listed, true));
        }
        let names: Vec<String> = listed.iter().filter_map(|commit| Some(commit["sha"].as_str()?.to_owned())).collect();
        let parents = repository.parents(&names.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        let is_end: Vec<bool> = parents.iter().map(|parents| parents.hidden).collect();
        let complete = listed.len() == self.limit.unwrap_or(COMMITS) && !is_end.contains(&true);
        for (commit, Parents { all, .. }) in listed.iter_mut().zip(parents) {
            commit["merge"] = json!(all.len() > 1);
            commit["parents"] = json!(all);
        }
        if self.path.is_some() {
            let mut is_end = is_end.into_iter();
            listed.retain(|_| is_end.next() == Some(false));
        }
        Ok((listed, complete))
    }

    /// The newest commit of the log: that of the fetched branch with `fetch`, otherwise of the local branch, otherwise of
    /// the remote-tracking branch. Without a branch, the commit that is checked out.
    async fn newest(
        &self,
        branch: Option<&str>,
        repository: &Repository<'_>,
        remote: &str,
    ) -> Result<String, GitError> {
        let Some(branch) = branch else {
            return repository.commit("HEAD").await;
        };
        repository.checked_branch(branch).await?;
        if self.fetch {
            repository.checked_remote(remote).await?;
            return repository.fetched(remote, branch).await;
        }
        for reference in [format!("refs/heads/{branch}"), format!("refs/remotes/{remote}/{branch}")] {
            if let Ok(commit) = repository.commit(&reference).await {
                return Ok(commit);
            }
        }
        Err(no_branch(branch))
    }
}

fn no_branch(branch: &str) -> GitError {
    GitError::new(format!("there is no branch `{}`", text::one_line(branch, SUBJECT)))
}

fn outcome_of(commits: &[Value], branch: &str, since: &str) -> Outcome {
    let newest = commits.first().map(|newest| {
        let field = |name: &str| newest[name].as_str().unwrap_or_default().to_owned();
        format!(": {} {} ({}, {})", field("short"), field("subject"), field("author"), field("at"))
    });
    let count = match commits.len() {
        0 => "no commits".to_owned(),
        1 => "1 commit".to_owned(),
        many => format!("{many} commits, the newest"),
    };
    let summary = format!("{count} on {branch}{since}{}", newest.unwrap_or_default());
    let lines = commits.iter().map(|commit| {
        let field = |name: &str| commit[name].as_str().unwrap_or_default();
        format!("{} {} {} {}\n", field("short"), field("at"), field("author"), field("subject"))
    });
    let transcript: String = lines.collect();
    let outcome = Outcome::succeeded(text::one_line(&summary, 240), json!({"branch": branch, "commits": commits}));
    if transcript.is_empty() { outcome } else { outcome.with_transcript(transcript) }
}

fn commit(line: &str) -> Option<Value> {
    let fields: Vec<&str> = line.splitn(6, '\x1f').collect();
    let [sha, short, author, at, parents, subject] = fields[..] else {
        return None;
    };
    let parents: Vec<&str> = parents.split_whitespace().collect();
    Some(json!({
        "sha": sha,
        "short": short,
        "author": text::one_line(author, SUBJECT),
        "at": at,
        "subject": text::one_line(subject, SUBJECT),
        "merge": parents.len() > 1,
        "parents": parents,
    }))
}

/// Reports the state of the work tree, compared with the remote-tracking branch.
pub(super) async fn status(repository: &Repository<'_>, remote: &str, branch: &str) -> Result<Outcome, GitError> {
    repository.checked_branch(branch).await?;
    let (current, head) = (repository.branch().await?, repository.commit("HEAD").await?);
    let (changes, under_way) = (repository.changes().await?, repository.operation_in_progress().await?);
    let upstream = repository.commit(&format!("refs/remotes/{remote}/{branch}")).await.ok();
    if upstream.is_none() && repository.commit(&format!("refs/heads/{branch}")).await.is_err() {
        return Err(no_branch(branch));
    }
    let divergence = match &upstream {
        Some(upstream) => repository.divergence(&head, upstream).await?,
        None => Some(Divergence::default()),
    };
    let is_expected = current.as_deref() == Some(branch);
    let mut facts = vec![if is_expected { format!("on `{branch}`") } else { format!("not on `{branch}`") }];
    facts.extend(under_way.map(|operation| format!("in the middle of {operation}")));
    facts.push(match changes.len() {
        0 => "clean".to_owned(),
        1 => "1 file changed".to_owned(),
        many => format!("{many} files changed"),
    });
    facts.push(match &divergence {
        None => format!("its difference from `{remote}` is unknown in this shallow clone"),
        Some(Divergence { behind: 0, ahead: 0, .. }) => format!("level with `{remote}`"),
        Some(Divergence { behind, ahead, at_most: false }) => format!("{ahead} ahead, {behind} behind `{remote}`"),
        Some(Divergence { behind, ahead, at_most: true }) => {
            format!("at most {ahead} ahead, at most {behind} behind `{remote}` as far as this shallow clone shows")
        }
    });
    // Zero is exact in any case.
    let exact = |count: fn(&Divergence) -> u64| divergence.as_ref().filter(|d| !d.at_most || count(d) == 0).map(count);
    let (ahead, behind) = (exact(|divergence| divergence.ahead), exact(|divergence| divergence.behind));
    let output = json!({
        "branch": current, "head": head, "expected": is_expected, "clean": changes.is_empty() && under_way.is_none(),
        "changes": changes.iter().take(50).collect::<Vec<_>>(), "under_way": under_way, "ahead": ahead, "behind": behind,
    });
    Ok(Outcome::succeeded(text::one_line(&facts.join(", "), 240), output))
}
