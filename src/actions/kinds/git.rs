//! The kind `git`: the log of a branch, the state of a work tree, and taking a commit back.
//!
//! Deliberately absent: everything that rewrites history or discards work. What reverting guarantees is
//! said in [`revert`].

pub mod complaint;
mod extent;
mod history;
mod log;
pub mod remote_check;
mod repository;
mod revert;
mod target;
#[cfg(test)]
mod tests;
mod worktree;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;

use self::log::Log;
use self::repository::{GitError, Repository};
use self::revert::Revert;
use super::support::program::argument_text;
use crate::actions::{Context, Kind, Reconciled};
use crate::domain::config::kind_schema::{Field, KindForm, OutputField, Shape, Verb};
use crate::domain::core::effect::EffectClass;
use crate::domain::core::text;
use crate::domain::incident::outcome::Outcome;
use crate::domain::incident::plan::PlannedChange;

/// Implements the kind `git`.
#[derive(Debug)]
pub struct Git;

/// The default of `remote`.
const REMOTE: &str = "origin";

static FORM: KindForm = KindForm {
    name: "git",
    summary: "Reads a branch's log, or reverts a commit and pushes that.",
    shorthand: None,
    verbs: &[
        Verb {
            field: Field::optional("log", Shape::Record(LOG), "The newest commits of a branch."),
            effect: EffectClass::Read,
        },
        Verb {
            field: Field::optional(
                "revert",
                Shape::Text,
                "The commit to take back, a merge by its first parent; `HEAD` is the branch's newest.",
            ),
            effect: EffectClass::Once,
        },
        Verb {
            field: Field::optional(
                "status",
                Shape::Text,
                "The branch that should be checked out; how the work tree stands.",
            ),
            effect: EffectClass::Read,
        },
    ],
    fields: &[
        Field::optional(
            "push",
            Shape::Boolean,
            "Whether a revert is pushed, after a shallow clone is deepened where that is needed; `false` by default.",
        ),
        Field::optional("branch", Shape::Text, "The branch that a revert is for; the environment's by default."),
        Field::optional("remote", Shape::Text, "The remote; `origin` by default."),
        Field::optional("repository", Shape::Text, "The directory of the work tree; the environment's by default."),
    ],
    effect: |spec| if spec.get("revert").is_some() { EffectClass::Once } else { EffectClass::Read },
    outputs: &[
        OutputField {
            name: "commits",
            help: "`log`: a list of `sha`, `short`, `author`, `at`, `subject`, `merge`, `parents`, the newest first.",
        },
        OutputField { name: "complete", help: "`log`: whether no commit is missing because the clone is shallow." },
        OutputField { name: "branch", help: "The branch; for `status` the one that is checked out." },
        OutputField { name: "sha", help: "`revert`: the commit that takes back." },
        OutputField { name: "short", help: "`revert`: its first ten digits." },
        OutputField { name: "reverted", help: "`revert`: the commit that is taken back." },
        OutputField { name: "subject", help: "`revert`: that commit's subject." },
        OutputField { name: "files", help: "`revert`: how many files it changes." },
        OutputField { name: "added", help: "`revert`: how many lines it adds." },
        OutputField { name: "removed", help: "`revert`: how many lines it removes." },
        OutputField { name: "pushed", help: "`revert`: whether it is on the remote." },
        OutputField { name: "already", help: "`revert`: whether somebody had taken it back before." },
        OutputField { name: "work_tree", help: "`revert`: `forward` when the work tree stands on it, else `behind`." },
        OutputField { name: "head", help: "`status`: the commit that is checked out." },
        OutputField { name: "expected", help: "`status`: whether the branch is the one given." },
        OutputField { name: "clean", help: "`status`: whether nothing is changed or under way." },
        OutputField { name: "changes", help: "`status`: changed files." },
        OutputField {
            name: "under_way",
            help: "`status`: a merge or rebase that somebody is in the middle of; else null.",
        },
        OutputField {
            name: "ahead",
            help: "`status`: commits that the remote lacks, as far as known; null when a shallow clone cannot tell.",
        },
        OutputField {
            name: "behind",
            help: "`status`: commits of the remote that are missing, as far as known; else null.",
        },
    ],
    example: "git:\n  revert: HEAD\n  push: true\n",
};

