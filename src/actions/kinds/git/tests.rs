//! Real repositories with a bare remote: what is reverted, what is refused, and what is left after a kill.

mod histories;
mod shallow;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::actions::kinds::support::testing::context;
use crate::domain::config::estate::Environment;
use crate::domain::incident::outcome::Verdict;

/// A work tree on `production` whose newest commit is a merge, with its remote beside it.
struct TestRepository(TempDir);

impl TestRepository {
    fn new() -> Self {
        let shop = Self(tempfile::tempdir().expect("a temporary directory can be made"));
        shop.git_in("", "init -q --bare --initial-branch=production remote.git");
        shop.git_in("", "init -q --initial-branch=production work");
        shop.git("remote add origin ../remote.git");
        shop.git("config user.name Deploy");
        shop.git("config user.email deploy@localhost");
        shop.commit("a.txt", "one\n", "first");
        shop.git("checkout -q -b feature");
        shop.commit("a.txt", "one\ntwo\n", "second");
        shop.commit("b.txt", "b\n", "third");
        shop.git("checkout -q production");
        shop.git("merge -q --no-ff -m merge-feature feature");
        shop.git("push -q -u origin production");
        shop
    }

    /// The same project in another directory.
    #[expect(clippy::disallowed_methods, reason = "copying is cheaper than twenty calls of git")]
    fn copy(&self) -> Self {
        let copy = tempfile::tempdir().expect("a temporary directory can be made");
        let from = self.path(".");
        let status = std::process::Command::new("cp").arg("-a").args([&from, copy.path()]).status();
        assert!(status.expect("cp runs").success());
        Self(copy)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn git(&self, arguments: &str) -> String {
        self.git_in("work", arguments)
    }

    fn git_in(&self, directory: &str, arguments: &str) -> String {
        self.tried_in(directory, arguments).unwrap_or_else(|stderr_tail| panic!("git {arguments}: {stderr_tail}"))
    }

    #[expect(clippy::disallowed_methods, reason = "a test plays the person at the keyboard")]
    fn tried_in(&self, directory: &str, arguments: &str) -> Result<String, String> {
        let mut command = std::process::Command::new("git");
        command.current_dir(self.path(directory)).args(arguments.split(' '));
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        let output = crate::actions::transport::process::output_detached(&mut command)
            .expect("git runs; else install the Debian package `git`");
        let printed = if output.status.success() { Ok(&output.stdout) } else { Err(&output.stderr) };
        let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).trim_end().to_owned();
        printed.map(text).map_err(text)
    }

    fn commit(&self, file: &str, content: &str, message: &str) -> String {
        fs::write(self.path("work").join(file), content).expect("a file can be written");
        self.git("add --all");
        self.git(&format!("commit -q -m {message}"));
        self.git("rev-parse HEAD")
    }

    fn colleague_pushes(&self) {
        self.git_in("", "clone -q remote.git other");
        fs::write(self.path("other/c.txt"), "c").expect("a file can be written");
        self.git_in("other", "add --all");
        self.git_in("other", "-c user.name=C -c user.email=c@localhost commit -q -m theirs");
        self.git_in("other", "push -q origin production");
    }

    fn context(&self) -> Context {
        let repository = Some(self.path("work").display().to_string());
        let environment = Environment { branch: Some("production".to_owned()), repository, ..Environment::default() };
        Context { environment: Arc::new(environment), ..context() }
    }

    /// How many commits of the remote say that they revert this one.
    fn reverts_on_remote(&self, target: &str) -> usize {
        let grep = format!("log --format=%H --grep=This.reverts.commit.{target} production");
        self.git_in("remote.git", &grep).lines().count()
    }

    fn state(&self) -> [String; 4] {
        let files = fs::read_to_string(self.path("work/a.txt")).expect("the file is there");
        let left = fs::read_dir(self.path("work/.git/runbook")).map_or(0, Iterator::count);
        let trees = self.git("worktree list").lines().count();
        [self.git("rev-parse HEAD"), self.git("status --porcelain"), files, format!("{left} {trees}")]
    }
}

fn head() -> Value {
    json!({"revert": "HEAD", "push": true})
}

