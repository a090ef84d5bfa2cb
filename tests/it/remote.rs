//! Actions on a remote host, over a real OpenSSH server on loopback.

mod connection;
mod inspection;
mod programs;
mod reach;
mod units;

use serde_json::{Value, json};

use crate::kind_harness::KindHarness;
use crate::real::sshd::Sshd;

/// A harness whose host is that of the server.
fn on(sshd: &Sshd) -> KindHarness {
    let mut harness = KindHarness::new(json!({ "host": sshd.host() }), json!({}));
    // So that a relative path cannot name a file of the test's directory.
    harness.context.directory = sshd.path().to_owned();
    harness.within(60)
}

/// Whether a process with this argument runs. Zombies have no arguments.
fn runs(argument: &str) -> bool {
    let entries = std::fs::read_dir("/proc").expect("there is a /proc").flatten();
    let mut lines = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.any(|line| line.split(|&byte| byte == 0).any(|word| word == argument.as_bytes()))
}

/// A number of seconds that identifies the `sleep` processes of one test.
fn unique(test: u64) -> String {
    format!("{}.{}", 200_000 + test, std::process::id())
}

/// The spec of a `command` step.
fn command(argv: &[&str]) -> Value {
    json!({ "argv": argv })
}
