//! Real programs that tests run against. A test starts them; they stop when their values are dropped.
//!
//! A missing program fails the test with the name of its Debian package; no test is skipped.
//!
//! **Invariant:** every program has its own temporary directory, ports, control group and mount namespace, so that any
//! number of tests run at once.
//!
//! Not here: the program under test, see `project`.

#![expect(
    clippy::disallowed_methods,
    reason = "tests start real programs, wait for them and read the clock of the machine"
)]
#![expect(dead_code, reason = "not every method is used at every time")]

pub mod aws;
pub mod daemon;
pub mod http;
pub mod journal;
pub mod mail;
pub mod nginx;
pub mod pgbouncer;
pub mod polkit;
pub mod postgres;
pub mod prometheus;
pub mod redis;
pub mod repository;
pub mod slack;
pub mod sqlite;
pub mod sshd;
pub mod terminal;
pub mod units;

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use runbook::actions::transport::process::output_detached;

/// How long a condition may take to become true on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a program to its end and returns its output; fails the test with the output if the program fails.
///
/// `package` is the Debian package to install if the program is missing.
pub fn run(command: &mut Command, package: &str) -> Output {
    let shown = format!("{command:?}");
    let output = output_detached(command).unwrap_or_else(|error| {
        panic!("`{shown}` could not be started ({error}); install the Debian package `{package}`")
    });
    assert!(
        output.status.success(),
        "`{shown}` ended with {}\n--- stdout\n{}\n--- stderr\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    output
}

/// The time of the system clock, which the servers use.
pub fn now() -> chrono::DateTime<chrono::Utc> {
    chrono::Utc::now()
}

/// The path of a program that is not in `PATH`; fails the test with the package if it is missing.
pub fn installed(path: &str, package: &str) -> PathBuf {
    let path = PathBuf::from(path);
    assert!(path.exists(), "`{}` is missing; install the Debian package `{package}`", path.display());
    path
}

/// Every object in a JSON value whose `type` is `kind`, at any depth.
pub fn of_type(value: &serde_json::Value, kind: &str) -> Vec<serde_json::Value> {
    let mut found = Vec::new();
    gather(value, kind, &mut found);
    found
}

/// Waits until a condition is true, or fails the test.
pub fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_true() {
        assert!(Instant::now() < until, "waited {} s in vain until {what}", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn gather(value: &serde_json::Value, kind: &str, into: &mut Vec<serde_json::Value>) {
    use serde_json::Value;
    match value {
        Value::Array(items) => items.iter().for_each(|item| gather(item, kind, into)),
        Value::Object(fields) => {
            if fields.get("type").and_then(Value::as_str) == Some(kind) {
                into.push(value.clone());
            }
            fields.values().for_each(|field| gather(field, kind, into));
        }
        _ => {}
    }
}
