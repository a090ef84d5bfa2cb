//! Tests with incomplete clones, and with reverts that would do more than undo their commit.

use super::*;

impl TestRepository {
    /// Replaces the work tree by a new clone with these options; the old one becomes `full`.
    pub(super) fn cloned(self, options: &str) -> Self {
        let (work, full) = (self.0.work(), self.path("full"));
        fs::rename(&work, full).expect("a directory can be renamed");
        let options = if options.is_empty() { String::new() } else { format!("{options} ") };
        let (remote, work) = (self.0.remote(), work.display().to_string());
        let clone = format!("clone -q {options}--branch production file://{} {work}", remote.display());
        output(self.0.directory(), &clone);
        self.git("config user.name Deploy");
        self.git("config user.email deploy@localhost");
        self
    }

    /// Adds three linear commits, the last of which adds `last.txt`.
    fn longer(self) -> Self {
        self.commit("a.txt", "one\ntwo\nthree\n", "fourth");
        self.commit("c.txt", "c\n", "fifth");
        self.commit("last.txt", "l\nl\n", "sixth");
        self.0.push();
        self
    }

    /// Runs git in the full clone.
    pub(super) fn git_in_full(&self, arguments: &str) -> String {
        output(&self.path("full"), arguments)
    }

    pub(super) fn on_remote(&self, revision: &str) -> String {
        self.git_in_remote(&format!("rev-parse production{revision}"))
    }

    fn is_shallow(&self) -> bool {
        self.git("rev-parse --is-shallow-repository") == "true"
    }

    /// Both branches, the status, the files, and the number of temporary directories.
    pub(super) fn everything(&self) -> [String; 5] {
        let temporary = fs::read_dir(self.file(".git/runbook")).map_or(0, Iterator::count);
        [self.on_remote(""), self.0.head(), self.0.status(), self.git("ls-files"), temporary.to_string()]
    }

    /// Performs a revert that must change nothing. Returns its message.
    async fn refuses(&self, spec: &Value, harness: &KindHarness) -> String {
        let before = self.everything();
        let outcome = harness.perform("git", spec.clone()).await;
        assert_eq!(outcome.verdict, Verdict::Failed, "{}", outcome.summary);
        assert_eq!(self.everything(), before, "{}", outcome.summary);
        outcome.summary
    }

    /// Performs a step that must succeed.
    async fn succeeds(&self, spec: &Value) -> Outcome {
        let outcome = self.perform(spec.clone()).await;
        assert_eq!(outcome.verdict, Verdict::Succeeded, "{}", outcome.summary);
        outcome
    }

    /// The command that completes the history, as a message has it.
    fn unshallow_command(&self) -> String {
        format!("`git -C {} fetch --unshallow origin production`", self.0.work().display())
    }
}

#[tokio::test]
async fn in_a_clone_of_depth_one_a_revert_undoes_only_its_commit() {
    let repository = TestRepository::new().longer().cloned("--depth 1");
    let observed = repository.observe(head()).await;
    assert_eq!([&observed["files"], &observed["added"], &observed["removed"]], [&json!(1), &json!(0), &json!(2)]);
    let before = repository.git_in_full("rev-parse HEAD~1^{tree}");
    let outcome = repository.succeeds(&head()).await;
    assert_eq!(repository.on_remote("^{tree}"), before);
    assert!(outcome.summary.ends_with("on `production`, 1 file, 0 lines added, 2 removed, pushed to `origin`"));
    let counts = ["files", "added", "removed"].map(|name| outcome.output[name].as_u64());
    assert_eq!(counts, [Some(1), Some(0), Some(2)]);
    assert!(repository.is_shallow(), "no more was fetched than it takes");
}

#[tokio::test]
async fn a_merge_at_the_end_of_a_shallow_clone_is_reverted_against_its_first_parent() {
    let repository = TestRepository::new().cloned("--depth 1");
    let log = repository.perform(json!({"log": {}})).await;
    let newest = &log.output["commits"][0];
    assert_eq!((&newest["merge"], newest["parents"].as_array().map(Vec::len)), (&json!(true), Some(2)));
    repository.succeeds(&head()).await;
    assert_eq!(repository.on_remote("^{tree}"), repository.git_in_full("rev-parse HEAD^1^{tree}"));
}

