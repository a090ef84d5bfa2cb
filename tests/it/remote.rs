//! What is done on another host, over a real OpenSSH server on loopback.

mod connection;
mod looks;
mod programs;
mod reach;
mod units;

use serde_json::{Value, json};

use crate::act::Act;
use crate::real::sshd::Sshd;

/// Kinds at work on the server's host.
fn on(sshd: &Sshd) -> Act {
    let mut act = Act::new(json!({ "host": sshd.host() }), json!({}));
    // Where nothing of what is done there could be found by mistake.
    act.context.directory = sshd.path().to_owned();
    act.within(60)
}

/// A process with this argument that runs. Zombies have no arguments any more.
fn runs(argument: &str) -> bool {
    let entries = std::fs::read_dir("/proc").expect("there is a /proc").flatten();
    let mut lines = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.any(|line| line.split(|&byte| byte == 0).any(|word| word == argument.as_bytes()))
}

/// A number of seconds that only one test sleeps for, so that its processes are known.
fn unique(test: u64) -> String {
    format!("{}.{}", 200_000 + test, std::process::id())
}

/// What a `command` step of this program takes.
fn command(argv: &[&str]) -> Value {
    json!({ "argv": argv })
}