const LOG: &[Field] = &[
    Field::optional("branch", Shape::Text, "The branch; the environment's by default."),
    Field::optional("since", Shape::Text, "How long ago, such as `24h`, or an instant in UTC."),
    Field::optional("limit", Shape::Integer { min: 1, max: 100 }, "How many commits at most; 20 by default."),
    Field::optional("path", Shape::Text, "Only commits that touch this file or directory."),
    Field::optional("fetch", Shape::Boolean, "Whether the remote is asked first; `false` by default."),
];

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Spec {
    log: Option<Log>,
    revert: Option<Value>,
    status: Option<String>,
    push: bool,
    branch: Option<String>,
    remote: Option<String>,
    repository: Option<String>,
}

#[async_trait]
impl Kind for Git {
    fn form(&self) -> &'static KindForm {
        &FORM
    }

    fn describe(&self, spec: &Value) -> PlannedChange {
        let part = |name: &str| {
            spec.get(name).and_then(|value| argument_text(value).ok()).map(|word| text::one_line(&word, 80))
        };
        let place = part("repository")
            .map_or_else(|| "the environment's work tree".to_owned(), |at| format!("the work tree {at}"));
        let Some(revision) = part("revert") else {
            let what = if spec.get("status").is_some() { "look at what is checked out" } else { "read the history" };
            return PlannedChange { what: what.to_owned(), place, ..PlannedChange::default() };
        };
        let branch =
            part("branch").map_or_else(|| "the environment's branch".to_owned(), |branch| format!("`{branch}`"));
        let remote = part("remote").unwrap_or_else(|| REMOTE.to_owned());
        let pushed = spec.get("push") == Some(&Value::Bool(true));
        let (and, place) =
            if pushed { (" and push it", format!("{place} and its remote `{remote}`")) } else { ("", place) };
        let undo = Some("revert the new commit in its turn".to_owned());
        PlannedChange {
            what: format!("commit a revert of `{revision}` on {branch}{and}"),
            place,
            undo,
            ..PlannedChange::default()
        }
    }

    async fn observe(&self, spec: &Value, context: &Context) -> Value {
        let observed = async {
            match read(spec)?.revert(context).await? {
                Some(revert) => revert.observe().await,
                None => Ok(Value::Null),
            }
        };
        observed.await.unwrap_or_else(|trouble: GitError| serde_json::json!({"trouble": trouble.summary()}))
    }

    async fn perform(&self, spec: &Value, context: &Context) -> Outcome {
        performed(spec, context).await.unwrap_or_else(Outcome::from)
    }

    async fn reconcile(&self, spec: &Value, before: &Value, context: &Context) -> Reconciled {
        let reconciled = async {
            match read(spec)?.revert(context).await? {
                Some(revert) => revert.reconcile(before).await,
                None => Ok(Reconciled::DidNotHappen("reading changes nothing".to_owned())),
            }
        };
        reconciled.await.unwrap_or_else(|trouble: GitError| Reconciled::CannotTell(trouble.summary().to_owned()))
    }
}

async fn performed(spec: &Value, context: &Context) -> Result<Outcome, GitError> {
    let spec = read(spec)?;
    let remote = spec.remote.as_deref().unwrap_or(REMOTE);
    if let Some(revert) = spec.revert(context).await? {
        return revert.perform().await;
    }
    let repository = Repository::of(spec.repository.as_deref(), context)?;
    match (&spec.log, &spec.status) {
        (Some(log), None) => log.perform(&repository, remote, context).await,
        (None, Some(branch)) => log::status(&repository, remote, branch).await,
        _ => Err(GitError::new("exactly one of `log`, `revert` and `status` is needed")),
    }
}

fn read(spec: &Value) -> Result<Spec, GitError> {
    serde_json::from_value(spec.clone()).map_err(|error| GitError::new(error.to_string()))
}

impl Spec {
    async fn revert<'c>(&self, context: &'c Context) -> Result<Option<Revert<'c>>, GitError> {
        let Some(revision) = &self.revert else {
            return Ok(None);
        };
        let revision = argument_text(revision).map_err(|reason| GitError::new(format!("`revert` {reason}")))?;
        let repository = Repository::of(self.repository.as_deref(), context)?;
        let branch = match self.branch.clone().or_else(|| context.environment.branch.clone()) {
            Some(branch) => branch,
            None => repository.branch().await?.ok_or_else(|| GitError::new("no branch is checked out"))?,
        };
        let remote = self.remote.clone().unwrap_or_else(|| REMOTE.to_owned());
        Ok(Some(Revert { repository, revision, branch, remote, push: self.push }))
    }
}
