//! Tests with real child processes: their input, the kept part of their output, and that no process is left running.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::capture::{HALF_LIMIT, HeadAndTail};
use super::*;
use crate::actions::kinds::command::Command;
use crate::actions::kinds::shell::Shell;
use crate::actions::kinds::support::testing::context;
use crate::actions::{Kind, Progress};
use crate::clock::SystemClock;
use crate::domain::core::text::shell_quoted;
use crate::domain::incident::outcome::Verdict;
use crate::domain::redact::Redactor;

fn sh(script: &str, context: &Context) -> Job {
    Job::new(["sh", "-c", script], context)
}

async fn finished(script: &str, context: &Context) -> (ChildExit, Capture) {
    run(&sh(script, context), context).await.expect("`sh` starts")
}

fn soon(length: TimeDelta) -> Option<Timestamp> {
    use crate::clock::Clock;
    Some(SystemClock.now() + length)
}

/// Waits for a condition that another process causes.
async fn until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..1000 {
        if condition() {
            return;
        }
        crate::clock::sleep(&SystemClock, Duration::from_millis(5)).await;
    }
    panic!("{what} did not come about within five seconds");
}

/// Whether a process with this argument runs. Zombies have no arguments.
fn runs(argument: &str) -> bool {
    let entries = fs::read_dir("/proc").expect("there is a /proc").flatten();
    let mut lines = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    lines.any(|line| line.split(|&byte| byte == 0).any(|word| word == argument.as_bytes()))
}

/// A number of seconds that only one test sleeps for, to identify its processes.
fn unique(test: u64) -> String {
    format!("{}.{}", 100_000 + test, std::process::id())
}

#[tokio::test]
async fn a_child_gets_only_the_basics_and_the_variables_of_its_job() {
    let context = context();
    let job = sh("env; pwd", &context).env("KEY", "a b\n$(id)");
    let (exit, capture) = run(&job, &context).await.expect("`sh` starts");
    assert_eq!(exit, ChildExit { ending: Ending::Code(0), left_behind: false });
    let stdout = capture.stdout();
    // The shell itself sets PWD.
    let mut names: Vec<&str> = stdout.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    names.sort_unstable();
    assert_eq!(names, ["HOME", "KEY", "LANG", "PATH", "PWD", "TZ"]);
    assert!(stdout.contains("KEY=a b\n$(id)\n"));
    assert!(stdout.ends_with(&format!("{}\n", context.directory.display())));
}

#[tokio::test]
async fn standard_input_is_the_input_of_the_job_or_empty() {
    let context = context();
    let (_, capture) = finished("cat; echo end", &context).await;
    assert_eq!(capture.stdout(), "end\n");
    let big = "x".repeat(300_000);
    let job = Job { input: Some(big.clone().into_bytes()), ..sh("wc -c", &context) };
    assert_eq!(run(&job, &context).await.expect("`sh` starts").1.stdout().trim(), "300000");
    let unread = Job { input: Some(big.into_bytes()), ..sh("exec true", &context) };
    assert_eq!(run(&unread, &context).await.expect("`sh` starts").0.ending, Ending::Code(0));
}

#[tokio::test]
async fn an_exit_code_differs_from_a_signal() {
    let context = context();
    assert_eq!(finished("exit 7", &context).await.0.ending, Ending::Code(7));
    assert_eq!(finished("kill -SEGV $$", &context).await.0.ending, Ending::Signal(11));
}

#[tokio::test]
async fn a_job_that_cannot_start_is_an_error_with_the_reason() {
    let context = context();
    let error = async |job: Job| run(&job, &context).await.err().expect("it does not start").to_string();
    let path = &context.base_environment["PATH"];
    assert_eq!(error(Job::new(["no-such-thing"], &context)).await, format!("`no-such-thing` is not in `{path}`"));
    assert_eq!(error(Job::new(Vec::<String>::new(), &context)).await, "no program is given");
    assert!(error(Job::new(["/etc/passwd"], &context)).await.starts_with("`/etc/passwd` could not be started"));
    let nowhere = Job { directory: "/no/where".into(), ..Job::new(["true"], &context) };
    assert_eq!(error(nowhere).await, "there is no directory `/no/where`");
    assert!(error(Job::new(["true", "a\0b"], &context)).await.contains("nul byte"));
}

