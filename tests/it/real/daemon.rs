//! A server that a test starts: a process of the lab, on a free loopback port, gone when its value drops.
//!
//! Deliberately absent: knowledge of any particular server.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use runbook::surface::demo::lab::background_process::{BackgroundProcess, Start};
use runbook::surface::demo::lab::port;
use rustix::process::Signal;

/// How long a server may take to come up on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a server may take to end in good order before it is killed.
const FAREWELL: Duration = Duration::from_secs(5);

/// How long one look at a server may take.
const LOOK: Duration = Duration::from_secs(2);

/// A running server.
pub struct Daemon {
    process: BackgroundProcess,
    farewell: Signal,
}

impl Daemon {
    /// Starts `program`, which must stay in the foreground; what it prints goes to `log`.
    ///
    /// `user` is who it runs as when the test is root's; some servers refuse to be root's.
    pub fn start(program: &Path, arguments: &[String], user: Option<&str>, log: &Path) -> Self {
        let mut argv: Vec<OsString> = vec![program.into()];
        argv.extend(arguments.iter().map(OsString::from));
        let start = Start::silent(argv, Path::new("/"), log.to_owned()).account(user).killed_with_owner();
        let start = start.environment(BTreeMap::from([("LC_ALL", "C.UTF-8".into())]));
        let process = BackgroundProcess::start(start);
        let process = process.expect("setpriv starts; install the Debian package `util-linux`");
        Self { process, farewell: Signal::TERM }
    }

    /// The same server, asked to end with this signal instead of SIGTERM.
    pub fn ending_with(mut self, farewell: Signal) -> Self {
        self.farewell = farewell;
        self
    }

    /// Waits until it answers, or fails the test with what it said.
    pub fn wait(&self, answers: impl FnMut() -> bool) {
        self.wait_for("it answers", answers);
    }

    /// Waits until it has done something while it runs, or fails the test with what it said.
    pub fn wait_for(&self, what: &str, done: impl FnMut() -> bool) {
        self.process.wait_until(PATIENCE, done).unwrap_or_else(|why| panic!("waited in vain until {what}: {why}"));
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid().cast_unsigned()
    }

    /// The end of what it printed.
    pub fn said(&self) -> String {
        self.process.log_end()
    }

    /// Suspends it: it keeps its port and answers nothing.
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
        self.process.stop_by(self.farewell, FAREWELL);
    }
}

/// A port of loopback that nobody uses.
pub fn free_port() -> u16 {
    port::free_port().expect("a port is free")
}

/// The status and body of `GET <path>` on loopback, or nothing when nobody answers.
pub fn get(port: u16, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(LOOK)).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}