#[tokio::test]
async fn a_merge_is_reverted_and_pushed() {
    let shop = TestRepository::new();
    let (context, merge) = (shop.context(), shop.git("rev-parse HEAD"));
    let outcome = Git.perform(&head(), &context).await;
    assert_eq!(outcome.verdict, Verdict::Succeeded, "{}", outcome.summary);
    let new = shop.git("rev-parse HEAD");
    assert_eq!(shop.git_in("remote.git", "rev-parse production"), new);
    assert_eq!(outcome.output["sha"], json!(new));
    assert_eq!((&outcome.output["reverted"], &outcome.output["work_tree"]), (&json!(merge), &json!("forward")));
    assert_eq!(shop.git("log -1 --format=%an"), "Deploy");
    assert_eq!(shop.state()[1..], [String::new(), "one\n".to_owned(), "0 1".to_owned()]);
    assert!(!shop.path("work/b.txt").exists());

    let again = Git.perform(&head(), &context).await;
    assert_eq!(again.verdict, Verdict::Failed);
    assert!(again.summary.contains("is a revert already"), "{}", again.summary);
    let named = Git.perform(&json!({"revert": merge, "push": true}), &context).await;
    assert_eq!((named.verdict, &named.output["already"]), (Verdict::Succeeded, &json!(true)));
    assert_eq!(shop.reverts_on_remote(&merge), 1);

    // A revert that was itself reverted does not count.
    let back = Git.perform(&json!({"revert": new, "push": true}), &context).await;
    assert_eq!(back.verdict, Verdict::Succeeded, "{}", back.summary);
    let once_more = Git.perform(&json!({"revert": merge, "push": true}), &context).await;
    assert_eq!((once_more.verdict, &once_more.output["already"]), (Verdict::Succeeded, &json!(false)));
    assert_eq!(shop.reverts_on_remote(&merge), 2);
}

#[tokio::test]
async fn without_a_push_the_remote_stays_and_a_later_push_makes_no_second_revert() {
    let shop = TestRepository::new();
    let (context, merge) = (shop.context(), shop.git("rev-parse HEAD"));
    let local = Git.perform(&json!({"revert": "HEAD"}), &context).await;
    assert_eq!(local.verdict, Verdict::Succeeded, "{}", local.summary);
    assert_eq!(shop.reverts_on_remote(&merge), 0);
    let new = shop.git("rev-parse HEAD");
    let pushed = Git.perform(&head(), &context).await;
    assert_eq!(pushed.verdict, Verdict::Succeeded, "{}", pushed.summary);
    assert_eq!(pushed.output["sha"], json!(new));
    assert_eq!(shop.reverts_on_remote(&merge), 1);
}

#[tokio::test]
async fn what_somebody_is_in_the_middle_of_is_refused() {
    type Spoil = fn(&TestRepository);
    let cases: [(Spoil, &str); 7] = [
        (
            |shop| fs::write(shop.path("work/a.txt"), "edited").expect("written"),
            "changes that are not committed: `a.txt`",
        ),
        (|shop| drop(shop.git("checkout -q feature")), "on `feature`, not on `production`"),
        (|shop| drop(shop.git("checkout -q --detach")), "on no branch, not on `production`"),
        (TestRepository::colleague_pushes, "1 commit behind `origin`"),
        (|shop| drop(shop.commit("d.txt", "d", "mine")), "has 1 commit that `origin` lacks"),
        (
            |shop| (shop.colleague_pushes(), shop.commit("d.txt", "d", "mine")).0,
            "have diverged: 1 commit here, 1 commit there",
        ),
        (|shop| fs::write(shop.path("work/.git/MERGE_HEAD"), "").expect("written"), "in the middle of a merge"),
    ];
    for (spoil, stderr_tail) in cases {
        let shop = TestRepository::new();
        spoil(&shop);
        let before = (shop.path("work/.git/MERGE_HEAD").exists(), shop.git("rev-parse HEAD"));
        let outcome = Git.perform(&head(), &shop.context()).await;
        assert_eq!(outcome.verdict, Verdict::Failed);
        assert!(outcome.summary.contains(stderr_tail), "{} does not say {stderr_tail}", outcome.summary);
        assert_eq!((shop.path("work/.git/MERGE_HEAD").exists(), shop.git("rev-parse HEAD")), before);
        assert!(!shop.git_in("remote.git", "log --format=%s production").contains("Revert"));
    }
}