#[tokio::test]
async fn without_a_push_the_message_has_the_command_that_completes_the_history() {
    let repository = TestRepository::new().longer().cloned("--depth 1");
    let spec = json!({"revert": "HEAD"});
    let message = repository.refuses(&spec, &repository.harness()).await;
    assert!(
        message.contains("is not in this shallow clone; nothing was changed")
            && message.contains(&repository.unshallow_command()),
        "{message}"
    );
    repository.git("fetch -q --unshallow origin production");
    repository.succeeds(&spec).await;
    assert_eq!(repository.git("rev-parse HEAD^{tree}"), repository.git("rev-parse HEAD~2^{tree}"));
}

#[tokio::test]
async fn a_shallow_remote_gets_no_revert_of_its_oldest_commit() {
    let repository = TestRepository::new().longer();
    fs::rename(repository.path("remote.git"), repository.path("whole.git")).expect("a directory can be renamed");
    let whole = repository.path("whole.git");
    let clone = format!("clone -q --bare --depth 1 --branch production file://{} remote.git", whole.display());
    output(repository.0.directory(), &clone);
    let repository = repository.cloned("");
    for revision in ["HEAD", "HEAD~1"] {
        let message = repository.refuses(&json!({"revert": revision, "push": true}), &repository.harness()).await;
        assert!(message.contains(&repository.unshallow_command()), "{message}");
    }
    assert_eq!(repository.git_in_remote("ls-tree --name-only production").lines().count(), 5);
}

#[tokio::test]
async fn a_clone_that_is_deep_enough_is_not_deepened() {
    let repository = TestRepository::new().longer().cloned("--depth 2");
    let shallow = || fs::read_to_string(repository.file(".git/shallow")).expect("the clone is shallow");
    let before = shallow();
    repository.succeeds(&json!({"revert": "HEAD"})).await;
    assert_eq!((shallow(), repository.git("ls-files")), (before, "README.md\na.txt\nb.txt\nc.txt".to_owned()));
}

#[tokio::test]
async fn a_commit_that_a_shallow_clone_lacks_is_fetched_and_reverted() {
    for (named, depth) in [("HEAD~1", 1), ("HEAD~1", 2), ("", 1), ("", 3)] {
        let repository = TestRepository::new().longer().cloned(&format!("--depth {depth}"));
        let fourth = repository.git_in_full("rev-parse HEAD~2");
        let revision = if named.is_empty() { fourth } else { named.to_owned() };
        let message = repository.refuses(&json!({"revert": revision}), &repository.harness()).await;
        assert!(
            message.contains("in this shallow clone; nothing was changed")
                && message.contains(&repository.unshallow_command()),
            "{message}"
        );
        repository.succeeds(&json!({"revert": revision, "push": true})).await;
        repository.git_in_full(&format!("revert --no-edit {revision}"));
        assert_eq!(repository.on_remote("^{tree}"), repository.git_in_full("rev-parse HEAD^{tree}"));
    }
}

#[tokio::test]
async fn a_commit_that_does_not_exist_is_an_error() {
    let repository = TestRepository::new().longer().cloned("--depth 1");
    let absent = "0123456789012345678901234567890123456789";
    repository.refuses(&json!({"revert": absent, "push": true}), &repository.harness()).await;
    assert!(!repository.is_shallow(), "the history was small enough to be fetched");
    let message = repository.refuses(&json!({"revert": absent, "push": true}), &repository.harness()).await;
    assert_eq!(message, format!("there is no commit `{absent}`"));
}

#[tokio::test]
async fn a_root_commit_is_not_reverted() {
    for options in ["", "--depth 1"] {
        let repository = TestRepository::new();
        repository.git("reset -q --hard HEAD~2");
        repository.git("push -q --force origin production");
        let repository = repository.cloned(options);
        for push in [true, false] {
            let message = repository.refuses(&json!({"revert": "HEAD", "push": push}), &repository.harness()).await;
            assert!(message.contains("is a root commit of `production`"), "{message}");
        }
    }
}

