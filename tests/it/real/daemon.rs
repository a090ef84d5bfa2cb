//! A server process of a test, on a free port of loopback. It is stopped when its value is dropped.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use runbook::surface::demo::lab::background_process::{BackgroundProcess, Start};
use runbook::surface::demo::lab::port;
use rustix::process::Signal;

/// How long a server may take to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a server may take to stop before it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// How long an answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// A running server.
pub struct Daemon {
    process: BackgroundProcess,
    stop_signal: Signal,
}

impl Daemon {
    /// Starts `program`, which must stay in the foreground; its output goes to `log`.
    ///
    /// If the test runs as root, the program runs as `user`, since some servers refuse to run as root.
    pub fn start(program: &Path, arguments: &[String], user: Option<&str>, log: &Path) -> Self {
        let mut argv: Vec<OsString> = vec![program.into()];
        argv.extend(arguments.iter().map(OsString::from));
        let start = Start::silent(argv, Path::new("/"), log.to_owned()).account(user).killed_with_owner();
        let start = start.environment(BTreeMap::from([("LC_ALL", "C.UTF-8".into())]));
        let process = BackgroundProcess::start(start);
        let process = process.expect("setpriv starts; install the Debian package `util-linux`");
        Self { process, stop_signal: Signal::TERM }
    }

    /// The same server, stopped by this signal instead of SIGTERM.
    pub fn stopped_by(mut self, stop_signal: Signal) -> Self {
        self.stop_signal = stop_signal;
        self
    }

    /// Waits until it answers, or fails the test with its log.
    pub fn wait(&self, answers: impl FnMut() -> bool) {
        self.wait_for("it answers", answers);
    }

    /// Waits until a condition is true, or fails the test with its log.
    pub fn wait_for(&self, what: &str, done: impl FnMut() -> bool) {
        self.process.wait_until(PATIENCE, done).unwrap_or_else(|why| panic!("waited in vain until {what}: {why}"));
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid().cast_unsigned()
    }

    /// The end of its log.
    pub fn log_end(&self) -> String {
        self.process.log_end()
    }

    /// Suspends it: its port stays open, and nothing answers.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.process.stop_by(self.stop_signal, STOP_LIMIT);
    }
}

/// A free port of loopback.
pub fn free_port() -> u16 {
    port::free_port().expect("a port is free")
}

/// The status and body of `GET <path>` on loopback, or `None` without an answer.
pub fn get(port: u16, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(ANSWER_LIMIT)).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}
