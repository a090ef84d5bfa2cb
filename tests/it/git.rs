//! The kind `git` against real repositories: what is reverted, what is refused, and the state after a kill.

mod histories;
mod shallow;

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use runbook::actions::Reconciled;
use runbook::domain::core::time::Span;
use runbook::domain::incident::outcome::{Outcome, Verdict};
use runbook::surface::demo::lab::repository::git_in;
use serde_json::{Value, json};

use crate::kind_harness::KindHarness;
use crate::real::repository::Repository;

/// A repository on `production` whose newest commit is the merge of `feature`, all pushed.
struct TestRepository(Repository);

impl TestRepository {
    fn new() -> Self {
        let repository = Repository::new();
        repository.commit("a.txt", "one\n", "first");
        repository.merge("feature", &[("a.txt", "one\ntwo\n", "second"), ("b.txt", "b\n", "third")]);
        repository.push();
        Self(repository)
    }

    fn copy(&self) -> Self {
        Self(self.0.copy())
    }

    /// A path beside the work tree and the remote.
    fn path(&self, name: &str) -> PathBuf {
        self.0.directory().join(name)
    }

    /// A file of the work tree.
    fn file(&self, name: &str) -> PathBuf {
        self.0.work().join(name)
    }

    /// Runs git in the work tree; `arguments` are separated by blanks.
    fn git(&self, arguments: &str) -> String {
        output(&self.0.work(), arguments)
    }

    fn git_in_remote(&self, arguments: &str) -> String {
        output(&self.0.remote(), arguments)
    }

    fn commit(&self, file: &str, content: &str, message: &str) -> String {
        self.0.commit(file, content, message)
    }

    fn colleague_pushes(&self, content: &str) {
        self.0.pushed_by_somebody_else("production", "c.txt", content);
    }

    /// A step in the environment `production`.
    fn harness(&self) -> KindHarness {
        KindHarness::new(json!({ "branch": "production", "repository": self.0.work() }), json!({}))
    }

    async fn perform(&self, spec: Value) -> Outcome {
        self.harness().perform("git", spec).await
    }

    async fn observe(&self, spec: Value) -> Value {
        self.harness().observe("git", spec).await
    }

    async fn reconcile(&self, spec: Value, before: &Value) -> Reconciled {
        self.harness().reconcile("git", spec, before).await
    }

    /// The number of the remote's commits whose message says that they revert this one.
    fn reverts_on_remote(&self, target: &str) -> usize {
        let log = format!("log --format=%H --grep=This.reverts.commit.{target} production");
        self.git_in_remote(&log).lines().count()
    }

    /// The commit, the status, the content of `a.txt`, and the numbers of temporary directories and work trees.
    fn state(&self) -> [String; 4] {
        let content = fs::read_to_string(self.file("a.txt")).expect("the file is there");
        let temporary = fs::read_dir(self.file(".git/runbook")).map_or(0, Iterator::count);
        let trees = self.git("worktree list").lines().count();
        [self.0.head(), self.0.status(), content, format!("{temporary} {trees}")]
    }
}

fn tried(directory: &Path, arguments: &str) -> io::Result<String> {
    git_in(directory, &arguments.split(' ').collect::<Vec<_>>())
}

fn output(directory: &Path, arguments: &str) -> String {
    tried(directory, arguments).unwrap_or_else(|error| panic!("{error}"))
}

fn head() -> Value {
    json!({"revert": "HEAD", "push": true})
}

/// Writes an executable `git` that is found before the real one, and returns a step that runs it.
fn with_git(repository: &TestRepository, script: &str) -> KindHarness {
    let bin = repository.path("bin");
    fs::create_dir_all(&bin).expect("a directory can be made");
    fs::write(bin.join("git"), script).expect("a script can be written");
    fs::set_permissions(bin.join("git"), fs::Permissions::from_mode(0o755)).expect("it can be made executable");
    let mut harness = repository.harness();
    let path = format!("{}:/usr/bin:/bin", bin.display());
    Arc::make_mut(&mut harness.context.base_environment).insert("PATH".to_owned(), path);
    harness
}

