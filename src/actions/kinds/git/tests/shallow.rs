//! Clones that lack a part of the history, and reverts that would do something else than take their commit back.

use super::*;

impl TestRepository {
    /// Replaces the work tree by a new clone with these options; the old one becomes `full`.
    pub(super) fn cloned(self, options: &str) -> Self {
        fs::rename(self.path("work"), self.path("full")).expect("a directory can be renamed");
        self.clone_again(options);
        self
    }

    fn clone_again(&self, options: &str) {
        let remote = self.path("remote.git").display().to_string();
        let options = if options.is_empty() { String::new() } else { format!("{options} ") };
        self.git_in("", &format!("clone -q {options}--branch production file://{remote} work"));
        self.git("config user.name Deploy");
        self.git("config user.email deploy@localhost");
    }

    /// Adds three linear commits, the last of which adds `last.txt`.
    fn longer(self) -> Self {
        self.commit("a.txt", "one\ntwo\nthree\n", "fourth");
        self.commit("c.txt", "c\n", "fifth");
        self.commit("last.txt", "l\nl\n", "sixth");
        self.git("push -q origin production");
        self
    }

    pub(super) fn on_remote(&self, revision: &str) -> String {
        self.git_in("remote.git", &format!("rev-parse production{revision}"))
    }

    fn is_shallow(&self) -> bool {
        self.git("rev-parse --is-shallow-repository") == "true"
    }

    /// The state to compare: both branches, the status, the files, and the number of temporary work trees.
    pub(super) fn everything(&self) -> [String; 5] {
        let left = fs::read_dir(self.path("work/.git/runbook")).map_or(0, Iterator::count);
        let files = self.git("ls-files");
        let state = [self.on_remote(""), self.git("rev-parse HEAD"), self.git("status --porcelain"), files];
        let [remote, head, status, files] = state;
        [remote, head, status, files, left.to_string()]
    }

    /// Performs a revert that must change nothing. Returns its message.
    async fn refuses(&self, spec: &Value, context: &Context) -> String {
        let before = self.everything();
        let outcome = Git.perform(spec, context).await;
        assert_eq!(outcome.verdict, Verdict::Failed, "{}", outcome.summary);
        assert_eq!(self.everything(), before, "{}", outcome.summary);
        outcome.summary
    }

    async fn does(&self, spec: &Value) -> Outcome {
        let outcome = Git.perform(spec, &self.context()).await;
        assert_eq!(outcome.verdict, Verdict::Succeeded, "{}", outcome.summary);
        outcome
    }

    /// The command that completes the history.
    fn command(&self) -> String {
        format!("`git -C {} fetch --unshallow origin production`", self.path("work").display())
    }
}

#[tokio::test]
async fn in_the_shallowest_clone_a_revert_takes_back_its_commit_alone() {
    let shop = TestRepository::new().longer().cloned("--depth 1");
    let observed = Git.observe(&head(), &shop.context()).await;
    assert_eq!([&observed["files"], &observed["added"], &observed["removed"]], [&json!(1), &json!(0), &json!(2)]);
    let before = shop.git_in("full", "rev-parse HEAD~1^{tree}");
    let outcome = shop.does(&head()).await;
    assert_eq!(shop.on_remote("^{tree}"), before);
    assert!(outcome.summary.ends_with("on `production`, 1 file, 0 lines added, 2 removed, pushed to `origin`"));
    let counts = ["files", "added", "removed"].map(|name| outcome.output[name].as_u64());
    assert_eq!(counts, [Some(1), Some(0), Some(2)]);
    assert!(shop.is_shallow(), "no more was fetched than it takes");
}

#[tokio::test]
async fn a_merge_at_the_end_of_a_shallow_clone_is_reverted_by_its_first_parent() {
    let shop = TestRepository::new().cloned("--depth 1");
    let log = Git.perform(&json!({"log": {}}), &shop.context()).await;
    let newest = &log.output["commits"][0];
    assert_eq!((&newest["merge"], newest["parents"].as_array().map(Vec::len)), (&json!(true), Some(2)));
    shop.does(&head()).await;
    assert_eq!(shop.on_remote("^{tree}"), shop.git_in("full", "rev-parse HEAD^1^{tree}"));
}