#[tokio::test]
async fn a_partial_clone_fetches_the_files_that_a_revert_needs_or_refuses() {
    for filter in ["--filter=blob:none", "--filter=tree:0", "--filter=blob:none --depth 1"] {
        let repository = TestRepository::new().longer();
        repository.commit("a.txt", "one\n", "seventh");
        repository.0.push();
        repository.git_in_remote("config uploadpack.allowFilter true");
        let repository = repository.cloned(filter);
        let before = repository.everything();
        fs::rename(repository.path("remote.git"), repository.path("away.git")).expect("a directory can be renamed");
        let outcome = repository.perform(json!({"revert": "HEAD"})).await;
        assert_eq!(outcome.verdict, Verdict::Failed, "{filter}: {}", outcome.summary);
        assert!(!outcome.summary.contains("gone already"), "{}", outcome.summary);
        fs::rename(repository.path("away.git"), repository.path("remote.git")).expect("a directory can be renamed");
        assert_eq!(repository.everything(), before, "{filter}");
        repository.succeeds(&head()).await;
        assert_eq!(repository.on_remote("^{tree}"), repository.git_in_full("rev-parse HEAD~1^{tree}"), "{filter}");
    }
}

#[tokio::test]
async fn local_grafts_and_replacements_are_ignored() {
    for graft in [true, false] {
        let repository = TestRepository::new().longer().cloned("");
        let (newest, before) = (repository.git("rev-parse HEAD"), repository.git("rev-parse HEAD~1^{tree}"));
        if graft {
            fs::create_dir_all(repository.file(".git/info")).expect("a directory can be made");
            fs::write(repository.file(".git/info/grafts"), newest + "\n").expect("a file can be written");
        } else {
            repository.git("replace --graft HEAD");
        }
        assert_eq!(repository.git("rev-list --count HEAD"), "1");
        repository.succeeds(&head()).await;
        assert_eq!(repository.on_remote("^{tree}"), before);
    }
}

#[tokio::test]
async fn a_revert_that_a_shallow_clone_lacks_is_not_repeated() {
    let repository = TestRepository::new().longer();
    let target = repository.git("rev-parse HEAD");
    repository.git("checkout -q -b side");
    repository.git("revert --no-edit HEAD");
    for again in ["x", "y", "z"] {
        repository.commit("last.txt", &format!("l\nl\n{again}\n"), again);
    }
    repository.commit("last.txt", "l\nl\n", "again");
    repository.git("checkout -q production");
    repository.git("merge -q --no-ff -m merge-side side");
    repository.0.push();
    let repository = repository.cloned("--depth 3");
    let message = repository.refuses(&json!({"revert": target}), &repository.harness()).await;
    assert!(
        message.contains("one may revert it; nothing was changed") && message.contains(&repository.unshallow_command()),
        "{message}"
    );
    let before = repository.on_remote("");
    let outcome = repository.succeeds(&json!({"revert": target, "push": true})).await;
    assert_eq!((&outcome.output["already"], repository.on_remote("")), (&json!(true), before));
}

#[tokio::test]
async fn the_log_of_a_shallow_clone_is_marked_as_incomplete() {
    let repository = TestRepository::new().longer().cloned("--depth 2");
    let log = async |log: Value| repository.perform(json!({"log": log})).await;
    let size = |outcome: &Outcome| {
        (outcome.output["commits"].as_array().map_or(0, Vec::len), outcome.output["complete"].as_bool())
    };
    let all = log(json!({})).await;
    assert_eq!(size(&all), (2, Some(false)));
    assert!(all.summary.ends_with("; older ones are not in this shallow clone"), "{}", all.summary);
    assert_eq!(size(&log(json!({"limit": 1})).await), (1, Some(true)));
    // git shows the oldest commit here as touching every file.
    assert_eq!(size(&log(json!({"path": "b.txt"})).await), (0, Some(false)));
    assert_eq!(size(&log(json!({"path": "last.txt"})).await), (1, Some(false)));
    repository.git("fetch -q --unshallow origin production");
    assert_eq!(size(&log(json!({"path": "b.txt"})).await), (1, Some(true)));
}