#[tokio::test]
async fn a_merge_is_reverted_and_pushed() {
    let repository = TestRepository::new();
    let merge = repository.0.head();
    let outcome = repository.perform(head()).await;
    assert_eq!(outcome.verdict, Verdict::Succeeded, "{}", outcome.summary);
    let new = repository.0.head();
    assert_eq!(repository.0.remote_head("production"), new);
    assert_eq!(outcome.output["sha"], json!(new));
    assert_eq!((&outcome.output["reverted"], &outcome.output["work_tree"]), (&json!(merge), &json!("forward")));
    assert_eq!(repository.git("log -1 --format=%an"), "Pakashop Deploy");
    assert_eq!(repository.state()[1..], [String::new(), "one\n".to_owned(), "0 1".to_owned()]);
    assert!(!repository.file("b.txt").exists());

    let again = repository.perform(head()).await;
    assert_eq!(again.verdict, Verdict::Failed);
    assert!(again.summary.contains("is a revert already"), "{}", again.summary);
    let named = repository.perform(json!({"revert": merge, "push": true})).await;
    assert_eq!((named.verdict, &named.output["already"]), (Verdict::Succeeded, &json!(true)));
    assert_eq!(repository.reverts_on_remote(&merge), 1);

    // A revert that was itself reverted does not count.
    let back = repository.perform(json!({"revert": new, "push": true})).await;
    assert_eq!(back.verdict, Verdict::Succeeded, "{}", back.summary);
    let once_more = repository.perform(json!({"revert": merge, "push": true})).await;
    assert_eq!((once_more.verdict, &once_more.output["already"]), (Verdict::Succeeded, &json!(false)));
    assert_eq!(repository.reverts_on_remote(&merge), 2);
}

#[tokio::test]
async fn a_revert_that_was_not_pushed_is_pushed_by_a_later_step() {
    let repository = TestRepository::new();
    let merge = repository.0.head();
    let local = repository.perform(json!({"revert": "HEAD"})).await;
    assert_eq!(local.verdict, Verdict::Succeeded, "{}", local.summary);
    assert_eq!(repository.reverts_on_remote(&merge), 0);
    let new = repository.0.head();
    let pushed = repository.perform(head()).await;
    assert_eq!(pushed.verdict, Verdict::Succeeded, "{}", pushed.summary);
    assert_eq!(pushed.output["sha"], json!(new));
    assert_eq!(repository.reverts_on_remote(&merge), 1);
}

#[tokio::test]
async fn a_work_tree_in_use_or_out_of_date_is_refused() {
    type Spoil = fn(&TestRepository);
    let cases: [(Spoil, &str); 7] = [
        (
            |repository| fs::write(repository.file("a.txt"), "edited").expect("written"),
            "changes that are not committed: `a.txt`",
        ),
        (|repository| drop(repository.git("checkout -q feature")), "on `feature`, not on `production`"),
        (|repository| drop(repository.git("checkout -q --detach")), "on no branch, not on `production`"),
        (|repository| repository.colleague_pushes("c"), "1 commit behind `origin`"),
        (|repository| drop(repository.commit("d.txt", "d", "mine")), "has 1 commit that `origin` lacks"),
        (
            |repository| (repository.colleague_pushes("c"), repository.commit("d.txt", "d", "mine")).0,
            "have diverged: 1 commit here, 1 commit there",
        ),
        (|repository| fs::write(repository.file(".git/MERGE_HEAD"), "").expect("written"), "in the middle of a merge"),
    ];
    for (spoil, message) in cases {
        let repository = TestRepository::new();
        spoil(&repository);
        let before = (repository.file(".git/MERGE_HEAD").exists(), repository.0.head());
        let outcome = repository.perform(head()).await;
        assert_eq!(outcome.verdict, Verdict::Failed);
        assert!(outcome.summary.contains(message), "`{}` has no `{message}`", outcome.summary);
        assert_eq!((repository.file(".git/MERGE_HEAD").exists(), repository.0.head()), before);
        assert!(!repository.0.remote_log("production").iter().any(|subject| subject.contains("Revert")));
    }
}

