//! Programs on a remote host: their input, their output, and that no process is left.

use std::fs;

use proptest::prelude::*;
use runbook::domain::core::text::shell_quoted;
use runbook::domain::core::time::Span;
use runbook::domain::incident::outcome::Verdict;
use serde_json::json;

use super::{command, on, runs, unique};
use crate::real::eventually;
use crate::real::sshd::Sshd;

#[tokio::test]
async fn a_remote_program_gets_its_input_and_returns_its_output_and_exit_code() {
    let sshd = Sshd::start();
    let harness = on(&sshd).with_secrets(&[("token", "hunter22hunter22")]);
    let script = "printf '%s\\n' \"$A\" \"$T\" \"$PWD\" \"$HOME\"; cat; echo complaint >&2; exit 7";
    let spec = json!({
        "argv": ["sh", "-c", script], "cwd": "/usr", "stdin": "line one\nline two",
        "env": { "A": "a b\n$(id)'", "T": { "secret": "token" } }, "expect_exit": [7],
    });
    let outcome = harness.perform("command", spec).await;
    assert!(outcome.is_success(), "{outcome:?}");
    let home = sshd.path().display();
    let stdout = format!("a b\n$(id)'\nhunter22hunter22\n/usr\n{home}\nline one\nline two");
    assert_eq!(outcome.output["stdout"], json!(stdout));
    assert_eq!((&outcome.output["stderr"], &outcome.output["exit_code"]), (&json!("complaint"), &json!(7)));
}

#[tokio::test]
async fn exit_codes_of_a_remote_program_differ_from_those_of_ssh() {
    let sshd = Sshd::start();
    let harness = on(&sshd);
    let ended = |outcome: runbook::domain::incident::outcome::Outcome| (outcome.verdict, outcome.summary);
    let run = async |script: &str| ended(harness.perform("command", command(&["sh", "-c", script])).await);
    assert_eq!(run("exit 255").await, (Verdict::Failed, "`sh` ended with code 255".to_owned()));
    assert_eq!(run("kill -9 $$").await, (Verdict::Failed, "`sh` ended with code 137".to_owned()));
    assert_eq!(run("kill 0; sleep 5").await, (Verdict::Failed, "`sh` ended with code 143".to_owned()));
    let missing = ended(harness.perform("command", command(&["no-such-program"])).await);
    assert!(missing.1.starts_with("`no-such-program` is not in `") && missing.1.contains(&sshd.to()), "{missing:?}");
    let nowhere = ended(harness.perform("command", json!({ "argv": ["true"], "cwd": "/no/where" })).await);
    assert_eq!(nowhere.1, format!("there is no directory `/no/where` on `{}`", sshd.to()));
    let script = harness.perform("shell", json!({ "script": "echo one\nfalse\necho two" })).await;
    assert_eq!((script.verdict, &script.output["stdout"]), (Verdict::Failed, &json!("one")));
}

#[test]
fn arguments_arrive_unchanged() {
    let sshd = Sshd::start();
    let harness = on(&sshd).within(600);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let word = prop_oneof![
        any::<String>(),
        "[-$`'\"\\\\!*?~#&|;<>(){}\\[\\] \t\n\ra-c]{0,12}",
        Just("$(touch pwned)".to_owned()),
        Just("'; touch pwned; '".to_owned()),
        Just("end:".to_owned()),
        Just("-oProxyCommand=id".to_owned()),
    ];
    let words = prop::collection::vec(word.prop_filter("no program is given a NUL", |word| !word.contains('\0')), 1..8);
    let settings = ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(settings, |(words in words)| {
        let listed = "import json, os, sys; print(json.dumps([sys.argv[1:], os.environ['V'], sys.stdin.buffer.read().decode()]))";
        let mut argv = vec!["/usr/bin/python3", "-c", listed];
        argv.extend(words.iter().map(String::as_str));
        let spec = json!({ "argv": argv, "env": { "V": words[0] }, "stdin": words.concat(), "parse": "json" });
        let outcome = runtime.block_on(harness.perform("command", spec));
        prop_assert!(outcome.is_success(), "{:?}", outcome);
        prop_assert_eq!(&outcome.output["json"], &json!([words, words[0], words.concat()]));
    });
    assert!(!sshd.path().join("pwned").exists() && !std::path::Path::new("/root/pwned").exists());
}

