//! The real parts that tests run against, each started by the test itself and gone when its value is dropped.
//!
//! Each module stands alone and needs nothing from the others, except that `shop` joins them and that every server on a
//! port is a `daemon`. A part that cannot be found makes the test fail with the name of the Debian package that brings
//! it; nothing is ever skipped.
//!
//! Deliberately absent: knowledge of how the program under test works. These modules know systemd, journald, git, Redis,
//! Slack and so on, not us.
//!
//! **Invariant:** every part lives in its own temporary directory, on its own ports, in its own control group and in
//! its own mount namespace, so that any number of tests run at once.

#![expect(
    clippy::disallowed_methods,
    reason = "tests start real programs, wait for them and read the clock of the machine"
)]
#![expect(dead_code, reason = "a harness offers more than the tests of one day use")]

pub mod aws;
pub mod daemon;
pub mod journal;
pub mod mail;
pub mod nginx;
pub mod pgbouncer;
pub mod polkit;
pub mod postgres;
pub mod prometheus;
pub mod redis;
pub mod repository;
pub mod shop;
pub mod slack;
pub mod sqlite;
pub mod sshd;
pub mod terminal;

use std::path::PathBuf;
use std::process::{Command, Output};

use runbook::actions::transport::process::output_detached;

/// Runs a program to its end and returns what it printed, or fails the test with everything it said.
///
/// `package` is the Debian package to name when the program cannot be found.
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

/// The machine's clock, for servers that have no other.
pub fn now() -> chrono::DateTime<chrono::Utc> {
    chrono::Utc::now()
}

/// Where a program that is not on `PATH` must be, or the test fails naming its package.
pub fn installed(path: &str, package: &str) -> PathBuf {
    let path = PathBuf::from(path);
    assert!(path.exists(), "`{}` is missing; install the Debian package `{package}`", path.display());
    path
}

/// Every object of a JSON that says that it is of a type, wherever it is.
pub fn of_type(value: &serde_json::Value, kind: &str) -> Vec<serde_json::Value> {
    let mut found = Vec::new();
    gather(value, kind, &mut found);
    found
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