#[tokio::test]
async fn after_a_timeout_no_descendant_runs_not_even_in_another_session() {
    let (context, nap) = (Context { deadline: soon(TimeDelta::milliseconds(400)), ..context() }, unique(1));
    let script = format!(
        "sleep {nap} & setsid sleep {nap} & (setsid sh -c 'env -i /bin/sleep {nap} & exit' &) & trap '' TERM; \
         nohup sh -c 'trap \"\" TERM; while :; do sleep {nap}; done' & wait; wait; sleep {nap}"
    );
    let stopped = tokio::spawn(async move { finished(&script, &context).await.0 });
    until("the sleepers", || runs(&nap)).await;
    assert_eq!(stopped.await.expect("no panic").ending, Ending::TimedOut);
    assert!(!runs(&nap), "a process was left running");
}

#[tokio::test]
async fn a_cancelled_child_gets_sigterm_and_can_clean_up() {
    let cancel = CancellationToken::new();
    let context = Context { cancel: cancel.clone(), ..context() };
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let (ready, done) = (directory.path().join("ready"), directory.path().join("done"));
    let script = format!(
        "trap 'echo bye; touch {}; exit 0' TERM; touch {}; while :; do sleep 0.01; done",
        done.display(),
        ready.display()
    );
    let job = tokio::spawn(async move { finished(&script, &context).await });
    until("the trap", || ready.exists()).await;
    cancel.cancel();
    let (exit, capture) = job.await.expect("no panic");
    assert_eq!(exit.ending, Ending::Cancelled);
    assert!(done.exists());
    assert_eq!(capture.stdout(), "bye\n");
}

/// The number of programs that [`cleaning_up`] starts: so many that some start after the processes of the tree were listed.
const CLEANERS: usize = 50;

/// A script that starts programs on SIGTERM, each of which prints a line when it has finished.
fn cleaning_up(ready: &std::path::Path) -> String {
    let cleaner = "(sleep 0.1 && echo clean) &";
    let cleanup = format!("i=0; while [ $i -lt {CLEANERS} ]; do {cleaner} i=$((i + 1)); done; wait; exit 0");
    format!("trap '{cleanup}' TERM; touch {}; while :; do :; done", ready.display())
}

#[tokio::test]
async fn programs_that_a_cancelled_child_starts_to_clean_up_get_no_sigterm() {
    let cancel = CancellationToken::new();
    let context = Context { cancel: cancel.clone(), ..context() };
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let ready = directory.path().join("ready");
    let script = cleaning_up(&ready);
    let job = tokio::spawn(async move { finished(&script, &context).await });
    until("the trap", || ready.exists()).await;
    cancel.cancel();
    let (exit, capture) = job.await.expect("no panic");
    assert_eq!((exit.ending, capture.stdout().as_str()), (Ending::Cancelled, "clean\n".repeat(CLEANERS).as_str()));
}

#[tokio::test]
async fn a_program_that_left_the_group_can_clean_up_after_the_cancelled_child_has_ended() {
    let cancel = CancellationToken::new();
    let context = Context { cancel: cancel.clone(), ..context() };
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let (ready, nap) = (directory.path().join("ready"), unique(6));
    let script = format!("setsid sh -c {} & exec sleep {nap}", shell_quoted(&cleaning_up(&ready)));
    let job = tokio::spawn(async move { finished(&script, &context).await });
    until("both", || ready.exists() && runs(&nap)).await;
    cancel.cancel();
    let (exit, capture) = job.await.expect("no panic");
    assert_eq!((exit.ending, capture.stdout().as_str()), (Ending::Cancelled, "clean\n".repeat(CLEANERS).as_str()));
}

#[tokio::test]
async fn a_dropped_child_is_killed_with_its_tree() {
    let (context, nap) = (context(), unique(2));
    let script = format!("setsid sleep {nap} & sleep {nap}");
    let job = tokio::spawn(async move { finished(&script, &context).await.0 });
    until("the sleepers", || runs(&nap)).await;
    job.abort();
    assert!(job.await.is_err_and(|error| error.is_cancelled()));
    until("the end of the sleepers", || !runs(&nap)).await;
}