#[tokio::test]
async fn no_secret_is_in_an_argument_list() {
    let sshd = Sshd::start();
    let harness = on(&sshd).with_secrets(&[("token", "s3cret-of-this-very-test")]);
    let (started, go) = (sshd.path().join("started"), sshd.path().join("go"));
    let script =
        format!("touch {}; while [ ! -e {} ]; do sleep 0.02; done; printf %s \"$V\"", started.display(), go.display());
    let spec = json!({ "script": script, "env": { "V": { "secret": "token" } } });
    let check = async {
        while !started.exists() {
            tokio::task::yield_now().await;
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        let lines = fs::read_dir("/proc").expect("there is a /proc").flatten();
        let lines = lines.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
        let is_shown = lines.into_iter().any(|line| String::from_utf8_lossy(&line).contains("s3cret-of-this-very"));
        fs::write(&go, "").expect("a file can be written");
        is_shown
    };
    let (outcome, is_shown) = tokio::join!(harness.perform("shell", spec), check);
    assert_eq!(outcome.output["stdout"], json!("s3cret-of-this-very-test"));
    assert!(!is_shown);
}

#[tokio::test]
async fn a_timeout_ends_the_remote_program_and_its_descendants() {
    let sshd = Sshd::start();
    let (one, two, three) = (unique(1), unique(2), unique(3));
    let script = format!("echo begun; sleep {one} & setsid sleep {two} & trap '' TERM; sleep {three}; sleep {three}");
    let outcome = on(&sshd).within(3).perform("shell", json!({ "script": script })).await;
    assert_eq!((outcome.verdict, outcome.transcript.as_deref()), (Verdict::TimedOut, Some("begun\n")), "{outcome:?}");
    assert!(![one, two, three].iter().any(|seconds| runs(seconds)), "no process is left when the step ends");
}

#[tokio::test]
async fn a_cancelled_program_is_ended_and_its_last_output_is_read() {
    let sshd = Sshd::start();
    let harness = on(&sshd);
    let seconds = unique(4);
    let script = format!("trap 'echo farewell; exit 3' TERM; echo begun; sleep {seconds} & wait");
    let cancel = async {
        while !runs(&seconds) {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        harness.context.cancel.cancel();
    };
    let (outcome, ()) = tokio::join!(harness.perform("shell", json!({ "script": script })), cancel);
    assert_eq!(outcome.verdict, Verdict::Cancelled, "{outcome:?}");
    assert_eq!(outcome.transcript.as_deref(), Some("begun\nfarewell\n"));
    assert!(!runs(&seconds));
}

#[tokio::test]
async fn programs_that_a_cancelled_program_starts_to_clean_up_are_not_asked_to_end() {
    let sshd = Sshd::start();
    let harness = on(&sshd);
    let ready = sshd.path().join("ready");
    // The program and a process outside its group each start fifty programs at SIGTERM.
    let cleaner = "(sleep 0.1 && echo clean) &";
    let cleanup = format!("i=0; while [ $i -lt 50 ]; do {cleaner} i=$((i + 1)); done; wait; exit 0");
    let program = format!("trap '{cleanup}' TERM; echo >> {}; while :; do :; done", ready.display());
    let script = format!("setsid sh -c {} &\n{program}", shell_quoted(&program));
    let cancel = async {
        while fs::read_to_string(&ready).unwrap_or_default().lines().count() < 2 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        harness.context.cancel.cancel();
    };
    let (outcome, ()) = tokio::join!(harness.perform("shell", json!({ "script": script })), cancel);
    assert_eq!(outcome.verdict, Verdict::Cancelled, "{outcome:?}");
    assert_eq!(outcome.transcript.as_deref(), Some("clean\n".repeat(100).as_str()));
}

#[tokio::test]
async fn a_background_process_does_not_block_the_step() {
    let sshd = Sshd::start();
    let harness = on(&sshd);
    let seconds = unique(5);
    let began = std::time::Instant::now();
    let outcome = harness.perform("shell", json!({ "script": format!("sleep {seconds} & echo $!") })).await;
    assert!(outcome.is_success() && outcome.summary.contains("left something running"), "{outcome:?}");
    assert!(began.elapsed() < std::time::Duration::from_secs(20));
    let pid = outcome.output["stdout"].as_str().expect("a number").to_owned();
    assert!(runs(&seconds));
    assert!(harness.perform("command", command(&["kill", &pid])).await.is_success());
    eventually("the sleeper is gone", || !runs(&seconds));
}

#[tokio::test]
async fn a_lost_connection_ends_the_program_and_is_not_its_failure() {
    let sshd = Sshd::start();
    let harness = on(&sshd);
    let (seconds, daemon) = (unique(6), unique(7));
    let cuts = async {
        while !(runs(&seconds) && runs(&daemon)) {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        sshd.cut();
    };
    let script = format!("setsid sleep {daemon} & exec sleep {seconds}");
    let (outcome, ()) = tokio::join!(harness.perform("shell", json!({ "script": script })), cuts);
    assert!(outcome.is_lost(), "{outcome:?}");
    eventually("no process is left", || !runs(&seconds) && !runs(&daemon));
    // The next step connects again.
    let next = harness.perform("command", command(&["echo", "again"])).await;
    assert_eq!(next.summary, "`echo` succeeded: again");
}

#[tokio::test]
async fn any_login_shell_and_its_start_up_output_are_tolerated() {
    for (shell, package) in [("/usr/bin/fish", "fish"), ("/usr/bin/tcsh", "tcsh"), ("/bin/bash", "bash")] {
        let shell = crate::real::installed(shell, package);
        let words =
            format!("ForceCommand echo hello; echo hello >&2; exec {} -c \"$SSH_ORIGINAL_COMMAND\"\n", shell.display());
        let sshd = Sshd::with(&words);
        let outcome = on(&sshd).perform("command", command(&["printf", "%s|", "it's", "!$x", "\\", "\n"])).await;
        assert_eq!(outcome.output["stdout"], json!("it's|!$x|\\|\n|"), "{package}: {outcome:?}");
        assert_eq!(outcome.output["stderr"], json!(""), "{package}");
    }
}

#[tokio::test]
async fn an_account_that_takes_no_commands_is_reported() {
    let sshd = Sshd::with("ForceCommand echo 'This account is not available.' >&2; exit 1\n");
    let outcome = on(&sshd).perform("command", command(&["true"])).await;
    assert_eq!(outcome.verdict, Verdict::Failed);
    assert_eq!(outcome.summary, format!("`{}` runs no command: This account is not available.", sshd.to()));
}

#[tokio::test]
async fn many_programs_at_once_share_one_connection() {
    let sshd = Sshd::start();
    let harness = on(&sshd);
    let span = Span::seconds(60).after(harness.context.clock.now());
    assert!(harness.context.deadline <= Some(span));
    let runs = (0..24).map(|number| {
        let harness = &harness;
        async move {
            harness.perform("command", json!({ "argv": ["sh", "-c", "sleep 0.1; echo $0", number.to_string()] })).await
        }
    });
    let outcomes = futures_util::future::join_all(runs).await;
    for (number, outcome) in outcomes.iter().enumerate() {
        assert_eq!(outcome.output["stdout"], json!(number.to_string()), "{outcome:?}");
    }
    assert_eq!(sshd.log().matches("Accepted publickey").count(), 1);
}

#[tokio::test]
async fn a_dead_connection_is_made_again_and_nothing_is_repeated() {
    let sshd = Sshd::start();
    let harness = on(&sshd);
    let count = sshd.path().join("count");
    let script = json!({ "script": format!("echo x >> {}", count.display()) });
    for connections in 1..4 {
        assert!(harness.perform("shell", script.clone()).await.is_success());
        assert_eq!(sshd.log().matches("Accepted publickey").count(), connections);
        sshd.kill_clients();
    }
    assert_eq!(fs::read_to_string(count).expect("it was written").lines().count(), 3);
}