#[tokio::test]
async fn without_a_push_a_person_is_given_the_command_that_completes_the_history() {
    let shop = TestRepository::new().longer().cloned("--depth 1");
    let spec = json!({"revert": "HEAD"});
    let said = shop.refuses(&spec, &shop.context()).await;
    assert!(
        said.contains("is not in this shallow clone; nothing was changed") && said.contains(&shop.command()),
        "{said}"
    );
    shop.git("fetch -q --unshallow origin production");
    shop.does(&spec).await;
    assert_eq!(shop.git("rev-parse HEAD^{tree}"), shop.git("rev-parse HEAD~2^{tree}"));
}

#[tokio::test]
async fn a_remote_that_has_no_more_of_the_history_gets_no_revert() {
    let shop = TestRepository::new().longer();
    fs::rename(shop.path("remote.git"), shop.path("whole.git")).expect("a directory can be renamed");
    let whole = shop.path("whole.git").display().to_string();
    shop.git_in("", &format!("clone -q --bare --depth 1 --branch production file://{whole} remote.git"));
    let shop = shop.cloned("");
    for revision in ["HEAD", "HEAD~1"] {
        let said = shop.refuses(&json!({"revert": revision, "push": true}), &shop.context()).await;
        assert!(said.contains(&shop.command()), "{said}");
    }
    assert_eq!(shop.git_in("remote.git", "ls-tree --name-only production").lines().count(), 4);
}

#[tokio::test]
async fn a_clone_that_is_deep_enough_is_used_as_it_is() {
    let shop = TestRepository::new().longer().cloned("--depth 2");
    let shallow = || fs::read_to_string(shop.path("work/.git/shallow")).expect("the clone is shallow");
    let before = shallow();
    shop.does(&json!({"revert": "HEAD"})).await;
    assert_eq!((shallow(), shop.git("ls-files")), (before, "a.txt\nb.txt\nc.txt".to_owned()));
}

#[tokio::test]
async fn a_commit_below_the_end_of_a_shallow_clone_is_fetched_and_reverted() {
    for (named, depth) in [("HEAD~1", 1), ("HEAD~1", 2), ("", 1), ("", 3)] {
        let shop = TestRepository::new().longer().cloned(&format!("--depth {depth}"));
        let fourth = shop.git_in("full", "rev-parse HEAD~2");
        let revision = if named.is_empty() { fourth } else { named.to_owned() };
        let said = shop.refuses(&json!({"revert": revision}), &shop.context()).await;
        assert!(
            said.contains("in this shallow clone; nothing was changed") && said.contains(&shop.command()),
            "{said}"
        );
        shop.does(&json!({"revert": revision, "push": true})).await;
        shop.git_in("full", &format!("revert --no-edit {revision}"));
        assert_eq!(shop.on_remote("^{tree}"), shop.git_in("full", "rev-parse HEAD^{tree}"));
    }
}

#[tokio::test]
async fn a_commit_that_no_history_has_is_not_there() {
    let shop = TestRepository::new().longer().cloned("--depth 1");
    let absent = "0123456789012345678901234567890123456789";
    shop.refuses(&json!({"revert": absent, "push": true}), &shop.context()).await;
    assert!(!shop.is_shallow(), "the history was small enough to be fetched");
    let said = shop.refuses(&json!({"revert": absent, "push": true}), &shop.context()).await;
    assert_eq!(said, format!("there is no commit `{absent}`"));
}

#[tokio::test]
async fn a_root_commit_is_left_to_a_person() {
    for options in ["", "--depth 1"] {
        let shop = TestRepository::new();
        shop.git("reset -q --hard HEAD~1");
        shop.git("push -q --force origin production");
        let shop = shop.cloned(options);
        for push in [true, false] {
            let said = shop.refuses(&json!({"revert": "HEAD", "push": push}), &shop.context()).await;
            assert!(said.contains("is a root commit of `production`"), "{said}");
        }
    }
}