#[tokio::test]
async fn the_status_does_not_guess_the_difference_of_a_shallow_clone() {
    let repository = TestRepository::new().longer().cloned("--depth 1");
    let status = async || repository.perform(json!({"status": "production"})).await;
    assert_eq!(status().await.summary, "on `production`, clean, level with `origin`");
    // The remote goes back by one, so this clone is one ahead.
    repository.git_in_remote("update-ref refs/heads/production production~1");
    repository.git("fetch -q origin +refs/heads/production:refs/remotes/origin/production");
    let unknown = status().await;
    let expected = "on `production`, clean, its difference from `origin` is unknown in this shallow clone";
    assert_eq!((unknown.summary.as_str(), &unknown.output["behind"]), (expected, &Value::Null));
    let message = repository.refuses(&head(), &repository.harness()).await;
    assert!(
        message.contains("is unknown in this shallow clone") && message.contains(&repository.unshallow_command()),
        "{message}"
    );
}

#[tokio::test]
async fn after_a_crash_an_incomplete_history_is_an_unknown_result() {
    let repository = TestRepository::new().longer().cloned("");
    let before = repository.observe(head()).await;
    repository.colleague_pushes("c");
    assert!(matches!(repository.reconcile(head(), &before).await, Reconciled::DidNotHappen(_)));
    repository.colleague_pushes("d");
    repository.git("fetch -q --depth 1 origin production");
    let settled = repository.reconcile(head(), &before).await;
    let Reconciled::CannotTell(message) = settled else { panic!("{settled:?}") };
    assert!(
        message.contains("not in this shallow clone") && message.contains(&repository.unshallow_command()),
        "{message}"
    );
}

#[tokio::test]
async fn a_history_that_becomes_shallow_during_the_revert_is_detected() {
    let repository = TestRepository::new().longer().cloned("");
    // Another program fetches with `--depth 1` at the worst moment.
    let work = repository.0.work();
    let script = format!(
        "#!/bin/sh\nif [ \"$2\" = revert ]; then /usr/bin/git -C {0} rev-parse HEAD >{0}/.git/shallow; fi\nexec /usr/bin/git \"$@\"\n",
        work.display()
    );
    let harness = with_git(&repository, &script);
    for push in [true, false] {
        let message = repository.refuses(&json!({"revert": "HEAD", "push": push}), &harness).await;
        assert!(message.contains("`README.md`, which the commit did not touch; nothing was changed"), "{message}");
        fs::remove_file(repository.file(".git/shallow")).expect("the history was cut");
    }
}

#[tokio::test]
async fn a_revert_follows_a_renamed_file_and_changes_no_other() {
    let repository = TestRepository::new().longer();
    let target = repository.commit("a.txt", "one\ntwo\nthree\nfour\nfive\n", "more");
    repository.git("mv a.txt renamed.txt");
    repository.commit("d.txt", "d\n", "rename");
    repository.0.push();
    repository.succeeds(&json!({"revert": target, "push": true})).await;
    assert_eq!(repository.git_in_remote("show production:renamed.txt"), "one\ntwo\nthree");

    // git guesses that a file returns to where its directory has moved.
    fs::create_dir_all(repository.file("old")).expect("a directory can be made");
    fs::write(repository.file("old/x.txt"), "x\n").expect("a file can be written");
    repository.commit("old/y.txt", "y\n", "two");
    repository.git("rm -q old/x.txt");
    let target = repository.commit("d.txt", "dd\n", "drop");
    repository.git("mv old new");
    repository.git("commit -q -m move");
    repository.0.push();
    repository.git("config merge.directoryRenames true");
    let message = repository.refuses(&json!({"revert": target, "push": true}), &repository.harness()).await;
    assert!(message.contains("`new/x.txt`, which the commit did not touch; nothing was changed"), "{message}");
}
