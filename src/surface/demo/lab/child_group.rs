//! A program in the background that is never left behind: it ends when its owner does, even if the owner is killed.
//!
//! The program says that it is ready by the protocol of `sd_notify(3)`, so that nobody polls and nobody sleeps.
//!
//! Deliberately absent: reading what the program prints. It goes to a file, for a person to read when something fails.
//!
//! **Invariant:** no process that was started here outlives its [`Background`], or the process that holds it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::actions::transport::process::spawn_apart;
use crate::sync::lock;

/// Where programs are found; the environment of this process is not passed on.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Sends the program SIGTERM when the thread that started it ends, hence also when this process is killed.
const LEASH: &[&str] = &["setpriv", "--pdeathsig", "TERM", "--"];

/// How long one wait for a sign of life is, before it is looked whether the program still runs.
const LOOK: Duration = Duration::from_millis(100);

/// How long the kernel may take to remove a process that was sent SIGKILL.
const DEATH: Duration = Duration::from_secs(5);

/// The longest notification that is read; systemd's own are under a hundred bytes.
const NOTIFICATION: usize = 4096;

/// What to start, and where its files are.
#[derive(Debug)]
pub struct Start<'a> {
    /// The program and its arguments.
    pub argv: Vec<OsString>,
    /// Its environment, besides `PATH`, `LANG` and `NOTIFY_SOCKET`.
    pub environment: BTreeMap<&'a str, OsString>,
    /// Where its socket for notifications and its log file are made.
    pub directory: &'a Path,
    /// What those files are called.
    pub name: &'a str,
}

/// A running program.
#[derive(Debug)]
pub struct Background {
    pid: Pid,
    ended: Arc<Ending>,
    ready: UnixDatagram,
    log: PathBuf,
}

/// How the program ended, once it has.
#[derive(Debug, Default)]
struct Ending {
    status: Mutex<Option<ExitStatus>>,
    happened: Condvar,
}