#[tokio::test]
async fn a_partial_clone_fetches_the_files_that_a_revert_needs_or_refuses() {
    for filter in ["--filter=blob:none", "--filter=tree:0", "--filter=blob:none --depth 1"] {
        let shop = TestRepository::new().longer();
        shop.commit("a.txt", "one\n", "seventh");
        shop.git("push -q origin production");
        shop.git_in("remote.git", "config uploadpack.allowFilter true");
        let shop = shop.cloned(filter);
        let before = shop.everything();
        fs::rename(shop.path("remote.git"), shop.path("away.git")).expect("a directory can be renamed");
        let outcome = Git.perform(&json!({"revert": "HEAD"}), &shop.context()).await;
        assert_eq!(outcome.verdict, Verdict::Failed, "{filter}: {}", outcome.summary);
        assert!(!outcome.summary.contains("gone already"), "{}", outcome.summary);
        fs::rename(shop.path("away.git"), shop.path("remote.git")).expect("a directory can be renamed");
        assert_eq!(shop.everything(), before, "{filter}");
        shop.does(&head()).await;
        assert_eq!(shop.on_remote("^{tree}"), shop.git_in("full", "rev-parse HEAD~1^{tree}"), "{filter}");
    }
}

#[tokio::test]
async fn what_was_grafted_or_replaced_here_does_not_count() {
    for graft in [true, false] {
        let shop = TestRepository::new().longer().cloned("");
        let (newest, before) = (shop.git("rev-parse HEAD"), shop.git("rev-parse HEAD~1^{tree}"));
        if graft {
            fs::create_dir_all(shop.path("work/.git/info")).expect("a directory can be made");
            fs::write(shop.path("work/.git/info/grafts"), newest + "\n").expect("a file can be written");
        } else {
            shop.git("replace --graft HEAD");
        }
        assert_eq!(shop.git("rev-list --count HEAD"), "1");
        shop.does(&head()).await;
        assert_eq!(shop.on_remote("^{tree}"), before);
    }
}

#[tokio::test]
async fn a_revert_that_a_shallow_clone_hides_is_not_made_again() {
    let shop = TestRepository::new().longer();
    let target = shop.git("rev-parse HEAD");
    shop.git("checkout -q -b side");
    shop.git("revert --no-edit HEAD");
    for again in ["x", "y", "z"] {
        shop.commit("last.txt", &format!("l\nl\n{again}\n"), again);
    }
    shop.commit("last.txt", "l\nl\n", "again");
    shop.git("checkout -q production");
    shop.git("merge -q --no-ff -m merge-side side");
    shop.git("push -q origin production");
    let shop = shop.cloned("--depth 3");
    let said = shop.refuses(&json!({"revert": target}), &shop.context()).await;
    assert!(said.contains("one may revert it; nothing was changed") && said.contains(&shop.command()), "{said}");
    let before = shop.on_remote("");
    let outcome = shop.does(&json!({"revert": target, "push": true})).await;
    assert_eq!((&outcome.output["already"], shop.on_remote("")), (&json!(true), before));
}

#[tokio::test]
async fn the_log_of_a_shallow_clone_says_that_it_is_not_complete() {
    let shop = TestRepository::new().longer().cloned("--depth 2");
    let context = shop.context();
    let log = async |log: Value| Git.perform(&json!({"log": log}), &context).await;
    let told = |outcome: &Outcome| {
        (outcome.output["commits"].as_array().map_or(0, Vec::len), outcome.output["complete"].as_bool())
    };
    let all = log(json!({})).await;
    assert_eq!(told(&all), (2, Some(false)));
    assert!(all.summary.ends_with("; older ones are not in this shallow clone"), "{}", all.summary);
    assert_eq!(told(&log(json!({"limit": 1})).await), (1, Some(true)));
    // git shows the oldest commit here as touching every file.
    assert_eq!(told(&log(json!({"path": "b.txt"})).await), (0, Some(false)));
    assert_eq!(told(&log(json!({"path": "last.txt"})).await), (1, Some(false)));
    shop.git("fetch -q --unshallow origin production");
    assert_eq!(told(&log(json!({"path": "b.txt"})).await), (1, Some(true)));
}