#[tokio::test]
async fn an_untracked_file_does_not_prevent_a_revert() {
    let repository = TestRepository::new();
    fs::write(repository.file(".env.local"), "x").expect("a file can be written");
    assert_eq!(repository.perform(head()).await.verdict, Verdict::Succeeded);
}

#[tokio::test]
async fn a_conflict_or_a_refused_push_leaves_the_work_tree_unchanged() {
    let repository = TestRepository::new();
    let merge = repository.0.head();
    repository.commit("a.txt", "one\nTWO\n", "later");
    repository.0.push();
    let before = repository.state();
    let conflict = repository.perform(json!({"revert": merge, "push": true})).await;
    assert_eq!(conflict.verdict, Verdict::Failed);
    assert!(conflict.summary.contains("conflicts with later changes in `a.txt`"), "{}", conflict.summary);
    assert_eq!(repository.state()[..3], before[..3]);
    assert!(repository.state()[3].ends_with("0 1"));

    repository.0.refuse_pushes("production is protected");
    let refused = repository.perform(head()).await;
    assert_eq!(refused.verdict, Verdict::Failed);
    assert!(refused.summary.contains("production is protected"), "{}", refused.summary);
    assert_eq!(repository.state()[..3], before[..3]);

    repository.0.hang_pushes();
    let mut harness = repository.harness();
    harness.context.deadline = Some(Span(Duration::from_millis(1500)).after(harness.context.clock.now()));
    let hung = harness.perform("git", head()).await;
    assert_eq!(hung.verdict, Verdict::TimedOut, "{}", hung.summary);
    assert_eq!(repository.state()[..3], before[..3]);
}

#[tokio::test]
async fn hostile_names_are_data() {
    let repository = TestRepository::new();
    let before = repository.state();
    for hostile in
        ["--upload-pack=touch /tmp/x", "-h", "$(id)", "`id`", "../..", "a\nb", "\x1b[2J", "ext::sh -c id", "", "@{-1}"]
    {
        for spec in [
            json!({"revert": hostile, "push": true}),
            json!({"revert": "HEAD", "push": true, "branch": hostile}),
            json!({"revert": "HEAD", "push": true, "remote": hostile}),
            json!({"log": {"branch": hostile}}),
            json!({"log": {"branch": hostile, "fetch": true}}),
            json!({"log": {"since": hostile}}),
            json!({"status": hostile}),
        ] {
            let outcome = repository.perform(spec.clone()).await;
            assert_eq!(outcome.verdict, Verdict::Failed, "{spec}: {}", outcome.summary);
            assert!(!outcome.summary.contains(['\x1b', '\n']), "{}", outcome.summary);
        }
        let path = repository.perform(json!({"log": {"path": hostile}})).await;
        assert!(path.output["commits"].as_array().is_none_or(Vec::is_empty) || hostile.is_empty(), "{}", path.summary);
    }
    assert_eq!(repository.state()[..3], before[..3]);
}

