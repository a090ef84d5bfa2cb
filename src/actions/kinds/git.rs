//! The kind `git`: reads the log of a branch and the state of a work tree, and reverts a commit.
//!
//! Not here: anything that rewrites history or discards work. [`revert`] states the guarantees of a revert.

mod commit;
pub mod error_code;
mod history;
mod log;
pub mod remote_check;
mod repository;
mod revert;
mod revert_check;
mod target;
mod worktree;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

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
                "The commit to revert, a merge against its first parent; `HEAD` is the newest commit of the branch.",
            ),
            effect: EffectClass::Once,
        },
        Verb {
            field: Field::optional(
                "status",
                Shape::Text,
                "The branch that should be checked out: the state of the work tree.",
            ),
            effect: EffectClass::Read,
        },
    ],
    fields: &[
        Field::optional(
            "push",
            Shape::Boolean,
            "Whether a revert is pushed; a shallow clone is deepened first if necessary; `false` by default.",
        ),
        Field::optional("branch", Shape::Text, "The branch to revert on; the environment's by default."),
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
        OutputField { name: "sha", help: "`revert`: the new commit." },
        OutputField { name: "short", help: "`revert`: the first ten digits of the new commit." },
        OutputField { name: "reverted", help: "`revert`: the reverted commit." },
        OutputField { name: "subject", help: "`revert`: the subject of the reverted commit." },
        OutputField { name: "files", help: "`revert`: how many files it changes." },
        OutputField { name: "added", help: "`revert`: how many lines it adds." },
        OutputField { name: "removed", help: "`revert`: how many lines it removes." },
        OutputField { name: "pushed", help: "`revert`: whether it is on the remote." },
        OutputField { name: "already", help: "`revert`: whether the commit was reverted before this step." },
        OutputField {
            name: "work_tree",
            help: "`revert`: `forward` if the work tree contains the new commit, otherwise `behind`.",
        },
        OutputField { name: "head", help: "`status`: the commit that is checked out." },
        OutputField { name: "expected", help: "`status`: whether the branch is the one given." },
        OutputField { name: "clean", help: "`status`: whether no file is changed and no operation is in progress." },
        OutputField { name: "changes", help: "`status`: changed files." },
        OutputField {
            name: "under_way",
            help: "`status`: the operation in progress, such as `a merge` or `a rebase`; otherwise null.",
        },
        OutputField {
            name: "ahead",
            help: "`status`: commits that the remote lacks, as of the last fetch; null if a shallow clone does not show it.",
        },
        OutputField { name: "behind", help: "`status`: commits of the remote that are missing here, likewise." },
    ],
    example: "git:\n  revert: HEAD\n  push: true\n",
};

const LOG: &[Field] = &[
    Field::optional("branch", Shape::Text, "The branch; the environment's by default."),
    Field::optional("since", Shape::Text, "How long ago, such as `24h`, or an instant in UTC."),
    Field::optional("limit", Shape::Integer { min: 1, max: 100 }, "How many commits at most; 20 by default."),
    Field::optional("path", Shape::Text, "Only commits that touch this file or directory."),
    Field::optional("fetch", Shape::Boolean, "Whether the branch is fetched first; `false` by default."),
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
            spec.get(name).and_then(|value| argument_text(value).ok()).map(|value| text::one_line(&value, 80))
        };
        let place = part("repository")
            .map_or_else(|| "the environment's work tree".to_owned(), |at| format!("the work tree {at}"));
        let Some(revision) = part("revert") else {
            let what = if spec.get("status").is_some() { "read the state" } else { "read the history" };
            return PlannedChange { what: what.to_owned(), place, ..PlannedChange::default() };
        };
        let branch =
            part("branch").map_or_else(|| "the environment's branch".to_owned(), |branch| format!("`{branch}`"));
        let remote = part("remote").unwrap_or_else(|| REMOTE.to_owned());
        let pushed = spec.get("push") == Some(&Value::Bool(true));
        let (and, place) =
            if pushed { (" and push it", format!("{place} and its remote `{remote}`")) } else { ("", place) };
        let undo = Some("revert the new commit".to_owned());
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
        observed.await.unwrap_or_else(|error: GitError| json!({"trouble": error.summary()}))
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
        reconciled.await.unwrap_or_else(|error: GitError| Reconciled::CannotTell(error.summary().to_owned()))
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
    /// The revert that the step asks for, if it is one.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_of_a_revert_has_its_branch_place_and_effect() {
        let spec = json!({"revert": "HEAD\x1b", "push": true, "branch": "production"});
        let change = Git.describe(&spec);
        assert_eq!(change.what, "commit a revert of `HEAD␛` on `production` and push it");
        assert_eq!(change.place, "the environment's work tree and its remote `origin`");
        assert_eq!((FORM.effect)(&spec), EffectClass::Once);
        assert_eq!((FORM.effect)(&json!({"log": {}})), EffectClass::Read);
    }
}