#[tokio::test]
async fn another_child_continues_when_a_child_is_stopped() {
    let (context, other, nap) = (context(), unique(3), unique(4));
    let (other_context, script) = (context.clone(), format!("setsid sleep {other} & sleep {other}"));
    let other_job = tokio::spawn(async move { finished(&script, &other_context).await.0 });
    until("the other child", || runs(&other)).await;
    let short = Context { deadline: soon(TimeDelta::milliseconds(100)), ..context };
    assert_eq!(finished(&format!("sleep {nap}"), &short).await.0.ending, Ending::TimedOut);
    assert!(runs(&other));
    other_job.abort();
    until("the end of the other child", || !runs(&other)).await;
}

#[tokio::test]
async fn background_processes_of_a_child_continue_and_the_step_ends() {
    let (context, nap) = (Context { deadline: soon(TimeDelta::seconds(30)), ..context() }, unique(5));
    let (exit, capture) = finished(&format!("sleep {nap} & echo started $!"), &context).await;
    assert_eq!(exit, ChildExit { ending: Ending::Code(0), left_behind: true });
    let pid = capture.stdout().trim_start_matches("started ").trim().to_owned();
    assert!(runs(&nap), "the background process was ended");
    finished(&format!("kill {pid}"), &context).await;
    until("the end of the sleeper", || !runs(&nap)).await;
}

#[tokio::test]
async fn a_child_that_closes_its_output_is_still_waited_for() {
    let (exit, capture) = finished("echo out; exec >&- 2>&-; sleep 0.2; exit 3", &context()).await;
    assert_eq!((exit.ending, capture.stdout().as_str()), (Ending::Code(3), "out\n"));
}

#[tokio::test]
async fn endless_output_is_cut_in_the_middle_and_the_child_times_out() {
    let context = Context { deadline: soon(TimeDelta::seconds(1)), ..context() };
    let (exit, capture) = finished("echo first; yes", &context).await;
    assert_eq!(exit.ending, Ending::TimedOut);
    let stdout = capture.stdout();
    assert!(stdout.starts_with("first\ny\n") && stdout.ends_with("y\n") && stdout.contains(" bytes cut …"));
    assert!(stdout.len() <= 2 * HALF_LIMIT + 64, "{}", stdout.len());
}

#[tokio::test]
async fn secrets_are_redacted_across_reads_and_before_the_cut() {
    let redactor = Arc::new(Redactor::new([("db", "hunter22")]).expect("long enough"));
    let lines = Arc::new(Mutex::new(Vec::new()));
    let received = Arc::clone(&lines);
    let progress = Progress::new(move |line| received.lock().expect("no panic").push(line.to_owned()));
    let context = Context { redactor, progress, ..context() };
    let filler = HALF_LIMIT - 4;
    let script = format!(
        "printf hun; sleep 0.05; printf 'ter22\\n'; printf 'hunter22\\033[31m\\n' >&2; \
         head -c {filler} /dev/zero | tr '\\0' x; printf hunter22; head -c 40000 /dev/zero | tr '\\0' y"
    );
    let (_, capture) = finished(&script, &context).await;
    for text in [capture.stdout(), capture.stderr(), capture.transcript(), lines.lock().expect("no panic").join("\n")] {
        assert!(!text.contains("hunt") && !text.contains("er22"), "{text}");
    }
    assert!(capture.stdout().starts_with("[redacted:db]\n"));
    assert!(lines.lock().expect("no panic").contains(&"[redacted:db]␛[31m".to_owned()));
}

#[tokio::test]
async fn bytes_that_are_not_utf_8_are_replaced() {
    let (_, capture) = finished(r"printf 'a\377\303\251b'", &context()).await;
    assert_eq!(capture.stdout(), "a\u{fffd}éb");
}

#[test]
fn the_middle_is_cut_between_characters() {
    for size in 0..40 {
        let text = "é日🚀a".repeat(10);
        let mut kept = HeadAndTail::new(size);
        text.as_bytes().chunks(3).for_each(|piece| kept.push(piece));
        assert!(!kept.text().contains('\u{fffd}'), "{size}: {}", kept.text());
        assert_eq!(kept.text().contains("bytes cut"), size * 2 < text.len());
    }
}

#[tokio::test]
async fn hostile_values_reach_a_program_as_data() {
    let context = context();
    for hostile in ["$(id)", "`id`", "{{7*7}}", "--now", "-H root@x", "../..", "a\nb", "\x1b[2J", "';id;'", "é\u{202e}"]
    {
        let spec = json!({"argv": ["printf", "%s", hostile], "env": {"V": hostile}});
        let outcome = Command.perform(&spec, &context).await;
        assert_eq!(outcome.verdict, Verdict::Succeeded, "{}", outcome.summary);
        assert_eq!(outcome.output["stdout"], json!(crate::domain::core::text::printable(hostile)));
        assert!(!outcome.summary.contains('\x1b'));
    }
}