#[tokio::test]
async fn the_log_and_the_status_show_recent_commits() {
    let repository = TestRepository::new();
    let log = repository.perform(json!({"log": {"since": "24h"}})).await;
    assert_eq!(log.verdict, Verdict::Succeeded, "{}", log.summary);
    let commits = log.output["commits"].as_array().expect("a list");
    assert_eq!(commits.len(), 5);
    let newest = (&commits[0]["subject"], &commits[0]["merge"]);
    assert_eq!(newest, (&json!("Merge branch 'feature' into production"), &json!(true)));
    assert!(log.summary.starts_with("5 commits, the newest on production since "), "{}", log.summary);
    let path = repository.perform(json!({"log": {"path": "b.txt", "branch": "feature", "limit": 1}})).await;
    assert_eq!(path.output["commits"][0]["subject"], "third");
    repository.colleague_pushes("c");
    let fetched = repository.perform(json!({"log": {"fetch": true, "limit": 1}})).await;
    assert_eq!(fetched.output["commits"][0]["subject"], "elsewhere: a change by a colleague");
    let status = repository.perform(json!({"status": "production"})).await;
    assert_eq!(status.summary, "on `production`, clean, 0 ahead, 1 behind `origin`");
    let none = repository.perform(json!({"log": {"path": "nope"}})).await;
    assert!(none.output["commits"].as_array().is_some_and(Vec::is_empty) && none.summary.starts_with("no commits"));
}

#[tokio::test]
async fn without_a_configured_author_runbook_is_the_author() {
    let repository = TestRepository::new();
    repository.git("config --unset user.name");
    assert_eq!(repository.perform(head()).await.verdict, Verdict::Succeeded);
    assert_eq!(repository.git("log -1 --format=%an/%ce"), "runbook/runbook@localhost");
}

/// A step whose `git` hangs before its n-th call, after it has created the file `reached`.
fn hanging_at(repository: &TestRepository, call: usize) -> KindHarness {
    let script = format!(
        "#!/bin/sh\nn=$(($(cat {0}/count 2>/dev/null || echo 0) + 1)); echo $n > {0}/count\n\
         if [ $n -eq {call} ]; then touch {0}/reached; exec sleep 100000; fi\nexec /usr/bin/git \"$@\"\n",
        repository.0.directory().display()
    );
    with_git(repository, &script)
}

#[tokio::test]
async fn after_a_kill_between_any_two_commands_and_a_retry_there_is_one_revert() {
    let (template, mut happened) = (TestRepository::new(), 0);
    let merge = template.0.head();
    for call in 1.. {
        let repository = template.copy();
        let before = repository.observe(head()).await;
        let killed = hanging_at(&repository, call);
        let attempt = tokio::spawn(async move { killed.perform("git", head()).await });
        while !attempt.is_finished() && !repository.path("reached").exists() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        if attempt.is_finished() {
            assert!(call > 20, "the step ran only {call} commands");
            break;
        }
        attempt.abort();
        assert!(attempt.await.is_err());
        match repository.reconcile(head(), &before).await {
            Reconciled::Happened(outcome) => {
                assert_eq!(outcome.output["reverted"], json!(merge));
                happened += 1;
            }
            Reconciled::DidNotHappen(reason) => {
                assert_eq!(repository.reverts_on_remote(&merge), 0, "{call}: {reason}");
                let again = repository.perform(head()).await;
                assert_eq!(again.verdict, Verdict::Succeeded, "{call}: {}", again.summary);
            }
            Reconciled::CannotTell(reason) => panic!("{call}: {reason}"),
        }
        assert_eq!(repository.reverts_on_remote(&merge), 1, "{call}");
        let [_, status, _, temporary] = repository.state();
        assert_eq!((status.as_str(), temporary.as_str()), ("", "0 1"), "{call}");
    }
    assert!(happened > 0, "no kill came after the push");
}

#[tokio::test]
async fn the_temporary_work_tree_of_a_killed_process_is_removed() {
    let repository = TestRepository::new();
    fs::create_dir_all(repository.file(".git/runbook")).expect("a directory can be made");
    // No process has this id: the kernel's maximum is four million.
    repository.git("worktree add -q --detach .git/runbook/revert-4999999-0 HEAD");
    assert_eq!(repository.perform(head()).await.verdict, Verdict::Succeeded);
    assert_eq!(repository.state()[3], "0 1");
}
