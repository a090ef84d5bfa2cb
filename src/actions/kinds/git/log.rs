//! What was committed lately, and how the work tree stands. Deliberately absent: what a commit changed.

use serde::Deserialize;
use serde_json::{Value, json};

use super::repository::{Repository, Trouble};
use crate::actions::Context;
use crate::domain::core::text;
use crate::domain::core::time::stamp;
use crate::domain::core::time_input::moment;
use crate::domain::incident::outcome::Outcome;

/// Commits that are told when a step does not say.
const COMMITS: usize = 20;

/// Characters of a subject or an author's name.
const SUBJECT: usize = 120;

/// Separates the fields of a commit: no field can hold it, since git refuses control characters in them.
const FORMAT: &str = "--format=%H%x1f%h%x1f%an%x1f%cI%x1f%P%x1f%s";

/// What a step asks of the log.
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
    /// Reads the log.
    pub(super) async fn perform(
        &self,
        repository: &Repository<'_>,
        remote: &str,
        context: &Context,
    ) -> Result<Outcome, Trouble> {
        let now = context.clock.now();
        let since = self.since.as_deref().map(|since| moment(since, now)).transpose();
        let since = since.map_err(|wrong| Trouble::new(format!("`since` is {wrong}")))?;
        let branch = self.branch.as_ref().or(context.environment.branch.as_ref());
        let from = self.start(branch.map(String::as_str), repository, remote).await?;
        let (count, after) = (format!("--max-count={}", self.limit.unwrap_or(COMMITS)), since.map(stamp));
        let after = after.map(|after| format!("--since={after}"));
        let mut arguments = vec!["log", FORMAT, &count];
        arguments.extend(after.as_deref());
        arguments.push(&from);
        arguments.push("--");
        let path = self.path.as_ref().map(|path| format!(":(top,literal){path}"));
        arguments.extend(path.as_deref());
        let printed = repository.ask(&arguments).await?;
        let commits: Vec<Value> = printed.lines().filter_map(commit).collect();
        let since = since.map(|at| format!(" since {}", stamp(at))).unwrap_or_default();
        Ok(told(&commits, branch.map_or("HEAD", String::as_str), &since))
    }

    /// The commit to begin with: the remote's branch when it is fetched, else ours, else our copy of the remote's.
    async fn start(&self, branch: Option<&str>, repository: &Repository<'_>, remote: &str) -> Result<String, Trouble> {
        let Some(branch) = branch else {
            return repository.commit("HEAD").await;
        };
        repository.checked_branch(branch).await?;
        if self.fetch {
            repository.checked_remote(remote).await?;
            return repository.fetched(remote, branch).await;
        }
        match repository.commit(&format!("refs/heads/{branch}")).await {
            Ok(found) => Ok(found),
            Err(_) => match repository.commit(&format!("refs/remotes/{remote}/{branch}")).await {
                Ok(found) => Ok(found),
                Err(_) => Err(Trouble::new(format!("there is no branch `{}`", text::one_line(branch, SUBJECT)))),
            },
        }
    }
}

fn told(commits: &[Value], branch: &str, since: &str) -> Outcome {
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

/// How the work tree stands, by what is known here of the remote.
pub(super) async fn status(repository: &Repository<'_>, remote: &str, branch: &str) -> Result<Outcome, Trouble> {
    repository.checked_branch(branch).await?;
    let (current, head) = (repository.branch().await?, repository.commit("HEAD").await?);
    let (changes, under_way) = (repository.changes().await?, repository.under_way().await?);
    let copy = repository.commit(&format!("refs/remotes/{remote}/{branch}")).await.ok();
    if copy.is_none() && repository.commit(&format!("refs/heads/{branch}")).await.is_err() {
        return Err(Trouble::new(format!("there is no branch `{}`", text::one_line(branch, SUBJECT))));
    }
    let (behind, ahead) = match &copy {
        Some(copy) => repository.apart(copy, &head).await?,
        None => (0, 0),
    };
    let right = current.as_deref() == Some(branch);
    let mut facts = vec![if right { format!("on `{branch}`") } else { format!("not on `{branch}`") }];
    facts.extend(under_way.map(|what| format!("in the middle of {what}")));
    facts.push(match changes.len() {
        0 => "clean".to_owned(),
        1 => "1 file changed".to_owned(),
        many => format!("{many} files changed"),
    });
    facts.push(if (ahead, behind) == (0, 0) {
        format!("level with `{remote}`")
    } else {
        format!("{ahead} ahead, {behind} behind `{remote}`")
    });
    let output = json!({
        "branch": current, "head": head, "expected": right, "clean": changes.is_empty() && under_way.is_none(),
        "changes": changes.iter().take(50).collect::<Vec<_>>(), "under_way": under_way, "ahead": ahead, "behind": behind,
    });
    Ok(Outcome::succeeded(text::one_line(&facts.join(", "), 240), output))
}