#[tokio::test]
async fn the_outcome_of_a_command_has_its_exit_code_and_parsed_output() {
    let context = context();
    let ok = Command.perform(&json!({"argv": ["sh", "-c", "echo '{\"a\":[1]}'"], "parse": "json"}), &context).await;
    assert_eq!((ok.verdict, &ok.output["json"]), (Verdict::Succeeded, &json!({"a": [1]})));
    let lines = Command.perform(&json!({"argv": ["printf", "a\nb\n"], "parse": "lines"}), &context).await;
    assert_eq!(lines.output["lines"], json!(["a", "b"]));
    let none = Command.perform(&json!({"argv": ["echo", "x"], "parse": "json"}), &context).await;
    assert!(none.summary.starts_with("`echo` did not print JSON"), "{}", none.summary);
    let failed = Command.perform(&json!({"argv": ["sh", "-c", "echo why >&2; exit 3"]}), &context).await;
    assert_eq!(failed.summary, "`sh` ended with code 3: why");
    assert_eq!(failed.output["exit_code"], json!(3));
    let expected = Command.perform(&json!({"argv": ["sh", "-c", "exit 3"], "expect_exit": [3]}), &context).await;
    assert_eq!((expected.verdict, expected.summary.as_str()), (Verdict::Succeeded, "`sh` ended with code 3"));
    let number = Command.perform(&json!({"argv": ["echo", 5, true]}), &context).await;
    assert_eq!(number.summary, "`echo` succeeded: 5 true");
}

#[tokio::test]
async fn an_invalid_field_is_an_error_that_names_it() {
    let context = context();
    for (spec, message) in [
        (json!({"argv": "true"}), "`argv` is not a list"),
        (json!({"argv": ["a", ["b"]]}), "`argv[1]` is a list, not text"),
        (json!({"argv": ["true"], "env": {"A=B": "x"}}), "`A=B` cannot be the name of an environment variable"),
        (json!({"argv": ["true"], "env": {"A": {"secret": "nope"}}}), "secret `nope` is not in the estate"),
        (json!({"argv": ["true"], "cwd": "/no/where"}), "there is no directory `/no/where`"),
    ] {
        let outcome = Command.perform(&spec, &context).await;
        assert_eq!((outcome.verdict, outcome.summary.as_str()), (Verdict::Failed, message));
    }
    assert!(Command.perform(&json!({"argv": ["true"], "x": 1}), &context).await.summary.contains("unknown field `x`"));
}

#[tokio::test]
async fn output_for_later_steps_is_limited() {
    let script = "yes '\"\\' | head -c 3000000; yes \\' | head -c 300000 >&2";
    for parse in ["none", "lines"] {
        let outcome = Shell.perform(&json!({"script": script, "parse": parse}), &context()).await;
        let size = outcome.output.to_string().len();
        assert!(size <= crate::domain::incident::outcome::OUTPUT_LIMIT, "{parse}: {size}");
    }
}

#[tokio::test]
async fn a_script_stops_at_the_first_failure() {
    let context = context();
    let outcome = Shell.perform(&json!({"script": "echo one\nfalse\necho two"}), &context).await;
    assert_eq!((outcome.verdict, &outcome.output["stdout"]), (Verdict::Failed, &json!("one")));
    let unset = Shell.perform(&json!({"script": "echo $NOT_SET"}), &context).await;
    assert_eq!(unset.verdict, Verdict::Failed);
    let pipe = Shell.perform(&json!({"script": "false | cat", "shell": "bash"}), &context).await;
    assert_eq!(pipe.verdict, Verdict::Failed);
    assert_eq!(Shell.describe(&json!({"script": "a\nb", "cwd": "x"})).place, "this host, in x");
}

#[tokio::test]
async fn the_outcome_of_a_step_that_timed_out_has_its_output() {
    let context = Context { deadline: soon(TimeDelta::milliseconds(300)), ..context() };
    let outcome = Shell.perform(&json!({"script": "echo begun; sleep 77"}), &context).await;
    assert_eq!(outcome.verdict, Verdict::TimedOut);
    assert_eq!(outcome.transcript.as_deref(), Some("begun\n"));
}