#[tokio::test]
async fn files_that_git_does_not_know_do_not_matter() {
    let shop = TestRepository::new();
    fs::write(shop.path("work/.env.local"), "x").expect("a file can be written");
    assert_eq!(Git.perform(&head(), &shop.context()).await.verdict, Verdict::Succeeded);
}

#[tokio::test]
async fn a_conflict_or_a_refusal_leaves_the_tree_as_it_was() {
    let shop = TestRepository::new();
    let merge = shop.git("rev-parse HEAD");
    shop.commit("a.txt", "one\nTWO\n", "later");
    shop.git("push -q origin production");
    let before = shop.state();
    let conflict = Git.perform(&json!({"revert": merge, "push": true}), &shop.context()).await;
    assert_eq!(conflict.verdict, Verdict::Failed);
    assert!(conflict.summary.contains("conflicts with later changes in `a.txt`"), "{}", conflict.summary);
    assert_eq!(shop.state()[..3], before[..3]);
    assert!(shop.state()[3].ends_with("0 1"));

    let hook = shop.path("remote.git/hooks/pre-receive");
    fs::write(&hook, "#!/bin/sh\necho 'production is protected' >&2; exit 1\n").expect("a hook can be written");
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).expect("a hook can be made executable");
    let refused = Git.perform(&head(), &shop.context()).await;
    assert_eq!(refused.verdict, Verdict::Failed);
    assert!(refused.summary.contains("production is protected"), "{}", refused.summary);
    assert_eq!(shop.state()[..3], before[..3]);

    fs::write(&hook, "#!/bin/sh\nsleep 1000\n").expect("a hook can be written");
    let deadline = Some(shop.context().clock.now() + chrono::TimeDelta::milliseconds(1500));
    let hung = Git.perform(&head(), &Context { deadline, ..shop.context() }).await;
    assert_eq!(hung.verdict, Verdict::TimedOut, "{}", hung.summary);
    assert_eq!(shop.state()[..3], before[..3]);
}

#[tokio::test]
async fn hostile_names_are_data() {
    let shop = TestRepository::new();
    let context = shop.context();
    let before = shop.state();
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
            let outcome = Git.perform(&spec, &context).await;
            assert_eq!(outcome.verdict, Verdict::Failed, "{spec}: {}", outcome.summary);
            assert!(!outcome.summary.contains(['\x1b', '\n']), "{}", outcome.summary);
        }
        let path = Git.perform(&json!({"log": {"path": hostile}}), &context).await;
        assert!(path.output["commits"].as_array().is_none_or(Vec::is_empty) || hostile.is_empty(), "{}", path.summary);
    }
    assert_eq!(shop.state()[..3], before[..3]);
}

#[tokio::test]
async fn the_log_tells_what_was_deployed() {
    let shop = TestRepository::new();
    let context = shop.context();
    let log = Git.perform(&json!({"log": {"since": "24h"}}), &context).await;
    assert_eq!(log.verdict, Verdict::Succeeded, "{}", log.summary);
    let commits = log.output["commits"].as_array().expect("a list");
    assert_eq!(commits.len(), 4);
    assert_eq!((&commits[0]["subject"], &commits[0]["merge"]), (&json!("merge-feature"), &json!(true)));
    assert!(log.summary.starts_with("4 commits, the newest on production since "), "{}", log.summary);
    let path = Git.perform(&json!({"log": {"path": "b.txt", "branch": "feature", "limit": 1}}), &context).await;
    assert_eq!(path.output["commits"][0]["subject"], "third");
    shop.colleague_pushes();
    let fetched = Git.perform(&json!({"log": {"fetch": true, "limit": 1}}), &context).await;
    assert_eq!(fetched.output["commits"][0]["subject"], "theirs");
    let status = Git.perform(&json!({"status": "production"}), &context).await;
    assert_eq!(status.summary, "on `production`, clean, 0 ahead, 1 behind `origin`");
    let none = Git.perform(&json!({"log": {"path": "nope"}}), &context).await;
    assert!(none.output["commits"].as_array().is_some_and(Vec::is_empty) && none.summary.starts_with("no commits"));
}

