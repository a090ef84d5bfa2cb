//! A server that a test starts: on a free loopback port, with its files in one directory, gone when its value drops.
//!
//! Deliberately absent: knowledge of any particular server, and reading what it prints; that goes to a file, whose end
//! is shown when the server does not come up.
//!
//! **Invariant:** a server is ended by its own process id, and ends too when the thread of the test that started it does.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use runbook::actions::transport::process::spawn_detached;
use rustix::process::{Pid, Signal, kill_process};

/// Ports below those that the kernel gives to outgoing connections, and beside those of the other harnesses.
const PORTS: std::ops::Range<u16> = 12_000..20_000;

/// How long a server may take to come up on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a server may take to end in good order before it is killed.
const FAREWELL: Duration = Duration::from_secs(5);

/// How long one look at a server may take.
const LOOK: Duration = Duration::from_secs(2);

/// A running server.
pub struct Daemon {
    child: Child,
    log: PathBuf,
    farewell: Signal,
}

impl Daemon {
    /// Starts `program`, which must stay in the foreground; what it prints goes to `log`.
    ///
    /// `user` is who it runs as when the test is root's; some servers refuse to be root's.
    pub fn start(program: &Path, arguments: &[String], user: Option<&str>, log: &Path) -> Self {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        if let Some(user) = user.filter(|_| rustix::process::geteuid().is_root()) {
            command.args(["--reuid", user, "--regid", user, "--clear-groups"]);
        }
        command.arg("--").arg(program).args(arguments).current_dir("/").env("LC_ALL", "C.UTF-8");
        let output = File::create(log).expect("a log file can be made");
        command.stdin(Stdio::null()).stdout(output.try_clone().expect("a file can be shared")).stderr(output);
        let child = spawn_detached(&mut command).expect("setpriv starts; install the Debian package `util-linux`");
        Self { child, log: log.to_owned(), farewell: Signal::TERM }
    }

    /// The same server, asked to end with this signal instead of SIGTERM.
    pub fn ending_with(mut self, farewell: Signal) -> Self {
        self.farewell = farewell;
        self
    }

    /// Waits until it answers, or fails the test with what it said.
    pub fn wait(&mut self, mut answers: impl FnMut() -> bool) {
        let until = Instant::now() + PATIENCE;
        while !answers() {
            let status = self.child.try_wait().expect("a child can be asked");
            assert!(status.is_none() && Instant::now() < until, "it does not answer ({status:?}): {}", self.said());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until it has done something while it runs, or fails the test with what it said.
    pub fn wait_for(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !done(self) {
            let status = self.child.try_wait().expect("a child can be asked");
            assert!(status.is_none() && Instant::now() < until, "`{what}` ({status:?}) in vain: {}", self.said());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The end of what it printed.
    pub fn said(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&text[text.len().saturating_sub(4000)..]).into_owned()
    }

    /// Suspends it: it keeps its port and answers nothing.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.signal(self.farewell);
        self.signal(Signal::CONT);
        let until = Instant::now() + FAREWELL;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port of loopback that nobody uses. Tests of one process never get the same one twice.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let width = PORTS.end - PORTS.start;
    let own = u16::try_from(std::process::id() % u32::from(width)).expect("less than the width");
    loop {
        let offset = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(own.wrapping_mul(41)) % width;
        if TcpListener::bind(("127.0.0.1", PORTS.start + offset)).is_ok() {
            return PORTS.start + offset;
        }
    }
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
