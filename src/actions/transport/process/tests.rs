//! Real children: what they are given, what is kept of them, and that nothing of them is left.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::capture::{HeadAndTail, KEPT};
use super::*;
use crate::actions::kinds::command::Command;
use crate::actions::kinds::shell::Shell;
use crate::actions::kinds::support::testing::context;
use crate::actions::{Kind, Progress};
use crate::clock::SystemClock;
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
async fn a_child_gets_exactly_the_environment_that_it_is_given() {
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
async fn standard_input_is_given_or_empty() {
    let context = context();
    let (_, capture) = finished("cat; echo end", &context).await;
    assert_eq!(capture.stdout(), "end\n");
    let big = "x".repeat(300_000);
    let job = Job { input: Some(big.clone().into_bytes()), ..sh("wc -c", &context) };
    assert_eq!(run(&job, &context).await.expect("`sh` starts").1.stdout().trim(), "300000");
    let deaf = Job { input: Some(big.into_bytes()), ..sh("exec true", &context) };
    assert_eq!(run(&deaf, &context).await.expect("`sh` starts").0.ending, Ending::Code(0));
}

#[tokio::test]
async fn codes_and_signals_are_told_apart() {
    let context = context();
    assert_eq!(finished("exit 7", &context).await.0.ending, Ending::Code(7));
    assert_eq!(finished("kill -SEGV $$", &context).await.0.ending, Ending::Signal(11));
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let context = context();
    let said = async |job: Job| run(&job, &context).await.err().expect("it does not start").to_string();
    let path = &context.basics["PATH"];
    assert_eq!(said(Job::new(["no-such-thing"], &context)).await, format!("`no-such-thing` is not in `{path}`"));
    assert_eq!(said(Job::new(Vec::<String>::new(), &context)).await, "no program is given");
    assert!(said(Job::new(["/etc/passwd"], &context)).await.starts_with("`/etc/passwd` could not be started"));
    let nowhere = Job { directory: "/no/where".into(), ..Job::new(["true"], &context) };
    assert_eq!(said(nowhere).await, "there is no directory `/no/where`");
    assert!(said(Job::new(["true", "a\0b"], &context)).await.contains("nul byte"));
}

#[tokio::test]
async fn after_a_timeout_grandchildren_in_other_sessions_are_gone() {
    let (context, nap) = (Context { deadline: soon(TimeDelta::milliseconds(400)), ..context() }, unique(1));
    let script = format!(
        "sleep {nap} & setsid sleep {nap} & (setsid sh -c 'env -i /bin/sleep {nap} & exit' &) & trap '' TERM; \
         nohup sh -c 'trap \"\" TERM; while :; do sleep {nap}; done' & wait; wait; sleep {nap}"
    );
    let stopped = tokio::spawn(async move { finished(&script, &context).await.0 });
    until("the sleepers", || runs(&nap)).await;
    assert_eq!(stopped.await.expect("no panic").ending, Ending::TimedOut);
    assert!(!runs(&nap), "something was left");
}

#[tokio::test]
async fn a_cancelled_child_may_end_in_good_order() {
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

#[tokio::test]
async fn a_dropped_child_is_gone_with_its_tree() {
    let (context, nap) = (context(), unique(2));
    let script = format!("setsid sleep {nap} & sleep {nap}");
    let job = tokio::spawn(async move { finished(&script, &context).await.0 });
    until("the sleepers", || runs(&nap)).await;
    job.abort();
    assert!(job.await.is_err_and(|error| error.is_cancelled()));
    until("the end of the sleepers", || !runs(&nap)).await;
}

#[tokio::test]
async fn neighbours_of_a_stopped_child_live_on() {
    let (context, other, nap) = (context(), unique(3), unique(4));
    let neighbour = { (context.clone(), format!("setsid sleep {other} & sleep {other}")) };
    let neighbour = tokio::spawn(async move { finished(&neighbour.1, &neighbour.0).await.0 });
    until("the neighbour", || runs(&other)).await;
    let short = Context { deadline: soon(TimeDelta::milliseconds(100)), ..context };
    assert_eq!(finished(&format!("sleep {nap}"), &short).await.0.ending, Ending::TimedOut);
    assert!(runs(&other));
    neighbour.abort();
    until("the end of the neighbour", || !runs(&other)).await;
}

#[tokio::test]
async fn a_child_that_leaves_something_running_ends_its_step_at_once() {
    let (context, nap) = (Context { deadline: soon(TimeDelta::seconds(30)), ..context() }, unique(5));
    let (exit, capture) = finished(&format!("sleep {nap} & echo started $!"), &context).await;
    assert_eq!(exit, ChildExit { ending: Ending::Code(0), left_behind: true });
    let pid = capture.stdout().trim_start_matches("started ").trim().to_owned();
    assert!(runs(&nap), "what a child leaves running is its own business");
    finished(&format!("kill {pid}"), &context).await;
    until("the end of the sleeper", || !runs(&nap)).await;
}

#[tokio::test]
async fn a_child_that_closes_its_output_is_still_waited_for() {
    let (exit, capture) = finished("echo out; exec >&- 2>&-; sleep 0.2; exit 3", &context()).await;
    assert_eq!((exit.ending, capture.stdout().as_str()), (Ending::Code(3), "out\n"));
}

#[tokio::test]
async fn endless_output_is_cut_in_the_middle_and_timed_out() {
    let context = Context { deadline: soon(TimeDelta::seconds(1)), ..context() };
    let (exit, capture) = finished("echo first; yes", &context).await;
    assert_eq!(exit.ending, Ending::TimedOut);
    let stdout = capture.stdout();
    assert!(stdout.starts_with("first\ny\n") && stdout.ends_with("y\n") && stdout.contains(" bytes cut …"));
    assert!(stdout.len() <= 2 * KEPT + 64, "{}", stdout.len());
}

#[tokio::test]
async fn secrets_are_scrubbed_before_the_cut_and_over_reads() {
    let redactor = Arc::new(Redactor::new([("db", "hunter22")]).expect("long enough"));
    let lines = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&lines);
    let progress = Progress::new(move |line| told.lock().expect("no panic").push(line.to_owned()));
    let context = Context { redactor, progress, ..context() };
    let filler = KEPT - 4;
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
async fn bytes_that_are_no_text_are_made_text() {
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
async fn a_command_gives_its_code_its_words_and_its_json() {
    let context = context();
    let ok = Command.perform(&json!({"argv": ["sh", "-c", "echo '{\"a\":[1]}'"], "parse": "json"}), &context).await;
    assert_eq!((ok.verdict, &ok.output["json"]), (Verdict::Succeeded, &json!({"a": [1]})));
    let lines = Command.perform(&json!({"argv": ["printf", "a\nb\n"], "parse": "lines"}), &context).await;
    assert_eq!(lines.output["lines"], json!(["a", "b"]));
    let none = Command.perform(&json!({"argv": ["echo", "x"], "parse": "json"}), &context).await;
    assert!(none.summary.starts_with("`echo` printed no JSON"), "{}", none.summary);
    let failed = Command.perform(&json!({"argv": ["sh", "-c", "echo why >&2; exit 3"]}), &context).await;
    assert_eq!(failed.summary, "`sh` ended with code 3: why");
    assert_eq!(failed.output["exit_code"], json!(3));
    let expected = Command.perform(&json!({"argv": ["sh", "-c", "exit 3"], "expect_exit": [3]}), &context).await;
    assert_eq!((expected.verdict, expected.summary.as_str()), (Verdict::Succeeded, "`sh` ended with code 3"));
    let number = Command.perform(&json!({"argv": ["echo", 5, true]}), &context).await;
    assert_eq!(number.summary, "`echo` succeeded: 5 true");
}

#[tokio::test]
async fn what_a_step_declares_wrongly_is_said() {
    let context = context();
    for (spec, said) in [
        (json!({"argv": "true"}), "`argv` is not a list"),
        (json!({"argv": ["a", ["b"]]}), "`argv[1]` is a list, not text"),
        (json!({"argv": ["true"], "env": {"A=B": "x"}}), "`A=B` is no name for an environment variable"),
        (json!({"argv": ["true"], "env": {"A": {"secret": "nope"}}}), "secret `nope` is not in the estate"),
        (json!({"argv": ["true"], "cwd": "/no/where"}), "there is no directory `/no/where`"),
    ] {
        let outcome = Command.perform(&spec, &context).await;
        assert_eq!((outcome.verdict, outcome.summary.as_str()), (Verdict::Failed, said));
    }
    assert!(Command.perform(&json!({"argv": ["true"], "x": 1}), &context).await.summary.contains("unknown field `x`"));
}

#[tokio::test]
async fn output_that_later_steps_see_is_bounded() {
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
async fn a_step_that_runs_out_of_time_keeps_what_it_printed() {
    let context = Context { deadline: soon(TimeDelta::milliseconds(300)), ..context() };
    let outcome = Shell.perform(&json!({"script": "echo begun; sleep 77"}), &context).await;
    assert_eq!(outcome.verdict, Verdict::TimedOut);
    assert_eq!(outcome.transcript.as_deref(), Some("begun\n"));
}