#[tokio::test]
async fn nobody_configured_means_runbook_commits() {
    let shop = TestRepository::new();
    shop.git("config --unset user.name");
    assert_eq!(Git.perform(&head(), &shop.context()).await.verdict, Verdict::Succeeded);
    assert_eq!(shop.git("log -1 --format=%an/%ce"), "runbook/runbook@localhost");
}

/// A `git` that hangs before its n-th call, after it has created a marker file.
fn stopping(shop: &TestRepository, at: usize) -> Context {
    let bin = shop.path("bin");
    fs::create_dir_all(&bin).expect("a directory can be made");
    let script = format!(
        "#!/bin/sh\nn=$(($(cat {0}/count 2>/dev/null || echo 0) + 1)); echo $n > {0}/count\n\
         if [ $n -eq {at} ]; then touch {0}/reached; exec sleep 100000; fi\nexec /usr/bin/git \"$@\"\n",
        shop.0.path().display()
    );
    fs::write(bin.join("git"), script).expect("a script can be written");
    fs::set_permissions(bin.join("git"), fs::Permissions::from_mode(0o755)).expect("it can be made executable");
    calling(shop)
}

/// Runs the `git` in the project's `bin`.
fn calling(shop: &TestRepository) -> Context {
    let mut basics = (*shop.context().basics).clone();
    basics.insert("PATH".to_owned(), format!("{}:/usr/bin:/bin", shop.path("bin").display()));
    Context { basics: Arc::new(basics), ..shop.context() }
}

#[tokio::test]
async fn killed_between_any_two_commands_and_done_again_there_is_one_revert() {
    let (template, mut happened) = (TestRepository::new(), 0);
    let merge = template.git("rev-parse HEAD");
    for at in 1.. {
        let shop = template.copy();
        let context = shop.context();
        let before = Git.observe(&head(), &context).await;
        let killed = stopping(&shop, at);
        let attempt = tokio::spawn(async move { Git.perform(&head(), &killed).await });
        while !attempt.is_finished() && !shop.path("reached").exists() {
            crate::clock::sleep(&crate::clock::SystemClock, Duration::from_millis(2)).await;
        }
        if attempt.is_finished() {
            assert!(at > 20, "only {at} commands were seen");
            break;
        }
        attempt.abort();
        assert!(attempt.await.is_err());
        match Git.reconcile(&head(), &before, &context).await {
            Reconciled::Happened(outcome) => {
                assert_eq!(outcome.output["reverted"], json!(merge));
                happened += 1;
            }
            Reconciled::DidNotHappen(reason) => {
                assert_eq!(shop.reverts_on_remote(&merge), 0, "{at}: {reason}");
                let again = Git.perform(&head(), &context).await;
                assert_eq!(again.verdict, Verdict::Succeeded, "{at}: {}", again.summary);
            }
            Reconciled::CannotTell(reason) => panic!("{at}: {reason}"),
        }
        assert_eq!(shop.reverts_on_remote(&merge), 1, "{at}");
        let [_, status, _, left] = shop.state();
        assert_eq!((status.as_str(), left.as_str()), ("", "0 1"), "{at}");
    }
    assert!(happened > 0, "a kill after the push was among them");
}

#[tokio::test]
async fn what_a_killed_process_left_is_swept_up() {
    let shop = TestRepository::new();
    fs::create_dir_all(shop.path("work/.git/runbook")).expect("a directory can be made");
    // No process has this id: the kernel's maximum is four million.
    shop.git("worktree add -q --detach .git/runbook/revert-4999999-0 HEAD");
    assert_eq!(Git.perform(&head(), &shop.context()).await.verdict, Verdict::Succeeded);
    assert_eq!(shop.state()[3], "0 1");
}

#[test]
fn a_change_says_what_where_and_how_back() {
    let change = Git.describe(&json!({"revert": "HEAD\x1b", "push": true, "branch": "production"}));
    assert_eq!(change.what, "commit a revert of `HEAD␛` on `production` and push it");
    assert_eq!(change.place, "the environment's work tree and its remote `origin`");
    assert_eq!((FORM.effect)(&head()), EffectClass::Once);
    assert_eq!((FORM.effect)(&json!({"log": {}})), EffectClass::Read);
}