#[tokio::test]
async fn how_a_shallow_clone_stands_to_its_remote_is_not_guessed() {
    let shop = TestRepository::new().longer().cloned("--depth 1");
    let status = async || Git.perform(&json!({"status": "production"}), &shop.context()).await;
    assert_eq!(status().await.summary, "on `production`, clean, level with `origin`");
    // The remote goes back by one, so this clone is one ahead.
    shop.git_in("remote.git", "update-ref refs/heads/production production~1");
    shop.git("fetch -q origin +refs/heads/production:refs/remotes/origin/production");
    let unknown = status().await;
    let said = "on `production`, clean, how it stands to `origin` is unknown in this shallow clone";
    assert_eq!((unknown.summary.as_str(), &unknown.output["behind"]), (said, &Value::Null));
    let said = shop.refuses(&head(), &shop.context()).await;
    assert!(said.contains("is unknown in this shallow clone") && said.contains(&shop.command()), "{said}");
}

#[tokio::test]
async fn what_a_crash_left_is_not_settled_by_half_a_history() {
    let shop = TestRepository::new().longer().cloned("");
    let before = Git.observe(&head(), &shop.context()).await;
    shop.colleague_pushes();
    assert!(matches!(Git.reconcile(&head(), &before, &shop.context()).await, Reconciled::DidNotHappen(_)));
    shop.git_in("other", "-c user.name=C -c user.email=c@localhost commit -q --allow-empty -m again");
    shop.git_in("other", "push -q origin production");
    shop.git("fetch -q --depth 1 origin production");
    let settled = Git.reconcile(&head(), &before, &shop.context()).await;
    let Reconciled::CannotTell(said) = settled else { panic!("{settled:?}") };
    assert!(said.contains("not in this shallow clone") && said.contains(&shop.command()), "{said}");
}

#[tokio::test]
async fn a_history_that_is_cut_while_the_revert_is_made_is_noticed() {
    let shop = TestRepository::new().longer().cloned("");
    fs::create_dir_all(shop.path("bin")).expect("a directory can be made");
    // Another program fetches with `--depth 1` at the worst moment.
    let (work, bin) = (shop.path("work").display().to_string(), shop.path("bin/git"));
    let script = format!(
        "#!/bin/sh\nif [ \"$2\" = revert ]; then /usr/bin/git -C {work} rev-parse HEAD >{work}/.git/shallow; fi\nexec /usr/bin/git \"$@\"\n"
    );
    fs::write(&bin, script).expect("a script can be written");
    fs::set_permissions(&bin, fs::Permissions::from_mode(0o755)).expect("it can be made executable");
    for push in [true, false] {
        let said = shop.refuses(&json!({"revert": "HEAD", "push": push}), &calling(&shop)).await;
        assert!(said.contains("`a.txt`, which the commit did not touch; nothing was changed"), "{said}");
        fs::remove_file(shop.path("work/.git/shallow")).expect("the history was cut");
    }
}

#[tokio::test]
async fn a_revert_follows_a_renamed_file_and_stays_out_of_every_other() {
    let shop = TestRepository::new().longer();
    let target = shop.commit("a.txt", "one\ntwo\nthree\nfour\nfive\n", "more");
    shop.git("mv a.txt renamed.txt");
    shop.commit("d.txt", "d\n", "rename");
    shop.git("push -q origin production");
    shop.does(&json!({"revert": target, "push": true})).await;
    assert_eq!(shop.git_in("remote.git", "show production:renamed.txt"), "one\ntwo\nthree");

    // git guesses that a file returns to where its directory has moved.
    fs::create_dir_all(shop.path("work/old")).expect("a directory can be made");
    fs::write(shop.path("work/old/x.txt"), "x\n").expect("a file can be written");
    shop.commit("old/y.txt", "y\n", "two");
    shop.git("rm -q old/x.txt");
    let target = shop.commit("d.txt", "dd\n", "drop");
    shop.git("mv old new");
    shop.git("commit -q -m move");
    shop.git("push -q origin production");
    shop.git("config merge.directoryRenames true");
    let said = shop.refuses(&json!({"revert": target, "push": true}), &shop.context()).await;
    assert!(said.contains("`new/x.txt`, which the commit did not touch; nothing was changed"), "{said}");
}