impl Background {
    /// Starts it. It is not ready yet: see [`Background::wait_ready`].
    pub fn start(start: Start<'_>) -> io::Result<Self> {
        let socket = start.directory.join(format!("{}.ready", start.name));
        let _ = std::fs::remove_file(&socket);
        let ready = UnixDatagram::bind(&socket)?;
        ready.set_read_timeout(Some(LOOK))?;
        let log = start.directory.join(format!("{}.log", start.name));
        let command = command(start, &socket, File::create(&log)?)?;
        let ended = Arc::new(Ending::default());
        let pid = spawn_leashed(command, Arc::clone(&ended))?;
        Ok(Self { pid, ended, ready, log })
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Waits until the program says that it is ready, at most this long; else says why it is not.
    pub fn wait_ready(&self, patience: Duration) -> Result<(), String> {
        let looks = patience.as_millis() / LOOK.as_millis();
        let mut buffer = [0; NOTIFICATION];
        for _ in 0..=looks {
            if let Ok(length) = self.ready.recv(&mut buffer)
                && reports_ready(&buffer[..length])
            {
                return Ok(());
            }
            if let Some(status) = self.ended.within(Duration::ZERO) {
                return Err(format!("it ended at once with {status}{}", self.last_words()));
            }
        }
        Err(format!("it did not become ready within {} s{}", patience.as_secs(), self.last_words()))
    }

    /// Asks it to end with SIGTERM, waits this long, then kills it; returns when it is gone.
    pub fn stop(&self, patience: Duration) {
        for (signal, patience) in [(Signal::TERM, patience), (Signal::KILL, DEATH)] {
            if self.ended.within(Duration::ZERO).is_none() {
                // It may end in this very moment; then there is nothing to signal.
                let _ = kill_process(self.pid, signal);
            }
            if self.ended.within(patience).is_some() {
                return;
            }
        }
    }

    /// What it printed last, as an end of a sentence.
    fn last_words(&self) -> String {
        let printed = std::fs::read(&self.log).unwrap_or_default();
        let printed = String::from_utf8_lossy(&printed);
        let lines: Vec<&str> = printed.lines().rev().filter(|line| !line.trim().is_empty()).take(3).collect();
        if lines.is_empty() {
            return String::new();
        }
        format!(": {}", lines.into_iter().rev().collect::<Vec<_>>().join(" / "))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
    }
}

impl Ending {
    fn within(&self, patience: Duration) -> Option<ExitStatus> {
        let status = lock(&self.status);
        let (status, _) = self
            .happened
            .wait_timeout_while(status, patience, |status| status.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        *status
    }

    fn set(&self, status: ExitStatus) {
        *lock(&self.status) = Some(status);
        self.happened.notify_all();
    }
}

#[expect(clippy::disallowed_methods, reason = "what is started here is no action of a runbook")]
fn command(start: Start<'_>, socket: &Path, log: File) -> io::Result<Command> {
    let mut command = Command::new(LEASH[0]);
    command
        .args(&LEASH[1..])
        .args(start.argv)
        .env_clear()
        .env("PATH", SEARCH_PATH)
        .env("LANG", "C.UTF-8")
        .env("NOTIFY_SOCKET", socket)
        .envs(start.environment)
        .current_dir(start.directory)
        .stdin(Stdio::null())
        .stderr(log.try_clone()?)
        .stdout(log)
        // Ctrl-C at the terminal is for the foreground; the background is stopped by its owner.
        .process_group(0);
    Ok(command)
}

/// Starts the command from a thread that lives as long as the program does: the leash hangs on that thread.
fn spawn_leashed(mut command: Command, ended: Arc<Ending>) -> io::Result<Pid> {
    let (send, started) = std::sync::mpsc::channel();
    std::thread::Builder::new().name("background".to_owned()).spawn(move || match spawn_apart(&mut command) {
        Ok(mut child) => {
            // The receiver waits below until this arrives.
            let _ = send.send(Ok(Pid::from_child(&child)));
            if let Ok(status) = child.wait() {
                ended.set(status);
            }
        }
        Err(error) => {
            let _ = send.send(Err(error));
        }
    })?;
    started.recv().unwrap_or_else(|_| Err(io::Error::other("the thread that starts programs ended")))
}

/// Whether a notification holds the line `READY=1`.
///
/// A user manager says so twice: on reaching `basic.target` and when all of its first jobs are done. The second
/// carries `STATUS=Ready.`, and only that one means that units can be asked for.
fn reports_ready(notification: &[u8]) -> bool {
    let text = String::from_utf8_lossy(notification);
    let ready = text.lines().any(|line| line == "READY=1");
    ready && !text.lines().any(|line| line.starts_with("STATUS=Reached"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(script: &str, directory: &Path) -> Background {
        Background::start(Start {
            argv: ["sh", "-c", script].map(OsString::from).to_vec(),
            environment: BTreeMap::new(),
            directory,
            name: "program",
        })
        .expect("a shell starts")
    }

    #[test]
    fn a_program_that_ends_early_is_told_with_its_last_words() {
        let directory = tempfile::tempdir().unwrap();
        let program = start("echo no luck >&2; exit 3", directory.path());
        let reason = program.wait_ready(Duration::from_secs(5)).unwrap_err();
        assert!(reason.contains("exit status: 3") && reason.ends_with("no luck"), "{reason}");
    }

    #[test]
    fn a_program_that_ignores_a_polite_request_is_killed() {
        let directory = tempfile::tempdir().unwrap();
        let program = start("trap '' TERM; while :; do sleep 0.1; done", directory.path());
        program.stop(Duration::from_millis(200));
        assert!(program.ended.within(Duration::ZERO).is_some());
    }

    #[test]
    fn the_first_of_two_notifications_is_not_the_end_of_the_start() {
        assert!(!reports_ready(b"READY=1\nSTATUS=Reached basic.target."));
        assert!(reports_ready(b"READY=1\nSTATUS=Ready."));
        assert!(!reports_ready(b"STATUS=READY=1"));
    }
}
